"""What the gate knows: the fold of its journal, and nothing else.

``apply`` is the only place that changes the state, and it changes it by journaled events alone, so
that a restart, a replica and an offline reader arrive at the same state from the same bytes.
"""

from bisect import insort
from decimal import Decimal

import msgspec

from libs.common.messages.journal import (
    BalanceObserved,
    FillReceived,
    InstrumentsLoaded,
    IntentRefusedByGate,
    JournalEvent,
    JournalRecord,
    LeverageAsserted,
    OrderAnswered,
    OrderBecameUnknown,
    OrderNotPlaced,
    OrderRecorded,
    OrderRejected,
    OrderUpdated,
    TradingStateChanged,
)
from libs.common.model.instrument import Instrument
from libs.common.model.money import ZERO
from libs.common.model.order import OrderStatus, Side, may_follow
from libs.common.model.position import Position
from libs.common.model.trading_state import TradingState
from libs.common.model.verdict import Reason

#: Orders not known as ours whose fills are remembered, in case their id turns out to be.
UNCLAIMED_MAX = 500
#: Who halts an account that nobody has armed yet.
BOOT = "boot"
#: Trade ids remembered per symbol; everything below the oldest of them counts as seen.
TRADES_REMEMBERED_MAX = 2_000


class OrderState(msgspec.Struct, kw_only=True):
    """An order as the journal tells it.

    Attributes:
        filled_quantity: sum of the fills journaled; it may trail ``cumulative_quantity``.
        margin_reserved: quote currency held because the venue's figures do not show it yet.
        answered_at_ns: market time from which a balance stated by the venue includes the order.
    """

    client_order_id: str
    intent_id: str
    symbol: str
    side: Side
    quantity: Decimal
    reduce_only: bool
    status: OrderStatus
    margin_reserved: Decimal
    timestamp_ms: int
    recv_window_ms: int
    recorded_at_ns: int
    venue_order_id: int = 0
    cumulative_quantity: Decimal = ZERO
    filled_quantity: Decimal = ZERO
    answered_at_ns: int = 0
    changed_at_ns: int = 0


class IntentMemory(msgspec.Struct, kw_only=True):
    """That an intent was decided: by which order it is executed, or why it was refused."""

    client_order_id: str
    decided_at_ns: int
    reason: Reason | None = None


class Lock(msgspec.Struct, kw_only=True):
    """An order is in flight on a symbol and side."""

    client_order_id: str
    until_ns: int


class SeenTrades(msgspec.Struct, kw_only=True):
    """The trade ids of one symbol that were folded: those listed, and all up to ``floor``."""

    floor: int = 0
    ids: list[int] = []

    def has(self, trade_id: int) -> bool:
        """Whether the trade was folded."""
        return trade_id <= self.floor or trade_id in self.ids

    def add(self, trade_id: int) -> None:
        """Remember a trade; the oldest is forgotten into the floor."""
        insort(self.ids, trade_id)
        if len(self.ids) > TRADES_REMEMBERED_MAX:
            self.floor = self.ids.pop(0)


class State(msgspec.Struct, kw_only=True):
    """The folded state of one account. Only ``apply`` changes it."""

    trading_state: TradingState = TradingState.HALTED
    trading_actor: str = BOOT
    trading_reason: str = "not started yet"
    command_sequence: int = 0
    instruments: dict[str, Instrument] = {}
    instruments_at_ns: int = 0
    leverage: dict[str, int] = {}
    wallet_balance: Decimal = ZERO
    available_balance: Decimal = ZERO
    balance_at_ns: int = 0
    orders: dict[str, OrderState] = {}
    intents: dict[str, IntentMemory] = {}
    locks: dict[str, Lock] = {}
    positions: dict[str, Position] = {}
    trades: dict[str, SeenTrades] = {}
    unclaimed: dict[str, Decimal] = {}
    changed_at_ns: int = 0

    def open_orders(self) -> list[OrderState]:
        """Orders that have not ended."""
        return [order for order in self.orders.values() if not order.status.is_terminal]

    def margin_reserved(self) -> Decimal:
        """Quote currency held for orders the venue's balance does not show yet."""
        return sum((order.margin_reserved for order in self.orders.values()), ZERO)

    def has_trade(self, symbol: str, trade_id: int) -> bool:
        """Whether a fill was folded already."""
        seen = self.trades.get(symbol)
        return seen is not None and seen.has(trade_id)


def lock_key(symbol: str, side: Side) -> str:
    """The name of the lock of a symbol and side."""
    return f"{symbol}:{side}"


def apply(state: State, record: JournalRecord) -> None:
    """Fold one record into the state."""
    for event in record.events:
        _apply_event(state, event, record.ts_event_ns)


def _apply_event(state: State, event: JournalEvent, now_ns: int) -> None:
    match event:
        case IntentRefusedByGate():
            state.intents[event.intent.intent_id] = IntentMemory(
                client_order_id="", reason=event.reason, decided_at_ns=now_ns
            )
        case OrderRecorded():
            _apply_recorded(state, event, now_ns)
        case FillReceived():
            _apply_fill(state, event, now_ns)
        case BalanceObserved():
            _apply_balance(state, event, now_ns)
        case InstrumentsLoaded():
            state.instruments = {item.symbol: item for item in event.instruments}
            state.instruments_at_ns = event.loaded_at_ns
        case LeverageAsserted():
            state.leverage[event.symbol] = event.leverage
        case TradingStateChanged():
            state.trading_state = event.state
            state.trading_actor, state.trading_reason = event.actor, event.reason
            state.command_sequence = max(state.command_sequence, event.command_sequence)
        case _:
            _apply_outcome(state, event, now_ns)


