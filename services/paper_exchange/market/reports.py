"""Every public endpoint of the venue: one table, the same for HTTP and for the WebSocket API.

Weights, limits and defaults are those of the venue's documentation of late 2026 (reference:
binance-usdm, section 2). The reports are pure look-ups in the market.
"""

from collections.abc import Mapping
from typing import Final

from services.paper_exchange.market.asset_reports import asset_index, index_info
from services.paper_exchange.market.book_reports import (
    RPI_DEPTH_WEIGHT,
    book_ticker,
    depth,
    depth_weight,
    rpi_depth,
    socket_book_ticker,
)
from services.paper_exchange.market.candle_reports import (
    continuous_klines,
    index_price_klines,
    klines,
    klines_weight,
    reading_klines,
)
from services.paper_exchange.market.instruments import exchange_info
from services.paper_exchange.market.mark_reports import (
    constituents,
    day_ticker,
    funding_info,
    funding_rate,
    last_price,
    open_interest,
    premium_index,
)
from services.paper_exchange.market.report_view import (
    NS_PER_MS,
    MarketEndpoint,
    MarketView,
    Row,
    fixed,
    one_or_all,
)
from services.paper_exchange.market.risk_rating import symbol_adl_risk
from services.paper_exchange.market.trade_reports import (
    aggregate_trades,
    historical_trades,
    trades,
)
from services.paper_exchange.wire.authentication import Security
from services.paper_exchange.wire.parameters import Parameters

__all__ = ["MARKET_ENDPOINTS", "MARKET_METHODS", "MarketEndpoint", "MarketView"]


def _ping(_view: MarketView, _sent: Parameters, _now_ns: int) -> Row:
    return {}


def _time(view: MarketView, _sent: Parameters, now_ns: int) -> Row:
    return {"serverTime": now_ns // NS_PER_MS + view.clock_offset_ms()}


def _exchange_info(view: MarketView, _sent: Parameters, now_ns: int) -> Row:
    now_ms = now_ns // NS_PER_MS + view.clock_offset_ms()
    return exchange_info(now_ms, view.listing(view.market.instruments.values()), view.limits)


_DEPTH: Final = MarketEndpoint(depth, depth_weight)
_PING: Final = MarketEndpoint(_ping, fixed(1))
_TIME: Final = MarketEndpoint(_time, fixed(1))
_PRICE: Final = MarketEndpoint(last_price, one_or_all(1, 2))

MARKET_ENDPOINTS: Final[Mapping[tuple[str, str], MarketEndpoint]] = {
    ("GET", "/fapi/v1/ping"): _PING,
    ("GET", "/api/v3/ping"): _PING,
    ("GET", "/fapi/v1/time"): _TIME,
    ("GET", "/api/v3/time"): _TIME,
    ("GET", "/fapi/v1/exchangeInfo"): MarketEndpoint(_exchange_info, fixed(1)),
    ("GET", "/fapi/v1/depth"): _DEPTH,
    ("GET", "/fapi/v1/rpiDepth"): MarketEndpoint(rpi_depth, fixed(RPI_DEPTH_WEIGHT)),
    ("GET", "/fapi/v1/trades"): MarketEndpoint(trades, fixed(5)),
    ("GET", "/fapi/v1/historicalTrades"): MarketEndpoint(
        historical_trades, fixed(200), Security.KEY
    ),
    ("GET", "/fapi/v1/aggTrades"): MarketEndpoint(aggregate_trades, fixed(20)),
    ("GET", "/fapi/v1/klines"): MarketEndpoint(klines, klines_weight),
    ("GET", "/fapi/v1/continuousKlines"): MarketEndpoint(continuous_klines, klines_weight),
    ("GET", "/fapi/v1/indexPriceKlines"): MarketEndpoint(index_price_klines, klines_weight),
    ("GET", "/fapi/v1/markPriceKlines"): MarketEndpoint(
        reading_klines(lambda marks: marks.mark), klines_weight
    ),
    ("GET", "/fapi/v1/premiumIndexKlines"): MarketEndpoint(
        reading_klines(lambda marks: marks.premium), klines_weight
    ),
    ("GET", "/fapi/v1/constituents"): MarketEndpoint(constituents, fixed(2)),
    ("GET", "/fapi/v1/assetIndex"): MarketEndpoint(asset_index, one_or_all(1, 10)),
    ("GET", "/fapi/v1/indexInfo"): MarketEndpoint(index_info, fixed(1)),
    ("GET", "/fapi/v1/premiumIndex"): MarketEndpoint(premium_index, one_or_all(1, 10)),
    ("GET", "/fapi/v1/fundingRate"): MarketEndpoint(funding_rate, fixed(0), has_own_quota=True),
    ("GET", "/fapi/v1/fundingInfo"): MarketEndpoint(funding_info, fixed(0), has_own_quota=True),
    ("GET", "/fapi/v1/ticker/price"): _PRICE,
    ("GET", "/fapi/v2/ticker/price"): _PRICE,
    ("GET", "/fapi/v1/ticker/bookTicker"): MarketEndpoint(book_ticker, one_or_all(2, 5)),
    ("GET", "/fapi/v1/ticker/24hr"): MarketEndpoint(day_ticker, one_or_all(1, 40)),
    ("GET", "/fapi/v1/openInterest"): MarketEndpoint(open_interest, fixed(1)),
    ("GET", "/fapi/v1/symbolAdlRisk"): MarketEndpoint(symbol_adl_risk, fixed(1)),
}
"""By method and path, as `core.ENDPOINTS` has those that know their caller."""

MARKET_METHODS: Final[Mapping[str, MarketEndpoint]] = {
    "depth": _DEPTH,
    "ticker.price": _PRICE,
    "ticker.book": MarketEndpoint(socket_book_ticker, one_or_all(2, 5)),
}
"""The same reports under the names they have in the WebSocket API, unsigned there as well."""
