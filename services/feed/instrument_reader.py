"""Asks the venue which symbols trade: at the start, now and then, and when a stream hints at news.

A hint is only a reason to ask: what counts is one answer about all symbols, read in one place.
"""

import asyncio
import random
from typing import Any

from libs.common.runtime.clock import NS_PER_MS, Clock, PaperClock, wait_until_set
from libs.common.runtime.health import Health, Level
from libs.common.runtime.log import get_logger
from libs.common.runtime.metrics import SYMBOL_STATUS_CHANGES, SYMBOLS_REFUSED
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from services.feed.backoff import Backoff
from services.feed.config import FeedConfig
from services.feed.instruments import Instruments

log = get_logger(__name__)

CHECK = "instruments"
#: Wall seconds between two looks at the clock; market time may be set, or run at any speed.
LOOK_INTERVAL_S = 1.0
PAPER_LOOK_INTERVAL_S = 0.05


class InstrumentReader:
    """Keeps ``instruments`` up to date. ``failures`` counts reads that came to nothing."""

    def __init__(
        self,
        instruments: Instruments,
        venue: VenueClient,
        clock: Clock,
        health: Health,
        settings: FeedConfig,
        dice: random.Random,
    ) -> None:
        self.instruments = instruments
        self._venue = venue
        self._clock = clock
        self._health = health
        self._settings = settings
        self._backoff = Backoff(
            settings.instruments_retry_first_ms, settings.instruments_retry_max_ms, dice
        )
        self._hinted = asyncio.Event()
        self.failures = 0
        self.last_failure = ""
        health.set(CHECK, Level.FAIL, "the venue has not said yet which symbols trade")

    def hint(self, symbol: str) -> None:
        """A stream says that something about a symbol has changed; called from a reader."""
        if symbol in self.instruments.states:
            self._hinted.set()

    async def run(self) -> None:
        """Read until cancelled."""
        await wait_until_set(self._clock)
        while True:
            self._hinted.clear()
            try:
                await self._read()
            except VenueReadError as error:
                self.failures += 1
                self.last_failure = str(error)
                wait_ms = self._backoff.next_ms()
                log.warning("instruments not read", error=str(error), wait_ms=wait_ms)
                self._set_health()
                await asyncio.sleep(wait_ms / 1_000)
                continue
            self._backoff.reset()
            # Hints may come in floods: so far apart are two reads at least.
            await asyncio.sleep(self._settings.instruments_apart_ms_min / 1_000)
            await self._wait_until_due()

    async def _read(self) -> None:
        asked_at_ns = self._clock.now_ns()
        info = await self._venue.exchange_info()
        self.last_failure = ""
        for change in self.instruments.take(info, asked_at_ns):
            SYMBOL_STATUS_CHANGES.labels(change.after).inc()
            say = log.warning if change.refusal else log.info
            say(
                "symbol status",
                symbol=change.symbol,
                before=change.before,
                after=change.after,
                refusal=change.refusal,
            )
        self._set_health()

    async def _wait_until_due(self) -> None:
        interval_ns = self._settings.instruments_interval_ms * NS_PER_MS
        is_paper = isinstance(self._clock, PaperClock)
        slice_s = PAPER_LOOK_INTERVAL_S if is_paper else LOOK_INTERVAL_S
        read_at_ns = self.instruments.read_at_ns or 0
        while not self._hinted.is_set():
            if abs(self._clock.now_ns() - read_at_ns) >= interval_ns:
                return
            self._set_health()
            try:
                async with asyncio.timeout(slice_s):
                    await self._hinted.wait()
            except TimeoutError:
                continue

    def _set_health(self) -> None:
        instruments, now_ns = self.instruments, self._clock.now_ns()
        warnings = instruments.warnings(now_ns)
        refused = [name for name in instruments.states if instruments.refusal(name, now_ns)]
        SYMBOLS_REFUSED.set(len(refused))
        text = "; ".join(warnings[:5]) + (f"; and {len(warnings) - 5} more" * (len(warnings) > 5))
        if self.last_failure:
            text = f"{text}; {self.last_failure}".lstrip("; ")
        level = Level.FAIL if instruments.is_old(now_ns) else Level.WARN if text else Level.PASS
        self._health.set(CHECK, level, text)

    def status(self) -> dict[str, Any]:
        """A part of ``/v1/status``; times are market time."""
        instruments = self.instruments
        now_ns = self._clock.now_ns() if self._clock.is_set else None
        return {
            "read_at_ns": instruments.read_at_ns,
            "reads": instruments.reads,
            "failures": self.failures,
            "last_failure": self.last_failure,
            "changes": dict(instruments.changes),
            "symbols": {
                symbol: {
                    "status": state.status,
                    "refusal": (
                        state.refusal if now_ns is None else instruments.refusal(symbol, now_ns)
                    ),
                    "onboard_ms": state.onboard_ms,
                    "delivery_ms": state.delivery_ms,
                }
                for symbol, state in instruments.states.items()
            },
        }
