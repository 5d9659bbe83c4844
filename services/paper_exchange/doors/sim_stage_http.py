"""The doors of the stage: scenarios, and what may be done with a symbol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web
from pydantic import TypeAdapter

from services.paper_exchange.doors.sim_answers import (
    SimRefusalError,
    guarded,
    read_body,
    read_query,
    sim_answer,
)
from services.paper_exchange.doors.sim_requests import NoQuery, ScenarioRequest, StatusRequest
from services.paper_exchange.doors.stage import Stage
from services.paper_exchange.faults.scenarios import read_scenario, shipped_names

_SCENARIOS: Final = TypeAdapter(ScenarioRequest)
_STATUSES: Final = TypeAdapter(StatusRequest)


class SimStageHttp:
    """Handlers of `/sim/scenarios` and `/sim/statuses`."""

    def __init__(self, stage: Stage, symbols: Mapping[str, object]) -> None:
        self._stage = stage
        self._symbols = symbols

    def routes(self) -> list[web.RouteDef]:
        """All routes of this door."""
        return guarded(
            [
                web.get("/sim/scenarios", self.read_scenarios),
                web.post("/sim/scenarios", self.start_scenario),
                web.delete("/sim/scenarios", self.stop_scenario),
                web.get("/sim/statuses", self.read_statuses),
                web.post("/sim/statuses", self.set_status),
            ]
        )

    def counts(self) -> Mapping[str, object]:
        """How far the scenario is, and what scenarios did since the start."""
        run = self._stage.run
        return {
            "scenario": None if run is None else run.progress(),
            "scenario_steps": dict(self._stage.happened),
        }

    async def read_scenarios(self, request: web.Request) -> web.Response:
        """GET /sim/scenarios: those that ship, and how far the one under way is."""
        read_query(request, NoQuery)
        return self._scenarios()

    async def start_scenario(self, request: web.Request) -> web.Response:
        """POST /sim/scenarios: begin one now, in place of the one under way."""
        asked = await read_body(request, _SCENARIOS)
        if asked.name not in shipped_names():
            raise SimRefusalError(f"name: known are {', '.join(shipped_names())}")
        self._stage.start(read_scenario(asked.name))
        return self._scenarios()

    async def stop_scenario(self, request: web.Request) -> web.Response:
        """DELETE /sim/scenarios: end the one under way, and what it made to happen."""
        read_query(request, NoQuery)
        self._stage.stop()
        return self._scenarios()

    async def read_statuses(self, request: web.Request) -> web.Response:
        """GET /sim/statuses: what may be done with each symbol."""
        read_query(request, NoQuery)
        return self._statuses()

    async def set_status(self, request: web.Request) -> web.Response:
        """POST /sim/statuses: change what may be done with one symbol."""
        asked = await read_body(request, _STATUSES)
        if asked.symbol not in self._symbols:
            raise SimRefusalError("symbol: there is no such symbol here")
        self._stage.set_status([asked.symbol], asked.status)
        return self._statuses()

    def _scenarios(self) -> web.Response:
        shipped = [
            {"name": scenario.name, "about": scenario.about, "steps": len(scenario.steps)}
            for scenario in map(read_scenario, shipped_names())
        ]
        run = self._stage.run
        return sim_answer(
            {"scenarios": shipped, "under_way": None if run is None else run.progress()}
        )

    def _statuses(self) -> web.Response:
        statuses = {symbol: self._stage.status_of(symbol) for symbol in self._symbols}
        return sim_answer({"statuses": statuses})
