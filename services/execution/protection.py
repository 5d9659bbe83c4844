"""What an exposed entry is owed: a stop, a target, their ends, or to be closed. Pure.

The rules, in the order in which they win:

- Nothing is placed while a kill is under way. A halt is no kill: stops are placed, kept and
  cancelled, and what cannot be protected is closed, also while trading is HALTED, because all of
  that gives risk back.
- Stops and targets are for the whole filled quantity, reduce-only, and not ``closePosition``: that
  would close what other entries and people hold on the same symbol. When an entry fills further,
  the bigger stop is placed first and the smaller one cancelled once the bigger is acknowledged.
- A stop of unknown fate that the venue does not list may have a successor: one stop too many can
  only reduce, and is cancelled when it turns up.
- A stop that would trigger at once, that is refused too often, or that is not acknowledged within
  its grace time ends in the position being closed.
"""

from collections.abc import Iterable
from decimal import Decimal

from libs.common.messages.algo_events import (
    AlgoCancelRequested,
    AlgoOrderRecorded,
    AlgoOrderUpdated,
    ProtectionFailed,
)
from libs.common.messages.journal import JournalEvent, OrderCancelRequested, OrderRecorded
from libs.common.model.algo_order import AlgoKind, AlgoStatus, algo_may_follow
from libs.common.model.ids import (
    ALGO_ATTEMPTS_MAX,
    derive_client_algo_id,
    derive_client_order_id,
    derive_intent_id,
)
from libs.common.model.instrument import Instrument
from libs.common.model.intent import Intent, Purpose
from libs.common.model.money import ZERO, round_down, round_up
from libs.common.model.order import OrderRequest, OrderType, Side
from libs.common.venue.outcome_table import CODES, Reason
from services.execution.config import ExecutionConfig
from services.execution.core import NOTHING, Decision, Facts
from services.execution.holds import exits_held_until_ns
from services.execution.kill_core import banned
from services.execution.question import NS_PER_MS
from services.execution.state import PROTECTION, AlgoOrderState, OrderState, State

#: Attempts that came to nothing; one that was canceled by us is none.
_FAILED = (AlgoStatus.REJECTED, AlgoStatus.EXPIRED, AlgoStatus.NOT_PLACED, AlgoStatus.CANCELED)
FIRST_ATTEMPT = 1


def entries_to_tend(state: State) -> list[str]:
    """Client order ids of the entries that are exposed, or still have a stop or target alive."""
    alive = {algo.intent_id for algo in state.open_algo_orders()}
    return [
        order.client_order_id
        for order in state.orders.values()
        if order.wants_protection
        and (order.exposure > ZERO or (order.intent_id in alive and not _is_exposed(state, order)))
    ]


def _is_exposed(state: State, order: OrderState) -> bool:
    """Whether the intent's entry is, at whichever attempt: stops and targets are the intent's."""
    return any(
        other.intent_id == order.intent_id and other.exposure > ZERO
        for other in state.orders.values()
    )


def decide_protection(
    limits: ExecutionConfig,
    state: State,
    client_order_id: str,
    facts: Facts,
    unlisted: frozenset[str] = frozenset(),
) -> Decision:
    """What is to be done now for one entry; asked again after every change and every tick.

    Args:
        unlisted: algo orders of unknown fate that the venue, when asked, did not list.
    """
    order = state.orders.get(client_order_id)
    if order is None or not order.wants_protection:
        return NOTHING
    algos = state.algo_orders_of(order.intent_id)
    is_over = not _is_exposed(state, order)
    spent = [algo for algo in algos if algo.is_spent or is_over]
    events: list[JournalEvent] = [*_cancels(spent, "the position it was for is closed")]
    if order.exposure > ZERO and not _kill_is_under_way(state, order.symbol):
        live = [algo for algo in algos if not algo.is_spent]
        failure = "" if order.protection_failed else _failure(limits, order, live, facts.now_ns)
        if failure or order.protection_failed:
            if failure:
                events.append(
                    ProtectionFailed(intent_id=order.intent_id, symbol=order.symbol, why=failure)
                )
            events += _end_of_entry(order, "its stop could not be placed")
            events += _closing(limits, state, order, facts)
        else:
            if any(algo.status.has_triggered for algo in live):
                events += _end_of_entry(order, "its stop or target has triggered")
            for kind in AlgoKind:
                events += _place(limits, state, order, kind, live, facts, unlisted)
    return Decision(events=tuple(events)) if events else NOTHING


