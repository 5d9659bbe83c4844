"""The rolling 24-hour statistics of one symbol, for REST and for the ticker streams."""

from decimal import Decimal
from typing import Final

from services.paper_exchange.market.candles import ZERO, Candle
from services.paper_exchange.market.day_window import DAY_MS
from services.paper_exchange.market.payloads import USD_MARGINED
from services.paper_exchange.market.symbol_market import SymbolMarket

NS_PER_MS: Final = 1_000_000
HUNDRED: Final = Decimal(100)

Payload = dict[str, object]


def day_ticker(state: SymbolMarket, now_ms: int) -> Payload:
    """Return the body of GET /fapi/v1/ticker/24hr for one symbol at market time ``now_ms``."""
    day = _day(state, now_ms)
    price, quantity = state.price_text, state.quantity_text
    return {
        "symbol": state.book.symbol,
        "priceChange": price(day.close - day.open),
        "priceChangePercent": _percent(day),
        "weightedAvgPrice": state.rounded_text(_average(day)),
        "lastPrice": price(day.close),
        "lastQty": quantity(_last_quantity(state)),
        "openPrice": price(day.open),
        "highPrice": price(day.high),
        "lowPrice": price(day.low),
        "volume": quantity(day.volume),
        "quoteVolume": state.rounded_text(day.quote_volume),
        "openTime": _open_ms(day, now_ms),
        "closeTime": now_ms,
        "firstId": day.first_trade_id,
        "lastId": day.last_trade_id,
        "count": day.count,
    }


def ticker(state: SymbolMarket, ts_ns: int) -> Payload:
    """Return a 24hrTicker event."""
    now_ms = ts_ns // NS_PER_MS
    day = _day(state, now_ms)
    price, quantity = state.price_text, state.quantity_text
    return {
        "e": "24hrTicker",
        "E": now_ms,
        "s": state.book.symbol,
        "ps": state.book.symbol,
        "p": price(day.close - day.open),
        "P": _percent(day),
        "w": state.rounded_text(_average(day)),
        "c": price(day.close),
        "Q": quantity(_last_quantity(state)),
        "o": price(day.open),
        "h": price(day.high),
        "l": price(day.low),
        "v": quantity(day.volume),
        "q": state.rounded_text(day.quote_volume),
        "O": _open_ms(day, now_ms),
        "C": now_ms,
        "F": day.first_trade_id,
        "L": day.last_trade_id,
        "n": day.count,
        "st": USD_MARGINED,
    }


def mini_ticker(state: SymbolMarket, ts_ns: int) -> Payload:
    """Return a 24hrMiniTicker event."""
    now_ms = ts_ns // NS_PER_MS
    day = _day(state, now_ms)
    price = state.price_text
    return {
        "e": "24hrMiniTicker",
        "E": now_ms,
        "s": state.book.symbol,
        "ps": state.book.symbol,
        "c": price(day.close),
        "o": price(day.open),
        "h": price(day.high),
        "l": price(day.low),
        "v": state.quantity_text(day.volume),
        "q": state.rounded_text(day.quote_volume),
        "st": USD_MARGINED,
    }


def _day(state: SymbolMarket, now_ms: int) -> Candle:
    """The last 24 hours; all zero where nothing is known of them."""
    return state.day.at(now_ms) or Candle(now_ms - DAY_MS, ZERO)


def _open_ms(day: Candle, now_ms: int) -> int:
    """When the window begins: 24 hours ago, or with the first minute known where that is later."""
    return max(day.open_ms, now_ms - DAY_MS)


def _percent(day: Candle) -> str:
    change = (day.close - day.open) * HUNDRED / day.open if day.open else ZERO
    return f"{change:.3f}"


def _average(day: Candle) -> Decimal:
    return day.quote_volume / day.volume if day.volume else day.close


def _last_quantity(state: SymbolMarket) -> Decimal:
    return state.trades[-1].quantity if state.trades else ZERO
