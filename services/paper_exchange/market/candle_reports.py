"""Public reports of candles: of a symbol's trades, and of a pair's perpetual contract."""

from collections.abc import Iterable
from typing import Final

from services.paper_exchange.market.candles import INTERVALS, Candle
from services.paper_exchange.market.payloads import kline_row
from services.paper_exchange.market.report_view import MarketView, state_of, window
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError

KLINES_DEFAULT: Final = 500
KLINES_MAX: Final = 1_500

Rows = list[list[object]]


def klines(view: MarketView, sent: Parameters, _now_ns: int) -> Rows:
    """GET /fapi/v1/klines: candles of a symbol, the last one still open."""
    state = state_of(view, sent)
    interval = interval_of(sent)
    chosen = choose(state.candles.recent(interval), sent)
    return [kline_row(interval, candle) for candle in chosen]


def interval_of(sent: Parameters) -> str:
    """The interval asked for; raises -1120 for one the venue has no candles of."""
    interval = sent.text("interval")
    if interval not in INTERVALS:
        raise RefusalError(-1120, text="Invalid interval.")
    return interval


def choose(candles: Iterable[Candle], sent: Parameters) -> list[Candle]:
    """The candles that open in the window asked for: its first ones, or the newest without one."""
    limit = sent.limit(KLINES_DEFAULT, KLINES_MAX)
    start_ms, end_ms = window(sent)
    chosen = [
        candle
        for candle in candles
        if (start_ms is None or candle.open_ms >= start_ms)
        and (end_ms is None or candle.open_ms <= end_ms)
    ]
    return chosen[:limit] if start_ms is not None else chosen[-limit:]


def klines_weight(sent: Parameters) -> int:
    """What a request for candles weighs: more for more rows."""
    text = sent.values.get("limit", "")
    limit = int(text) if text.isdecimal() and len(text) <= len(str(KLINES_MAX)) else KLINES_DEFAULT
    if limit < 100:
        return 1
    if limit < 500:
        return 2
    return 5 if limit <= 1_000 else 10
