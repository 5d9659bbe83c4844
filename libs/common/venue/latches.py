"""Until when the venue wants to be left alone, and which requests keep to it.

| latch | because of | stops |
|---|---|---|
| BANNED | 418, "banned until" | everything: each request prolongs the ban |
| REQUEST_LIMIT | 429, -1003 | everything: going on ends in a ban |
| ORDER_LIMIT | -1015 | entries |
| OVERLOADED | -1008, 503 "Service Unavailable." | entries: the venue exempts exits and cancels |

Pure: time is passed in, in milliseconds of the venue.
"""

import msgspec

from libs.common.venue.endpoints import Purpose
from libs.common.venue.outcome_table import ThrottleKind

STOP_EVERYTHING = frozenset({ThrottleKind.BANNED, ThrottleKind.REQUEST_LIMIT})


class Latch(msgspec.Struct, frozen=True):
    """One latch that holds until a venue time."""

    kind: ThrottleKind
    until_ms: int


class Latches:
    """The latches of one process. Each only ever moves to a later end, until it is lifted."""

    def __init__(self) -> None:
        self._until_ms: dict[ThrottleKind, int] = {}

    def latch(self, kind: ThrottleKind, until_ms: int) -> Latch | None:
        """Hold until then; returns the latch, or None when it already held that long."""
        if until_ms <= self._until_ms.get(kind, 0):
            return None
        self._until_ms[kind] = until_ms
        return Latch(kind, until_ms)

    def lift(self, kind: ThrottleKind | None = None) -> None:
        """End a latch (None: all) before its time; a person's decision."""
        if kind is None:
            self._until_ms.clear()
        else:
            self._until_ms.pop(kind, None)

    def held(self, venue_ms: int) -> tuple[Latch, ...]:
        """The latches that hold now, the longest first."""
        if not self._until_ms:
            return ()
        # What is over is forgotten: else a venue's clock set back would make it hold once more.
        self._until_ms = {kind: end for kind, end in self._until_ms.items() if end > venue_ms}
        holding = [Latch(kind, end) for kind, end in self._until_ms.items()]
        return tuple(sorted(holding, key=lambda latch: -latch.until_ms))

    def stopping(self, purpose: Purpose, venue_ms: int) -> Latch | None:
        """The latch that a request must keep to, the longest one; None: it may be sent."""
        for latch in self.held(venue_ms):
            if latch.kind in STOP_EVERYTHING or purpose is Purpose.ENTRY:
                return latch
        return None
