"""What the feed decides: which bars are closed, what must be asked, how old the data is.

Pure: events and times go in, effects come out. Quotes and marks are kept, the newest of each
symbol, until the shell takes them; trades and candles pass one by one.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from libs.common.messages.market import SymbolHealth
from services.feed.bars import Bar
from services.feed.events import NS_PER_MS, KlineEvent, MarkEvent, QuoteEvent, TradeEvent
from services.feed.intervals import VENUE_INTERVALS, interval_ns
from services.feed.kline_series import AskKlines, KlinesAnswer, KlineSeries
from services.feed.trade_series import AskTrades, CandleReady, TradesAnswer, TradeSeries

Effect = CandleReady | AskTrades | AskKlines
Answer = TradesAnswer | KlinesAnswer

#: Trades of a symbol by which a repeated one is known.
TRADES_REMEMBERED_MAX = 4_096


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the core; all times are market time (see ``FeedConfig``)."""

    candle_close_grace_ms: int = 250
    kline_overdue_ms: int = 2_000
    warmup_bars: int = 0
    quote_age_ms_max: int = 10_000
    mark_age_ms_max: int = 10_000


class _Ages:
    """Event time of the newest message of each kind of one symbol; 0 before the first."""

    __slots__ = ("mark_ms", "quote_ms", "trade_ms")

    def __init__(self) -> None:
        self.quote_ms = self.mark_ms = self.trade_ms = 0


