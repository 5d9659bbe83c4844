"""Carries intents in and decisions out; the decision itself is made once and recorded first.

The record is an append to the intent's own subject that the broker accepts only if nothing is
there. Whoever comes second, after a crash or a redelivery, reads the record and follows it: the
same approval with the same proof, or the same refusal.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from secrets import token_hex
from typing import Any

from libs.common.messages import subjects
from libs.common.messages.account import AccountState
from libs.common.messages.codec import UndecodableError, decode, encode
from libs.common.messages.intents import IntentVerdict, ProposedIntent
from libs.common.messages.market import Mark, MarketHealth, Quote
from libs.common.runtime.bus import Delivery
from libs.common.runtime.clock import NS_PER_MS, monotonic_ns, wait_until_set, wall_ns
from libs.common.runtime.credentials import load_secret
from libs.common.runtime.errors import AppendConflict, BusError
from libs.common.runtime.log import get_logger
from libs.common.runtime.metrics import RISK_DECISIONS
from libs.common.runtime.provisioning import RISK_CONSUMER, wait_until_provisioned
from libs.common.runtime.service import Context
from services.risk.config import LimitsConfig, RiskConfig
from services.risk.core import Board, decide
from services.risk.day_guard import DayGuard
from services.risk.door import read_proposed
from services.risk.limits import in_force
from services.risk.limits_desk import LimitsDesk
from services.risk.records import verdict_of

log = get_logger(__name__)

APPROVED = "APPROVED"
#: Random bytes that stand for an Idempotency-Key where the caller named none.
KEY_BYTES = 8


class RiskShell:
    """The service's one worker and its ears."""

    def __init__(self, context: Context[RiskConfig]) -> None:
        self._context = context
        self._key = load_secret(
            context.common, "approval_key_file", context.common.approval_key_file
        )
        self._board = Board()
        self._day_guard = DayGuard(context.bus, context.settings.limits, wall_ns)
        self.limits_desk = LimitsDesk(context, self._board, lambda: token_hex(KEY_BYTES))
        self._decisions: Counter[str] = Counter()
        self._followed = 0
        self._unreadable = 0

    async def start(self) -> None:
        """Listen to the market and the account, then take intents.

        Raises:
            BusUnavailable: the streams are not there, or the broker does not answer.
        """
        context = self._context
        context.status = self.status
        await wait_until_provisioned(context.bus, context.common.account, context.common.bus)
        await context.bus.subscribe(subjects.quote("*"), self._on_quote)
        await context.bus.subscribe(subjects.mark("*"), self._on_mark)
        await context.bus.subscribe(subjects.MARKET_HEALTH, self._on_health)
        await context.bus.subscribe(
            subjects.account_state(context.common.account), self._on_account
        )
        context.spawn(self._consume(), "intents")

    async def _consume(self) -> None:
        await wait_until_set(self._context.clock)
        await self._remember_pending()
        await self._context.consume(subjects.INTENTS_STREAM, RISK_CONSUMER, self._on_delivery)

    async def _remember_pending(self) -> None:
        """What an earlier life approved and execution has not taken yet may still be an entry.

        Raises:
            BusUnavailable: the broker did not answer.
        """
        context = self._context
        waiting = await context.bus.pending_subjects(
            subjects.INTENTS_STREAM, subjects.intent_approved(context.common.account, "*")
        )
        lifetime_ns = context.settings.limits.intent_ttl_ms_max * NS_PER_MS
        for subject in waiting:
            symbol = subject.rpartition(".")[2]
            self._board.remember_entry(symbol, context.clock.now_ns() + lifetime_ns)

    async def _on_quote(self, subject: str, payload: bytes, _: dict[str, str]) -> None:
        await self._hear(subject, payload, lambda: self._board.hear_quote(decode(payload, Quote)))

    async def _on_mark(self, subject: str, payload: bytes, _: dict[str, str]) -> None:
        await self._hear(subject, payload, lambda: self._board.hear_mark(decode(payload, Mark)))

    async def _on_health(self, subject: str, payload: bytes, _: dict[str, str]) -> None:
        await self._hear(
            subject,
            payload,
            lambda: self._board.hear_health(decode(payload, MarketHealth), monotonic_ns()),
        )

    async def _on_account(self, subject: str, payload: bytes, _: dict[str, str]) -> None:
        await self._hear(
            subject,
            payload,
            lambda: self._board.hear_account(decode(payload, AccountState), monotonic_ns()),
        )
        if self._board.account is not None:
            await self._day_guard.hear(self._board.account)

    async def _hear(self, subject: str, payload: bytes, take: Callable[[], bool]) -> None:
        try:
            fault = "" if take() else "its figures are impossible"
        except UndecodableError as error:
            fault = str(error)
        if fault:
            self._unreadable += 1
            try:
                await self._context.dead_letter(subject, payload, fault)
            except BusError as problem:
                log.warning("dead letter not stored", subject=subject, error=str(problem))

    async def _on_delivery(self, delivery: Delivery) -> None:
        proposed = read_proposed(delivery.payload, self._context.settings.intent_bytes_max)
        expected = subjects.intent_proposed(proposed.intent.symbol)
        if delivery.subject != expected:
            raise UndecodableError(f"intent.symbol: belongs on {expected}")
        await self._say(await self._record(self._judge(proposed)))

    def _judge(self, proposed: ProposedIntent) -> IntentVerdict:
        context = self._context
        now_ns, now_wall_ns = context.clock.now_ns(), wall_ns()
        symbol = proposed.intent.symbol
        account = self._board.account
        decision = decide(
            self._limits(),
            context.settings.sizing,
            self._board.facts(symbol, now_ns=now_ns, heard_now_ns=monotonic_ns()),
            proposed.intent,
            account=context.common.account,
            now_ns=now_ns,
            now_wall_ns=now_wall_ns,
            limits_change=0 if account is None else account.limits.change,
        )
        return verdict_of(
            decision,
            proposed,
            approval_key=self._key.reveal().encode(),
            source=context.name,
            now_ns=now_ns,
            now_wall_ns=now_wall_ns,
        )

    def _limits(self) -> LimitsConfig:
        """The tighter of what is configured and what people have set."""
        account, configured = self._board.account, self._context.settings.limits
        return configured if account is None else in_force(configured, account.limits.limits)

    async def _record(self, verdict: IntentVerdict) -> IntentVerdict:
        """Record our verdict, or return the one that was recorded before."""
        subject = subjects.intent_verdict(verdict.intent_id)
        try:
            await self._context.bus.publish_stored(
                subject, encode(verdict), message_id=verdict.message_id, expected_last_sequence=0
            )
        except AppendConflict:
            stored = await self._context.bus.read_last(subjects.INTENTS_DONE_STREAM, subject)
            if stored is None or stored.data is None:
                raise
            self._followed += 1
            log.info("verdict on record followed", intent_id=verdict.intent_id)
            return decode(stored.data, IntentVerdict)
        outcome = verdict.refused.reason.value if verdict.refused else APPROVED
        self._decisions[outcome] += 1
        RISK_DECISIONS.labels(outcome).inc()
        return verdict

    async def _say(self, verdict: IntentVerdict) -> None:
        intent_id = verdict.intent_id
        if (approved := verdict.approved) is not None:
            self._board.remember(approved.body)
            order = approved.body.order
            await self._context.bus.publish_stored(
                subjects.intent_approved(approved.body.account, order.symbol),
                encode(approved),
                message_id=approved.message_id,
            )
            log.info(
                "intent approved",
                intent_id=intent_id,
                symbol=order.symbol,
                side=order.side,
                quantity=str(order.quantity),
                reduce_only=order.reduce_only,
            )
        elif (refused := verdict.refused) is not None:
            await self._context.bus.publish_stored(
                subjects.intent_refused(refused.symbol),
                encode(refused),
                message_id=refused.message_id,
            )
            failed = [item for item in refused.verdicts if not item.passed]
            log.info(
                "intent refused",
                intent_id=intent_id,
                symbol=refused.symbol,
                reason=refused.reason,
                failed=[f"{item.check}: {item.observed} against {item.limit}" for item in failed],
            )

    def status(self) -> dict[str, Any]:
        """The body of /v1/status: counts since the start of this process, ages of what it knows."""
        board, clock = self._board, self._context.clock
        now_ns = clock.now_ns() if clock.is_set else None
        account = board.account
        return {
            "decisions": dict(self._decisions),
            "verdicts_followed": self._followed,
            "messages_unreadable": self._unreadable,
            "quote_age_ms": _ages(board.quotes, now_ns),
            "mark_age_ms": _ages(board.marks, now_ns),
            "account_silence_ms": (
                None if account is None else (monotonic_ns() - board.account_heard_ns) // NS_PER_MS
            ),
            "symbols_refused": board.words.refusals(),
            "trading_state": None if account is None else account.trading_state,
            "armed": None if account is None else account.armed,
            "limits": self._limits().model_dump(mode="json"),
            "limits_change": None if account is None else account.limits.change,
            "sizing": self._context.settings.sizing.model_dump(mode="json"),
        }


def _ages(messages: Mapping[str, Quote | Mark], now_ns: int | None) -> dict[str, int]:
    if now_ns is None:
        return {}
    return {
        symbol: (now_ns - message.ts_event_ns) // NS_PER_MS for symbol, message in messages.items()
    }
