"""Candle files in the layout of Binance's public data, played as a market that adds up to them.

A file is ``<SYMBOL>-<interval>-<date>.csv`` (or the .zip it is published in), with or without a
header. Each candle becomes a path of trades (open, the extreme it turned from, the other extreme,
close) with quotes one tick wide and a modelled ladder, quoted anew every `QUOTE_PERIOD_MS` even
where nothing moves, and ends with the candle itself: its open, high, low, close and volume are the
row's, to the last digit. Nothing is random: the same file gives the same market.
"""

import heapq
import io
import itertools
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple

from services.paper_exchange.market.candles import INTERVALS_MS
from services.paper_exchange.market.instruments import Instrument, select_instruments
from services.paper_exchange.sources.event import (
    OPENING_NS,
    ClosedBar,
    SourceError,
    SourceEvent,
    Trade,
)
from services.paper_exchange.sources.modelled_book import ModelledBook

NS_PER_MS: Final = 1_000_000
COLUMNS: Final = 12
STEP_MS: Final = 5_000
"""Market time between two trades of a path, within the two bounds below."""
QUOTE_PERIOD_MS: Final = 2_000
"""Longest market time between two quotes while there are candles, however still they stand.

The best levels of a listed symbol change many times a second, so clients may well call a quote
that is some seconds old stale, as our own risk service does after 10 s.
"""
STEPS_PER_LEG_MIN: Final = 4
STEPS_PER_LEG_MAX: Final = 60
GAPS_REPORTED_MAX: Final = 1_000
FINEST_UNIT: Final = Decimal("0.00000001")
FLOAT_NOISE_MAX: Final = Decimal("0.000000001")
"""1.2147000000000001 in a file is a 1.2147 that somebody's script has bent; it is straightened."""
_NAME: Final = re.compile(r"([A-Z0-9]+)-(\d+[mhd])-.+\.(?:csv|zip)")
_ts_of = attrgetter("ts_ns")


class Gap(NamedTuple):
    """Candles missing between two rows; times in ms."""

    path: str
    from_ms: int
    to_ms: int


class KlineSource:
    """One or more kline files as one market; files of one symbol must follow one another.

    Opening checks names and first rows, and looks for gaps. Raises `SourceError` or
    `UnknownSymbolError`.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        files = [_KlineFile(path) for path in paths]
        self._by_symbol: dict[str, list[_KlineFile]] = {}
        for file in files:
            self._by_symbol.setdefault(file.instrument.symbol, []).append(file)
        self._files = files
        self.gaps: list[Gap] = []
        for of_symbol in self._by_symbol.values():
            self._find_gaps(of_symbol)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of the files, in the order first named."""
        return tuple(self._by_symbol)

    @property
    def start_ns(self) -> int:
        """Market time just before the earliest candle opens."""
        return min(file.start_ns for file in self._files) - OPENING_NS

    @property
    def lines_read(self) -> int:
        """Rows read so far, headers not counted."""
        return sum(file.rows_read for file in self._files)

    def history(self) -> Iterator[ClosedBar]:
        """The files are the whole world: nothing before them."""
        return iter(())

    def events(self) -> Iterator[SourceEvent]:
        """Yield the market of all files; raises `SourceError` at the first bad row."""
        return heapq.merge(
            *(self._symbol_events(files) for files in self._by_symbol.values()), key=_ts_of
        )

    def blame(self, symbol: str, reason: str) -> SourceError:
        """Return an error that points at the row of ``symbol`` read last."""
        read = [file for file in self._by_symbol[symbol] if file.rows_read]
        return SourceError(read[-1].path, read[-1].line, reason)

    def facts(self) -> Mapping[str, object]:
        """Return the files with rows read and the gaps found."""
        return {
            "source": "klines",
            "files": [
                {
                    "path": str(file.path),
                    "rows_read": file.rows_read,
                    "cells_repaired": file.cells_repaired,
                }
                for file in self._files
            ],
            "gaps": [gap._asdict() for gap in self.gaps],
        }

    def _find_gaps(self, files: Sequence["_KlineFile"]) -> None:
        """Look for missing candles before anything is played, so that a start can tell of them."""
        end_ms: int | None = None
        for file in files:
            for open_ms in file.openings_ms():
                if end_ms is not None and open_ms > end_ms and len(self.gaps) < GAPS_REPORTED_MAX:
                    self.gaps.append(Gap(str(file.path), end_ms, open_ms))
                end_ms = open_ms + INTERVALS_MS[file.interval]

    def _symbol_events(self, files: Sequence["_KlineFile"]) -> Iterator[SourceEvent]:
        path = _BarPath(files[0].instrument)
        end_ms: int | None = None
        for file in files:
            for bar in file.bars():
                if end_ms is not None and bar.open_ms < end_ms:
                    reason = "its candle begins before the one before has ended"
                    raise SourceError(file.path, file.line, reason)
                end_ms = bar.open_ms + INTERVALS_MS[bar.interval]
                yield from path.events(bar)


