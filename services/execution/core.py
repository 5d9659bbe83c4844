"""The gate's decisions: given what is known and what is asked, which events to append.

Pure and synchronous: no clock, no dice, no I/O. The shell appends the events with compare-and-set
and performs what they ask for only after they are durable.
"""

from decimal import Decimal

import msgspec

from libs.common.messages.intents import ApprovalBody, ApprovedIntent
from libs.common.messages.journal import (
    IntentRefusedByGate,
    JournalEvent,
    OrderNotPlaced,
    OrderRecorded,
)
from libs.common.messages.vouching import HealthSeen
from libs.common.model.ids import derive_client_order_id
from libs.common.model.intent import Intent
from libs.common.model.money import ZERO, is_reckonable
from libs.common.model.order import OrderRequest, OrderStatus, OrderType, TimeInForce
from libs.common.model.verdict import Reason, Verdict, first_reason
from services.execution.config import ExecutionConfig
from services.execution.consequences import after_failure, after_refusal
from services.execution.filters import quantise
from services.execution.guards import LAST_LOOK, evaluate, expires_at_ns, margin_needed
from services.execution.question import NS_PER_MS, BudgetSeen, MarkSeen, Question
from services.execution.state import PROTECTION, OrderState, State

FIRST_ATTEMPT = 1


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the shell knows besides the journal, at the moment of the decision.

    Attributes:
        now_ns: market time.
        venue_timestamp_ms: what the order would be signed with.
        recv_window_ms: how long after that the venue may still take it.
        budget_entry, budget_exit: the room the venue's limits leave.
        health: the feed's newest word on the symbol; ``None`` where this process heard none.
        account: whose gate this is.
        writer: this process.
        is_closing: a halt is on its way into the journal; nothing may leave any more.
        is_closing_to_entries: the same for a reduction; exits may still leave.
    """

    now_ns: int
    venue_timestamp_ms: int
    recv_window_ms: int
    mark: MarkSeen | None
    health: HealthSeen | None
    unarmed: tuple[str, ...]
    account: str = ""
    writer: str = ""
    budget_entry: BudgetSeen = BudgetSeen()
    budget_exit: BudgetSeen = BudgetSeen()
    is_closing: bool = False
    is_closing_to_entries: bool = False


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Events to append as one record. None: there is nothing to do, it was decided before."""

    events: tuple[JournalEvent, ...] = ()


NOTHING = Decision()


def decide_approval(
    limits: ExecutionConfig, state: State, approved: ApprovedIntent, facts: Facts
) -> Decision:
    """Refuse an approved intent, or record the order that executes it.

    An intent decided before yields nothing: its first outcome stands.
    """
    body = approved.body
    if body.intent.intent_id in state.intents:
        return NOTHING
    consistency = check_consistency(body)
    if not consistency.passed:  # with NaN about, no other guard could be evaluated
        return _refuse(limits, state, body, (consistency,), facts.now_ns)
    outdated = check_limits(state, body)
    question = _question(limits, state, body, body.order, facts)
    verdicts = (consistency, *outdated, *evaluate(question))
    if first_reason(verdicts) is not None:
        return _refuse(limits, state, body, verdicts, facts.now_ns)
    return Decision(events=(_record(question, verdicts, facts, FIRST_ATTEMPT),))


def decide_absence(
    limits: ExecutionConfig, state: State, client_order_id: str, evidence: str, facts: Facts
) -> Decision:
    """Close an order that provably never reached the venue's book, or try it once more.

    It is tried again, under a new attempt and a new id, only if the intent still lives, risk's
    limits are those that it was approved under and every guard would let it through; its own
    earlier bookings (lock, rate, margin) do not stand in its way. Everything is one append: there
    is no moment in which both attempts may be sent.
    """
    order = state.orders.get(client_order_id)
    if order is None or order.status is not OrderStatus.UNKNOWN:
        return NOTHING
    ended = OrderNotPlaced(client_order_id=client_order_id, evidence=evidence)
    is_outdated = not order.reduce_only and order.recorded_at_ns <= state.limits.set_at_ns
    if (
        order.attempt < limits.attempts_max
        and not is_outdated
        and not _is_closing(facts, order.order)
    ):
        question = _question(limits, state, body_of(order), order.order, facts, again=True)
        verdicts = evaluate(question)
        if first_reason(verdicts) is None:
            return Decision(events=(ended, _record(question, verdicts, facts, order.attempt + 1)))
    failure = after_failure(limits, state, order, facts.now_ns, "the order was not placed")
    return Decision(events=(ended, *failure))


def body_of(order: OrderState) -> ApprovalBody:
    """What risk approved, as far as the order recorded from it remembers."""
    return ApprovalBody(
        account="",
        intent=order.intent,
        order=order.order,
        reference_price=order.reference_price,
        verdicts=order.verdicts_risk,
        decided_at_ns=order.recorded_at_ns,
        decided_wall_ns=0,
        expires_at_ns=order.expires_at_ns,
    )


def _question(
    limits: ExecutionConfig,
    state: State,
    body: ApprovalBody,
    order: OrderRequest,
    facts: Facts,
    *,
    again: bool = False,
) -> Question:
    instrument = state.instruments.get(order.symbol)
    return Question(
        limits=limits.for_symbol(order.symbol),
        state=state,
        body=body,
        order=order if instrument is None else quantise(order, instrument),
        instrument=instrument,
        mark=facts.mark,
        health=facts.health,
        unarmed=facts.unarmed,
        budget=facts.budget_exit if order.reduce_only else facts.budget_entry,
        leverage=state.leverage.get(order.symbol, 1),
        now_ns=facts.now_ns,
        again=again,
    )


