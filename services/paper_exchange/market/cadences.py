"""What streams say at fixed times: every 100, 250 or 500 ms, every second, every few seconds.

A payload is made only when somebody listens: each function is given ``is_heard``, which tells
whether anybody listens to a stream, and hands out ways to make payloads rather than payloads.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from services.paper_exchange.market import payloads
from services.paper_exchange.market.asset_indices import (
    ALL_INDICES,
    INDEX_STREAMS,
    asset_index_update,
)
from services.paper_exchange.market.candle_payloads import continuous_kline, kline
from services.paper_exchange.market.candles import INTERVALS, SECOND, Candle
from services.paper_exchange.market.day_ticker import mini_ticker, ticker
from services.paper_exchange.market.second_candles import SECOND_MS, second_candle
from services.paper_exchange.market.symbol_market import (
    DEPTH_PERIODS_NS,
    NS_PER_MS,
    SymbolMarket,
)
from services.paper_exchange.sources.event import DepthUpdate
from services.paper_exchange.wire.stream_names import PARTIAL_LEVELS

AGGREGATE_PERIOD_NS: Final = 100 * NS_PER_MS
KLINE_PERIOD_NS: Final = 250 * NS_PER_MS
SECOND_NS: Final = 1_000 * NS_PER_MS
SLOW_MARK_PERIOD_NS: Final = 3 * SECOND_NS
TICKER_PERIOD_NS: Final = 2 * SECOND_NS
ALL_QUOTES_PERIOD_NS: Final = 5 * SECOND_NS

Body = Mapping[str, object] | Sequence[Mapping[str, object]]
Message = tuple[str, Body | Callable[[], Body]]
"""A stream name and its payload, or how to make the payload if anybody listens.