class _KlineFile:
    """One file; ``line`` is the line last read, 1 for the first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = 0
        self.rows_read = 0
        self.cells_repaired = 0
        named = _NAME.fullmatch(path.name)
        if named is None or named[2] not in INTERVALS_MS:
            raise SourceError(path, None, "the name must be like ADAUSDT-1m-2022-12-13.csv or .zip")
        self.interval = named[2]
        self.instrument: Instrument = select_instruments([named[1]])[named[1]]
        first = next(self.bars(), None)
        if first is None:
            raise SourceError(path, None, "it has no candles")
        self.start_ns = first.open_ms * NS_PER_MS
        self.line = self.rows_read = self.cells_repaired = 0

    def bars(self) -> Iterator[ClosedBar]:
        """Yield one closed candle per row."""
        self.line = self.rows_read = self.cells_repaired = 0
        for text in self._lines():
            self.line += 1
            cells = text.strip().split(",")
            if cells == [""] or (self.line == 1 and not cells[0].isdigit()):
                continue
            self.rows_read += 1
            yield self._bar(cells)

    def openings_ms(self) -> Iterator[int]:
        """Yield when each candle opens, without a look at the rest of its row."""
        for text in self._lines():
            opening = text.partition(",")[0]
            if opening.isdigit():
                yield int(opening)

    def _bar(self, cells: list[str]) -> ClosedBar:
        if len(cells) != COLUMNS:
            raise SourceError(self.path, self.line, f"{len(cells)} columns instead of {COLUMNS}")
        try:
            open_ms, close_ms = int(cells[0]), int(cells[6])
            prices = [self._number(cell) for cell in cells[1:5]]
            volume = self._number(cells[5])
        except (ValueError, InvalidOperation) as error:
            raise SourceError(self.path, self.line, "a cell is not a number") from error
        fault = self._fault(open_ms, close_ms, prices, volume)
        if fault is not None:
            raise SourceError(self.path, self.line, fault)
        return ClosedBar(
            close_ms * NS_PER_MS,
            self.instrument.symbol,
            self.interval,
            open_ms,
            prices[0],
            prices[1],
            prices[2],
            prices[3],
            volume,
        )

    def _number(self, cell: str) -> Decimal:
        """Read a number; one that went through binary floating point gets its true value back."""
        number = Decimal(cell)
        if not number.is_finite() or number % FINEST_UNIT == 0:
            return number
        rounded = number.quantize(FINEST_UNIT)
        if abs(number - rounded) > FLOAT_NOISE_MAX:
            return number
        self.cells_repaired += 1
        return rounded.normalize()

    def _fault(
        self, open_ms: int, close_ms: int, prices: list[Decimal], volume: Decimal
    ) -> str | None:
        length_ms = INTERVALS_MS[self.interval]
        opened, high, low, closed = prices
        if open_ms % length_ms or close_ms != open_ms + length_ms - 1:
            return f"its times do not make a candle of {self.interval} in milliseconds"
        if not all(number.is_finite() for number in (*prices, volume)):
            return "a cell is not a finite number"
        if volume < 0 or low <= 0 or not low <= min(opened, closed) <= max(opened, closed) <= high:
            return "its prices and volume do not make a candle"
        if any(number % FINEST_UNIT for number in (*prices, volume)):
            return f"a number is finer than {FINEST_UNIT:f}"
        return None

    def _lines(self) -> Iterator[str]:
        try:
            if self.path.suffix == ".zip":
                with (
                    zipfile.ZipFile(self.path) as archive,
                    archive.open(archive.namelist()[0]) as member,
                ):
                    yield from io.TextIOWrapper(member, encoding="utf-8")
            else:
                with self.path.open(encoding="utf-8") as lines:
                    yield from lines
        except (zipfile.BadZipFile, zlib.error, IndexError, EOFError) as error:
            raise SourceError(self.path, self.line + 1, f"corrupt zip: {error}") from error
        except UnicodeDecodeError as error:
            raise SourceError(self.path, self.line + 1, "it is not text") from error
        except OSError as error:
            raise SourceError(self.path, None, f"cannot be read: {error.strerror}") from error


class _BarPath:
    """Turns candles of one symbol into quotes and trades; ids run on from candle to candle."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._book = ModelledBook(instrument)
        self._trade_id = 0

    def events(self, bar: ClosedBar) -> Iterator[SourceEvent]:
        """Yield the market of one candle, the candle itself last."""
        prices = _path_prices(bar, self._instrument.price_tick)
        quantities = _split(bar.volume, len(prices), self._instrument.quantity_step)
        standing = max(bar.volume / len(prices), self._instrument.quantity_step)
        moments_ms = [
            bar.open_ms + index * INTERVALS_MS[bar.interval] // len(prices)
            for index in range(len(prices) + 1)
        ]
        before = prices[0]
        for index, (price, quantity) in enumerate(zip(prices, quantities, strict=True)):
            ts_ms = moments_ms[index]
            ts_ns = ts_ms * NS_PER_MS
            is_buyer_maker = price < before or (price == before and index % 2 == 1)
            bid_price = _bid_price(price, self._instrument.price_tick, is_buyer_maker)
            yield from self._book.move(ts_ns, bid_price, standing) or self._book.stir(ts_ns)
            if quantity:
                self._trade_id += 1
                yield Trade(
                    ts_ns, bar.symbol, ts_ms, self._trade_id, price, quantity, is_buyer_maker
                )
            for still_ms in range(ts_ms + QUOTE_PERIOD_MS, moments_ms[index + 1], QUOTE_PERIOD_MS):
                yield from self._book.stir(still_ms * NS_PER_MS)
            before = price
        yield bar


