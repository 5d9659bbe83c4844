"""A customer of the exchange: positions, orders, settings and histories, all bounded."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from services.paper_exchange.config import Limits
from services.paper_exchange.state.algo_orders import AlgoOrder
from services.paper_exchange.state.commission_rates import CommissionRates
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.orders import Income, Order, Trade
from services.paper_exchange.state.position_sides import BOTH, HEDGE_SIDES, ONE_WAY_SIDES

_NS_PER_10_SECONDS = 10_000_000_000
_NS_PER_MINUTE = 60_000_000_000


PositionKey = tuple[str, str]
"""Symbol and position side."""

MARGIN_CHANGES_MAX: Final = 10_000
"""Changes of isolated margin kept per account, in rows."""


@dataclass(frozen=True, slots=True)
class MarginChange:
    """A customer added (`is_addition`) or took margin of an isolated position."""

    symbol: str
    position_side: str
    amount: Decimal
    is_addition: bool
    time_ns: int


@dataclass(slots=True)
class Position:
    """A position: quantity in base units and cost in the margin asset, both signed.

    `position_side` is BOTH in one-way mode, LONG or SHORT in hedge mode.

    Attributes:
        realized: profit realized over the position's whole history.
        carried: realized profit less commission since the position was last flat, which moves
            the break-even price.
    """

    symbol: str
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    updated_ns: int = 0
    realized: Decimal = ZERO
    carried: Decimal = ZERO
    position_side: str = BOTH

    @property
    def key(self) -> PositionKey:
        """What an account keeps it under."""
        return self.symbol, self.position_side

    @property
    def entry_price(self) -> Decimal:
        """Average price of the open quantity; zero when flat."""
        return self.cost / self.quantity if self.quantity else ZERO

    @property
    def break_even_price(self) -> Decimal:
        """The price at which closing would leave what the position started with."""
        return (self.cost - self.carried) / self.quantity if self.quantity else ZERO

    def unrealized(self, mark: Decimal) -> Decimal:
        """Profit at the mark price."""
        return self.quantity * mark - self.cost


@dataclass(slots=True)
class OrderCounts:
    """Orders sent in the current fixed windows of market time."""

    window_10s: int = 0
    count_10s: int = 0
    window_1m: int = 0
    count_1m: int = 0

    def roll(self, now_ns: int) -> None:
        """Start new windows where market time has left the old ones."""
        if self.window_10s != now_ns // _NS_PER_10_SECONDS:
            self.window_10s, self.count_10s = now_ns // _NS_PER_10_SECONDS, 0
        if self.window_1m != now_ns // _NS_PER_MINUTE:
            self.window_1m, self.count_1m = now_ns // _NS_PER_MINUTE, 0

    def book(self, now_ns: int, in_10s: int = 1, in_1m: int = 1) -> None:
        """Count orders against both windows; a batch counts differently in each."""
        self.roll(now_ns)
        self.count_10s += in_10s
        self.count_1m += in_1m


@dataclass(slots=True)
class Account:
    """Everything the venue knows of one customer but the money, which the ledger holds."""

    account_id: str
    alias: str
    limits: Limits
    created_ns: int
    updated_ns: int = 0
    positions: dict[PositionKey, Position] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    open_orders: dict[int, Order] = field(default_factory=dict)
    open_by_client_id: dict[str, Order] = field(default_factory=dict)
    latest_by_client_id: dict[str, int] = field(default_factory=dict)
    algos: dict[int, AlgoOrder] = field(default_factory=dict)
    waiting_algos: dict[int, AlgoOrder] = field(default_factory=dict)
    waiting_by_client_algo_id: dict[str, AlgoOrder] = field(default_factory=dict)
    latest_by_client_algo_id: dict[str, int] = field(default_factory=dict)
    trades: dict[str, list[Trade]] = field(default_factory=dict)
    income: list[Income] = field(default_factory=list)
    margin_changes: list[MarginChange] = field(default_factory=list)
    leverage: dict[str, int] = field(default_factory=dict)
    margin_type: dict[str, str] = field(default_factory=dict)
    countdowns: dict[str, int] = field(default_factory=dict)
    countdown_checks: dict[str, int] = field(default_factory=dict)
    counts: OrderCounts = field(default_factory=OrderCounts)
    is_hedge_mode: bool = False
    is_multi_assets_mode: bool = False
    is_fee_burned: bool = False
    own_commission_rates: CommissionRates | None = None
    listen_key: str | None = None
    listen_key_expires_ns: int = 0

    def position(self, symbol: str, position_side: str = BOTH) -> Position:
        """The position of a symbol and side; a flat one, which is not kept, where there is none."""
        found = self.positions.get((symbol, position_side))
        return Position(symbol, position_side=position_side) if found is None else found

    def kept_position(self, symbol: str, position_side: str) -> Position:
        """The position of a symbol and side, kept from now on: for whoever changes it."""
        return self.positions.setdefault(
            (symbol, position_side), Position(symbol, position_side=position_side)
        )

    @property
    def commission_rates(self) -> CommissionRates:
        """What fills cost: the account's own rates, or else the venue's."""
        limits = self.limits
        return self.own_commission_rates or CommissionRates(
            limits.maker_rate, limits.taker_rate, limits.rpi_rate
        )

    @property
    def position_sides(self) -> tuple[str, ...]:
        """The sides that a list of all positions shows for each symbol."""
        return HEDGE_SIDES if self.is_hedge_mode else ONE_WAY_SIDES

    def has_position(self, symbol: str | None = None) -> bool:
        """Whether a position is open, on one symbol or on any."""
        return any(
            position.quantity and symbol in (None, position.symbol)
            for position in self.positions.values()
        )

    def leverage_of(self, symbol: str) -> int:
        """The leverage set for a symbol, or the venue's default."""
        return self.leverage.get(symbol, self.limits.leverage_default)

    def margin_type_of(self, symbol: str) -> str:
        """`cross` or `isolated`."""
        return self.margin_type.get(symbol, "cross")

    def is_isolated(self, symbol: str) -> bool:
        """Whether positions of a symbol have wallets of their own."""
        return self.margin_type.get(symbol) == "isolated"

    def open_orders_of(self, symbol: str) -> list[Order]:
        """Open orders of a symbol in the order of their placing."""
        return [order for order in self.open_orders.values() if order.symbol == symbol]

    def open_orders_on(self, symbol: str, position_side: str) -> list[Order]:
        """Open orders for one position in the order of their placing."""
        return [
            order
            for order in self.open_orders.values()
            if order.symbol == symbol and order.position_side == position_side
        ]

    def add_order(self, order: Order) -> None:
        """Remember a new open order, forgetting the oldest closed one beyond the limit."""
        self.orders[order.order_id] = order
        self.open_orders[order.order_id] = order
        # An id that the venue makes up may be an open order's already, which keeps it.
        self.open_by_client_id.setdefault(order.client_order_id, order)
        self.latest_by_client_id[order.client_order_id] = order.order_id
        if len(self.orders) - len(self.open_orders) > self.limits.order_history_max:
            self._forget_oldest_closed_order()

    def order_closed(self, order: Order) -> None:
        """Take an order that has ended out of the open ones."""
        self.open_orders.pop(order.order_id, None)
        if self.open_by_client_id.get(order.client_order_id) is order:
            del self.open_by_client_id[order.client_order_id]

    def add_trade(self, trade: Trade) -> None:
        """Remember a fill; halves the symbol's history when it outgrows the limit."""
        trades = self.trades.setdefault(trade.symbol, [])
        trades.append(trade)
        if len(trades) > self.limits.trade_history_max:
            del trades[: len(trades) // 2]

    def add_income(self, row: Income) -> None:
        """Remember an income row; halves the history when it outgrows the limit."""
        self.income.append(row)
        if len(self.income) > self.limits.income_history_max:
            del self.income[: len(self.income) // 2]

    def add_margin_change(self, change: MarginChange) -> None:
        """Remember a change of isolated margin; halves the history when it outgrows the limit."""
        self.margin_changes.append(change)
        if len(self.margin_changes) > MARGIN_CHANGES_MAX:
            del self.margin_changes[: len(self.margin_changes) // 2]

    def order_by_client_id(self, client_order_id: str) -> Order | None:
        """The open order of this client order id, else the latest one that had it."""
        order = self.open_by_client_id.get(client_order_id)
        if order is not None:
            return order
        order_id = self.latest_by_client_id.get(client_order_id)
        return None if order_id is None else self.orders.get(order_id)

    def add_algo(self, algo: AlgoOrder) -> None:
        """Remember a conditional order, forgetting the oldest ended one beyond the limit."""
        self.algos[algo.algo_id] = algo
        self.waiting_algos[algo.algo_id] = algo
        self.waiting_by_client_algo_id.setdefault(algo.client_algo_id, algo)
        self.latest_by_client_algo_id[algo.client_algo_id] = algo.algo_id
        if len(self.algos) - len(self.waiting_algos) > self.limits.order_history_max:
            oldest = next(known for known in self.algos.values() if not known.is_waiting)
            del self.algos[oldest.algo_id]
            if self.latest_by_client_algo_id.get(oldest.client_algo_id) == oldest.algo_id:
                del self.latest_by_client_algo_id[oldest.client_algo_id]

    def algo_waits_no_more(self, algo: AlgoOrder) -> None:
        """Take a conditional order that was triggered or has ended out of the waiting ones."""
        self.waiting_algos.pop(algo.algo_id, None)
        if self.waiting_by_client_algo_id.get(algo.client_algo_id) is algo:
            del self.waiting_by_client_algo_id[algo.client_algo_id]

    def algo_by_client_id(self, client_algo_id: str) -> AlgoOrder | None:
        """The waiting conditional order of this client id, else the latest one that had it."""
        algo = self.waiting_by_client_algo_id.get(client_algo_id)
        if algo is not None:
            return algo
        algo_id = self.latest_by_client_algo_id.get(client_algo_id)
        return None if algo_id is None else self.algos.get(algo_id)

    def _forget_oldest_closed_order(self) -> None:
        oldest = next(order for order in self.orders.values() if not order.is_open)
        del self.orders[oldest.order_id]
        if self.latest_by_client_id.get(oldest.client_order_id) == oldest.order_id:
            del self.latest_by_client_id[oldest.client_order_id]
