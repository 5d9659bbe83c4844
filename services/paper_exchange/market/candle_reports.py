"""Public reports of candles: of trades, of a pair's contract, of mark, index and premium."""

from collections.abc import Callable, Iterable
from typing import Final

from services.paper_exchange.market.candle_payloads import kline_row, reading_row
from services.paper_exchange.market.candles import INTERVALS, SECOND, Candle, Candles
from services.paper_exchange.market.continuous_time import newest_of, oldest_of
from services.paper_exchange.market.mark_candles import MarkCandles
from services.paper_exchange.market.report_view import MarketView, Report, state_of, window
from services.paper_exchange.market.second_candles import second_candles
from services.paper_exchange.market.symbol_market import SymbolMarket
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError

KLINES_DEFAULT: Final = 500
KLINES_MAX: Final = 1_500
CONTRACT_TYPES: Final = frozenset(
    {"PERPETUAL", "CURRENT_QUARTER", "NEXT_QUARTER", "TRADIFI_PERPETUAL"}
)

Rows = list[list[object]]


def klines(view: MarketView, sent: Parameters, _now_ns: int) -> Rows:
    """GET /fapi/v1/klines: candles of a symbol, the last one still open."""
    state = state_of(view, sent)
    interval = _interval(sent, INTERVALS)
    chosen = _choose_without_gaps(state.candles.recent(interval), interval, sent)
    return _rows(state, interval, chosen)


def continuous_klines(view: MarketView, sent: Parameters, _now_ns: int) -> Rows:
    """GET /fapi/v1/continuousKlines: candles of a pair's contract of one type, of seconds too.

    Times without trades are left out here, unlike in all other candles.
    """
    state = _pair(view, sent)
    contract_type = sent.text("contractType")
    if contract_type not in CONTRACT_TYPES:
        raise RefusalError(-4104, text="Invalid contract type.")
    interval = _interval(sent, (SECOND, *INTERVALS))
    known: Iterable[Candle] = ()
    if contract_type == state.instrument.contract_type:
        is_kept = interval != SECOND
        known = state.candles.recent(interval) if is_kept else second_candles(state.trades)
    return _rows(state, interval, _choose(known, sent))


def index_price_klines(view: MarketView, sent: Parameters, _now_ns: int) -> Rows:
    """GET /fapi/v1/indexPriceKlines: candles of a pair's index price."""
    return _reading_rows(_pair(view, sent).marks.index, sent)


def reading_klines(candles_of: Callable[[MarkCandles], Candles]) -> Report:
    """The report of a symbol's mark price or premium, whichever ``candles_of`` picks."""

    def report(view: MarketView, sent: Parameters, _now_ns: int) -> Rows:
        return _reading_rows(candles_of(state_of(view, sent).marks), sent)

    return report


def klines_weight(sent: Parameters) -> int:
    """What a request for candles weighs: more for more rows."""
    text = sent.values.get("limit", "")
    limit = int(text) if text.isdecimal() and len(text) <= len(str(KLINES_MAX)) else KLINES_DEFAULT
    if limit < 100:
        return 1
    if limit < 500:
        return 2
    return 5 if limit <= 1_000 else 10


def _pair(view: MarketView, sent: Parameters) -> SymbolMarket:
    """The perpetual of a pair, which has the pair's name; raises -4144."""
    state = view.market.symbols.get(sent.text("pair"))
    if state is None:
        raise RefusalError(-4144, text="Invalid pair.")
    return state


def _interval(sent: Parameters, known: Iterable[str]) -> str:
    """The interval asked for; raises -1120 for one there are no candles of."""
    interval = sent.text("interval")
    if interval not in known:
        raise RefusalError(-1120, text="Invalid interval.")
    return interval


def _choose_without_gaps(
    candles: Iterable[Candle], interval: str, sent: Parameters
) -> Iterable[Candle]:
    """As `_choose`, with a flat candle for each time without one between two others."""
    limit = sent.limit(KLINES_DEFAULT, KLINES_MAX)
    start_ms, end_ms = window(sent)
    if start_ms is not None:
        return oldest_of(candles, interval, start_ms, end_ms, limit)
    return newest_of(candles, interval, end_ms, limit)


def _choose(candles: Iterable[Candle], sent: Parameters) -> list[Candle]:
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


def _rows(state: SymbolMarket, interval: str, chosen: Iterable[Candle]) -> Rows:
    return [kline_row(state.instrument, interval, candle) for candle in chosen]


def _reading_rows(candles: Candles, sent: Parameters) -> Rows:
    interval = _interval(sent, INTERVALS)
    chosen = _choose_without_gaps(candles.recent(interval), interval, sent)
    return [reading_row(interval, candle) for candle in chosen]