def _apply_outcome(
    state: State,
    event: OrderAnswered | OrderUpdated | OrderRejected | OrderNotPlaced | OrderBecameUnknown,
    now_ns: int,
) -> None:
    order = state.orders.get(event.client_order_id)
    if order is None:
        return
    match event:
        case OrderAnswered() | OrderUpdated():
            _learn_venue_order_id(state, order, event.venue_order_id)
            order.cumulative_quantity = max(order.cumulative_quantity, event.cumulative_quantity)
            order.answered_at_ns = order.answered_at_ns or now_ns
            _move(state, order, event.status, now_ns)
        case OrderRejected():
            _end_without_trace(state, order, OrderStatus.REJECTED, now_ns)
        case OrderNotPlaced():
            _end_without_trace(state, order, OrderStatus.NOT_PLACED, now_ns)
        case OrderBecameUnknown():
            _move(state, order, OrderStatus.UNKNOWN, now_ns)


def _learn_venue_order_id(state: State, order: OrderState, venue_order_id: int) -> None:
    """Count the fills that the trade list told before we knew whose they were."""
    if venue_order_id and not order.venue_order_id:
        order.filled_quantity += state.unclaimed.pop(f"{order.symbol}:{venue_order_id}", ZERO)
    order.venue_order_id = venue_order_id


def _apply_recorded(state: State, event: OrderRecorded, now_ns: int) -> None:
    order = event.order
    state.orders[event.client_order_id] = OrderState(
        client_order_id=event.client_order_id,
        intent_id=event.intent.intent_id,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
        reduce_only=order.reduce_only,
        status=OrderStatus.RECORDED,
        margin_reserved=event.margin_reserved,
        timestamp_ms=event.timestamp_ms,
        recv_window_ms=event.recv_window_ms,
        recorded_at_ns=now_ns,
        changed_at_ns=now_ns,
    )
    state.intents[event.intent.intent_id] = IntentMemory(
        client_order_id=event.client_order_id, decided_at_ns=now_ns
    )
    state.locks[lock_key(order.symbol, order.side)] = Lock(
        client_order_id=event.client_order_id, until_ns=event.lock_until_ns
    )
    state.changed_at_ns = now_ns


def _move(state: State, order: OrderState, status: OrderStatus, now_ns: int) -> None:
    """Follow a legal transition; an impossible one (a stale word) changes nothing."""
    if not may_follow(order.status, status):
        return
    order.status = status
    order.changed_at_ns = now_ns
    state.changed_at_ns = now_ns
    if status is not OrderStatus.UNKNOWN:
        _release_lock(state, order)


def _release_lock(state: State, order: OrderState) -> None:
    """End the lock this very order holds, never another's."""
    key = lock_key(order.symbol, order.side)
    lock = state.locks.get(key)
    if lock is not None and lock.client_order_id == order.client_order_id:
        del state.locks[key]


def _end_without_trace(state: State, order: OrderState, status: OrderStatus, now_ns: int) -> None:
    if may_follow(order.status, status):
        order.margin_reserved = ZERO
        _move(state, order, status, now_ns)


def _apply_fill(state: State, event: FillReceived, now_ns: int) -> None:
    if state.has_trade(event.symbol, event.trade_id):
        return
    state.trades.setdefault(event.symbol, SeenTrades()).add(event.trade_id)
    before = state.positions.get(event.symbol) or Position(symbol=event.symbol)
    state.positions[event.symbol] = before.with_fill(
        event.side, event.quantity, event.price, event.commission
    )
    order = state.orders.get(event.client_order_id)
    if order is not None:
        order.filled_quantity += event.quantity
        order.cumulative_quantity = max(order.cumulative_quantity, order.filled_quantity)
        order.answered_at_ns = order.answered_at_ns or now_ns
    else:
        key = f"{event.symbol}:{event.venue_order_id}"
        state.unclaimed[key] = state.unclaimed.pop(key, ZERO) + event.quantity
        if len(state.unclaimed) > UNCLAIMED_MAX:
            del state.unclaimed[next(iter(state.unclaimed))]
    state.changed_at_ns = now_ns


def _apply_balance(state: State, event: BalanceObserved, now_ns: int) -> None:
    if event.wallet_balance != state.wallet_balance:
        state.wallet_balance = event.wallet_balance
        state.changed_at_ns = now_ns
    if event.available_balance is None:
        return
    state.available_balance = event.available_balance
    state.balance_at_ns = event.observed_at_ns
    for order in state.orders.values():
        if order.answered_at_ns and order.answered_at_ns < event.observed_at_ns:
            order.margin_reserved = ZERO


def forget(state: State, now_ns: int, idempotency_ms: int) -> None:
    """Drop what ended longer ago than the idempotency memory; the journal keeps it for ever."""
    horizon_ns = now_ns - idempotency_ms * 1_000_000
    for client_order_id, order in list(state.orders.items()):
        settled = order.filled_quantity >= order.cumulative_quantity
        if order.status.is_terminal and settled and order.changed_at_ns < horizon_ns:
            del state.orders[client_order_id]
    for intent_id, memory in list(state.intents.items()):
        gone = memory.client_order_id not in state.orders
        if gone and memory.decided_at_ns < horizon_ns:
            del state.intents[intent_id]
