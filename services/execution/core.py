"""The gate's decisions: given what is known and what is asked, which events to append.

Pure and synchronous: no clock, no dice, no I/O. The shell appends the events with compare-and-set
and performs what they ask for only after they are durable.
"""

from decimal import Decimal

import msgspec

from libs.common.messages.intents import ApprovedIntent
from libs.common.messages.journal import (
    BalanceObserved,
    FillReceived,
    IntentRefusedByGate,
    JournalEvent,
    OrderAnswered,
    OrderBecameUnknown,
    OrderNotPlaced,
    OrderRecorded,
    OrderRejected,
    OrderUpdated,
    TradingStateChanged,
)
from libs.common.model.ids import derive_client_order_id
from libs.common.model.money import ZERO, is_reckonable
from libs.common.model.order import OrderRequest, OrderStatus, OrderType, may_follow
from libs.common.model.trading_state import TradingState
from libs.common.model.verdict import Reason, Verdict, first_reason
from services.execution.config import ExecutionConfig
from services.execution.filters import quantise
from services.execution.guards import NS_PER_MS, MarkSeen, Question, evaluate, margin_needed
from services.execution.state import BOOT, State

FIRST_ATTEMPT = 1
_FREEDOM = {TradingState.HALTED: 0, TradingState.REDUCING: 1, TradingState.ACTIVE: 2}


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the shell knows besides the journal, at the moment of the decision.

    Attributes:
        now_ns: market time.
        venue_timestamp_ms: what the order would be signed with.
        recv_window_ms: how long after that the venue may still take it.
    """

    now_ns: int
    venue_timestamp_ms: int
    recv_window_ms: int
    mark: MarkSeen | None
    unarmed: tuple[str, ...]


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
    consistency = check_consistency(approved)
    if not consistency.passed:  # with NaN about, no other guard could be evaluated
        return _refuse(approved, Reason.INTENT_INVALID, (consistency,))
    instrument = state.instruments.get(body.order.symbol)
    order = body.order if instrument is None else quantise(body.order, instrument)
    question = Question(
        limits=limits,
        state=state,
        body=body,
        order=order,
        instrument=instrument,
        mark=facts.mark,
        unarmed=facts.unarmed,
        leverage=state.leverage.get(order.symbol, 1),
        now_ns=facts.now_ns,
    )
    verdicts = (consistency, *evaluate(question))
    reason = first_reason(verdicts)
    if reason is not None:
        return _refuse(approved, reason, verdicts)
    reserved = ZERO if order.reduce_only else margin_needed(question)
    assert reserved is not None, "the margin guard refuses an order that cannot be priced"
    recorded = OrderRecorded(
        client_order_id=derive_client_order_id(body.account, body.intent.intent_id, FIRST_ATTEMPT),
        attempt=FIRST_ATTEMPT,
        intent=body.intent,
        order=order,
        reference_price=body.reference_price,
        margin_reserved=reserved,
        timestamp_ms=facts.venue_timestamp_ms,
        recv_window_ms=facts.recv_window_ms,
        lock_until_ns=facts.now_ns + limits.lock_ms * NS_PER_MS,
        verdicts_risk=body.verdicts,
        verdicts=verdicts,
    )
    return Decision(events=(recorded,))


def _refuse(approved: ApprovedIntent, reason: Reason, verdicts: tuple[Verdict, ...]) -> Decision:
    refused = IntentRefusedByGate(intent=approved.body.intent, reason=reason, verdicts=verdicts)
    return Decision(events=(refused,))


def check_consistency(approved: ApprovedIntent) -> Verdict:
    """The order does what the intent wishes: same symbol and side, finite, positive, no bigger.

    Risk signed both, so this can only fail when risk is wrong; the gate does not trust it blindly.
    """
    intent, order = approved.body.intent, approved.body.order
    optional = (order.price, intent.quantity, intent.price)
    numbers = [order.quantity, approved.body.reference_price]
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
            ("quantity", finite and _within(intent.quantity, order)),
            ("expiry", approved.body.expires_at_ns <= intent.expires_at_ns),
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


def _within(wished: Decimal | None, order: OrderRequest) -> bool:
    return wished is None or order.quantity <= wished


def may_send(state: State, event: OrderRecorded, facts: Facts) -> str:
    """The last look before the bytes leave: empty if it may go, else why not.

    A halt or an expiry that came between the append and the send stops the order here.
    """
    order = state.orders.get(event.client_order_id)
    if order is None or order.status is not OrderStatus.RECORDED:
        return "the order is no longer waiting to be sent"
    if state.trading_state is TradingState.HALTED:
        return f"trading was halted: {state.trading_reason}"
    if state.trading_state is TradingState.REDUCING and not event.order.reduce_only:
        return f"trading was reduced: {state.trading_reason}"
    if facts.now_ns >= event.intent.expires_at_ns:
        return "the intent expired before it could be sent"
    return ""


def decide_not_placed(state: State, client_order_id: str, evidence: str) -> Decision:
    """Close an order that provably never reached the venue's book."""
    order = state.orders.get(client_order_id)
    if order is None or not may_follow(order.status, OrderStatus.NOT_PLACED):
        return NOTHING
    if order.status is OrderStatus.NOT_PLACED:
        return NOTHING
    return Decision(events=(OrderNotPlaced(client_order_id=client_order_id, evidence=evidence),))


