"""The REST answers of the venue that we read, as frozen structs.

Fields we do not use are ignored, because the venue adds fields without notice. Numbers arrive as
strings ("7.0E-4" included) and become Decimal; one that is not finite is refused. Times are
milliseconds since 1970 (`*_ms`). Shapes follow recordings of 2026: the acknowledgement of an order
carries neither avgPrice nor cumQuote.
"""

from decimal import Decimal
from typing import TypeVar

import msgspec
from msgspec import field

from libs.common.model.instrument import Instrument
from libs.common.model.money import is_reckonable
from libs.common.model.order import Side

ZERO = Decimal(0)
EXPONENT_MAX = 400
"""Powers of ten that any number of the venue may span; what is beyond cannot be written out."""
NOTIONAL_EXPONENT_MAX = 15
"""Powers of ten of one execution's worth: a position's cost stays exact to eight decimals."""
_Payload = TypeVar("_Payload")


class PayloadError(ValueError):
    """An answer or frame of the venue could not be read; the text says where, not what it held."""


_DECIMAL_FIELDS: dict[type, tuple[str, ...]] = {}


def decimal_fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the names of the fields of a struct that hold a Decimal (or an optional one)."""
    found = _DECIMAL_FIELDS.get(kind)
    if found is None:
        found = tuple(
            one.name for one in msgspec.structs.fields(kind) if one.type in (Decimal, _OPTIONAL)
        )
        _DECIMAL_FIELDS[kind] = found
    return found


_OPTIONAL = Decimal | None


def check_execution(quantity: Decimal, price: Decimal) -> None:
    """Refuse an execution that no position can reckon with. Raises ValueError."""
    is_sound = is_reckonable(quantity) and is_reckonable(price)
    if not is_sound or quantity.adjusted() + price.adjusted() > NOTIONAL_EXPONENT_MAX:
        raise ValueError("no execution has such a quantity or price")


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """What every payload obeys: immutable, unknown fields ignored, all decimals finite."""

    def __post_init__(self) -> None:
        """Refuse NaN, infinities and absurd exponents, which Decimal would accept from a string."""
        for name in decimal_fields(type(self)):
            value = getattr(self, name)
            if value is None:
                continue
            if not value.is_finite() or abs(value.adjusted()) > EXPONENT_MAX:
                raise ValueError(f"{name} is not a finite number")


class ServerTime(Payload, frozen=True, kw_only=True):
    """GET /fapi/v1/time."""

    server_time_ms: int = field(name="serverTime")


class SymbolFilter(Payload, frozen=True, kw_only=True):
    """One entry of a symbol's filters; which fields are present depends on `filterType`."""

    filter_type: str = field(name="filterType")
    tick_size: Decimal = field(name="tickSize", default=ZERO)
    price_min: Decimal = field(name="minPrice", default=ZERO)
    price_max: Decimal = field(name="maxPrice", default=ZERO)
    step_size: Decimal = field(name="stepSize", default=ZERO)
    quantity_min: Decimal = field(name="minQty", default=ZERO)
    quantity_max: Decimal = field(name="maxQty", default=ZERO)
    notional: Decimal = ZERO
    multiplier_up: Decimal = field(name="multiplierUp", default=ZERO)
    multiplier_down: Decimal = field(name="multiplierDown", default=ZERO)
    limit: int = 0


