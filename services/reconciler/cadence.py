"""When the next comparison is due, and in whose name. Pure: the time that passed is passed in.

A person is answered at once. All else has its share of the request weight, and waits the longer
the more often comparisons failed or found the same.
"""

import msgspec

from services.reconciler.config import ReconcilerConfig

#: From so many failures in a row on nobody is heeded at once: who asks does not know that the venue
#: has just told us to wait. A person waits as long as after the first failure, and no longer.
FAILURES_HEEDED_MIN = 2
_DOUBLINGS_MAX = 16


class Due(msgspec.Struct, frozen=True):
    """A comparison is due for this reason; ``is_unasked``: no person asked for it."""

    trigger: str
    is_unasked: bool


class Asks(msgspec.Struct, frozen=True):
    """Who asks.

    Attributes:
        is_asked: a person, or somebody in their name.
        softly: why execution asks, as often as it likes; empty where it does not.
        is_period_over: the time between two comparisons that nobody asks for is over.
    """

    is_asked: bool
    softly: str
    is_period_over: bool


class Cadence:
    """What became of the comparisons so far, and so when the next one is due."""

    def __init__(self, settings: ReconcilerConfig) -> None:
        self._settings = settings
        self._failures = 0
        self._same_again = 0
        self._is_put_off = False  # a person asked, and there was no weight left
        self._is_settled = True

    @property
    def weight_share(self) -> int:
        """The request weight within which the next comparison has to stay."""
        settings = self._settings
        return settings.weight_per_minute_max if self._is_put_off else settings.weight_unasked_max

    def on_put_off(self, *, is_unasked: bool) -> None:
        """It would have taken more weight than is left: nothing is wrong, and it is owed."""
        self._is_put_off = not is_unasked
        self._is_settled = False

    def on_failed(self) -> None:
        """It could not be made."""
        self._failures += 1
        self._is_settled = False

    def on_compared(self, *, is_known: bool, is_settled: bool) -> None:
        """It was made; ``is_known``: it found what the one before did, and that was something."""
        self._failures, self._is_put_off = 0, False
        self._same_again = self._same_again + 1 if is_known else 0
        self._is_settled = is_settled

    def on_moved(self) -> None:
        """The account moved: what differs may have ended."""
        self._same_again = 0

    def due(self, asks: Asks, *, waited_ms: int, has_room: bool) -> Due | None:
        """Whether a comparison is due, so long after the last one ended.

        Args:
            asks: who asks for it.
            waited_ms: wall time since the last one ended, however it did.
            has_room: whether it stays within ``weight_share``.
        """
        is_heeded = self._failures < FAILURES_HEEDED_MIN
        if asks.is_asked and (is_heeded or waited_ms >= self._settings.retry_wall_ms):
            return Due("demand", is_unasked=False)
        if not has_room:
            return None
        if self._is_put_off and is_heeded:
            return Due("demand", is_unasked=False)
        if asks.softly and is_heeded and waited_ms >= self._patience_ms():
            return Due(asks.softly, is_unasked=asks.softly == "demand")
        if not self._is_settled and waited_ms >= self._retry_ms():
            return Due("retry", is_unasked=True)
        return Due("period", is_unasked=True) if asks.is_period_over else None

    def _patience_ms(self) -> int:
        """How long execution has to wait that asks again while the same things differ."""
        return 0 if self._is_settled or not self._same_again else self._retry_ms()

    def _retry_ms(self) -> int:
        """Longer with each failure, and while the same things differ, whatever was asked for."""
        again = max(self._failures - 1, self._same_again - 1, 0)
        doubled = self._settings.retry_wall_ms << min(again, _DOUBLINGS_MAX)
        return min(doubled, self._settings.retry_wall_ms_max)
