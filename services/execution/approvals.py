"""Takes approved intents to the gate, and what the gate decided into the world.

Journal, then send, then ack: the caller acknowledges the approval once this returns.
"""

from libs.common.messages import subjects
from libs.common.messages.codec import UndecodableError, decode, encode
from libs.common.messages.intents import (
    ApprovedIntent,
    RefusalStage,
    RefusedIntent,
    approval_is_genuine,
)
from libs.common.messages.journal import IntentRefusedByGate, OrderRecorded
from libs.common.model.verdict import Reason, Verdict
from libs.common.runtime.bus import Bus, Delivery
from libs.common.runtime.clock import NS_PER_MS, Clock, wall_ns
from libs.common.runtime.log import get_logger
from libs.common.runtime.metrics import GATE_DECISIONS
from services.execution.config import ExecutionConfig
from services.execution.core import Decision, decide_approval
from services.execution.figures import Figures
from services.execution.gate import Gate
from services.execution.lookout import Lookout
from services.execution.orders import OrderDesk

log = get_logger(__name__)


class ApprovalDesk:
    """Decides on one approved intent at a time, as often as it is brought."""

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        gate: Gate,
        orders: OrderDesk,
        figures: Figures,
        lookout: Lookout,
        settings: ExecutionConfig,
        account: str,
        approval_key: bytes,
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._gate = gate
        self._orders = orders
        self._figures = figures
        self._lookout = lookout
        self._settings = settings
        self._account = account
        self._approval_key = approval_key

    async def hear(self, delivery: Delivery) -> None:
        """Decide on an approval and carry the decision out.

        Raises:
            UndecodableError: it cannot be read, was not signed by risk, or is another account's.
            BusError: it was not journaled; it has to be brought again.
        """
        approved = decode(delivery.payload, ApprovedIntent)
        if not approval_is_genuine(self._approval_key, approved):
            raise UndecodableError("the approval was not signed by risk")
        if approved.body.account != self._account:
            raise UndecodableError(f"the approval is for account {approved.body.account!r}")
        if await self._was_decided_long_ago(approved):
            return
        await self._figures.refresh_balance_if_urgent()
        symbol = approved.body.order.symbol
        decision = await self._gate.transact(
            lambda: decide_approval(
                self._settings, self._gate.state, approved, self._lookout.facts(symbol)
            ),
            causation_id=approved.message_id,
            correlation_id=approved.body.intent.intent_id,
        )
        await self._perform(approved, decision)

    async def _was_decided_long_ago(self, approved: ApprovedIntent) -> bool:
        """An approval older than the idempotency memory is looked up in the whole journal."""
        age_ns = self._clock.now_ns() - approved.body.decided_at_ns
        if age_ns <= self._settings.idempotency_ms * NS_PER_MS:
            return False
        intent_id = approved.body.intent.intent_id
        return intent_id not in self._gate.state.intents and await self._gate.was_decided(intent_id)

    async def _perform(self, approved: ApprovedIntent, decision: Decision) -> None:
        if not decision.events:
            await self._repeat_refusal(approved)
        for event in decision.events:
            if isinstance(event, OrderRecorded):
                GATE_DECISIONS.labels("PASSED").inc()
                await self._orders.submit(event)
            elif isinstance(event, IntentRefusedByGate):
                GATE_DECISIONS.labels(event.reason).inc()
                await self._say_refused(approved, event.reason, event.verdicts)

    async def _repeat_refusal(self, approved: ApprovedIntent) -> None:
        """A repeat whose first life may have ended before it spoke: say it again (deduplicated)."""
        GATE_DECISIONS.labels(Reason.DUPLICATE_INTENT).inc()
        memory = self._gate.state.intents.get(approved.body.intent.intent_id)
        if memory is not None and memory.reason is not None:
            await self._say_refused(approved, memory.reason, ())

    async def _say_refused(
        self, approved: ApprovedIntent, reason: Reason, verdicts: tuple[Verdict, ...]
    ) -> None:
        intent = approved.body.intent
        message_id = f"refused-gate-{intent.intent_id}"
        refused = RefusedIntent(
            message_id=message_id,
            causation_id=approved.message_id,
            correlation_id=intent.intent_id,
            ts_event_ns=self._clock.now_ns(),
            ts_published_ns=wall_ns(),
            source="execution",
            intent_id=intent.intent_id,
            strategy_id=intent.strategy_id,
            symbol=intent.symbol,
            stage=RefusalStage.GATE,
            reason=reason,
            verdicts=verdicts,
        )
        await self._bus.publish_stored(
            subjects.intent_refused(intent.symbol), encode(refused), message_id=message_id
        )
