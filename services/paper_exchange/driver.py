"""Carries the source into the market at the pace of the clock, and the market out to the hub.

The one loop: let market time reach the next event or tick, apply it, publish what it says, tell
matching, go on. Events of one instant are applied without a pause between them, and the clock is
held just before the next instant, so that whoever reads time T knows that all of T has happened.
The loop gives way every `BURST_NS` of wall time and waits for sockets that cannot follow, which is
how a speed no machine can hold becomes the fastest speed this one can.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Final

from services.paper_exchange.clock import MarketClock
from services.paper_exchange.doors.hub import SEND_QUEUE_HIGH, Hub
from services.paper_exchange.market.market import Market, MarketUpdate, Step
from services.paper_exchange.sources.event import Source, SourceEvent
from services.paper_exchange.wire.stream_names import SIM_CLOCK_STREAM

NS_PER_MS: Final = 1_000_000
NS_PER_SECOND: Final = 1_000_000_000
BURST_NS: Final = 2 * NS_PER_MS
"""Wall time of work between two chances for everybody else."""
CLOCK_FRAME_SECONDS: Final = 0.25
IDLE_SECONDS_MIN: Final = 0.001
"""After the end of the source nothing but marks is due: no reason to be faster than this."""


Bend = Callable[[Iterator[SourceEvent]], Iterator[SourceEvent]]
"""What a source's events pass through on their way to the market."""


class Driver:
    """The running market; ``on_market`` is told of every change, after it is in the book."""

    def __init__(
        self,
        source: Source,
        market: Market,
        clock: MarketClock,
        hub: Hub,
        *,
        wall: Callable[[], int],
        on_market: Callable[[MarketUpdate], None] | None = None,
    ) -> None:
        self._source = source
        self._market = market
        self._clock = clock
        self._hub = hub
        self._wall = wall
        self._on_market = on_market
        self._announced_limit_ns: int | None = None
        self._next_event: SourceEvent | None = None
        self._events: Iterator[SourceEvent] = iter(())
        self._bend: Bend | None = None
        self.source_ended = False
        clock.hold_at(clock.now_ns())
        clock.on_change(self.publish_clock)

    async def run(self) -> None:
        """Run until cancelled; raises `SourceError` when the source cannot be read on."""
        self._market.seed_history(self._source.history())
        self._events = self._source.events()
        self._take_next()
        frames = asyncio.create_task(self._repeat_clock())
        try:
            while True:
                await self._work_until_waiting()
                if self.source_ended:
                    await asyncio.sleep(IDLE_SECONDS_MIN)
                await self._clock.sleep_until_flow(self._wake_ns())
        finally:
            frames.cancel()

    def bend_events(self, bend: Bend) -> None:
        """Let every event not yet applied pass through ``bend``, from the next instant on."""
        self._bend = bend

    def clock_frame(self) -> dict[str, object]:
        """Return the clock as a stream payload: market time, speed, limit, end of the source.

        It names the newest trade of each symbol, so that a listener sees one that was kept back.
        """
        now_ns = self._clock.now_ns()
        return {
            "e": "simClock",
            "E": now_ns // NS_PER_MS,
            "n": now_ns,
            "v": f"{self._clock.speed:f}",
            "l": self._clock.limit_ns,
            "z": self.source_ended,
            "t": self._market.newest_trades(),
        }

    def publish_clock(self) -> None:
        """Send a clock frame to all who listen to ``!clock@sim``."""
        self._hub.publish(SIM_CLOCK_STREAM, self.clock_frame)

    def stats(self) -> Mapping[str, object]:
        """Return what has gone in and out so far, for the run report.

        ``applied`` counts source events by kind; for a tape they add up to ``lines_read``.
        """
        return {
            "now_ns": self._clock.now_ns(),
            "source_ended": self.source_ended,
            "symbols": list(self._source.symbols),
            "lines_read": self._source.lines_read,
            "applied": {str(kind): count for kind, count in self._market.applied.items()},
            "published": dict(self._hub.published),
            "delivered": dict(self._hub.delivered),
            "sockets": self._hub.sockets,
            "slow_disconnects": self._hub.slow_disconnects,
            "facts": self._source.facts(),
        }

    async def _work_until_waiting(self) -> None:
        """Do all that is due, giving way in between, until only time is missing."""
        burst_end_ns = self._wall() + BURST_NS
        flow_ns = self._clock.flow_ns()
        while self._due_ns() <= flow_ns:
            self._work_through_instant(flow_ns)
            if self._wall() >= burst_end_ns:
                await self._give_way()
                burst_end_ns = self._wall() + BURST_NS
                flow_ns = self._clock.flow_ns()
        self._announce_limit()

    async def _give_way(self) -> None:
        await asyncio.sleep(0)
        if self._hub.longest_queue() >= SEND_QUEUE_HIGH:
            await self._hub.wait_for_slow()

    def _due_ns(self) -> int:
        tick_ns = self._market.next_due_ns
        return tick_ns if self._next_event is None else min(tick_ns, self._next_event.ts_ns)

    def _work_through_instant(self, flow_ns: int) -> None:
        """Advance to the next due instant and apply everything of it."""
        if self._bend is not None:
            self._take_bent(self._bend)
        tick_ns, event = self._market.next_due_ns, self._next_event
        if self.source_ended:
            tick_ns = max(tick_ns, flow_ns - flow_ns % NS_PER_SECOND)
        ts_ns = tick_ns if event is None else min(tick_ns, event.ts_ns)
        self._clock.hold_at(ts_ns)
        if tick_ns == ts_ns:
            for step in self._market.advance(ts_ns):
                self._carry_out(step)
        while event is not None and event.ts_ns == ts_ns:
            self._carry_out(self._apply(event))
            event = self._take_next()
        self._clock.hold_at(self._due_ns() - 1)

    def _apply(self, event: SourceEvent) -> Step:
        try:
            return self._market.apply(event)
        except (ValueError, ArithmeticError) as error:
            raise self._source.blame(event.symbol, str(error)) from error

    def _carry_out(self, step: Step) -> None:
        for stream, payload in step.messages:
            self._hub.publish(stream, payload)
        if step.update is not None and self._on_market is not None:
            self._on_market(step.update)

    def _take_next(self) -> SourceEvent | None:
        self._next_event = next(self._events, None)
        if self._next_event is None and not self.source_ended:
            self.source_ended = True
            self.publish_clock()
        return self._next_event

    def _take_bent(self, bend: Bend) -> None:
        self._bend = None
        if self._next_event is not None:
            self._events = bend(chain((self._next_event,), self._events))
            self._take_next()

    def _wake_ns(self) -> int:
        """Return when to look again: the next instant, or the limit if that comes first."""
        due_ns, limit_ns = self._due_ns(), self._clock.limit_ns
        if limit_ns is not None and self._clock.now_ns() < limit_ns < due_ns:
            return limit_ns
        return due_ns

    def _announce_limit(self) -> None:
        """Send a clock frame the instant the limit of a grant is reached."""
        limit_ns = self._clock.limit_ns
        if limit_ns is None or self._announced_limit_ns == limit_ns:
            return
        if self._clock.now_ns() >= limit_ns:
            self._announced_limit_ns = limit_ns
            self.publish_clock()

    async def _repeat_clock(self) -> None:
        while True:
            await asyncio.sleep(CLOCK_FRAME_SECONDS)
            self.publish_clock()
