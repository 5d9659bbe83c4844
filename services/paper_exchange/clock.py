"""The one clock of the paper world: market time, moved by grants.

A grant says "market time flows at ``speed`` per wall second and never passes ``limit_ns``". The
wall is an argument (any monotonic nanosecond counter), so tests turn it by hand. All arithmetic is
in integers and fractions: a day at any speed drifts by nothing.

Market time is also held back by data. The driver announces how far the source has been published
(`hold_at`), and `now_ns` never passes it: whoever reads the clock at T may rely on everything
up to T having been published, even when the machine is too slow for the speed asked for.
"""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Final

NS_PER_SECOND: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000
SPEED_MAX: Final = Decimal(1_000_000)
"""A run asked to go "as fast as it can" asks for this; the hold keeps time and data together."""
HELD_POLL_SECONDS: Final = 0.002
"""How often a sleeper looks again while the clock is held back by data, in wall seconds."""
SLEEP_SECONDS_MAX: Final = 60.0
SLEEP_SECONDS_MIN: Final = 0.001
"""Event loops count in milliseconds: a shorter sleep would be a busy loop."""


class Unchanged:
    """The type of `UNCHANGED`."""


UNCHANGED: Final = Unchanged()
"""Says "leave the limit as it is", because None already means "no limit"."""


class ClockError(ValueError):
    """A grant asks for a speed that is not a positive finite number up to `SPEED_MAX`."""


class MarketClock:
    """Market time in integer nanoseconds UTC; never goes backwards.

    ``wall`` returns monotonic wall nanoseconds; ``start_ns`` is the first market time; with
    ``limit_ns == start_ns`` the clock stands still until a grant moves it.
    """

    def __init__(
        self,
        wall: Callable[[], int],
        start_ns: int,
        speed: Decimal | str | int = 1,
        limit_ns: int | None = None,
    ) -> None:
        self._wall = wall
        self._speed = _checked_speed(speed)
        self._ratio = Fraction(self._speed)
        self._anchor_ns = start_ns
        self._anchor_wall_ns = wall()
        self._limit_ns = None if limit_ns is None else max(limit_ns, start_ns)
        self._hold_ns: int | None = None
        self._latest_ns = start_ns
        self._sleepers: set[asyncio.Future[None]] = set()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def speed(self) -> Decimal:
        """Market seconds per wall second."""
        return self._speed

    @property
    def limit_ns(self) -> int | None:
        """The market time that is not passed, or None."""
        return self._limit_ns

    def now_ns(self) -> int:
        """Return market time; everything published for it or earlier has been published."""
        now_ns = self.flow_ns()
        if self._hold_ns is not None and now_ns > self._hold_ns:
            now_ns = self._hold_ns
        if now_ns > self._latest_ns:
            self._latest_ns = now_ns
        return self._latest_ns

    def now_ms(self) -> int:
        """Return market time in whole milliseconds, as the venue's payloads want it."""
        return self.now_ns() // NS_PER_MS

    def flow_ns(self) -> int:
        """Return where market time would be if no data held it back; the driver works up to it."""
        elapsed_ns = self._wall() - self._anchor_wall_ns
        flow_ns = self._anchor_ns + elapsed_ns * self._ratio.numerator // self._ratio.denominator
        if self._limit_ns is not None and flow_ns > self._limit_ns:
            return self._limit_ns
        return flow_ns

    def hold_at(self, ts_ns: int | None) -> None:
        """Keep `now_ns` from passing ``ts_ns`` (None: nothing is left to wait for)."""
        self._hold_ns = ts_ns

    def set_grant(
        self,
        speed: Decimal | str | int | None = None,
        limit_ns: int | Unchanged | None = UNCHANGED,
    ) -> None:
        """Change speed, limit or both; a limit below now becomes now. Raises `ClockError`."""
        checked = self._speed if speed is None else _checked_speed(speed)
        now_ns = self.now_ns()
        self._anchor_ns = now_ns
        self._anchor_wall_ns = self._wall()
        self._speed = checked
        self._ratio = Fraction(checked)
        if not isinstance(limit_ns, Unchanged):
            self._limit_ns = None if limit_ns is None else max(limit_ns, now_ns)
        for callback in self._callbacks:
            callback()
        self.wake()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` after each change of grant, before anybody sleeping is woken."""
        self._callbacks.append(callback)

    def wake(self) -> None:
        """Let every sleeper look at the clock again (a test does it after turning the wall)."""
        for sleeper in self._sleepers:
            if not sleeper.done():
                sleeper.set_result(None)

    async def sleep_until(self, ts_ns: int) -> None:
        """Return once `now_ns` has reached ``ts_ns``, whatever grants change meanwhile."""
        while self.now_ns() < ts_ns:
            await self._sleep_once(self._delay_seconds(ts_ns))

    async def sleep_until_flow(self, ts_ns: int) -> None:
        """Return once `flow_ns` has reached ``ts_ns`` or the grant has changed, if earlier."""
        if self.flow_ns() < ts_ns:
            await self._sleep_once(self._delay_seconds(ts_ns))

    def _delay_seconds(self, ts_ns: int) -> float | None:
        """Return the wall seconds to wait before looking again; None waits for a grant."""
        if self._limit_ns is not None and ts_ns > self._limit_ns:
            return None
        missing_ns = ts_ns - self.flow_ns()
        if missing_ns <= 0:
            return HELD_POLL_SECONDS
        delay_ns = missing_ns * self._ratio.denominator // self._ratio.numerator
        delay_seconds = delay_ns / NS_PER_SECOND
        return min(max(delay_seconds, SLEEP_SECONDS_MIN), SLEEP_SECONDS_MAX)

    async def _sleep_once(self, delay_seconds: float | None) -> None:
        loop = asyncio.get_running_loop()
        sleeper: asyncio.Future[None] = loop.create_future()
        self._sleepers.add(sleeper)
        timer = None if delay_seconds is None else loop.call_later(delay_seconds, _finish, sleeper)
        try:
            await sleeper
        finally:
            self._sleepers.discard(sleeper)
            if timer is not None:
                timer.cancel()


def _finish(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


def _checked_speed(speed: Decimal | str | int) -> Decimal:
    try:
        checked = Decimal(speed)
    except (ArithmeticError, ValueError, TypeError) as error:
        raise ClockError(f"speed must be a number, not {speed!r}") from error
    if not checked.is_finite() or not 0 < checked <= SPEED_MAX:
        raise ClockError(f"speed must be above 0 and at most {SPEED_MAX}, not {speed}")
    return checked