class SymbolInfo(Payload, frozen=True, kw_only=True):
    """One symbol of exchangeInfo."""

    symbol: str
    status: str
    price_precision: int = field(name="pricePrecision")
    quantity_precision: int = field(name="quantityPrecision")
    filters: tuple[SymbolFilter, ...]
    contract_type: str = field(name="contractType", default="")
    quote_asset: str = field(name="quoteAsset", default="")
    margin_asset: str = field(name="marginAsset", default="")
    market_take_bound: Decimal = field(name="marketTakeBound", default=ZERO)
    onboard_ms: int = field(name="onboardDate", default=0)
    delivery_ms: int = field(name="deliveryDate", default=0)

    def to_instrument(self) -> Instrument:
        """Return the rules of the symbol; the order of its filters means nothing.

        Raises PayloadError when a filter that guards money is absent or its step is zero, as it is
        on symbols that do not trade yet (PENDING_TRADING lists tickSize "0").
        """
        by_type = {one.filter_type: one for one in self.filters}
        price, lot = self._filter(by_type, "PRICE_FILTER"), self._filter(by_type, "LOT_SIZE")
        market_lot = by_type.get("MARKET_LOT_SIZE", lot)
        percent = by_type.get("PERCENT_PRICE")
        orders = by_type.get("MAX_NUM_ORDERS")
        if not (is_reckonable(price.tick_size) and is_reckonable(lot.step_size)):
            raise PayloadError(f"{self.symbol} ({self.status}) has a zero or absurd tick or step")
        if market_lot.step_size and not is_reckonable(market_lot.step_size):
            raise PayloadError(f"{self.symbol} ({self.status}) has an absurd step at market")
        if min(price.price_min, lot.quantity_min, market_lot.quantity_min) < 0:
            raise PayloadError(f"{self.symbol} ({self.status}) has a minimum below zero")
        return Instrument(
            symbol=self.symbol,
            status=self.status,
            price_precision=self.price_precision,
            quantity_precision=self.quantity_precision,
            price_tick=price.tick_size,
            price_min=price.price_min,
            price_max=price.price_max,
            quantity_step=lot.step_size,
            quantity_min=lot.quantity_min,
            quantity_max=lot.quantity_max,
            market_quantity_step=market_lot.step_size,
            market_quantity_min=market_lot.quantity_min,
            market_quantity_max=market_lot.quantity_max,
            notional_min=self._filter(by_type, "MIN_NOTIONAL").notional,
            price_multiplier_up=percent.multiplier_up if percent else ZERO,
            price_multiplier_down=percent.multiplier_down if percent else ZERO,
            market_take_bound=self.market_take_bound,
            **({"orders_max": orders.limit} if orders else {}),
        )

    def _filter(self, by_type: dict[str, SymbolFilter], name: str) -> SymbolFilter:
        if name not in by_type:
            raise PayloadError(f"{self.symbol} has no {name} filter")
        return by_type[name]


class RateLimit(Payload, frozen=True, kw_only=True):
    """One limit of exchangeInfo: `limit` per `interval_count` x `interval`."""

    kind: str = field(name="rateLimitType")
    interval: str
    interval_count: int = field(name="intervalNum")
    limit: int


class _Named(msgspec.Struct, frozen=True):
    """As much of an entry as tells whose it is."""

    symbol: str


class ExchangeInfo(Payload, frozen=True, kw_only=True):
    """GET /fapi/v1/exchangeInfo. Its serverTime is not read: demo venues serve a stale one.

    Each symbol is read by itself: what one of a thousand entries says wrongly is no reason to know
    nothing of the others.

    Attributes:
        listed: the entries as they came.
    """

    listed: tuple[msgspec.Raw, ...] = field(name="symbols")
    rate_limits: tuple[RateLimit, ...] = field(name="rateLimits", default=())

    @property
    def symbols(self) -> tuple[SymbolInfo, ...]:
        """Every entry that can be read, in the venue's order."""
        return self.read()[0]

    def read(self) -> tuple[tuple[SymbolInfo, ...], dict[str, str]]:
        """The entries that can be read, and of each named other why not."""
        found: list[SymbolInfo] = []
        unreadable: dict[str, str] = {}
        for entry in self.listed:
            try:
                found.append(decode_payload(bytes(entry), SymbolInfo))
            except PayloadError as error:
                try:
                    unreadable[decode_payload(bytes(entry), _Named).symbol] = str(error)
                except PayloadError:
                    continue  # nobody can tell whose it is; that symbol counts as absent
        return tuple(found), unreadable

    def instruments(self) -> dict[str, Instrument]:
        """Return every symbol whose rules are complete; the others cannot be traded anyway."""
        found: dict[str, Instrument] = {}
        for info in self.symbols:
            try:
                found[info.symbol] = info.to_instrument()
            except PayloadError:
                continue  # absent from the result, so any order for it is refused
        return found


