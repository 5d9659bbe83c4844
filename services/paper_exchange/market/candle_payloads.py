"""Candles as the venue tells them: the events of streams, and the rows of REST."""

from typing import Final

from services.paper_exchange.market.candles import Candle, end_of
from services.paper_exchange.market.instruments import Instrument
from services.paper_exchange.wire.decimal_text import at_least, scaled

NS_PER_MS: Final = 1_000_000
READING_DECIMALS: Final = 8
"""Mark prices, index prices and premiums have these, whatever the symbol."""

Payload = dict[str, object]


def kline(
    instrument: Instrument, interval: str, candle: Candle, ts_ns: int, *, is_closed: bool
) -> Payload:
    """Return a kline event; ``x`` true is the only mark of a closed candle."""
    inner = _inner(instrument, interval, candle, is_closed=is_closed)
    opening = {"t": inner.pop("t"), "T": inner.pop("T")}
    return {
        "e": "kline",
        "E": ts_ns // NS_PER_MS,
        "s": instrument.symbol,
        "k": {**opening, "s": instrument.symbol, **inner},
    }


def continuous_kline(
    instrument: Instrument, interval: str, candle: Candle, ts_ns: int, *, is_closed: bool
) -> Payload:
    """Return a continuous_kline event: the candle of a pair's perpetual contract."""
    return {
        "e": "continuous_kline",
        "E": ts_ns // NS_PER_MS,
        "ps": instrument.symbol,
        "ct": instrument.contract_type,
        "k": _inner(instrument, interval, candle, is_closed=is_closed),
    }


def _inner(instrument: Instrument, interval: str, candle: Candle, *, is_closed: bool) -> Payload:
    price, quantity = instrument.price_precision, instrument.quantity_precision
    return {
        "t": candle.open_ms,
        "T": end_of(interval, candle.open_ms) - 1,
        "i": interval,
        "f": candle.first_trade_id,
        "L": candle.last_trade_id,
        "o": at_least(candle.open, price),
        "c": at_least(candle.close, price),
        "h": at_least(candle.high, price),
        "l": at_least(candle.low, price),
        "v": at_least(candle.volume, quantity),
        "n": candle.count,
        "x": is_closed,
        "q": scaled(candle.quote_volume, price + quantity),
        "V": scaled(candle.taker_buy_volume, quantity),
        "Q": scaled(candle.taker_buy_quote_volume, price + quantity),
        "B": "0",
    }


def kline_row(instrument: Instrument, interval: str, candle: Candle) -> list[object]:
    """Return the 12 values of one REST kline."""
    price, quantity = instrument.price_precision, instrument.quantity_precision
    return [
        candle.open_ms,
        at_least(candle.open, price),
        at_least(candle.high, price),
        at_least(candle.low, price),
        at_least(candle.close, price),
        at_least(candle.volume, quantity),
        end_of(interval, candle.open_ms) - 1,
        scaled(candle.quote_volume, price + quantity),
        candle.count,
        scaled(candle.taker_buy_volume, quantity),
        scaled(candle.taker_buy_quote_volume, price + quantity),
        "0",
    ]


def reading_row(interval: str, candle: Candle) -> list[object]:
    """Return the 12 values of a kline of readings: no volume, and how many readings there were."""
    return [
        candle.open_ms,
        *(
            scaled(value, READING_DECIMALS)
            for value in (candle.open, candle.high, candle.low, candle.close)
        ),
        "0",
        end_of(interval, candle.open_ms) - 1,
        "0",
        candle.count,
        "0",
        "0",
        "0",
    ]
