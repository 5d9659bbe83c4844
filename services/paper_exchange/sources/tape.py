"""Recorded market streams: lines of ``<local_ns> <json>``, plain or gzip.

The json is a combined-stream message (``{"stream":…,"data":…}``) or a bare REST depth snapshot,
which belongs to the symbol of its file. Market time of a line is its event time E, or that of the
line before when E runs backwards: the exchange's clock is the truth, the recorder's is not.
Several tapes are merged by market time.
"""

import gzip
import heapq
import zlib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from io import BufferedReader
from operator import attrgetter
from pathlib import Path
from typing import Final

import msgspec

from services.paper_exchange.sources.event import (
    OPENING_NS,
    ClosedBar,
    DepthSnapshot,
    DepthUpdate,
    Levels,
    MarkPrice,
    Quote,
    SourceError,
    SourceEvent,
    Trade,
)

NS_PER_MS: Final = 1_000_000
LINE_BYTES_MAX: Final = 8_388_608
"""A longer line is not a tape; the largest real one, a snapshot of 1,000 levels, has 50 kB."""
GZIP_MAGIC: Final = b"\x1f\x8b"


class _Depth(msgspec.Struct, gc=False, tag_field="e", tag="depthUpdate"):
    E: int
    T: int
    s: str
    U: int
    u: int
    pu: int
    b: Levels
    a: Levels


class _Quote(msgspec.Struct, gc=False, tag_field="e", tag="bookTicker"):
    E: int
    T: int
    s: str
    u: int
    b: str
    B: str
    a: str
    A: str


class _Trade(msgspec.Struct, gc=False, tag_field="e", tag="trade"):
    E: int
    T: int
    s: str
    t: int
    p: Decimal
    q: Decimal
    m: bool
    X: str = "MARKET"


class _Mark(msgspec.Struct, gc=False, tag_field="e", tag="markPriceUpdate"):
    E: int
    s: str
    p: Decimal
    i: Decimal


class _Line(msgspec.Struct, gc=False):
    """Either ``data`` is there (a stream message) or the snapshot's fields are."""

    data: _Depth | _Quote | _Trade | _Mark | None = None
    last_update_id: int = msgspec.field(default=-1, name="lastUpdateId")
    E: int = 0
    T: int = 0
    bids: Levels = ()
    asks: Levels = ()


_decode_line = msgspec.json.Decoder(_Line).decode
_ts_of = attrgetter("ts_ns")


class TapeSource:
    """One or more tapes, one symbol per file, as one stream of events ordered by market time.

    Tapes of one symbol are parts that follow one another, in the order named. Opening reads the
    first line of each file; raises `SourceError` when a file is missing, empty, starts with
    something else than a tape line, or begins before the part before it.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._tapes = [_Tape(path) for path in paths]
        self._by_symbol: dict[str, list[_Tape]] = {}
        for tape in self._tapes:
            parts = self._by_symbol.setdefault(tape.symbol, [])
            if parts and tape.start_ns < parts[-1].start_ns:
                reason = f"it begins before {parts[-1].path.name}, whose next part it is to be"
                raise SourceError(tape.path, None, reason)
            parts.append(tape)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of the files, in the order the files were named."""
        return tuple(self._by_symbol)

    @property
    def start_ns(self) -> int:
        """Market time just before the earliest first line."""
        return min(tape.start_ns for tape in self._tapes) - OPENING_NS

    @property
    def lines_read(self) -> int:
        """Lines read of all files so far."""
        return sum(tape.lines_read for tape in self._tapes)

    def history(self) -> Iterator[ClosedBar]:
        """A tape knows no candles from before its start."""
        return iter(())

    def events(self) -> Iterator[SourceEvent]:
        """Yield one event per line of every file; raises `SourceError` at the first bad line."""
        if len(self._tapes) == 1:
            return self._tapes[0].events()
        return heapq.merge(*map(_events_of, self._by_symbol.values()), key=_ts_of)

    def blame(self, symbol: str, reason: str) -> SourceError:
        """Return an error that points at the line of ``symbol`` yielded last."""
        parts = self._by_symbol[symbol]
        tape = next((part for part in reversed(parts) if part.lines_read), parts[0])
        return SourceError(tape.path, tape.lines_read, reason)

    def facts(self) -> Mapping[str, object]:
        """Return the files with their symbols and lines read."""
        return {
            "source": "tape",
            "files": [
                {"path": str(tape.path), "symbol": tape.symbol, "lines_read": tape.lines_read}
                for tape in self._tapes
            ],
        }


