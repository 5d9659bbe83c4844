"""Which event times are believed: none far ahead of market time, and none far behind it.

Pure. A time far ahead would make bars of what has not happened and would look newer than everything
after it; one far behind belongs to bars that are long published. Whoever is refused is counted, and
what it would have told comes from REST. So a venue whose clock is a day off invents nothing, and is
believed again with the first event whose time fits.
"""

from collections import Counter
from decimal import Decimal

from services.feed.events import NS_PER_MS, ClockEvent

AHEAD, BEHIND = "ahead", "behind"
#: Later than every event.
NEVER_MS = 2**63


class EventTimes:
    """The judge of event times, where market time is told from outside. Times are milliseconds.

    Attributes:
        sure_from_ms, sure_until_ms: no time between these needs to be judged: a newer one was sure.
        newest_ms: the newest event time that was believed; 0 before the first.
        offset_ms: how far the last event stood ahead of market time when it was heard.
        refused: events that were not, by ``ahead`` and ``behind``.
    """

    def __init__(self, ahead_ms_max: int, behind_ms_max: int) -> None:
        self._ahead_ms_max = ahead_ms_max
        self._behind_ms_max = behind_ms_max
        self.sure_from_ms, self.sure_until_ms, self._sure_to_ms = NEVER_MS, -1, -1
        self._looked_at_ms = 0
        self.newest_ms = 0
        self.offset_ms = 0
        self.refused: Counter[str] = Counter()

    def look(self, now_ms: int) -> None:
        """It is this late: until the next look, times that are clearly near it are sure.

        Sure is what is no further ahead than may be, so time going on makes it no less true, and
        no further behind than half of what may be, which leaves as much again between two looks.
        """
        self.sure_from_ms = now_ms - self._behind_ms_max // 2
        self._sure_to_ms = now_ms + self._ahead_ms_max
        # Our clock may have been set back since the newest one was believed.
        self.sure_until_ms = min(self.newest_ms, self._sure_to_ms)
        if self.newest_ms != self._looked_at_ms:
            self._looked_at_ms = self.newest_ms
            self.offset_ms = self.newest_ms - now_ms

    def is_sure(self, event_ms: int) -> bool:
        """Believe a time that needs no clock to be judged; any other is for ``judge``."""
        if not self.sure_from_ms <= event_ms <= self._sure_to_ms:
            return False
        if event_ms > self.newest_ms:
            self.newest_ms = self.sure_until_ms = event_ms
        return True

    def judge(self, event_ms: int, now_ms: int, *, speed: int = 1) -> str:
        """Return ``ahead`` or ``behind`` for a time that is not believed, else nothing.

        Args:
            event_ms: when the event happened, as the venue says.
            now_ms: market time.
            speed: market seconds a wall second; the paper venue's time runs on between two words
                of its clock, and that much further the faster it goes.
        """
        self.offset_ms = event_ms - now_ms
        if self.offset_ms > self._ahead_ms_max * speed:
            self.refused[AHEAD] += 1
            return AHEAD
        if self.offset_ms < -self._behind_ms_max:
            self.refused[BEHIND] += 1
            return BEHIND
        if event_ms > self.newest_ms:
            self.newest_ms = event_ms
        return ""

    def judge_rest(self, event_ms: int, now_ms: int | None) -> str:
        """As ``judge`` for what REST tells: an old time is honest there, and only shows its age.

        ``now_ms`` is ``None`` where REST tells the time itself: the paper venue's sockets are down.
        """
        if now_ms is not None and event_ms - now_ms > self._ahead_ms_max:
            self.refused[AHEAD] += 1
            return AHEAD
        self.newest_ms = max(self.newest_ms, event_ms)
        return ""

    def candle_ns(self, own_ns: int, lead_ms: int) -> int:
        """How far candles may go where the venue sends no clock.

        Never past our own clock, nor further than ``lead_ms`` past what the venue has told: a venue
        that says nothing, or nothing believable, closes no bars. 0 before its first word.
        """
        if self.newest_ms == 0:
            return 0
        return min(own_ns, (self.newest_ms + lead_ms) * NS_PER_MS)


class SocketTime:
    """Market time as one socket of the paper venue has told it."""

    def __init__(self) -> None:
        self.now_ms: int | None = None
        self.speed = 1

    def hear(self, clock: ClockEvent) -> None:
        """Take a clock frame."""
        self.now_ms = clock.now_ns // NS_PER_MS
        self.speed = max(1, int(min(clock.speed, Decimal(1_000_000))))
