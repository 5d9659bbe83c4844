"""What the gate knows: the fold of its journal, and nothing else.

``services.execution.fold`` is the only place that changes it, and it does so by journaled events
alone, so that a restart, a replica and an offline reader arrive at the same state.
"""

import hashlib
from bisect import insort
from decimal import Decimal

import msgspec

from libs.common.messages.guard_events import LatchKind
from libs.common.messages.limit_events import LimitsInForce
from libs.common.model.algo_order import AlgoKind, AlgoStatus
from libs.common.model.instrument import Instrument
from libs.common.model.intent import Intent
from libs.common.model.money import ZERO
from libs.common.model.order import OrderRequest, OrderStatus, Side, TimeInForce
from libs.common.model.pnl import PnlBook
from libs.common.model.position import Position
from libs.common.model.trading_state import TradingState
from libs.common.model.verdict import Reason, Verdict
from services.execution.round_trips import TradeBook

#: Who halts an account that nobody has armed yet.
BOOT = "boot"
#: The strategy that closes what could not be protected; nobody outside may go by this name.
PROTECTION = "protection"
#: Raised by hand where the fold comes to mean something else by the same fields.
FOLD_VERSION = 1
#: Trade ids remembered per symbol; everything below the oldest of them counts as seen.
TRADES_REMEMBERED_MAX = 2_000


class OrderState(msgspec.Struct, kw_only=True):
    """An order as the journal tells it.

    Attributes:
        filled_quantity: sum of the fills journaled; it may trail ``cumulative_quantity``.
        margin_reserved: quote currency held because the venue's figures do not show it yet.
        writer: the process that may send it.
        answered_at_ns: market time from which a balance stated by the venue includes the order.
        first_filled_at_ns: market time at which the first fill was known; 0 before.
        closed_quantity: what of the filled quantity is over, since the position was flat after it.
        unprotected_since_ns: market time since when a stop was owed and not acknowledged; else 0.
        stop_attempts, target_attempts: how many were recorded, for the next one's id.
        protection_failed: its stop could not be placed; the position is to be closed.
        closings: orders recorded to close what could not be protected.
        filled_cost: quote currency of the fills journaled.
        slippage_predicted_bps: what risk expected; ``None`` where it did not say.
        is_measured: its slippage is in the book.
    """

    client_order_id: str
    intent: Intent
    order: OrderRequest
    attempt: int
    status: OrderStatus
    reference_price: Decimal
    margin_reserved: Decimal
    timestamp_ms: int
    recv_window_ms: int
    expires_at_ns: int
    writer: str
    recorded_at_ns: int
    verdicts_risk: tuple[Verdict, ...] = ()
    venue_order_id: int = 0
    cumulative_quantity: Decimal = ZERO
    filled_quantity: Decimal = ZERO
    answered_at_ns: int = 0
    changed_at_ns: int = 0
    first_filled_at_ns: int = 0
    is_resigned: bool = False
    cancel_requested: bool = False
    closed_quantity: Decimal = ZERO
    unprotected_since_ns: int = 0
    stop_attempts: int = 0
    target_attempts: int = 0
    protection_failed: bool = False
    closings: int = 0
    filled_cost: Decimal = ZERO
    slippage_predicted_bps: Decimal | None = None
    is_measured: bool = False

    @property
    def intent_id(self) -> str:
        """The intent it executes."""
        return self.intent.intent_id

    @property
    def wants_protection(self) -> bool:
        """Whether it is an entry with a stop or a target."""
        asked = self.intent.stop_price is not None or self.intent.target_price is not None
        return asked and not self.order.reduce_only

    @property
    def exposure(self) -> Decimal:
        """Base units that it filled and that may still be held."""
        return self.cumulative_quantity - self.closed_quantity

    @property
    def is_settled(self) -> bool:
        """Whether every fill that the venue counts is in the journal."""
        return self.filled_quantity >= self.cumulative_quantity

    @property
    def symbol(self) -> str:
        """The symbol it trades."""
        return self.order.symbol

    @property
    def side(self) -> Side:
        """Its side."""
        return self.order.side

    @property
    def quantity(self) -> Decimal:
        """Base units asked for."""
        return self.order.quantity

    @property
    def reduce_only(self) -> bool:
        """Whether it can only bring the position toward zero."""
        return self.order.reduce_only

    @property
    def is_in_doubt(self) -> bool:
        """Whether it may be at the venue without our knowing."""
        return self.status in (OrderStatus.RECORDED, OrderStatus.UNKNOWN)


