"""What a kill still has to do, from the folded state and what the venue shows. Pure."""

from decimal import Decimal

from libs.common.messages.algo_events import AlgoCancelRequested
from libs.common.messages.guard_events import LatchKind
from libs.common.messages.journal import JournalEvent, OrderCancelRequested, OrderRecorded
from libs.common.model.ids import derive_client_order_id, digest
from libs.common.model.intent import Intent, Purpose
from libs.common.model.money import ZERO
from libs.common.model.order import OrderRequest, OrderStatus, OrderType, Side
from services.execution.config import ExecutionConfig
from services.execution.core import NOTHING, Decision, Facts, absence_is_provable
from services.execution.question import NS_PER_MS
from services.execution.state import PendingKill, State

#: Who the exits of a kill belong to, where a strategy would be named.
KILL_STRATEGY = "operator"
FIRST_ATTEMPT = 1


def kill_intent_id(account: str, key: str, symbol: str, number: int) -> str:
    """The intent of the nth exit of a symbol that one kill makes: a restart derives the same."""
    return digest("kill", account, key, symbol, str(number))


def in_doubt(state: State, venue_ms: int, lag_ms: int, symbol: str) -> tuple[str, ...]:
    """Orders of ours that may yet appear at the venue although it does not show them now.

    Args:
        venue_ms: the venue's time; after an order's own window the venue itself refuses it.
        symbol: only this one; empty for all.
    """
    doubtful = [
        order.client_order_id
        for order in state.orders.values()
        if order.is_in_doubt
        and symbol in ("", order.symbol)
        and venue_ms <= absence_is_provable(order.timestamp_ms, order.recv_window_ms, lag_ms)
    ]
    doubtful += [
        algo_order.client_algo_id
        for algo_order in state.algo_orders.values()
        if algo_order.status in ("RECORDED", "UNKNOWN")
        and symbol in ("", algo_order.symbol)
        and venue_ms
        <= absence_is_provable(algo_order.timestamp_ms, algo_order.recv_window_ms, lag_ms)
    ]
    return tuple(doubtful)


def decide_cancels(state: State, kill: PendingKill, client_ids: tuple[str, ...]) -> Decision:
    """Record which of our own orders and stops are about to be cancelled, and for whom."""
    events: list[JournalEvent] = []
    for client_id in client_ids:
        order, algo_order = state.orders.get(client_id), state.algo_orders.get(client_id)
        if order is not None and not order.cancel_requested:
            events.append(
                OrderCancelRequested(
                    client_order_id=client_id, actor=kill.actor, why=f"{kill.verb}: {kill.reason}"
                )
            )
        if algo_order is not None and not algo_order.cancel_requested:
            events.append(
                AlgoCancelRequested(
                    client_algo_id=client_id, actor=kill.actor, why=f"{kill.verb}: {kill.reason}"
                )
            )
    return Decision(events=tuple(events)) if events else NOTHING


def decide_close(
    limits: ExecutionConfig,
    state: State,
    key: str,
    symbol: str,
    quantity: Decimal,
    mark_price: Decimal,
    facts: Facts,
) -> Decision:
    """Record the order that closes what the venue shows of a position: reduce-only, at market.

    Nothing while an earlier exit of this kill has not ended: only evidence ends it.

    Args:
        quantity: signed base units, as the venue states the position.
    """
    if key not in state.kills or quantity == ZERO:
        return NOTHING
    number = 1
    while True:
        intent_id = kill_intent_id(facts.account, key, symbol, number)
        memory = state.intents.get(intent_id)
        if memory is None:
            break
        earlier = state.orders.get(memory.client_order_id)
        if earlier is not None and not earlier.status.is_terminal:
            return NOTHING
        number += 1
    instrument = state.instruments.get(symbol)
    size = abs(quantity)
    if instrument is not None and instrument.market_quantity_max > ZERO:
        size = min(size, instrument.market_quantity_max)
    intent = Intent(
        intent_id=intent_id,
        strategy_id=KILL_STRATEGY,
        parameter_hash="",
        symbol=symbol,
        side=Side.SELL if quantity > ZERO else Side.BUY,
        purpose=Purpose.EXIT,
        order_type=OrderType.MARKET,
        reference_price=mark_price,
        candle_id=f"flatten-{key}",
        created_at_ns=facts.now_ns,
        expires_at_ns=facts.now_ns + limits.kill_wait_ms * NS_PER_MS,
        quantity=size,
    )
    recorded = OrderRecorded(
        client_order_id=derive_client_order_id(facts.account, intent_id, FIRST_ATTEMPT),
        attempt=FIRST_ATTEMPT,
        intent=intent,
        order=OrderRequest(
            symbol=symbol,
            side=intent.side,
            order_type=OrderType.MARKET,
            quantity=size,
            reduce_only=True,
        ),
        reference_price=mark_price,
        margin_reserved=ZERO,
        timestamp_ms=facts.venue_timestamp_ms,
        recv_window_ms=facts.recv_window_ms,
        lock_until_ns=facts.now_ns + limits.lock_ms * NS_PER_MS,
        verdicts_risk=(),
        verdicts=(),
        writer=facts.writer,
    )
    return Decision(events=(recorded,))


def may_close(_: ExecutionConfig, state: State, client_order_id: str, facts: Facts) -> str:
    """The last look at an exit of a kill: a halt does not stop it, a ban does. Empty if it may go.

    It only ever brings a position toward zero, and somebody asked for that.
    """
    order = state.orders.get(client_order_id)
    if order is None or order.status is not OrderStatus.RECORDED or order.writer != facts.writer:
        return "the order is no longer ours to send"
    return banned(state, facts.now_ns)


def banned(state: State, now_ns: int) -> str:
    """Why the venue must not be asked anything now; empty if it may."""
    for kind in (LatchKind.BANNED, LatchKind.REQUEST_LIMIT):
        left_ms = (state.latches.get(kind, 0) - now_ns) // NS_PER_MS
        if left_ms > 0:
            return f"the venue wants to be left alone for {left_ms} ms more ({kind})"
    return ""
