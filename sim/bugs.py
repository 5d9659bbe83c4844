"""Deliberate bugs, each planted into the real services as a patch that is taken out again.

They are the mistakes that comparable systems make. A bug that no schedule notices would mean that
the simulation proves nothing about it.
"""

import contextlib
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import PropertyMock, patch

import msgspec

from libs.common.messages.journal import (
    IntentRefusedByGate,
    OrderBecameUnknown,
    OrderRecorded,
    OrderRejected,
)
from libs.common.model.ids import derive_intent_id
from libs.common.model.money import ZERO
from libs.common.runtime import journal as journal_module
from libs.common.runtime.errors import BusError, PublishUnknown
from libs.common.runtime.service import Context
from libs.common.venue.budget import Level, VenueBudget
from libs.common.venue.latches import Latches
from libs.common.venue.outcomes import Throttled, Unknown
from services.execution import answers, approvals, consequences, core, fold, guards, orders
from services.execution.gate import Gate
from services.execution.orders import OrderDesk
from services.execution.state import State, lock_key
from services.execution.venue_words import order_parameters, read_answer
from services.risk.shell import RiskShell
from services.signal import core as signal_core
from sim.bugs_of_memory import dedup_only_in_memory, rates_counted_per_process
from sim.bus import SimBus
from sim.loop import LIFE

Plant = Callable[[ExitStack], None]


def replace(where: Any, name: str, value: Any) -> Plant:
    """A bug that is one name replaced."""
    return lambda stack: _patch(stack, where, name, value)


def together(*plants: Plant) -> Plant:
    """Several replacements that make one bug."""

    def plant(stack: ExitStack) -> None:
        for one in plants:
            one(stack)

    return plant


def _patch(stack: ExitStack, where: Any, name: str, value: Any) -> None:
    stack.enter_context(patch.object(where, name, value))


async def _nothing(*_: object, **__: object) -> None:
    return None


# -- guards ---------------------------------------------------------------------------------------