class VenueOrder(Payload, frozen=True, kw_only=True):
    """An order as POST, GET, DELETE order, openOrders and allOrders tell it.

    `status` is the venue's word (see `libs.common.model.order.parse_venue_status`).
    `average_price` and `cumulative_quote` are None in acknowledgements.
    """

    symbol: str
    order_id: int = field(name="orderId")
    client_order_id: str = field(name="clientOrderId")
    status: str
    side: str
    order_type: str = field(name="type")
    quantity: Decimal = field(name="origQty")
    cumulative_quantity: Decimal = field(name="executedQty")
    price: Decimal = ZERO
    average_price: Decimal | None = field(name="avgPrice", default=None)
    cumulative_quote: Decimal | None = field(name="cumQuote", default=None)
    stop_price: Decimal = field(name="stopPrice", default=ZERO)
    time_in_force: str = field(name="timeInForce", default="")
    original_type: str = field(name="origType", default="")
    position_side: str = field(name="positionSide", default="BOTH")
    reduce_only: bool = field(name="reduceOnly", default=False)
    close_position: bool = field(name="closePosition", default=False)
    created_ms: int = field(name="time", default=0)
    updated_ms: int = field(name="updateTime", default=0)


class VenueAlgoOrder(Payload, frozen=True, kw_only=True):
    """A conditional order as POST, GET algoOrder, openAlgoOrders and allAlgoOrders tell it.

    `status` is the venue's word (see `libs.common.model.algo_order.parse_algo_status`); `order_id`
    (a text) names the order born by the trigger, empty before. POST does not tell it.
    """

    symbol: str
    algo_id: int = field(name="algoId")
    client_algo_id: str = field(name="clientAlgoId")
    status: str = field(name="algoStatus")
    side: str
    order_type: str = field(name="orderType")
    quantity: Decimal
    trigger_price: Decimal = field(name="triggerPrice", default=ZERO)
    order_id: str = field(name="actualOrderId", default="")
    reduce_only: bool = field(name="reduceOnly", default=False)
    close_position: bool = field(name="closePosition", default=False)
    created_ms: int = field(name="createTime", default=0)
    updated_ms: int = field(name="updateTime", default=0)


class AssetBalance(Payload, frozen=True, kw_only=True):
    """One asset of GET /fapi/v2 or v3 balance."""

    asset: str
    balance: Decimal
    cross_wallet_balance: Decimal = field(name="crossWalletBalance")
    cross_unrealized_profit: Decimal = field(name="crossUnPnl")
    available_balance: Decimal = field(name="availableBalance")
    withdrawable: Decimal = field(name="maxWithdrawAmount", default=ZERO)
    updated_ms: int = field(name="updateTime", default=0)


class AccountAsset(Payload, frozen=True, kw_only=True):
    """One asset of an account answer."""

    asset: str
    wallet_balance: Decimal = field(name="walletBalance")
    unrealized_profit: Decimal = field(name="unrealizedProfit")
    margin_balance: Decimal = field(name="marginBalance")
    maintenance_margin: Decimal = field(name="maintMargin")
    initial_margin: Decimal = field(name="initialMargin")
    available_balance: Decimal = field(name="availableBalance")


class AccountPosition(Payload, frozen=True, kw_only=True):
    """One position of an account answer; v2 lists every symbol, v3 only those in use."""

    symbol: str
    quantity: Decimal = field(name="positionAmt")
    position_side: str = field(name="positionSide", default="BOTH")
    unrealized_profit: Decimal = field(name="unrealizedProfit", default=ZERO)
    initial_margin: Decimal = field(name="initialMargin", default=ZERO)
    maintenance_margin: Decimal = field(name="maintMargin", default=ZERO)
    entry_price: Decimal | None = field(name="entryPrice", default=None)
    leverage: Decimal | None = None
    updated_ms: int = field(name="updateTime", default=0)


