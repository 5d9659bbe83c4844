"""The paper world's time as all sockets together prove it."""

from decimal import Decimal

import msgspec

from services.feed.events import ClockEvent


class ProvenTime(msgspec.Struct, frozen=True):
    """Every socket has told everything up to ``now_ns``; the rest is the grant that says so."""

    now_ns: int
    speed: Decimal
    limit_ns: int | None
    source_ended: bool


class MarketTime:
    """The newest clock frame of each socket; a socket that went away must speak again first."""

    def __init__(self, sockets: tuple[str, ...]) -> None:
        self._frames: dict[str, ClockEvent | None] = dict.fromkeys(sockets)
        self._said: ProvenTime | None = None

    def hear(self, socket: str, frame: ClockEvent) -> None:
        """Take a socket's clock frame."""
        self._frames[socket] = frame

    def forget(self, socket: str) -> None:
        """The socket is gone: what it proved is still true, but it proves nothing more."""
        self._frames[socket] = None

    @property
    def newest_ns(self) -> int:
        """The newest time that any socket has told and still stands by; 0 while none does."""
        return max((one.now_ns for one in self._frames.values() if one is not None), default=0)

    def proven(self) -> ProvenTime | None:
        """The time that all sockets prove, never less than before; ``None`` until all spoke."""
        frames = [frame for frame in self._frames.values() if frame is not None]
        if len(frames) < len(self._frames):
            return None
        oldest = min(frames, key=lambda frame: frame.now_ns)
        found = ProvenTime(
            oldest.now_ns,
            oldest.speed,
            oldest.limit_ns,
            all(frame.source_ended for frame in frames),
        )
        if self._said is not None and found.now_ns < self._said.now_ns:
            return None
        self._said = found
        return found