class _Tape:
    """One file; errors carry its path and the number of the line reached."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines_read = 0
        self.symbol = path.name.partition("_")[0].upper()
        first = next(self._lines(), None)
        if first is None:
            raise SourceError(path, None, "the tape is empty")
        line = self._decode(first)
        if line.data is not None:
            self.symbol = line.data.s
        self.start_ns = (line.E if line.data is None else line.data.E) * NS_PER_MS
        self.lines_read = 0

    def events(self, ts_ns: int = 0) -> Iterator[SourceEvent]:
        """Yield one event per line, none of them before ``ts_ns``."""
        self.lines_read = 0
        for text in self._lines():
            line = self._decode(text)
            data = line.data
            ts_ns = max(ts_ns, (line.E if data is None else data.E) * NS_PER_MS)
            if data is None:
                yield DepthSnapshot(
                    ts_ns, self.symbol, line.T, line.last_update_id, line.bids, line.asks
                )
            elif data.s == self.symbol:
                yield _event(ts_ns, data)
            else:
                raise SourceError(
                    self.path, self.lines_read, f"a line of {data.s} in a tape of {self.symbol}"
                )

    def _decode(self, text: bytes) -> _Line:
        local_ns, _, body = text.partition(b" ")
        if not local_ns.isdigit():
            raise SourceError(self.path, self.lines_read, "it does not start with a time in ns")
        try:
            line = _decode_line(body)
        except msgspec.DecodeError as error:
            raise SourceError(self.path, self.lines_read, f"unreadable: {error}") from error
        if line.data is None and line.last_update_id < 0:
            raise SourceError(self.path, self.lines_read, "neither stream data nor a snapshot")
        return line

    def _lines(self) -> Iterator[bytes]:
        try:
            with _open(self.path) as lines:
                while text := lines.readline(LINE_BYTES_MAX):
                    self.lines_read += 1
                    yield text
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            reached = self.lines_read + 1
            raise SourceError(self.path, reached, f"corrupt gzip: {error}") from error
        except OSError as error:
            raise SourceError(self.path, None, f"cannot be read: {error.strerror}") from error


def _events_of(parts: Sequence[_Tape]) -> Iterator[SourceEvent]:
    """The events of the parts of one symbol, one part after the other."""
    return parts[0].events() if len(parts) == 1 else _chained(parts)


def _chained(parts: Sequence[_Tape]) -> Iterator[SourceEvent]:
    ts_ns = 0
    for part in parts:
        for event in part.events(ts_ns):
            yield event
            ts_ns = event.ts_ns


def _event(ts_ns: int, data: _Depth | _Quote | _Trade | _Mark) -> SourceEvent:
    if isinstance(data, _Quote):
        return Quote(ts_ns, data.s, data.T, data.u, data.b, data.B, data.a, data.A)
    if isinstance(data, _Trade):
        return Trade(ts_ns, data.s, data.T, data.t, data.p, data.q, data.m, data.X)
    if isinstance(data, _Depth):
        return DepthUpdate(ts_ns, data.s, data.T, data.U, data.u, data.pu, data.b, data.a)
    return MarkPrice(ts_ns, data.s, data.p, data.i)


def _open(path: Path) -> gzip.GzipFile | BufferedReader:
    with path.open("rb") as probe:
        is_gzip = probe.read(2) == GZIP_MAGIC or path.suffix == ".gz"
    return gzip.open(path, "rb") if is_gzip else path.open("rb")