class AlgoOrderState(msgspec.Struct, kw_only=True):
    """A stop or target as the journal tells it.

    Attributes:
        filled_quantity: fills of the order born by its trigger.
        is_spent: the position it was for is closed; it protects nothing that comes later.
        cancel_requested_at_ns: market time at which its end was first asked for; 0 before.
    """

    client_algo_id: str
    intent_id: str
    kind: AlgoKind
    symbol: str
    side: Side
    quantity: Decimal
    trigger_price: Decimal
    attempt: int
    timestamp_ms: int
    recv_window_ms: int
    writer: str
    recorded_at_ns: int
    status: AlgoStatus = AlgoStatus.RECORDED
    algo_id: int = 0
    venue_order_id: int = 0
    changed_at_ns: int = 0
    code: int = 0
    why: str = ""
    filled_quantity: Decimal = ZERO
    is_spent: bool = False
    cancel_requested_at_ns: int = 0

    @property
    def is_in_doubt(self) -> bool:
        """Whether it may be at the venue without our knowing."""
        return self.status in (AlgoStatus.RECORDED, AlgoStatus.UNKNOWN)

    @property
    def cancel_requested(self) -> bool:
        """Whether it is not meant to stay."""
        return self.cancel_requested_at_ns > 0

    @property
    def is_working(self) -> bool:
        """Whether the venue holds it, it has not triggered, and it is meant to stay."""
        return self.status is AlgoStatus.WORKING and not (self.is_spent or self.cancel_requested)


class IntentMemory(msgspec.Struct, kw_only=True):
    """That an intent was decided: by which order it is executed, or why it was refused."""

    client_order_id: str
    decided_at_ns: int
    reason: Reason | None = None


class Lock(msgspec.Struct, kw_only=True):
    """An order is in flight on a symbol and side.

    ``behind``: who held them when an order of a person, or a missing stop's, took them over.
    """

    client_order_id: str
    until_ns: int
    behind: "Lock | None" = None


class RecentOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order recorded lately, for the rates. Exits count for the venue's limits alone."""

    intent_id: str
    symbol: str
    is_exit: bool
    at_ns: int


class ExitCooldown(msgspec.Struct, frozen=True, kw_only=True):
    """Exits of a symbol are held back, after so many failures in a row."""

    until_ns: int
    failures: int


class PendingKill(msgspec.Struct, frozen=True, kw_only=True):
    """A cancel-all or flatten that was ordered and is not proven yet.

    Attributes:
        target: the one symbol to flatten; empty means all of them.
        began_at_ns: market time of the order.
    """

    verb: str
    target: str
    actor: str
    reason: str
    began_at_ns: int


class Opening(msgspec.Struct, kw_only=True):
    """Whose position it is from a venue time on: of the strategy whose order opened it."""

    since_ns: int
    strategy_id: str
    venue_order_id: int


