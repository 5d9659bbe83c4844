"""Which symbols may take new risk, as far as the feed can tell, and why the others may not."""

import random
from collections.abc import Iterable
from typing import Any

import msgspec

from libs.common.messages.market import SymbolHealth
from libs.common.runtime.service import Context
from libs.common.runtime.venue_client import VenueClient
from services.feed.config import FeedConfig
from services.feed.depth_desk import DepthDesk
from services.feed.instrument_reader import InstrumentReader
from services.feed.instruments import Instruments
from services.feed.recorder import Recorder
from services.feed.skew import SkewWatch


class Fitness:
    """What is known besides the age of the data: the venue's word, our clock, the books."""

    def __init__(
        self,
        context: Context[FeedConfig],
        venue: VenueClient,
        dice: random.Random,
        recorder: Recorder | None,
    ) -> None:
        common, settings = context.common, context.settings
        self._context = context
        instruments = Instruments(
            common.symbols,
            age_ms_max=settings.instruments_age_ms_max,
            warn_ahead_ms=settings.delivery_warn_ahead_ms,
        )
        clock, health = context.clock, context.health
        self.reader = InstrumentReader(instruments, venue, clock, health, settings, dice)
        self.depth = DepthDesk(common.symbols, venue, context.bus, clock, settings, dice, recorder)
        self._skew = SkewWatch(venue, clock, health, settings)

    def start(self) -> None:
        """Ask the venue, now and again, until the process ends."""
        self._context.spawn(self.reader.run(), "instruments")
        self._context.spawn(self._skew.run(), "skew")
        if self.depth.books:
            self._context.spawn(self.depth.run(), "depth")
            self._context.spawn(self.depth.rebuild(), "depth-snapshots")

    def mark(self, ages: Iterable[SymbolHealth], now_ns: int | None) -> tuple[SymbolHealth, ...]:
        """Say of each symbol whether it trades; one that takes no new risk counts as stale."""
        instruments, clock_refusal = self.reader.instruments, self._skew.refusal
        marked: list[SymbolHealth] = []
        for one in ages:
            state = instruments.states[one.symbol]
            refusal = state.refusal if now_ns is None else instruments.refusal(one.symbol, now_ns)
            refusal = refusal or clock_refusal
            marked.append(
                msgspec.structs.replace(
                    one,
                    status=state.status,
                    refusal=refusal,
                    is_stale=one.is_stale or bool(refusal),
                )
            )
        return tuple(marked)

    def status(self) -> dict[str, Any]:
        """Parts of ``/v1/status``."""
        return {
            "instruments": self.reader.status(),
            "clock": self._skew.status(),
            "depth": self.depth.status(),
        }
