"""Public market data as the REST endpoints tell it: klines, trades, depth, prices."""

from decimal import Decimal

from msgspec import field

from libs.common.venue.payloads import Payload


class KlineRow(Payload, frozen=True, array_like=True):
    """One bar: an array of 12 values (the twelfth is ignored). The last bar served is still open.

    `close_ms` is inclusive: the last millisecond of the bar.
    """

    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    close_ms: int
    quote_volume: Decimal
    trades: int
    taker_buy_volume: Decimal
    taker_buy_quote_volume: Decimal


class TradeRow(Payload, frozen=True, kw_only=True):
    """One row of trades or historicalTrades."""

    trade_id: int = field(name="id")
    price: Decimal
    quantity: Decimal = field(name="qty")
    quote_quantity: Decimal = field(name="quoteQty")
    time_ms: int = field(name="time")
    is_buyer_maker: bool = field(name="isBuyerMaker")


class AggTradeRow(Payload, frozen=True, kw_only=True):
    """One row of aggTrades: fills of one taker order at one price. `nq` excludes RPI orders."""

    agg_trade_id: int = field(name="a")
    price: Decimal = field(name="p")
    quantity: Decimal = field(name="q")
    first_trade_id: int = field(name="f")
    last_trade_id: int = field(name="l")
    time_ms: int = field(name="T")
    is_buyer_maker: bool = field(name="m")
    normal_quantity: Decimal | None = field(name="nq", default=None)


class DepthLevel(Payload, frozen=True, array_like=True):
    """One price level; quantity zero deletes it."""

    price: Decimal
    quantity: Decimal


class DepthSnapshot(Payload, frozen=True, kw_only=True):
    """GET /fapi/v1/depth."""

    last_update_id: int = field(name="lastUpdateId")
    event_ms: int = field(name="E")
    transaction_ms: int = field(name="T")
    bids: tuple[DepthLevel, ...]
    asks: tuple[DepthLevel, ...]


class PremiumIndex(Payload, frozen=True, kw_only=True):
    """GET /fapi/v1/premiumIndex: mark and index price, funding."""

    symbol: str
    mark_price: Decimal = field(name="markPrice")
    index_price: Decimal = field(name="indexPrice")
    last_funding_rate: str = field(name="lastFundingRate", default="")
    next_funding_ms: int = field(name="nextFundingTime", default=0)
    time_ms: int = field(name="time")


class BookTickerRow(Payload, frozen=True, kw_only=True):
    """GET /fapi/v1/ticker/bookTicker."""

    symbol: str
    bid_price: Decimal = field(name="bidPrice")
    bid_quantity: Decimal = field(name="bidQty")
    ask_price: Decimal = field(name="askPrice")
    ask_quantity: Decimal = field(name="askQty")
    time_ms: int = field(name="time")
