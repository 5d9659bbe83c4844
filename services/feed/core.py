"""What the feed decides: which bars are closed, what must be asked, how old the data is.

Pure: events and times go in, effects come out. Quotes and marks are kept, the newest of each
symbol, until the shell takes them; trades and candles pass one by one.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import msgspec

from libs.common.messages.market import CandleOrigin, SymbolHealth
from services.feed.ages import Ages
from services.feed.bars import Bar
from services.feed.events import (
    NS_PER_MS,
    KlineEvent,
    QuoteEvent,
    TradeEvent,
)
from services.feed.intervals import VENUE_INTERVALS, interval_ns
from services.feed.kline_series import AskKlines, KlinesAnswer, KlineSeries, Revised
from services.feed.newest import Kept, Newest, Slot
from services.feed.trade_series import AskTrades, CandleReady, TradesAnswer, TradeSeries

Effect = CandleReady | AskTrades | AskKlines | Revised
Answer = TradesAnswer | KlinesAnswer
#: By kind. Not a Counter, which takes three times as long to count a message.
Counts = defaultdict[str, int]

#: A bar is told as closed at most this long before its end.
EARLY_NS = 1_000_000_000
#: Trades of a symbol by which a repeated one is known.
TRADES_REMEMBERED_MAX = 4_096


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the core; all times are market time (see ``FeedConfig``)."""

    candle_close_grace_ms: int = 250
    kline_overdue_ms: int = 2_000
    warmup_bars: int = 0
    quote_age_ms_max: int = 10_000
    mark_age_ms_max: int = 10_000
    gap_ms_max: int = 300_000
    trade_proof_wait_ms: int | None = None


