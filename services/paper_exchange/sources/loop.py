"""A source that starts over at its end: shifted in time, with ids that never go back.

Each round is the same market later. Times move by whole candles, so that those the source knows to
be final stay where candles begin. Update and trade ids go on behind those of the round before.
The book of a new round starts from its snapshot: as after a restart of a venue, a subscriber of
depth finds a pu that is not the u before, and has to read a snapshot anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from services.paper_exchange.market.candles import INTERVALS_MS
from services.paper_exchange.sources.event import (
    OPENING_NS,
    ClosedBar,
    DepthSnapshot,
    DepthUpdate,
    MarkPrice,
    Quote,
    Silence,
    Source,
    SourceError,
    SourceEvent,
    Trade,
)

NS_PER_MS: Final = 1_000_000
MINUTE_MS: Final = 60_000
_replace = msgspec.structs.replace


class LoopedSource:
    """One source after the other, as `reopen` opens them; the first one at once."""

    def __init__(self, reopen: Callable[[], Source]) -> None:
        self._reopen = reopen
        self._round = reopen()
        self._start_ns = self._round.start_ns
        self._lines_before = 0
        self.rounds = 1

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of every round."""
        return self._round.symbols

    @property
    def start_ns(self) -> int:
        """Market time just before the first event of the first round."""
        return self._start_ns

    @property
    def lines_read(self) -> int:
        """Lines read in all rounds."""
        return self._lines_before + self._round.lines_read

    def history(self) -> Iterator[ClosedBar]:
        """What comes before the first round."""
        return self._round.history()

    def events(self) -> Iterator[SourceEvent]:
        """Yield round after round; raises `SourceError` for a bad line or an empty round."""
        shift = _Shift()
        while True:
            has_events = False
            for event in self._round.events():
                has_events = True
                yield shift.moved(event)
            if not has_events:
                raise self._round.blame(self.symbols[0], "there is nothing to start over with")
            shift.begin_next(self._start_ns + OPENING_NS)
            self._lines_before += self._round.lines_read
            self._round = self._reopen()
            self.rounds += 1

    def blame(self, symbol: str, reason: str) -> SourceError:
        """Return an error that points at the line yielded last."""
        return self._round.blame(symbol, reason)

    def facts(self) -> Mapping[str, object]:
        """Return the facts of the round under way, and how many there were."""
        return {**self._round.facts(), "rounds": self.rounds}


class _Shift:
    """How far the round under way is from the first one, in time and in ids."""

    def __init__(self) -> None:
        self._shift_ns = 0
        self._last_ns = 0
        self._step_ms = MINUTE_MS
        self._update_shift: dict[str, int] = {}
        self._trade_shift: dict[str, int] = {}
        self._update_min: dict[str, int] = {}
        self._update_max: dict[str, int] = {}
        self._trade_max: dict[str, int] = {}

    def begin_next(self, start_ns: int) -> None:
        """Shift what follows behind all that was; `start_ns` is the source's first event."""
        step_ns = self._step_ms * NS_PER_MS
        self._shift_ns = ((self._last_ns - start_ns) // step_ns + 1) * step_ns
        self._update_shift = {
            symbol: self._update_shift.get(symbol, 0) + highest - self._update_min[symbol] + 1
            for symbol, highest in self._update_max.items()
        }
        self._trade_shift = dict(self._trade_max)

    def moved(self, event: SourceEvent) -> SourceEvent:
        """The event at its time and with its ids in this round."""
        ts_ns = self._last_ns = event.ts_ns + self._shift_ns
        shift_ms = self._shift_ns // NS_PER_MS
        symbol = event.symbol
        ids = self._update_shift.get(symbol, 0)
        match event:
            case DepthUpdate():
                self._note_update(symbol, event.previous_update_id, event.final_update_id)
                return DepthUpdate(
                    ts_ns, symbol, event.transaction_ms + shift_ms, event.first_update_id + ids,
                    event.final_update_id + ids, event.previous_update_id + ids, event.bids,
                    event.asks,
                )  # fmt: skip
            case Quote():
                self._note_update(symbol, event.update_id, event.update_id)
                return _replace(
                    event,
                    ts_ns=ts_ns,
                    transaction_ms=event.transaction_ms + shift_ms,
                    update_id=event.update_id + ids,
                )
            case DepthSnapshot():
                self._note_update(symbol, event.last_update_id, event.last_update_id)
                return _replace(
                    event,
                    ts_ns=ts_ns,
                    transaction_ms=event.transaction_ms + shift_ms,
                    last_update_id=event.last_update_id + ids,
                )
            case Trade():
                trade_id = event.trade_id + self._trade_shift.get(symbol, 0)
                self._trade_max[symbol] = max(trade_id, self._trade_max.get(symbol, 0))
                return _replace(
                    event,
                    ts_ns=ts_ns,
                    transaction_ms=event.transaction_ms + shift_ms,
                    trade_id=trade_id,
                )
            case ClosedBar():
                self._step_ms = max(self._step_ms, INTERVALS_MS[event.interval])
                return _replace(event, ts_ns=ts_ns, open_ms=event.open_ms + shift_ms)
            case MarkPrice() | Silence():
                return _replace(event, ts_ns=ts_ns)

    def _note_update(self, symbol: str, lowest: int, highest: int) -> None:
        """Remember between which ids of its own the source has been."""
        if highest > self._update_max.get(symbol, -1):
            self._update_max[symbol] = highest
        if lowest < self._update_min.get(symbol, highest + 1):
            self._update_min[symbol] = lowest
