"""Looks after what nobody will bring: doubts, missing fills, ageing figures, arming, snapshots.

Each step fails for itself: an order the venue will not speak about must not keep the balance from
being read. What is asked of the venue goes in lanes side by side, since a read that is tried again
takes seconds. While the venue asks us to wait, it is asked nothing from here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

from libs.common.runtime.clock import NS_PER_MS, Clock
from libs.common.runtime.errors import BusError
from libs.common.runtime.log import get_logger
from libs.common.runtime.venue_client import VenueReadError
from libs.common.venue.outcomes import Throttled, throttled_until_ms
from services.execution.arming import Arming
from services.execution.commands import CommandDesk
from services.execution.config import ExecutionConfig
from services.execution.figures import Figures
from services.execution.gap import GapCloser
from services.execution.gate import Gate
from services.execution.orders import OrderDesk
from services.execution.reports import Reports

log = get_logger(__name__)


Step = tuple[str, Callable[[], Awaitable[None]]]


class _Lane:
    """Questions to the venue that are asked one after the other."""

    def __init__(self, name: str, *steps: Step) -> None:
        self.name = name
        self.steps = steps
        self.asked_at_ns = 0


class Upkeep:
    """What the service does by itself, every tick."""

    def __init__(
        self,
        gate: Gate,
        desk: OrderDesk,
        figures: Figures,
        gaps: GapCloser,
        commands: CommandDesk,
        reports: Reports,
        arming: Arming,
        clock: Clock,
        settings: ExecutionConfig,
    ) -> None:
        self._gate = gate
        self._desk = desk
        self._figures = figures
        self._gaps = gaps
        self._commands = commands
        self._reports = reports
        self._arming = arming
        self._clock = clock
        self._settings = settings
        self._quiet_until_ns = 0
        self._lanes = (
            _Lane(
                "orders",
                ("unknown orders", self._desk.resolve_unknown),
                ("missing fills", self._fetch_missing_fills),
                ("gap", self._gaps.close_if_suspected),
            ),
            _Lane("balance", ("balance", self._figures.refresh_balance_if_old)),
            _Lane(
                "figures",
                ("filters", self._figures.refresh_filters_if_old),
                ("settings", self._figures.retry_settings),
                ("positions", self._figures.observe_positions_if_old),
                ("income", self._figures.income.read_if_due),
            ),
        )

    def works(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What has to run side by side, for ever, with names."""
        yield "upkeep", self._for_ever(self._look_after)
        for lane in self._lanes:
            yield f"upkeep-{lane.name}", self._for_ever(lambda lane=lane: self._ask(lane))  # type: ignore[misc]

    async def _for_ever(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self._settings.tick_wall_ms / 1000)
            await work()

    async def tick(self) -> None:
        """Do once what is due, one thing after the other."""
        for lane in self._lanes:
            await self._ask(lane)
        await self._look_after()

    async def _look_after(self) -> None:
        await self._attempt("doubts", self._desk.doubt_orphans)
        await self._attempt(
            "arming", lambda: self._commands.arm_paper(lambda: self._arming.unarmed)
        )
        await self._attempt("reports", lambda: self._reports.flush(self._gate))
        await self._attempt("head", self._gate.save_head_if_due)
        await self._attempt("snapshot", self._gate.save_snapshot_if_due)

    async def _ask(self, lane: _Lane) -> None:
        now_ns = self._clock.now_ns()
        # Either way: a clock that was set back must not keep us silent until it is late again.
        if abs(now_ns - lane.asked_at_ns) < self._settings.query_interval_ms * NS_PER_MS:
            return
        lane.asked_at_ns = now_ns
        for what, step in lane.steps:
            if self._clock.now_ns() >= self._quiet_until_ns:
                await self._attempt(what, step)

    async def _fetch_missing_fills(self) -> None:
        now_ns = self._clock.now_ns()
        await self._desk.fetch_missing_fills(now_ns - self._settings.fill_wait_ms * NS_PER_MS)

    async def _attempt(self, what: str, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except VenueReadError as error:
            log.warning("upkeep postponed", what=what, error=str(error))
            if isinstance(error.outcome, Throttled):
                now_ms = self._clock.now_ns() // NS_PER_MS
                self._quiet_until_ns = throttled_until_ms(error.outcome, now_ms) * NS_PER_MS
        except BusError as error:
            log.warning("upkeep postponed", what=what, error=str(error))
