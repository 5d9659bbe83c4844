"""A gate that lets every intent through: what one decision costs, with and without its append.

The state is made by journaled events, as in life. Each sample is a fresh intent, decided by every
guard; its order is ended again before the next one, outside of what is measured, so that rates,
locks and margin never refuse and the state stays as large as it is in a quiet hour.
"""

from decimal import Decimal

import msgspec

from libs.common.messages.intents import ApprovedIntent
from libs.common.messages.journal import (
    BalanceObserved,
    InstrumentsLoaded,
    JournalEvent,
    LeverageAsserted,
    OrderRecorded,
    OrderRejected,
    TradingStateChanged,
)
from libs.common.model.trading_state import TradingState
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import PaperClock
from libs.common.testing.builders import NOW_NS, S, an_approval, an_instrument, an_intent
from services.execution.config import ExecutionConfig
from services.execution.core import Decision, Facts, decide_approval
from services.execution.fold import forget
from services.execution.gate import Gate
from services.execution.question import MarkSeen
from sim.vouching import vouched

ACCOUNT = "paper"
BALANCE = Decimal(1_000_000)
#: Market time between two intents: beyond every rate window and lock.
STEP_NS = 61 * S


class GuardCase:
    """One gate over a real broker."""

    def __init__(self, bus: Bus) -> None:
        self._limits = ExecutionConfig()
        self._clock = PaperClock()
        self._now_ns = NOW_NS
        self._clock.grant(NOW_NS, Decimal(1), None)
        self._number = 0
        self.gate = Gate(bus, self._clock, ACCOUNT, self._limits, "bench", lambda: None, "bench")

    async def open(self) -> None:
        """Recover an empty journal and make the gate ready."""
        await self.gate.recover()
        await self._append(
            TradingStateChanged(state=TradingState.ACTIVE, actor="bench", reason="bench"),
            InstrumentsLoaded(instruments=(an_instrument(),), loaded_at_ns=self._now_ns),
            LeverageAsserted(symbol="BTCUSDT", leverage=10, margin_type="CROSSED"),
        )

    async def prepare(self) -> tuple[ApprovedIntent, Facts]:
        """The next intent and the facts around it; what must be fresh is made so."""
        self._number += 1
        self._now_ns += STEP_NS
        now_ns = self._now_ns
        self._clock.grant(now_ns, Decimal(1), None)
        await self._append(
            BalanceObserved(
                asset="USDT",
                wallet_balance=BALANCE,
                available_balance=BALANCE,
                observed_at_ns=now_ns,
            )
        )
        self.gate.state.instruments_at_ns = now_ns
        intent = an_intent(
            candle_id=f"bench-{self._number}", created_at_ns=now_ns, expires_at_ns=now_ns + 5 * S
        )
        approved = an_approval(intent)
        body = msgspec.structs.replace(
            approved.body, decided_at_ns=now_ns, expires_at_ns=now_ns + 5 * S
        )
        facts = Facts(
            now_ns=now_ns,
            venue_timestamp_ms=now_ns // 1_000_000,
            recv_window_ms=5_000,
            mark=MarkSeen(price=Decimal("60000.00"), at_ns=now_ns),
            health=vouched(intent.symbol),
            unarmed=(),
            account=ACCOUNT,
            writer="bench",
        )
        return msgspec.structs.replace(approved, body=body), facts

    def decide(self, approved: ApprovedIntent, facts: Facts) -> Decision:
        """Every guard, no I/O."""
        return decide_approval(self._limits, self.gate.state, approved, facts)

    async def transact(self, approved: ApprovedIntent, facts: Facts) -> Decision:
        """Every guard, the durable append with compare-and-set, and the fold of what it says."""
        return await self.gate.transact(
            lambda: self.decide(approved, facts),
            causation_id=approved.body.intent.intent_id,
            correlation_id=approved.body.intent.intent_id,
        )

    async def settle(self, decision: Decision) -> None:
        """End the order. Raises RuntimeError when the gate refused: a refusal is cheaper."""
        (recorded,) = decision.events
        if not isinstance(recorded, OrderRecorded):
            raise TypeError(f"the gate refused: {recorded}")
        ended = OrderRejected(
            client_order_id=recorded.client_order_id, reason="BENCH", code=0, message=""
        )
        await self._append(ended)
        forget(self.gate.state, self._now_ns, self._limits.idempotency_ms)  # as snapshots do

    async def _append(self, *events: JournalEvent) -> None:
        await self.gate.transact(
            lambda: Decision(events=events), causation_id="bench", correlation_id="bench"
        )