def decide_algo_update(state: State, update: AlgoOrderUpdated) -> Decision:
    """Record what is heard of a stop or target, if it is news and can be."""
    algo = state.algo_orders.get(update.client_algo_id)
    if algo is None:
        return NOTHING
    moved = algo.status is not update.status and algo_may_follow(algo.status, update.status)
    is_born = bool(update.venue_order_id) and not algo.venue_order_id
    return Decision(events=(update,)) if moved or is_born else NOTHING


# -- what went wrong -----------------------------------------------------------------------------


def _failure(
    limits: ExecutionConfig, order: OrderState, live: list[AlgoOrderState], now_ns: int
) -> str:
    """Why the position has to be closed now; empty while it need not."""
    for algo in live:
        if algo.status is AlgoStatus.REJECTED and CODES.get(algo.code) is Reason.WOULD_TRIGGER:
            return f"the {algo.kind.lower()} would trigger at once"
    if order.intent.stop_price is None or not order.unprotected_since_ns:
        return ""
    late_ms = abs(now_ns - order.unprotected_since_ns) // NS_PER_MS  # a clock may be set back
    if late_ms >= limits.stop_grace_ms:
        return f"no stop was acknowledged for {late_ms} ms"
    stops = [algo for algo in live if algo.kind is AlgoKind.STOP]
    refused = [algo for algo in _failures(stops) if not algo.is_in_doubt]
    if len(refused) >= limits.protection_attempts_max:
        return f"{len(refused)} stops came to nothing, the last: {refused[-1].why}"
    return ""


def _failures(algos: Iterable[AlgoOrderState]) -> list[AlgoOrderState]:
    """Attempts that did not protect, or of which it is not known whether they do."""
    return [
        algo
        for algo in algos
        if algo.status is AlgoStatus.UNKNOWN
        or (algo.status in _FAILED and not algo.cancel_requested)
    ]


def _kill_is_under_way(state: State, symbol: str) -> bool:
    return any(kill.target in ("", symbol) for kill in state.kills.values())


# -- stops and targets ---------------------------------------------------------------------------


def _place(
    limits: ExecutionConfig,
    state: State,
    order: OrderState,
    kind: AlgoKind,
    live: list[AlgoOrderState],
    facts: Facts,
    unlisted: frozenset[str],
) -> tuple[JournalEvent, ...]:
    """The stop or target that is missing, or the end of those that are too many."""
    wanted = order.intent.stop_price if kind is AlgoKind.STOP else order.intent.target_price
    if wanted is None:
        return ()
    mine = [algo for algo in live if algo.kind is kind]
    working = sorted(
        (algo for algo in mine if algo.is_working), key=lambda algo: (algo.quantity, algo.attempt)
    )
    if working and working[-1].quantity >= order.exposure:
        return _cancels(working[:-1], "a bigger one has taken its place")
    triggered = any(algo.status.has_triggered for algo in live)
    awaited = any(algo.is_in_doubt and algo.client_algo_id not in unlisted for algo in mine)
    newest_ns = max((algo.recorded_at_ns for algo in mine), default=0)
    attempts = order.stop_attempts if kind is AlgoKind.STOP else order.target_attempts
    if (
        triggered
        or awaited
        or _is_too_soon(limits, newest_ns, facts.now_ns)
        or len(_failures(mine)) >= limits.protection_attempts_max
        or attempts >= ALGO_ATTEMPTS_MAX
        or banned(state, facts.now_ns)
    ):
        return ()
    attempt, side = attempts + 1, order.side.opposite
    return (
        AlgoOrderRecorded(
            client_algo_id=derive_client_algo_id(facts.account, order.intent_id, kind, attempt),
            intent_id=order.intent_id,
            kind=kind,
            symbol=order.symbol,
            side=side,
            quantity=order.exposure,
            trigger_price=quantise_trigger(kind, side, wanted, state.instruments.get(order.symbol)),
            attempt=attempt,
            timestamp_ms=facts.venue_timestamp_ms,
            recv_window_ms=facts.recv_window_ms,
            writer=facts.writer,
        ),
    )


