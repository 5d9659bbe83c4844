"""How far our clock is off the venue's, and what follows from it.

Ages are reckoned with our clock: where that is wrong, old data looks fresh. So a clock that is far
off, or was not compared yet, refuses new risk on every symbol, and says what to do.

In the paper world our clock is the venue's own, carried over by the stream; it is compared all the
same, since a venue whose own clock is set wrong answers differently over REST. There, market time
may run fast, and a moment of transport is much market time: the skew is reckoned in wall time.
"""

import asyncio
from typing import Any

import msgspec

from libs.common.runtime.clock import (
    NS_PER_MS,
    Clock,
    PaperClock,
    monotonic_ns,
    wait_until_set,
)
from libs.common.runtime.health import Health, Level
from libs.common.runtime.log import get_logger
from libs.common.runtime.metrics import CLOCK_SKEW_SECONDS
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from services.feed.config import FeedConfig

log = get_logger(__name__)

CHECK = "clock"
NEVER_MEASURED = "our clock was not compared with the venue's yet"


class Judgement(msgspec.Struct, frozen=True):
    """What is to be said of a skew; ``refusal`` is why no new risk may be taken, or empty."""

    level: Level
    text: str = ""
    refusal: str = ""


def judge(
    skew_ms: int | None, age_ms: int, *, warn_ms: int, fail_ms: int, age_ms_max: int
) -> Judgement:
    """Judge a skew (venue minus ours) that was measured so long ago; ``None`` was not measured."""
    if skew_ms is None:
        return Judgement(Level.FAIL, NEVER_MEASURED, NEVER_MEASURED)
    if age_ms > age_ms_max:
        text = f"our clock was not compared with the venue's for {age_ms // 1_000} s"
        return Judgement(Level.FAIL, text, text)
    if abs(skew_ms) < warn_ms:
        return Judgement(Level.PASS)
    side = "behind" if skew_ms > 0 else "ahead of"
    text = f"our clock is {abs(skew_ms) / 1_000:.3f} s {side} the venue's"
    advice = f"{text}: let NTP set it (chronyc makestep)"
    if abs(skew_ms) < fail_ms:
        return Judgement(Level.WARN, advice)
    return Judgement(Level.FAIL, advice, text)


class SkewWatch:
    """Measures the skew now and then; sooner again while it is not well.

    Attributes:
        skew_ms: wall milliseconds that the venue's clock is ahead of ours; ``None`` before.
        measured, failures: measurements taken, and those that came to nothing.
    """

    def __init__(
        self, venue: VenueClient, clock: Clock, health: Health, settings: FeedConfig
    ) -> None:
        self._venue = venue
        self._clock = clock
        self._health = health
        self._settings = settings
        self._measured_at_ns = 0
        self.skew_ms: int | None = None
        self.measured = 0
        self.failures = 0
        self.last_failure = ""
        self._set_health()

    async def run(self) -> None:
        """Measure until cancelled."""
        await wait_until_set(self._clock)
        settings = self._settings
        while True:
            await self._measure()
            judgement = self._set_health()
            if judgement.level is not Level.PASS:
                log.warning("clock", text=judgement.text, last_failure=self.last_failure)
            is_well = judgement.level is Level.PASS and not self.last_failure
            wait_ms = settings.skew_interval_ms if is_well else settings.skew_retry_ms
            await asyncio.sleep(min(wait_ms, settings.skew_interval_ms) / 1_000)

    async def _measure(self) -> None:
        try:
            offset_ms = await self._venue.sync_time()
        except VenueReadError as error:
            self.failures += 1
            self.last_failure = str(error)
            return
        self.last_failure = ""
        speed = self._clock.speed if isinstance(self._clock, PaperClock) else 1
        self.skew_ms = int(offset_ms / speed)
        self.measured += 1
        self._measured_at_ns = monotonic_ns()
        CLOCK_SKEW_SECONDS.set(self.skew_ms / 1_000)

    def _judge(self) -> Judgement:
        settings = self._settings
        return judge(
            self.skew_ms,
            (monotonic_ns() - self._measured_at_ns) // NS_PER_MS,
            warn_ms=settings.skew_warn_ms,
            fail_ms=settings.skew_fail_ms,
            age_ms_max=settings.skew_age_ms_max,
        )

    def _set_health(self) -> Judgement:
        judgement = self._judge()
        self._health.set(CHECK, judgement.level, judgement.text)
        return judgement

    @property
    def refusal(self) -> str:
        """Why no symbol takes new risk because of our clock; empty where that is in order."""
        return self._judge().refusal

    def status(self) -> dict[str, Any]:
        """A part of ``/v1/status``."""
        return {
            "skew_ms": self.skew_ms,
            "measured": self.measured,
            "failures": self.failures,
            "last_failure": self.last_failure,
            "refusal": self.refusal,
        }