def _path_prices(bar: ClosedBar, tick: Decimal) -> list[Decimal]:
    """Return open, low, high, close (open, high, low, close when it fell) with steps between."""
    turns = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)
    anchors = (bar.open, *turns, bar.close)
    wanted = INTERVALS_MS[bar.interval] // STEP_MS // 3
    steps = min(max(STEPS_PER_LEG_MIN, wanted), STEPS_PER_LEG_MAX)
    prices = [bar.open]
    for start, end in itertools.pairwise(anchors):
        ticks = int((end - start) / tick)
        prices += [start + ticks * step // steps * tick for step in range(1, steps)]
        prices.append(end)
    return prices


def _bid_price(price: Decimal, tick: Decimal, is_buyer_maker: bool) -> Decimal:
    """Return the best bid around a trade; old files hold prices between two of today's ticks."""
    on_tick = price // tick * tick
    return on_tick - tick if on_tick == price and not is_buyer_maker else on_tick


def _split(volume: Decimal, parts: int, step: Decimal) -> list[Decimal]:
    """Split a volume exactly; with too little for all, the last parts get what there is."""
    exponent = volume.as_tuple().exponent
    assert isinstance(exponent, int), "only finite volumes are read"
    unit = min(step, Decimal(1).scaleb(min(exponent, 0)))
    each, rest = divmod(int(volume / unit), parts)
    return [(each + (index >= parts - rest)) * unit for index in range(parts)]