class UnclaimedPnl(msgspec.Struct, kw_only=True):
    """What was booked as by hand for fills of one venue order on one UTC day."""

    day: int
    commission_asset: str
    fills: int = 0
    realized_pnl: Decimal = ZERO
    commission: Decimal = ZERO
    cost: Decimal = ZERO


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
    """The folded state of one account. Only ``fold.apply`` changes it.

    Attributes:
        live_order_ids: of the orders that guards have to look at, see ``live_orders``.
        margin_refusals: market times of refusals for margin since the last safe mode.
        cooldown_*: market times until which orders are held back.
        latches: market times until which the venue wants to be left alone, by kind.
        unclaimed: fills of orders whose venue id is not known to be ours, by symbol and venue id.
        unclaimed_pnl: how they were booked, by the same names.
        quote_asset: the currency of prices, profit and balance, as the venue names it.
        openings: who opened the positions held lately, by symbol, the newest last.
        trade_book: round trips and slippage, for the figures of strategies.
        incomes: rows of income folded lately, and when they were booked.
        income_at_ns: when the newest of them was booked.
        income_floor_ns: what was booked before it counts as folded.
        operator_keys: Idempotency-Keys honoured, and when.
        kills: cancel-all and flatten under way, by key.
        kill_remains: what the last of them left behind; empty if it was complete.
        limits: what people have set of risk's limits.
    """

    trading_state: TradingState = TradingState.HALTED
    trading_actor: str = BOOT
    trading_reason: str = "not started yet"
    command_sequence: int = 0
    instruments: dict[str, Instrument] = {}
    instruments_at_ns: int = 0
    leverage: dict[str, int] = {}
    margin_types: dict[str, str] = {}
    wallet_balance: Decimal = ZERO
    available_balance: Decimal = ZERO
    balance_at_ns: int = 0
    orders: dict[str, OrderState] = {}
    live_order_ids: list[str] = []
    algo_orders: dict[str, AlgoOrderState] = {}
    intents: dict[str, IntentMemory] = {}
    locks: dict[str, Lock] = {}
    recent_orders: list[RecentOrder] = []
    margin_refusals: list[int] = []
    safe_mode_until_ns: int = 0
    cooldown_global_until_ns: int = 0
    cooldown_global_cause: str = ""
    cooldown_symbols: dict[str, int] = {}
    cooldown_exits: dict[str, ExitCooldown] = {}
    latches: dict[LatchKind, int] = {}
    positions: dict[str, Position] = {}
    trades: dict[str, SeenTrades] = {}
    unclaimed: dict[str, Decimal] = {}
    unclaimed_pnl: dict[str, list[UnclaimedPnl]] = {}
    pnl: PnlBook = msgspec.field(default_factory=PnlBook)
    quote_asset: str = ""
    openings: dict[str, list[Opening]] = {}
    trade_book: TradeBook = msgspec.field(default_factory=TradeBook)
    incomes: dict[str, int] = {}
    income_at_ns: int = 0
    income_floor_ns: int = 0
    operator_keys: dict[str, int] = {}
    kills: dict[str, PendingKill] = {}
    kill_remains: str = ""
    limits: LimitsInForce = LimitsInForce()
    changed_at_ns: int = 0

    def open_orders(self) -> list[OrderState]:
        """Orders that have not ended."""
        return [order for order in self.live_orders() if not order.status.is_terminal]

    def live_orders(self) -> list[OrderState]:
        """Orders that have not ended, or whose margin is still held: few, among all remembered."""
        return [self.orders[client_order_id] for client_order_id in self.live_order_ids]

    def open_algo_orders(self) -> list[AlgoOrderState]:
        """Stops and targets that have not ended."""
        return [order for order in self.algo_orders.values() if not order.status.is_terminal]

    def algo_orders_of(self, intent_id: str) -> list[AlgoOrderState]:
        """Every stop and target of an entry, in the order of their recording."""
        return [algo for algo in self.algo_orders.values() if algo.intent_id == intent_id]

    def margin_reserved(self) -> Decimal:
        """Quote currency held for orders the venue's balance does not show yet."""
        return sum((order.margin_reserved for order in self.live_orders()), ZERO)

    def position_quantity(self, symbol: str) -> Decimal:
        """Signed base units held; zero when flat."""
        position = self.positions.get(symbol)
        return ZERO if position is None else position.quantity

    def algo_order_of(
        self, symbol: str, venue_order_id: int, client_order_id: str
    ) -> AlgoOrderState | None:
        """The stop or target that became an order, by either of the order's names."""
        for algo in self.algo_orders.values():
            is_born = venue_order_id and algo.venue_order_id == venue_order_id
            is_named = client_order_id and algo.client_algo_id == client_order_id
            if algo.symbol == symbol and (is_born or is_named):
                return algo
        return None

    def has_trade(self, symbol: str, trade_id: int) -> bool:
        """Whether a fill was folded already."""
        seen = self.trades.get(symbol)
        return seen is not None and seen.has(trade_id)


def lock_key(symbol: str, side: Side) -> str:
    """The name of the lock of a symbol and side."""
    return f"{symbol}:{side}"


def ended_for_nothing(order: OrderState, status: OrderStatus, cumulative_quantity: Decimal) -> bool:
    """Whether the venue took an order only to end it unfilled: it failed like a refused one.

    A limit order that was to rest until it expires did what it was asked.
    """
    filled = max(order.cumulative_quantity, order.filled_quantity, cumulative_quantity)
    rests = order.order.time_in_force in (TimeInForce.GTC, TimeInForce.GTD)
    expired = status is OrderStatus.EXPIRED and not rests
    return (status is OrderStatus.REJECTED or expired) and filled == ZERO


def _shape_of(kind: type[msgspec.Struct]) -> str:
    """A name for the layout of a struct and of everything inside it, and for its meaning."""
    schema = msgspec.json.encode(msgspec.json.schema(kind), order="deterministic")
    return f"{FOLD_VERSION}-{hashlib.sha256(schema).hexdigest()[:12]}"


#: Another shape of snapshot is not read: where fields have defaults it would decode, and lie.
STATE_SHAPE = _shape_of(State)
