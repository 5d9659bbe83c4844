"""A run that has been started: its parts, where they are, and when they are ready."""

import asyncio
from dataclasses import dataclass
from typing import Any

import aiohttp

from cli import exits
from cli.config import SERVICES
from cli.ear import Ear
from cli.run_directory import RunDirectory
from cli.run_plan import HOST, RunPlan, service_port
from cli.supervisor import Child, Supervisor
from cli.venue_control import VenueControl
from libs.common.runtime.bus import Bus

LOOK_INTERVAL_S = 0.05
PROBE_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class World:
    """The parts of a run."""

    plan: RunPlan
    directory: RunDirectory
    bus: Bus
    ear: Ear
    venue: VenueControl
    supervisor: Supervisor
    broker_url: str

    def child(self, name: str) -> Child:
        """The process of that name."""
        return next(child for child in self.supervisor.children if child.name == name)

    def places(self) -> tuple[str, ...]:
        """Where everything is, for a person."""
        lines = [
            f"broker          {self.broker_url}",
            f"paper exchange  {self.venue.url}/sim/stats",
        ]
        if not self.plan.is_finite:
            for name in SERVICES:
                port = service_port(self.plan, name)
                lines.append(f"{name:<15} http://{HOST}:{port}/docs")
        lines.append(f"run directory   {self.directory.path} (logs, configuration, journal)")
        lines.append(f"market          {self._market()}, {self.plan.speed} market s per wall s")
        return tuple(lines)

    def _market(self) -> str:
        market = self.plan.market
        names = ", ".join(path.name for path in market.paths)
        return f"{market.source} {names}".strip() + f" of {', '.join(market.symbols)}"

    def _url_of(self, service: str) -> str:
        if self.plan.is_finite:
            return ""
        return f"http://{HOST}:{service_port(self.plan, service)}"

    def write_facts(self) -> None:
        """Write `run.json`: what runs where."""
        services = {
            child.name: {
                "process_id": child.process_id,
                "restarts": child.restarts,
                "log": str(child.log_path),
            }
            for child in self.supervisor.children
        }
        facts: dict[str, Any] = {
            "account": self.plan.common.account,
            "broker_url": self.broker_url,
            "venue_url": self.venue.url,
            "execution_url": self._url_of("execution"),
            "reconciler_url": self._url_of("reconciler"),
            **{f"{name}_url": self._url_of(name) for name in ("feed", "signal", "risk")},
            "config": str(self.directory.path / "config.yaml"),
            "services": services,
            "ended": False,
        }
        self.directory.write_facts(facts)


async def wait_until_ready(world: World) -> None:
    """Return when every service says that its start is over.

    Raises:
        CommandFailed: one does not within ``start_timeout_ms``.
    """
    timeout_s = world.plan.settings.start_timeout_ms / 1000
    waiting = {name: asyncio.create_task(_wait_for_service(world.child(name))) for name in SERVICES}
    try:
        _, late = await asyncio.wait(waiting.values(), timeout=timeout_s)
    finally:
        for task in waiting.values():
            task.cancel()
    if late:
        names = [name for name, task in waiting.items() if task in late]
        raise exits.CommandFailed(
            f"not started within {timeout_s:.0f} s: {', '.join(names)};"
            f" the logs are in {world.directory.path}",
            exits.TIMED_OUT,
        )


async def _wait_for_service(child: Child) -> None:
    """Return when the service, possibly restarted meanwhile, answers /startupz with 200."""
    timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while True:
            line = await child.wait_for_event("http listening")
            if line is not None and await _has_started(session, int(line["port"])):
                return
            await asyncio.sleep(LOOK_INTERVAL_S)


async def _has_started(session: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with session.get(f"http://{HOST}:{port}/startupz") as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


async def wait_until_armed(world: World) -> None:
    """Return when the feed is connected and execution may trade.

    Raises:
        CommandFailed: it does not come to that within ``start_timeout_ms``; says what is missing.
    """
    ear = world.ear

    def is_armed() -> bool:
        is_fed = ear.health is not None and ear.health.is_connected
        return is_fed and ear.state is not None and ear.state.armed

    if await ear.wait_until(is_armed, world.plan.settings.start_timeout_ms):
        return
    reasons = ear.state.unarmed_reasons if ear.state is not None else ("execution says nothing",)
    if ear.health is None or not ear.health.is_connected:
        reasons = (*reasons, "the feed is not connected")
    raise exits.CommandFailed(
        f"trading was not armed in time: {'; '.join(reasons)};"
        f" the logs are in {world.directory.path}",
        exits.TIMED_OUT,
    )