A payload must be made before the market moves on: it describes the market as it is now.
"""
IsHeard = Callable[[str], object]
"""Whether anybody listens to a stream, as a truth."""

_DIFFERENCES: Final = {
    "depth@100ms": ("depth@100ms",),
    "depth": ("depth", "depth@250ms"),
    "depth@500ms": ("depth@500ms", "rpiDepth@500ms"),
}
"""Streams that say the same at the same time: the crowd has no retail orders, so `rpiDepth` too."""
_PARTIALS: Final = {
    "depth@100ms": tuple((levels, f"depth{levels}@100ms") for levels in PARTIAL_LEVELS),
    "depth": tuple(
        (levels, f"depth{levels}{speed}") for levels in PARTIAL_LEVELS for speed in ("", "@250ms")
    ),
    "depth@500ms": tuple((levels, f"depth{levels}@500ms") for levels in PARTIAL_LEVELS),
}

_CANDLES: Final = {
    interval: ((f"kline_{interval}", kline), (f"continuousKline_{interval}", continuous_kline))
    for interval in INTERVALS
}


def flush(state: SymbolMarket, ts_ns: int, is_heard: IsHeard) -> list[Message]:
    """Return what the short periods of this tick release of one symbol."""
    messages: list[Message] = []
    if state.aggregate is not None and ts_ns % AGGREGATE_PERIOD_NS == 0:
        messages.append(close_aggregate(state, ts_ns))
    for kind, pending in state.depth_pending.items():
        if pending and ts_ns % DEPTH_PERIODS_NS[kind] == 0:
            messages += _depth(state, kind, pending, ts_ns, is_heard)
            state.depth_pending[kind] = []
    if state.candles.is_changed and ts_ns % KLINE_PERIOD_NS == 0:
        state.candles.is_changed = False
        messages += _open_candles(state, ts_ns, is_heard)
    return messages


def close_aggregate(state: SymbolMarket, ts_ns: int) -> Message:
    """Announce the aggregate trade that was still open, and keep it."""
    aggregate = state.aggregate
    assert aggregate is not None, "closed once it is there"
    state.aggregates.append(aggregate)
    state.aggregate = None
    make = partial(payloads.aggregate_trade, aggregate, state.instrument, ts_ns)
    return state.stream["aggTrade"], make


def closed_candles(
    state: SymbolMarket, closed: Iterable[tuple[str, Candle]], ts_ns: int
) -> list[Message]:
    """Announce candles that have ended."""
    messages: list[Message] = []
    for interval, candle in closed:
        named = (state.instrument, interval, candle, ts_ns)
        messages += [
            (state.stream[f"kline_{interval}"], partial(kline, *named, is_closed=True)),
            (
                state.stream[f"continuousKline_{interval}"],
                partial(continuous_kline, *named, is_closed=True),
            ),
        ]
    return messages


def each_second(state: SymbolMarket, ts_ns: int, is_heard: IsHeard) -> list[Message]:
    """Return what the streams of one symbol say at a whole second, but for its mark."""
    messages: list[Message] = []
    stream = state.stream[f"continuousKline_{SECOND}"]
    if is_heard(stream):
        ended = second_candle(state.trades, ts_ns // NS_PER_MS - SECOND_MS)
        if ended is not None:
            named = (state.instrument, SECOND, ended, ts_ns)
            messages.append((stream, partial(continuous_kline, *named, is_closed=True)))
    if ts_ns % TICKER_PERIOD_NS == 0 and state.trades:
        messages += [
            (stream, partial(make, state, ts_ns))
            for stream, make in (
                (state.stream["ticker"], ticker),
                (state.stream["miniTicker"], mini_ticker),
            )
            if is_heard(stream)
        ]
    return messages


class Roundup:
    """What is said of all symbols together, in arrays; it remembers what it said before."""

    def __init__(self, states: Sequence[SymbolMarket]) -> None:
        self._states = states
        self._traded: dict[str, int] = {}
        self._quoted: dict[str, int] = {}

    def each_second(
        self, ts_ns: int, marks: list[payloads.Payload], is_heard: IsHeard
    ) -> list[Message]:
        """Return the arrays due at a whole second; ``marks`` are those just published."""
        messages: list[Message] = []
        if marks:
            messages.append(("!markPrice@arr@1s", marks))
            if ts_ns % SLOW_MARK_PERIOD_NS == 0:
                messages.append(("!markPrice@arr", marks))
        changed = self._changed()
        for stream, make in (("!ticker@arr", ticker), ("!miniTicker@arr", mini_ticker)):
            if changed and is_heard(stream):
                messages.append((stream, [make(state, ts_ns) for state in changed]))
        if ts_ns % ALL_QUOTES_PERIOD_NS == 0 and is_heard("!bookTicker"):
            messages += self._quotes(ts_ns)
        return messages + _asset_indices(ts_ns, is_heard)

    def _changed(self) -> list[SymbolMarket]:
        """The symbols with trades since the last time."""
        changed: list[SymbolMarket] = []
        for state in self._states:
            newest = state.trades[-1].trade_id if state.trades else -1
            if self._traded.get(state.book.symbol, -1) != newest:
                self._traded[state.book.symbol] = newest
                changed.append(state)
        return changed

    def _quotes(self, ts_ns: int) -> list[Message]:
        messages: list[Message] = []
        for state in self._states:
            book = state.book
            bids, asks = book.snapshot(1)
            if bids and asks and self._quoted.get(book.symbol) != book.update_id:
                self._quoted[book.symbol] = book.update_id
                payload = payloads.best_of_book(book, bids[0], asks[0], ts_ns)
                messages.append(("!bookTicker", payload))
        return messages


def _asset_indices(ts_ns: int, is_heard: IsHeard) -> list[Message]:
    messages: list[Message] = [
        (stream, asset_index_update(symbol, ts_ns))
        for symbol, stream in INDEX_STREAMS.items()
        if is_heard(stream)
    ]
    if is_heard(ALL_INDICES):
        messages.append((ALL_INDICES, [asset_index_update(name, ts_ns) for name in INDEX_STREAMS]))
    return messages


def _depth(
    state: SymbolMarket,
    kind: str,
    updates: list[DepthUpdate],
    ts_ns: int,
    is_heard: IsHeard,
) -> list[Message]:
    messages: list[Message] = [
        (stream, partial(payloads.merged_depth, updates, ts_ns))
        for stream in map(state.stream.__getitem__, _DIFFERENCES[kind])
        if is_heard(stream)
    ]
    messages += [
        (stream, partial(payloads.partial_depth, updates, state.book, levels, ts_ns))
        for levels, name in _PARTIALS[kind]
        if is_heard(stream := state.stream[name])
    ]
    return messages


def _open_candles(state: SymbolMarket, ts_ns: int, is_heard: IsHeard) -> list[Message]:
    messages: list[Message] = []
    for interval in INTERVALS:
        heard = [
            (stream, make)
            for name, make in _CANDLES[interval]
            if is_heard(stream := state.stream[name])
        ]
        candle = state.candles.open_candle(interval) if heard else None
        if candle is not None:
            named = (state.instrument, interval, candle, ts_ns)
            messages += [(stream, partial(make, *named, is_closed=False)) for stream, make in heard]
    stream = state.stream[f"continuousKline_{SECOND}"]
    if is_heard(stream) and ts_ns % SECOND_NS:
        second_ms = ts_ns // SECOND_NS * SECOND_MS
        running = second_candle(state.trades, second_ms)
        if running is not None:
            named = (state.instrument, SECOND, running, ts_ns)
            messages.append((stream, partial(continuous_kline, *named, is_closed=False)))
    return messages
