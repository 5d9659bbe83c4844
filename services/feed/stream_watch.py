"""Which streams of a socket have fallen silent while the socket itself speaks.

Pure. A reader notes what it hears; whoever knows the time says it now and then, and everything
heard since the time before was heard by then. So a fast market never looks silent between two
words of its clock.
"""

from collections.abc import Mapping
from typing import Final

PATIENCE_DOUBLINGS_MAX: Final = 6
"""A stream that a new connection did not wake is given twice the time, this often at most."""


class StreamWatch:
    """The streams of one connection; ages are in the time that ``mark`` is told.

    ``age_ns_max`` names the streams that are watched, each with the silence it may keep.
    """

    def __init__(self, age_ns_max: Mapping[str, int]) -> None:
        self._age_ns_max = age_ns_max
        self._heard_ns: dict[str, int] = {}
        self._last_ns: dict[str, int] = {}
        self._doublings: dict[str, int] = {}
        self._recent: set[str] = set()
        self._now_ns = 0
        self.hear = self._recent.add

    def begin(self, now_ns: int) -> None:
        """A connection is subscribed: every stream has until its age from now on."""
        self._now_ns = now_ns
        self._recent.clear()
        self._heard_ns = dict.fromkeys(self._age_ns_max, now_ns)
        self._last_ns = {**self._heard_ns, **self._last_ns}

    def mark(self, now_ns: int) -> None:
        """It is this late: what was noted since the last time was heard by now."""
        self._now_ns = max(now_ns, self._now_ns)
        for stream in self._recent:
            self._heard_ns[stream] = self._last_ns[stream] = self._now_ns
            self._doublings.pop(stream, None)
        self._recent.clear()

    def stalled(self) -> list[str]:
        """The streams that have been silent for longer than they may."""
        return [
            stream
            for stream, age_ns_max in self._age_ns_max.items()
            if self._now_ns - self._heard_ns.get(stream, self._now_ns)
            > age_ns_max << self._doublings.get(stream, 0)
        ]

    def unheard(self) -> list[str]:
        """The streams that are stalled, or were and have not been heard since."""
        return list({**self._doublings, **dict.fromkeys(self.stalled())})

    def forgive(self, streams: list[str]) -> None:
        """A new connection is tried for these; should they stay silent, wait longer next time."""
        for stream in streams:
            self._doublings[stream] = min(
                self._doublings.get(stream, 0) + 1, PATIENCE_DOUBLINGS_MAX
            )

    def ages_ns(self) -> dict[str, int]:
        """How long ago each stream was last heard on any connection, or first subscribed."""
        return {stream: self._now_ns - heard for stream, heard in self._last_ns.items()}