class Account(Payload, frozen=True, kw_only=True):
    """GET /fapi/v2 or v3 account. The permissions are told by v2 alone (None in v3)."""

    wallet_balance: Decimal = field(name="totalWalletBalance")
    unrealized_profit: Decimal = field(name="totalUnrealizedProfit")
    margin_balance: Decimal = field(name="totalMarginBalance")
    initial_margin: Decimal = field(name="totalInitialMargin")
    maintenance_margin: Decimal = field(name="totalMaintMargin")
    available_balance: Decimal = field(name="availableBalance")
    assets: tuple[AccountAsset, ...] = ()
    positions: tuple[AccountPosition, ...] = ()
    can_trade: bool | None = field(name="canTrade", default=None)
    can_withdraw: bool | None = field(name="canWithdraw", default=None)
    multi_assets_margin: bool | None = field(name="multiAssetsMargin", default=None)


class PositionRisk(Payload, frozen=True, kw_only=True):
    """GET /fapi/v2 or v3 positionRisk; the last four fields are told by v2 alone."""

    symbol: str
    quantity: Decimal = field(name="positionAmt")
    entry_price: Decimal = field(name="entryPrice")
    mark_price: Decimal = field(name="markPrice")
    unrealized_profit: Decimal = field(name="unRealizedProfit")
    liquidation_price: Decimal = field(name="liquidationPrice", default=ZERO)
    break_even_price: Decimal | None = field(name="breakEvenPrice", default=None)
    notional: Decimal | None = None
    position_side: str = field(name="positionSide", default="BOTH")
    updated_ms: int = field(name="updateTime", default=0)
    initial_margin: Decimal | None = field(name="initialMargin", default=None)
    maintenance_margin: Decimal | None = field(name="maintMargin", default=None)
    leverage: Decimal | None = None
    margin_type: str | None = field(name="marginType", default=None)
    notional_max: Decimal | None = field(name="maxNotionalValue", default=None)
    isolated_margin: Decimal | None = field(name="isolatedMargin", default=None)


class UserTrade(Payload, frozen=True, kw_only=True):
    """One fill of GET /fapi/v1/userTrades; `trade_id` is unique per symbol."""

    symbol: str
    trade_id: int = field(name="id")
    order_id: int = field(name="orderId")
    side: Side
    price: Decimal
    quantity: Decimal = field(name="qty")
    quote_quantity: Decimal = field(name="quoteQty")
    realized_pnl: Decimal = field(name="realizedPnl")
    commission: Decimal
    commission_asset: str = field(name="commissionAsset")
    position_side: str = field(name="positionSide", default="BOTH")
    is_maker: bool = field(name="maker", default=False)
    time_ms: int = field(name="time")

    def __post_init__(self) -> None:
        """Refuse what the fold of a position could not reckon with."""
        super().__post_init__()
        check_execution(self.quantity, self.price)


class Income(Payload, frozen=True, kw_only=True):
    """One row of GET /fapi/v1/income; `transaction_id` is unique per user and type."""

    income_type: str = field(name="incomeType")
    income: Decimal
    asset: str
    time_ms: int = field(name="time")
    symbol: str = ""
    transaction_id: int | str = field(name="tranId", default=0)
    trade_id: str = field(name="tradeId", default="")
    info: str = ""


class LeverageSetting(Payload, frozen=True, kw_only=True):
    """POST /fapi/v1/leverage."""

    symbol: str
    leverage: int
    notional_max: str = field(name="maxNotionalValue", default="")


class ListenKey(Payload, frozen=True, kw_only=True):
    """POST and PUT /fapi/v1/listenKey; the venue's documents say {} for PUT. Hidden in repr."""

    listen_key: str = field(name="listenKey", default="")

    def __repr__(self) -> str:
        return "ListenKey(***)"


def decode_payload(body: bytes, kind: type[_Payload]) -> _Payload:
    """Read an answer as `kind`. Raises PayloadError."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        name = getattr(kind, "__name__", str(kind))
        raise PayloadError(f"cannot be read as {name}: {error}") from None