def _record(
    question: Question, verdicts: tuple[Verdict, ...], facts: Facts, attempt: int
) -> OrderRecorded:
    body, order = question.body, question.order
    reserved = ZERO if order.reduce_only else margin_needed(question)
    assert reserved is not None, "the margin guard refuses an order that cannot be priced"
    return OrderRecorded(
        client_order_id=derive_client_order_id(facts.account, body.intent.intent_id, attempt),
        attempt=attempt,
        intent=body.intent,
        order=order,
        reference_price=body.reference_price,
        margin_reserved=reserved,
        timestamp_ms=facts.venue_timestamp_ms,
        recv_window_ms=facts.recv_window_ms,
        lock_until_ns=facts.now_ns + question.limits.lock_ms * NS_PER_MS,
        verdicts_risk=body.verdicts,
        verdicts=verdicts,
        writer=facts.writer,
        expires_at_ns=expires_at_ns(question),
        slippage_predicted_bps=body.slippage_predicted_bps,
    )


def _refuse(
    limits: ExecutionConfig,
    state: State,
    body: ApprovalBody,
    verdicts: tuple[Verdict, ...],
    now_ns: int,
) -> Decision:
    reason = first_reason(verdicts) or Reason.INTENT_INVALID
    refused = IntentRefusedByGate(intent=body.intent, reason=reason, verdicts=verdicts)
    holds = after_refusal(limits, state, body.order.symbol, verdicts, now_ns)
    return Decision(events=(refused, *holds))


def check_consistency(body: ApprovalBody) -> Verdict:
    """The order does what the intent wishes: same symbol and side, finite, positive, no bigger.

    Risk signed both, so this can only fail when risk is wrong; the gate does not trust it blindly.
    """
    intent, order = body.intent, body.order
    optional = (order.price, intent.quantity, intent.price, intent.stop_price, intent.target_price)
    numbers = [order.quantity, body.reference_price, intent.reference_price]
    numbers += [number for number in optional if number is not None]
    finite = all(is_reckonable(number) for number in numbers)
    faults = [
        name
        for name, holds in (
            ("numbers", finite),
            ("symbol", order.symbol == intent.symbol),
            ("side", order.side == intent.side),
            ("reduce_only", order.reduce_only == intent.reduce_only),
            ("price", (order.order_type is OrderType.LIMIT) == (order.price is not None)),
            ("time_in_force", (order.price is None) == (order.time_in_force is None)),
            (
                "good_till_ms",
                (order.time_in_force is TimeInForce.GTD) == (order.good_till_ms is not None),
            ),
            ("quantity", finite and _within(intent.quantity, order)),
            ("expiry", body.expires_at_ns <= intent.expires_at_ns),
            ("protection", finite and not intent.protection_faults(_entry_price(intent))),
            ("strategy_id", intent.strategy_id != PROTECTION),
        )
        if not holds
    ]
    return Verdict(
        check="consistency",
        passed=not faults,
        limit="the order is what the intent wishes",
        observed=", ".join(faults) or "consistent",
        reason=Reason.INTENT_INVALID if faults else None,
    )


def check_limits(state: State, body: ApprovalBody) -> tuple[Verdict, ...]:
    """Risk decided under the limits that hold now; where nobody ever set any there is no question.

    From the record of a change on no entry is ordered that was approved before it.
    """
    if not state.limits.change or body.intent.reduce_only:
        return ()
    passed = body.limits_change == state.limits.change
    return (
        Verdict(
            check="limits_change",
            passed=passed,
            limit=f"approved under change {state.limits.change} of the limits",
            observed=f"change {body.limits_change}",
            reason=None if passed else Reason.LIMITS_CHANGED,
        ),
    )


def _entry_price(intent: Intent) -> Decimal:
    return intent.reference_price if intent.price is None else intent.price


def _within(wished: Decimal | None, order: OrderRequest) -> bool:
    return wished is None or order.quantity <= wished


def may_send(limits: ExecutionConfig, state: State, client_order_id: str, facts: Facts) -> str:
    """The last look before the bytes leave: empty if it may go, else why not.

    A halt, a hold or an expiry that came between the append and the send stops the order here, and
    so does an append by a process that is no longer the one to send it.
    """
    order = state.orders.get(client_order_id)
    if order is None or order.status is not OrderStatus.RECORDED or order.writer != facts.writer:
        return "the order is no longer ours to send"
    if _is_closing(facts, order.order):
        return "trading is being halted or reduced"
    question = _question(limits, state, body_of(order), order.order, facts)
    for guard in LAST_LOOK:
        verdict = guard(question)
        if not verdict.passed:
            return f"{verdict.reason}: {verdict.observed}"
    return ""


def _is_closing(facts: Facts, order: OrderRequest) -> bool:
    return facts.is_closing or (facts.is_closing_to_entries and not order.reduce_only)


def absence_is_provable(order_timestamp_ms: int, recv_window_ms: int, lag_ms: int) -> int:
    """Venue time (ms) after which the venue itself must refuse a late arrival of the order.

    Until then "does not exist" may only mean "has not arrived".
    """
    return order_timestamp_ms + recv_window_ms + lag_ms
