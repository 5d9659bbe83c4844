"""Candles for the tests of signal."""

from decimal import Decimal

import pytest

from libs.common.messages.market import Candle, CandleOrigin
from libs.common.model.ids import candle_id

START_NS = 1_700_000_000 * 10**9


def make_candle(index, close, /, *, symbol="BTCUSDT", interval="1s", length_ns=10**9, **changes):
    """The candle number ``index`` of a series that starts at START_NS."""
    open_ns = START_NS + index * length_ns
    identity = candle_id(symbol, interval, open_ns)
    price = Decimal(close)
    fields = {
        "message_id": identity,
        "causation_id": identity,
        "correlation_id": identity,
        "ts_event_ns": open_ns + length_ns,
        "ts_published_ns": 1,
        "source": "feed",
        "symbol": symbol,
        "interval": interval,
        "open_ns": open_ns,
        "close_ns": open_ns + length_ns,
        "open": price,
        "high": price,
        "low": price,
        "close": price,
        "volume": Decimal(1),
        "trade_count": 1,
        "origin": CandleOrigin.TRADES,
    }
    return Candle(**{**fields, **changes})


@pytest.fixture(scope="session")
def candle():
    """Return the maker of candles."""
    return make_candle