class FeedCore:
    """The state of the feed for all symbols.

    ``received``, ``published``, ``conflated`` and ``refused`` count messages per kind, so that
    every one that came in can be accounted for.
    """

    def __init__(self, symbols: Iterable[str], intervals: Sequence[str], limits: Limits) -> None:
        self.symbols = tuple(symbols)
        self._limits = limits
        self._built = {name: interval_ns(name) for name in intervals if name not in VENUE_INTERVALS}
        self.trades = {name: self._new_trades(name) for name in self.symbols}
        self.klines = {
            (symbol, name): self._new_klines(symbol, name)
            for symbol in self.symbols
            for name in intervals
            if name in VENUE_INTERVALS
        }
        self._quotes: dict[str, QuoteEvent] = {}
        self._marks: dict[str, MarkEvent] = {}
        self._newest_quotes: dict[str, int] = {}
        self._newest_marks: dict[str, int] = {}
        self._told_trades: dict[str, dict[int, None]] = {name: {} for name in self.symbols}
        self._ages = {name: _Ages() for name in self.symbols}
        self.last_candles: dict[tuple[str, str], Bar] = {}
        self.received: Counter[str] = Counter()
        self.published: Counter[str] = Counter()
        self.conflated: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def _new_trades(self, symbol: str) -> TradeSeries:
        grace_ns = self._limits.candle_close_grace_ms * NS_PER_MS
        return TradeSeries(symbol, self._built, grace_ns)

    def _new_klines(self, symbol: str, interval: str) -> KlineSeries:
        return KlineSeries(
            symbol,
            interval,
            interval_ns(interval),
            overdue_ns=self._limits.kline_overdue_ms * NS_PER_MS,
            warmup_bars=self._limits.warmup_bars,
        )

    # -- latest wins -----------------------------------------------------------------------------

    def keep_quote(self, event: QuoteEvent) -> None:
        """Keep a quote until it is taken; one that waits is replaced."""
        symbol = event.symbol
        self.received["quote"] += 1
        if event.update_id <= self._newest_quotes.get(symbol, -1):
            self.refused["quote_repeated"] += 1
            return
        self._newest_quotes[symbol] = event.update_id
        if symbol in self._quotes:
            self.conflated["quote"] += 1
        self._quotes[symbol] = event
        self._ages[symbol].quote_ms = event.event_ms

    def keep_mark(self, event: MarkEvent) -> None:
        """Keep a mark until it is taken; one that waits is replaced."""
        symbol = event.symbol
        self.received["mark"] += 1
        if event.event_ms <= self._newest_marks.get(symbol, -1):
            self.refused["mark_repeated"] += 1
            return
        self._newest_marks[symbol] = event.event_ms
        if symbol in self._marks:
            self.conflated["mark"] += 1
        self._marks[symbol] = event
        self._ages[symbol].mark_ms = event.event_ms

    @property
    def has_kept(self) -> bool:
        """Whether a quote or mark waits to be taken."""
        return bool(self._quotes or self._marks)

    def take_kept(self) -> list[QuoteEvent | MarkEvent]:
        """Hand out every quote and mark that waits."""
        taken: list[QuoteEvent | MarkEvent] = [*self._quotes.values(), *self._marks.values()]
        self._quotes.clear()
        self._marks.clear()
        return taken

    def put_back(self, events: Iterable[QuoteEvent | MarkEvent]) -> None:
        """Keep again what was taken and not said, unless a newer one came."""
        for event in events:
            if isinstance(event, QuoteEvent):
                self._quotes.setdefault(event.symbol, event)
            else:
                self._marks.setdefault(event.symbol, event)

    # -- one by one ------------------------------------------------------------------------------

    def is_repeated(self, event: TradeEvent) -> bool:
        """Whether this trade was told before, as two sockets that overlap do; it is noted."""
        told = self._told_trades[event.symbol]
        if event.trade_id in told:
            self.refused["trade_repeated"] += 1
            return True
        told[event.trade_id] = None
        if len(told) > TRADES_REMEMBERED_MAX:
            del told[next(iter(told))]
        return False

    def on_trade(self, event: TradeEvent) -> Sequence[Effect]:
        """Count a trade in its candles."""
        self._ages[event.symbol].trade_ms = event.event_ms
        return self.trades[event.symbol].on_trade(event)

    def on_kline(self, event: KlineEvent) -> Sequence[Effect]:
        """Take a bar of a kline stream; one of an interval we did not ask for is refused."""
        series = self.klines.get((event.symbol, event.bar.interval))
        if series is None:
            self.refused["kline"] += 1
            return ()
        return series.on_kline(event)

    def on_time(
        self, streams: Iterable[tuple[str, str]], proven_ns: int, *, source_ended: bool = False
    ) -> list[Effect]:
        """A socket has told everything up to a market time, of these (symbol, kind) streams."""
        effects: list[Effect] = []
        for symbol, kind in streams:
            if kind == "trade":
                effects += self.trades[symbol].on_time(proven_ns, source_ended=source_ended)
            elif series := self.klines.get((symbol, kind)):
                effects += series.on_time(proven_ns, source_ended=source_ended)
        return effects

    def on_connected(self, streams: Iterable[tuple[str, str]]) -> list[Effect]:
        """A socket is up and subscribed to these streams; a venue may count from new numbers."""
        self._newest_quotes.clear()
        self._newest_marks.clear()
        effects: list[Effect] = []
        for symbol, kind in streams:
            if kind == "trade":
                effects += self.trades[symbol].on_connected()
            elif series := self.klines.get((symbol, kind)):
                series.on_connected()
        return effects

    def on_disconnected(self, streams: Iterable[tuple[str, str]]) -> None:
        """A socket is gone, and with it these streams."""
        for symbol, kind in streams:
            if kind == "trade":
                self.trades[symbol].on_disconnected()
            elif series := self.klines.get((symbol, kind)):
                series.on_disconnected()

    def on_answer(self, answer: Answer) -> Sequence[Effect]:
        """REST has answered a question; of a series that began anew since, nobody asked it."""
        if isinstance(answer, TradesAnswer):
            trades = self.trades[answer.symbol]
            return trades.on_answer(answer) if trades.awaits(answer) else ()
        klines = self.klines[answer.symbol, answer.interval]
        return klines.on_answer(answer) if klines.awaits(answer) else ()

    def on_stored(self, ready: CandleReady) -> None:
        """A candle is safely published."""
        self.published["candle"] += 1
        self.last_candles[ready.symbol, ready.interval] = ready.bar

    def resume(self, symbol: str, interval: str, last: Bar) -> None:
        """Go on after the last candle published before we started."""
        self.last_candles[symbol, interval] = last
        if (series := self.klines.get((symbol, interval))) is not None:
            series.resume(last.close_ns, last.close)
        else:
            self.trades[symbol].resume(interval, last.close_ns, last)

    def siblings(self, symbol: str, interval: str) -> tuple[str, ...]:
        """The intervals that begin anew together: those built from the same trades."""
        return (interval,) if (symbol, interval) in self.klines else tuple(self._built)

    def next_open_ns(self, symbol: str, interval: str) -> int | None:
        """Where a series goes on; ``None`` if it has released no candle yet."""
        if (series := self.klines.get((symbol, interval))) is not None:
            return series.next_open_ns if series.has_released else None
        bars = self.trades[symbol].bars[interval]
        return bars.next_open_ns if bars.has_released else None

    def begin_anew(
        self, symbol: str, interval: str, last: Mapping[str, Bar], *, is_live: bool
    ) -> Sequence[Effect]:
        """Forget what a series and its siblings hold, and go on after candles another stored.

        Args:
            last: the last stored candle of each of these intervals that has one.
            is_live: whether their stream is subscribed.
        """
        if (symbol, interval) in self.klines:
            klines = self.klines[symbol, interval] = self._new_klines(symbol, interval)
            klines.resume(last[interval].close_ns, last[interval].close)
            if is_live:
                klines.on_connected()
            return ()
        trades = self.trades[symbol] = self._new_trades(symbol)
        for name, bar in last.items():
            trades.resume(name, bar.close_ns, bar)
        return trades.on_connected() if is_live else ()

    # -- what is known of ourselves --------------------------------------------------------------

    @property
    def is_healing(self) -> bool:
        """Whether any candle waits for an answer of REST."""
        return any(one.is_healing for one in self.trades.values()) or any(
            one.is_healing for one in self.klines.values()
        )

    @property
    def trades_held(self) -> int:
        """Trades kept for bars not released yet."""
        return sum(series.trades_held for series in self.trades.values())

    def series_ahead(self, now_ns: int) -> list[str]:
        """Series whose last candle ends after market time: another world's candles are stored."""
        return [
            f"{symbol} {interval}"
            for (symbol, interval), bar in self.last_candles.items()
            if bar.close_ns > now_ns + bar.close_ns - bar.open_ns
        ]

    def series_report(self) -> dict[str, dict[str, object]]:
        """Per symbol and interval: the last candle, and what went wrong on the way."""
        report: dict[str, dict[str, object]] = {}
        for symbol, series in self.trades.items():
            for name, bars in series.bars.items():
                report[f"{symbol} {name}"] = {
                    **self._last(symbol, name),
                    "late": bars.late,
                    "duplicates": bars.duplicates,
                    "gaps": series.gaps,
                    "gaps_filled": series.gaps_filled,
                    "gaps_lost": series.gaps_lost,
                }
        for (symbol, name), klines in self.klines.items():
            report[f"{symbol} {name}"] = {
                **self._last(symbol, name),
                "repeats": klines.repeats,
                "gaps": klines.gaps,
                "gaps_filled": klines.gaps_filled,
                "gaps_lost": klines.gaps_lost,
            }
        return report

    def _last(self, symbol: str, interval: str) -> dict[str, object]:
        bar = self.last_candles.get((symbol, interval))
        if bar is None:
            return {"last_open_ns": None, "last_close": None}
        return {"last_open_ns": bar.open_ns, "last_close": str(bar.close)}

    def health(self, now_ns: int | None, *, is_connected: bool) -> tuple[SymbolHealth, ...]:
        """Age of each symbol's data at a market time; ``None`` while that is not known."""
        return tuple(self._health(name, now_ns, is_connected) for name in self.symbols)

    def _health(self, symbol: str, now_ns: int | None, is_connected: bool) -> SymbolHealth:
        ages = self._ages[symbol]
        quote = _age_ms(ages.quote_ms, now_ns)
        mark = _age_ms(ages.mark_ms, now_ns)
        is_fresh = (
            is_connected
            and quote is not None
            and mark is not None
            and quote <= self._limits.quote_age_ms_max
            and mark <= self._limits.mark_age_ms_max
        )
        return SymbolHealth(
            symbol=symbol,
            quote_age_ms=quote,
            mark_age_ms=mark,
            trade_age_ms=_age_ms(ages.trade_ms, now_ns),
            is_stale=not is_fresh,
        )


def _age_ms(event_ms: int, now_ns: int | None) -> int | None:
    if event_ms == 0 or now_ns is None:
        return None
    return max(0, now_ns // NS_PER_MS - event_ms)
