"""What a source may tell the market, one frozen type per kind of news.

Prices and quantities that are passed through stay the text they were, so that a replayed tape
leaves the venue byte for byte as it came; those somebody computes with are `Decimal`.
Every event carries ``ts_ns``, market time in integer nanoseconds UTC, never decreasing.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final, Protocol

import msgspec

OPENING_NS: Final = 1_000_000
"""How long before its first event a source begins."""

Levels = tuple[tuple[str, str], ...]
"""Price and absolute quantity as decimal text; quantity zero means the level is gone."""


class SourceError(ValueError):
    """A source file cannot be used; says which file, which line and why."""

    def __init__(self, path: Path, line: int | None, reason: str) -> None:
        where = str(path) if line is None else f"{path}, line {line}"
        super().__init__(f"{where}: {reason}")
        self.path = path
        self.line = line


class DepthSnapshot(msgspec.Struct, frozen=True, gc=False):
    """The whole book as of ``last_update_id``."""

    ts_ns: int
    symbol: str
    transaction_ms: int
    last_update_id: int
    bids: Levels
    asks: Levels


class DepthUpdate(msgspec.Struct, frozen=True, gc=False):
    """Levels that changed between two update ids (the venue's U, u and pu)."""

    ts_ns: int
    symbol: str
    transaction_ms: int
    first_update_id: int
    final_update_id: int
    previous_update_id: int
    bids: Levels
    asks: Levels


class Quote(msgspec.Struct, frozen=True, gc=False):
    """Best bid and ask."""

    ts_ns: int
    symbol: str
    transaction_ms: int
    update_id: int
    bid_price: str
    bid_quantity: str
    ask_price: str
    ask_quantity: str


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One public trade; the taker sold when ``is_buyer_maker``."""

    ts_ns: int
    symbol: str
    transaction_ms: int
    trade_id: int
    price: Decimal
    quantity: Decimal
    is_buyer_maker: bool
    execution: str = "MARKET"


class MarkPrice(msgspec.Struct, frozen=True, gc=False):
    """A mark price the source itself knows; without any, the market derives one each second."""

    ts_ns: int
    symbol: str
    mark_price: Decimal
    index_price: Decimal


class ClosedBar(msgspec.Struct, frozen=True, gc=False):
    """A candle the source knows to be final; it overrules what the trades added up to."""

    ts_ns: int
    symbol: str
    interval: str
    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class Silence(msgspec.Struct, frozen=True, gc=False):
    """Nothing that anybody is told: time passes while a symbol is halted."""

    ts_ns: int
    symbol: str


SourceEvent = DepthSnapshot | DepthUpdate | Quote | Trade | MarkPrice | ClosedBar | Silence


class Source(Protocol):
    """What the driver needs of a source."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols it will tell about."""

    @property
    def start_ns(self) -> int:
        """Market time just before its first event (`OPENING_NS`).

        A clock held here has published nothing yet, so nobody who connects meanwhile misses a line.
        """

    @property
    def lines_read(self) -> int:
        """Lines (or rows) read so far; 0 for a source that reads none."""

    def history(self) -> Iterator[ClosedBar]:
        """Yield candles from before the start, oldest first; usually none."""

    def events(self) -> Iterator[SourceEvent]:
        """Yield all events in order of market time; raises `SourceError` when a line is bad."""

    def blame(self, symbol: str, reason: str) -> SourceError:
        """Return an error that points at the line of ``symbol`` yielded last."""

    def facts(self) -> Mapping[str, object]:
        """Return what a run report should know of the source (files, gaps, seed)."""