def decide_answer(
    state: State, event: OrderAnswered | OrderRejected | OrderBecameUnknown
) -> Decision:
    """Record the venue's answer to an order, unless the order is further along already."""
    order = state.orders.get(event.client_order_id)
    if order is None:
        return NOTHING
    if isinstance(event, OrderAnswered):
        # Kept even when the user stream was faster: it carries the times the request took.
        return Decision(events=(event,))
    status = OrderStatus.REJECTED if isinstance(event, OrderRejected) else OrderStatus.UNKNOWN
    if order.status is status or not may_follow(order.status, status):
        return NOTHING
    return Decision(events=(event,))


def decide_update(state: State, update: OrderUpdated) -> Decision:
    """Record what the user stream or a query says of one of our orders, if it is news."""
    order = state.orders.get(update.client_order_id)
    if order is None:
        return NOTHING
    news = (
        update.status is not order.status and may_follow(order.status, update.status)
    ) or update.cumulative_quantity > order.cumulative_quantity
    return Decision(events=(update,)) if news else NOTHING


def decide_fills(state: State, fills: list[FillReceived]) -> Decision:
    """Record the fills that are not in the journal yet, each with our order's id where it is ours.

    The REST trade list does not name client order ids; the venue's order id finds them.
    """
    ours = {
        order.venue_order_id: order.client_order_id
        for order in state.orders.values()
        if order.venue_order_id
    }
    fresh: dict[tuple[str, int], FillReceived] = {}
    for fill in fills:
        if state.has_trade(fill.symbol, fill.trade_id):
            continue
        named = fill.client_order_id or ours.get(fill.venue_order_id, "")
        fresh[(fill.symbol, fill.trade_id)] = msgspec.structs.replace(fill, client_order_id=named)
    return Decision(events=tuple(fresh.values()))


def decide_balance(state: State, balance: BalanceObserved) -> Decision:
    """Record a statement of the balance, unless a newer one is known."""
    if balance.available_balance is None:
        changed = balance.wallet_balance != state.wallet_balance
        return Decision(events=(balance,)) if changed else NOTHING
    if balance.observed_at_ns <= state.balance_at_ns:
        return NOTHING
    return Decision(events=(balance,))


def decide_trading_state(
    state: State, wanted: TradingState, actor: str, reason: str, command_sequence: int = 0
) -> Decision:
    """Record a change of the trading state: who, and why. Repeating the present one is nothing.

    A halt that a person (or the reconciler) asks for over the one we booted with is recorded: it
    is theirs to lift. A command that loosens counts only if no later one is on record.
    """
    if state.trading_state is wanted and (state.trading_actor != BOOT or actor == BOOT):
        return NOTHING
    loosens = _FREEDOM[wanted] > _FREEDOM[state.trading_state]
    if loosens and 0 < command_sequence <= state.command_sequence:
        return NOTHING
    changed = TradingStateChanged(
        state=wanted, actor=actor, reason=reason, command_sequence=command_sequence
    )
    return Decision(events=(changed,))


def decide_paper_arming(state: State, unarmed: tuple[str, ...]) -> tuple[JournalEvent, ...]:
    """Start to trade where nobody but the boot itself halted us and every arming check holds."""
    is_boot_halt = state.trading_actor == BOOT and state.trading_state is TradingState.HALTED
    if unarmed or not is_boot_halt:
        return ()
    reason = "every arming check passed"
    return (TradingStateChanged(state=TradingState.ACTIVE, actor="paper mode", reason=reason),)


def absence_is_provable(order_timestamp_ms: int, recv_window_ms: int, lag_ms: int) -> int:
    """Venue time (ms) after which the venue itself must refuse a late arrival of the order.

    Until then "does not exist" may only mean "has not arrived".
    """
    return order_timestamp_ms + recv_window_ms + lag_ms