class FeedCore:
    """The state of the feed for all symbols.

    ``received``, ``published``, ``conflated`` and ``refused`` count messages per kind, so that
    every one that came in can be accounted for; ``from_rest`` counts the published ones that REST
    told.
    """

    def __init__(
        self,
        symbols: Iterable[str],
        intervals: Sequence[str],
        limits: Limits,
        on_kept: Callable[[], None] = lambda: None,
    ) -> None:
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
        self.quotes = Newest(self.symbols, on_kept)
        self.marks = Newest(self.symbols, on_kept)
        self._told_trades: dict[str, dict[int, None]] = {name: {} for name in self.symbols}
        self._ages = {name: Ages(name) for name in self.symbols}
        self.last_candles: dict[tuple[str, str], Bar] = {}
        self._received: Counts = defaultdict(int)
        self._open_bars = 0
        self.published: Counts = defaultdict(int)
        self._refused: Counts = defaultdict(int)
        self.from_rest: Counts = defaultdict(int)

    def _new_trades(self, symbol: str) -> TradeSeries:
        grace_ns = self._limits.candle_close_grace_ms * NS_PER_MS
        wait_ms = self._limits.trade_proof_wait_ms
        wait_ns = None if wait_ms is None else wait_ms * NS_PER_MS
        return TradeSeries(symbol, self._built, grace_ns, proof_wait_ns=wait_ns)

    def _new_klines(self, symbol: str, interval: str) -> KlineSeries:
        return KlineSeries(
            symbol,
            interval,
            interval_ns(interval),
            overdue_ns=self._limits.kline_overdue_ms * NS_PER_MS,
            warmup_bars=self._limits.warmup_bars,
        )

    # -- latest wins -----------------------------------------------------------------------------

    @property
    def has_kept(self) -> bool:
        """Whether a quote or mark waits to be taken."""
        return bool(self.quotes or self.marks)

    def take_kept(self) -> list[Kept]:
        """Hand out every quote and mark that waits."""
        return [*self.quotes.take(), *self.marks.take()]

    def put_back(self, events: Iterable[Kept]) -> None:
        """Keep again what was taken and not said, unless a newer one came."""
        for event in events:
            self._slot(event).put_back()

    def keep(self, event: Kept) -> None:
        """Keep a quote or mark until it is taken; readers know the slot and ask no dict for it."""
        self._slot(event).keep(event)

    def _slot(self, event: Kept) -> Slot:
        newest = self.quotes if isinstance(event, QuoteEvent) else self.marks
        return newest.slots[event.symbol]

    def on_said(self, event: Kept) -> None:
        """It was published."""
        self._ages[event.symbol].on_said(event)

    # -- one by one ------------------------------------------------------------------------------

    def is_repeated(self, event: TradeEvent) -> bool:
        """Whether this trade was told before, as two sockets that overlap do; it is noted."""
        told = self._told_trades[event.symbol]
        if event.trade_id in told:
            self.refuse("trade_repeated")
            return True
        told[event.trade_id] = None
        if len(told) > TRADES_REMEMBERED_MAX:
            del told[next(iter(told))]
        return False

    def on_trade(self, event: TradeEvent) -> Sequence[Effect]:
        """Count a trade in its candles."""
        self._ages[event.symbol].trade_ms = event.event_ms
        return self.trades[event.symbol].on_trade(event)

    def on_refused_trade(self, symbol: str) -> Sequence[Effect]:
        """A trade came whose time is not believed."""
        return self.trades[symbol].on_refused_trade()

    def on_late_kline(self, event: KlineEvent) -> Sequence[Effect]:
        """A bar came whose time is long over: it may be one we published, told differently."""
        series = self.klines.get((event.symbol, event.bar.interval))
        return () if series is None else series.on_late_kline(event)

    def on_kline(self, event: KlineEvent) -> Sequence[Effect]:
        """Take a bar of a kline stream; one nobody asked for, or closed too early, is refused."""
        series = self.klines.get((event.symbol, event.bar.interval))
        if series is None:
            self.refuse("kline")
            return ()
        if event.bar.open_ms * NS_PER_MS + series.length_ns > event.event_ms * NS_PER_MS + EARLY_NS:
            self.refuse("kline_ahead")
            return ()
        return series.on_kline(event)

    def on_time(
        self,
        streams: Iterable[tuple[str, str]],
        proven_ns: int,
        *,
        newest_trades: Mapping[str, int] | None = None,
        source_ended: bool = False,
    ) -> list[Effect]:
        """A socket has told these (symbol, kind) streams up to a time, and what is newest."""
        newest, effects = newest_trades or {}, list[Effect]()
        for symbol, kind in streams:
            if kind == "trade":
                effects += self.trades[symbol].on_time(
                    proven_ns, newest_id=newest.get(symbol, 0), source_ended=source_ended
                )
            elif series := self.klines.get((symbol, kind)):
                effects += series.on_time(proven_ns, source_ended=source_ended)
        return effects

    def on_rest_time(self, streams: Iterable[tuple[str, str]], now_ns: int) -> list[Effect]:
        """These streams are down, and REST says that it is this late: ask for closed candles."""
        effects: list[Effect] = []
        for stream in streams:
            if series := self.klines.get(stream):
                effects += series.on_time(now_ns, is_from_rest=True)
        return effects

    def on_connected(self, streams: Iterable[tuple[str, str]]) -> list[Effect]:
        """A socket is up and subscribed to these streams; a venue may count from new numbers."""
        self.quotes.begin_epoch()
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
        if ready.bar.origin is CandleOrigin.REST:
            self.from_rest["candle"] += 1
        self.last_candles[ready.symbol, ready.interval] = ready.bar

    def resume(self, symbol: str, interval: str, last: Bar) -> None:
        """Go on after the last candle published before we started."""
        self.last_candles[symbol, interval] = last
        if (series := self.klines.get((symbol, interval))) is not None:
            series.resume(last)
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
        if (before := self.klines.get((symbol, interval))) is not None:
            klines = self.klines[symbol, interval] = self._new_klines(symbol, interval)
            klines.gaps = before.gaps
            klines.gaps.fill()  # whoever stored the last candle knew what was missing
            klines.resume(last[interval])
            if is_live:
                klines.on_connected()
            return ()
        gaps = self.trades[symbol].gaps
        gaps.fill()
        trades = self.trades[symbol] = self._new_trades(symbol)
        trades.gaps = gaps
        for name, bar in last.items():
            trades.resume(name, bar.close_ns, bar)
        return trades.on_connected() if is_live else ()

    # -- what is known of ourselves --------------------------------------------------------------

    def receive(self, kind: str) -> None:
        """Count a message of a kind that passes one by one."""
        self._received[kind] += 1

    def receive_open_bar(self) -> None:
        """Count a bar that is still open: that it came is all there is to know."""
        self._open_bars += 1

    def refuse(self, kind: str) -> None:
        """Count a message that goes no further."""
        self._refused[kind] += 1

    @property
    def received(self) -> dict[str, int]:
        """Messages that came, by kind."""
        counts = Counter(self._received)
        counts.update(quote=self.quotes.received, mark=self.marks.received, kline=self._open_bars)
        return dict(+counts)

    @property
    def conflated(self) -> dict[str, int]:
        """Messages that were replaced by a newer one of their symbol, by kind."""
        return dict(+Counter(quote=self.quotes.conflated, mark=self.marks.conflated))

    @property
    def refused(self) -> dict[str, int]:
        """Messages that went no further, by kind and why."""
        counts = Counter(self._refused)
        counts.update(quote_repeated=self.quotes.repeated, mark_repeated=self.marks.repeated)
        return dict(+counts)

    @property
    def is_healing(self) -> bool:
        """Whether any candle waits for an answer of REST."""
        return any(one.is_healing for one in self.trades.values()) or any(
            one.is_healing for one in self.klines.values()
        )

    @property
    def _series(self) -> tuple[TradeSeries | KlineSeries, ...]:
        return (*self.trades.values(), *self.klines.values())

    def gaps(self) -> dict[str, tuple[int, int]]:
        """Per symbol: how many gaps were found in its candles, and how many were filled."""
        found: dict[str, tuple[int, int]] = {}
        for series in self._series:
            before = found.get(series.symbol, (0, 0))
            found[series.symbol] = (before[0] + series.gaps.found, before[1] + series.gaps.filled)
        return found

    def grave_gaps(self, now_ns: int) -> list[str]:
        """Symbols whose candles are missing, or lost, for longer than ``gap_ms_max``."""
        limit_ns = self._limits.gap_ms_max * NS_PER_MS
        grave = {series.symbol for series in self._series if series.is_grave(now_ns, limit_ns)}
        return [symbol for symbol in self.symbols if symbol in grave]

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
                    "unheard": series.unheard,
                    **series.gaps.report(),
                }
        for (symbol, name), klines in self.klines.items():
            report[f"{symbol} {name}"] = {
                **self._last(symbol, name),
                "repeats": klines.repeats,
                "revised": klines.revised,
                **klines.gaps.report(),
            }
        return report

    def _last(self, symbol: str, interval: str) -> dict[str, object]:
        bar = self.last_candles.get((symbol, interval))
        if bar is None:
            return {"last_open_ns": None, "last_close": None}
        return {"last_open_ns": bar.open_ns, "last_close": str(bar.close)}

    def health(self, now_ns: int | None, *, down: Collection[str] = ()) -> tuple[SymbolHealth, ...]:
        """Age of each symbol's data at a market time (``None``: not known).

        ``down``: symbols of sockets that are down. They are stale, as is one whose newest quote
        REST told: once a round is enough for exits, not for entries.
        """
        unfit = {*down} if now_ns is None else {*down, *self.grave_gaps(now_ns)}
        limits = self._limits
        return tuple(
            ages.health(
                now_ns,
                quote_age_ms_max=limits.quote_age_ms_max,
                mark_age_ms_max=limits.mark_age_ms_max,
                is_whole=symbol not in unfit,
            )
            for symbol, ages in self._ages.items()
        )