def guard_off(name: str) -> Plant:
    """A guard that finds what it finds and lets everything through, at the door as well."""
    original = getattr(guards, name)

    def lenient(question: Any) -> Any:
        return msgspec.structs.replace(original(question), passed=True, reason=None)

    def without(chain: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(lenient if guard is original else guard for guard in chain)

    return together(
        replace(guards, "GUARDS", without(guards.GUARDS)),
        replace(core, "LAST_LOOK", without(guards.LAST_LOOK)),
    )


def _expiry_when_queued(question: Any) -> Any:
    then_ns = question.body.decided_at_ns
    return guards.check_expiry(msgspec.structs.replace(question, now_ns=then_ns))


def expiry_judged_when_queued(stack: ExitStack) -> None:
    """The intent's age is judged at the moment risk approved it."""
    original = guards.check_expiry

    def swapped(chain: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(_expiry_when_queued if guard is original else guard for guard in chain)

    _patch(stack, guards, "GUARDS", swapped(guards.GUARDS))
    _patch(stack, core, "LAST_LOOK", swapped(guards.LAST_LOOK))


def _release_any_lock(state: State, order: Any) -> None:
    state.locks.pop(lock_key(order.symbol, order.side), None)
    state.locks.pop(lock_key(order.symbol, order.side.opposite), None)


# -- sending --------------------------------------------------------------------------------------


def _unknown_read_as_rejected(client_order_id: str, outcome: Any, sent_wall_ns: int) -> Any:
    answer = _READ_ANSWER(client_order_id, outcome, sent_wall_ns)
    if isinstance(answer, OrderBecameUnknown):
        return OrderRejected(
            client_order_id=client_order_id, reason="TIMEOUT", code=0, message=answer.why
        )
    return answer


_READ_ANSWER = read_answer
_SEND = OrderDesk._send  # noqa: SLF001
_RESOLVE = OrderDesk._resolve  # noqa: SLF001
_HANDLE = Context._handle  # noqa: SLF001
_FIND = journal_module.Journal._find  # noqa: SLF001
_PUBLISH = SimBus.publish_stored


async def _send_again(self: OrderDesk, recorded: OrderRecorded, timestamp_ms: int, _: Any) -> Any:
    answer, outcome = await _SEND(self, recorded, timestamp_ms)
    if isinstance(outcome, Unknown):
        return await _SEND(self, recorded, timestamp_ms)
    return answer, outcome


async def _send_under_new_id(
    self: OrderDesk, recorded: OrderRecorded, timestamp_ms: int, _: Any
) -> Any:
    answer, outcome = await _SEND(self, recorded, timestamp_ms)
    if isinstance(outcome, Unknown):
        other = recorded.client_order_id[:-1] + "9"
        renamed = msgspec.structs.replace(recorded, client_order_id=other)
        again, outcome = await _SEND(self, renamed, timestamp_ms)
        return msgspec.structs.replace(again, client_order_id=recorded.client_order_id), outcome
    return answer, outcome


async def _retry_what_was_throttled(
    self: OrderDesk, recorded: OrderRecorded, timestamp_ms: int, _: Any
) -> Any:
    self._venue.latches.lift()
    answer, outcome = await _SEND(self, recorded, timestamp_ms)
    if isinstance(outcome, Throttled):
        self._venue.latches.lift()
        return await _SEND(self, recorded, timestamp_ms)
    return answer, outcome


async def _resend_when_absent(self: OrderDesk, order: Any) -> None:
    found = await self._venue.query_order(order.symbol, order.client_order_id)
    if found is None:
        recorded = _recorded_of(order)
        with contextlib.suppress(BusError):
            await _SEND(self, recorded, self._venue.timestamp_ms())
    await _RESOLVE(self, order)


def _recorded_of(order: Any) -> OrderRecorded:
    return OrderRecorded(
        client_order_id=order.client_order_id, attempt=order.attempt, intent=order.intent,
        order=order.order, reference_price=order.reference_price, margin_reserved=ZERO,
        timestamp_ms=order.timestamp_ms, recv_window_ms=order.recv_window_ms, lock_until_ns=0,
        verdicts_risk=(), verdicts=(), writer=order.writer, expires_at_ns=order.expires_at_ns,
    )  # fmt: skip


def journal_after_send(stack: ExitStack) -> None:
    """The order leaves first and is recorded when its answer is there."""
    transact, send = Gate.transact, _SEND
    answered: dict[str, Any] = {}
    desks: dict[int, OrderDesk] = {}
    create = OrderDesk.__init__

    def created(self: OrderDesk, gate: Gate, *given: Any, **named: Any) -> None:
        create(self, gate, *given, **named)
        desks[id(gate)] = self

    async def sent_first(self: Gate, decide: Callable[[], Any], **named: Any) -> Any:
        for event in decide().events:
            if isinstance(event, OrderRecorded) and event.client_order_id not in answered:
                answered[event.client_order_id] = await send(
                    desks[id(self)], event, event.timestamp_ms
                )
        return await transact(self, decide, **named)

    async def answered_before(
        self: OrderDesk, recorded: OrderRecorded, timestamp_ms: int, _: Any
    ) -> Any:
        known = answered.get(recorded.client_order_id)
        return known or await send(self, recorded, timestamp_ms)

    _patch(stack, OrderDesk, "__init__", created)
    _patch(stack, OrderDesk, "_send", answered_before)
    _patch(stack, Gate, "transact", sent_first)


async def _ack_before_handling(
    self: Context[Any], delivery: Any, durable: str, handle: Any
) -> None:
    with contextlib.suppress(BusError):
        await delivery.ack()
    await _HANDLE(self, delivery, durable, handle)


def _checked_only_at_entry(*_: object) -> str:
    return ""


# -- the journal ----------------------------------------------------------------------------------


async def _publish_without_expectation(
    self: SimBus, subject: str, *given: Any, **named: Any
) -> Any:
    if subject.startswith("journal."):
        named.pop("expected_last_sequence", None)
    return await _PUBLISH(self, subject, *given, **named)


async def _publish_and_hope(self: SimBus, subject: str, *given: Any, **named: Any) -> Any:
    try:
        return await _PUBLISH(self, subject, *given, **named)
    except PublishUnknown:
        if not subject.startswith("journal."):
            raise
        return _Assumed(int(named["expected_last_sequence"]) + 1)


class _Assumed:
    def __init__(self, seq: int) -> None:
        self.seq = seq


async def _record_without_looking(self: RiskShell, verdict: Any) -> Any:
    bus: Any = self._context.bus
    await bus.publish_stored(
        f"intent.verdict.{verdict.intent_id}",
        msgspec.json.encode(verdict),
        message_id=f"{verdict.message_id}-{bus.broker.loop.now_ns}",
    )
    return verdict


def _intent_id_of_this_life(*parts: str) -> str:
    life = LIFE.get()
    strategy_id, parameter_hash, symbol, candle = parts
    return _DERIVE(strategy_id, parameter_hash, symbol, f"{candle}-{life.number if life else 0}")


_DERIVE = derive_intent_id


def _no_margin_reserved(*given: Any) -> OrderRecorded:
    return msgspec.structs.replace(_RECORD(*given), margin_reserved=ZERO)


_RECORD = core._record  # noqa: SLF001
_PARAMETERS = order_parameters


def _without_reduce_only(recorded: OrderRecorded) -> dict[str, str]:
    parameters = dict(_PARAMETERS(recorded))
    parameters.pop("reduceOnly", None)
    return parameters


def _refusal_spoken_twice(limits: Any, state: State, approved: Any, facts: Any) -> Any:
    intent_id = approved.body.intent.intent_id
    memory = state.intents.get(intent_id)
    if memory is None or memory.reason is None:
        return _DECIDE(limits, state, approved, facts)
    return core.Decision(
        events=(
            IntentRefusedByGate(
                intent=approved.body.intent, reason=memory.reason, verdicts=()
            ),
        )
    )  # fmt: skip


_MAY_SEND = VenueBudget.may_send


def _always_room(self: VenueBudget, purpose: Any, cost: Any, venue_ms: int) -> Any:
    room = _MAY_SEND(self, purpose, cost, venue_ms)
    return msgspec.structs.replace(room, level=Level.FREE)


_DECIDE = core.decide_approval


GUARD_BUGS: tuple[str, ...] = tuple(
    guard.__name__ for guard in guards.GUARDS if guard.__name__ != "check_budget"
)

BUGS: dict[str, Plant] = {
    **{f"guard off: {name.removeprefix('check_')}": guard_off(name) for name in GUARD_BUGS},
    "guard off: budget": together(
        guard_off("check_budget"), replace(VenueBudget, "may_send", _always_room)
    ),
    "guard off: filters": replace(guards, "check_filters", lambda _: ()),
    "expiry judged when queued": expiry_judged_when_queued,
    "another's lock released": replace(fold, "_release_lock", _release_any_lock),
    "rates counted per process": rates_counted_per_process,
    "no cooldown after a failure": together(
        replace(answers, "after_failure", lambda *_: ()),
        replace(core, "after_failure", lambda *_: ()),
    ),
    "no cooldown after a margin refusal": replace(
        consequences, "after_margin_refusal", lambda *_: ()
    ),
    "margin is not reserved": replace(core, "_record", _no_margin_reserved),
    "halt checked only at entry": replace(OrderDesk, "_why_not", _checked_only_at_entry),
    "no fence before the send": replace(Gate, "known_age_ms", PropertyMock(return_value=0)),
    "latches forgotten": together(
        replace(Latches, "stopping", lambda *_: None), guard_off("check_latches")
    ),
    "retry with a new id": replace(OrderDesk, "_send", _send_under_new_id),
    "retry with the same id": replace(OrderDesk, "_send", _send_again),
    "retry what was throttled": replace(OrderDesk, "_send", _retry_what_was_throttled),
    "timeout treated as reject": replace(orders, "read_answer", _unknown_read_as_rejected),
    "first -2013 is final": replace(orders, "absence_is_provable", lambda *_: 0),
    "resend on -2013": replace(OrderDesk, "_resolve", _resend_when_absent),
    "journal written after the send": journal_after_send,
    "ack before handling": replace(Context, "_handle", _ack_before_handling),
    "dedup only in memory": dedup_only_in_memory,
    "no recovery of orders in flight": replace(OrderDesk, "doubt_orphans", _nothing),
    "unknown orders are never asked after": replace(OrderDesk, "resolve_unknown", _nothing),
    "fills not deduplicated": replace(State, "has_trade", lambda *_: False),
    "no fills fetched": together(
        replace(OrderDesk, "fetch_fills", _nothing),
        replace(OrderDesk, "fetch_missing_fills", _nothing),
    ),
    "the stream's gap is not closed": replace(OrderDesk, "settle_open", _nothing),
    "compare-and-set skipped": replace(SimBus, "publish_stored", _publish_without_expectation),
    "an append without answer is believed": replace(SimBus, "publish_stored", _publish_and_hope),
    "a verdict is not recorded once": replace(RiskShell, "_record", _record_without_looking),
    "intent ids change with a restart": replace(
        signal_core, "derive_intent_id", _intent_id_of_this_life
    ),
    "reduce-only is lost on the way": replace(orders, "order_parameters", _without_reduce_only),
    "quantities are not quantised": together(
        replace(core, "quantise", lambda order, _: order),
        replace(guards, "check_filters", lambda _: ()),
    ),
    "stale words move orders back": together(
        replace(fold, "may_follow", lambda *_: True),
        replace(answers, "may_follow", lambda *_: True),
    ),
    "a refusal is journaled twice": replace(approvals, "decide_approval", _refusal_spoken_twice),
    "signatures are not checked": replace(approvals, "approval_is_genuine", lambda *_: True),
}
