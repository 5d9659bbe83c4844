"""Where time comes from: the system in live, the venue's own clock in the paper world.

Decisions never read these clocks; shells read them and pass the figure in.
"""

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Protocol

from libs.common.model.money import is_reckonable

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
#: A sleeper re-reads a granted clock at least this often: a grant can move market time at once.
SLEEP_SLICE_MS_MAX = 20


class TimeSource(Protocol):
    """Where a process takes its time from."""

    def wall_ns(self) -> int:
        """UTC nanoseconds; may jump."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that never jump."""


class SystemTime:
    """The clocks of this machine."""

    def wall_ns(self) -> int:
        """UTC nanoseconds."""
        return time.time_ns()  # noqa: TID251 - the one place that may

    def monotonic_ns(self) -> int:
        """Nanoseconds since some start."""
        return time.monotonic_ns()


_source: TimeSource = SystemTime()


def use_time_source(source: TimeSource) -> TimeSource:
    """Take the time of this process from elsewhere (a simulation does); returns what it replaces.

    Replace it before anything reads a clock: figures of two sources cannot be compared.
    """
    global _source
    replaced, _source = _source, source
    return replaced


def wall_ns() -> int:
    """Wall clock, UTC nanoseconds: for log lines and latency figures, never for decisions."""
    return _source.wall_ns()


def monotonic_ns() -> int:
    """A clock that never jumps, for timeouts."""
    return _source.monotonic_ns()


class Clock(Protocol):
    """Market time."""

    @property
    def is_set(self) -> bool:
        """Whether the time is known yet."""

    def now_ns(self) -> int:
        """Market time, UTC nanoseconds."""


class SystemClock:
    """Market time is the time of this machine (live and testnet)."""

    is_set = True

    def now_ns(self) -> int:
        """The wall clock."""
        return wall_ns()


class ClockNotSetError(RuntimeError):
    """The paper clock was read before the venue's time was known."""


class PaperClock:
    """Market time as the paper venue grants it.

    A grant says: it is ``now_ns``, time flows at ``speed`` market seconds per wall second, and it
    does not pass ``limit_ns`` before the next grant. The clock never goes backwards.
    """

    def __init__(self, monotonic: Callable[[], int] = monotonic_ns) -> None:
        self._monotonic = monotonic
        self._anchor_ns = 0
        self._anchor_monotonic_ns = 0
        self._speed = Fraction(1)
        self._limit_ns: int | None = None
        self._latest_ns = 0
        self.is_set = False

    def grant(self, now_ns: int, speed: Decimal, limit_ns: int | None) -> None:
        """Take over a grant that the venue sent just now.

        Raises:
            ValueError: no clock can run at that speed; nothing was taken over.
        """
        if not is_reckonable(speed):
            raise ValueError(f"no speed for a clock: {speed}")
        self._anchor_ns = now_ns
        self._anchor_monotonic_ns = self._monotonic()
        self._speed = Fraction(speed)
        self._limit_ns = limit_ns
        self.is_set = True

    @property
    def speed(self) -> Fraction:
        """Market seconds per wall second."""
        return self._speed

    def now_ns(self) -> int:
        """Market time.

        Raises:
            ClockNotSetError: no grant has come yet.
        """
        if not self.is_set:
            raise ClockNotSetError("the venue's clock is not known yet")
        elapsed = self._monotonic() - self._anchor_monotonic_ns
        now = self._anchor_ns + int(elapsed * self._speed)
        if self._limit_ns is not None and now > self._limit_ns:
            now = max(self._limit_ns, self._anchor_ns)
        self._latest_ns = max(self._latest_ns, now)
        return self._latest_ns


async def wait_until_set(clock: Clock) -> None:
    """Return once the clock knows the time."""
    while not clock.is_set:
        await asyncio.sleep(SLEEP_SLICE_MS_MAX / 1000)


async def sleep_market(clock: Clock, duration_ms: int) -> None:
    """Sleep for a span of market time, however fast or slow that flows.

    On a clock that nobody grants, the whole span is slept at once.
    """
    slice_s = SLEEP_SLICE_MS_MAX / 1000 if isinstance(clock, PaperClock) else float("inf")
    end_ns = clock.now_ns() + duration_ms * NS_PER_MS
    while (left_ns := end_ns - clock.now_ns()) > 0:
        await asyncio.sleep(min(left_ns / NS_PER_S, slice_s))