def _is_too_soon(limits: ExecutionConfig, newest_ns: int, now_ns: int) -> bool:
    """Whether the last attempt was a moment ago, by this clock or by one a little ahead of it.

    One far ahead was set back since: nothing may wait until it is so late again.
    """
    age_ns = now_ns - newest_ns
    return -limits.stop_grace_ms * NS_PER_MS < age_ns < limits.protection_retry_ms * NS_PER_MS


def quantise_trigger(
    kind: AlgoKind, side: Side, price: Decimal, instrument: Instrument | None
) -> Decimal:
    """A trigger price on the tick, rounded toward the entry: sooner out, never later.

    Args:
        side: of the stop or target itself, so SELL where the entry bought.
    """
    if instrument is None:
        return price
    upward = (kind is AlgoKind.STOP) == (side is Side.SELL)
    return (round_up if upward else round_down)(price, instrument.price_tick)


def _cancels(algos: Iterable[AlgoOrderState], why: str) -> tuple[JournalEvent, ...]:
    """Ask for the end of those that wait (or may) and of which that was not asked yet."""
    return tuple(
        AlgoCancelRequested(client_algo_id=algo.client_algo_id, actor=PROTECTION, why=why)
        for algo in algos
        if not algo.cancel_requested and (algo.is_in_doubt or algo.status is AlgoStatus.WORKING)
    )


# -- closing -------------------------------------------------------------------------------------


def _end_of_entry(order: OrderState, why: str) -> tuple[JournalEvent, ...]:
    """An entry that is on its way out must not go on filling."""
    if order.status.is_terminal or order.cancel_requested:
        return ()
    return (OrderCancelRequested(client_order_id=order.client_order_id, actor=PROTECTION, why=why),)


def _closing(
    limits: ExecutionConfig, state: State, order: OrderState, facts: Facts
) -> tuple[JournalEvent, ...]:
    """The reduce-only market order that closes what could not be protected, if one may go now.

    Never two at once, and after one that failed only when the growing hold on exits is over.
    """
    side = order.side.opposite
    held = facts.now_ns < exits_held_until_ns(limits, state, order.symbol, facts.now_ns)
    if held or banned(state, facts.now_ns) or _exit_is_under_way(state, order.symbol, side):
        return ()
    quantity = order.exposure
    if order.is_settled:
        quantity = min(quantity, abs(state.position_quantity(order.symbol)))
    instrument = state.instruments.get(order.symbol)
    if instrument is not None:
        most = instrument.market_quantity_max or quantity
        quantity = round_down(min(quantity, most), instrument.market_quantity_step)
    if quantity <= ZERO:
        return ()
    price = facts.mark.price if facts.mark is not None else order.reference_price
    number = order.closings + 1
    intent = Intent(
        intent_id=derive_intent_id(PROTECTION, "", order.symbol, f"{order.intent_id}-{number}"),
        strategy_id=PROTECTION,
        parameter_hash="",
        symbol=order.symbol,
        side=side,
        purpose=Purpose.EXIT,
        order_type=OrderType.MARKET,
        reference_price=price,
        candle_id=order.intent_id,
        created_at_ns=facts.now_ns,
        expires_at_ns=facts.now_ns + limits.intent_ttl_market_ms * NS_PER_MS,
        quantity=quantity,
    )
    return (
        OrderRecorded(
            client_order_id=derive_client_order_id(facts.account, intent.intent_id, FIRST_ATTEMPT),
            attempt=FIRST_ATTEMPT,
            intent=intent,
            order=OrderRequest(
                symbol=order.symbol,
                side=side,
                order_type=OrderType.MARKET,
                quantity=quantity,
                reduce_only=True,
            ),
            reference_price=price,
            margin_reserved=ZERO,
            timestamp_ms=facts.venue_timestamp_ms,
            recv_window_ms=facts.recv_window_ms,
            lock_until_ns=facts.now_ns + limits.lock_ms * NS_PER_MS,
            verdicts_risk=(),
            verdicts=(),
            writer=facts.writer,
            expires_at_ns=intent.expires_at_ns,
        ),
    )


def _exit_is_under_way(state: State, symbol: str, side: Side) -> bool:
    """Whether a market exit has not ended, or its fills are not all known yet."""
    return any(
        other.symbol == symbol
        and other.side is side
        and other.reduce_only
        and other.order.order_type is OrderType.MARKET
        and not (other.status.is_terminal and other.is_settled)
        for other in state.orders.values()
    )
