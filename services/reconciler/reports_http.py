"""The reconciler's own HTTP doors: the last reports, and a comparison now."""

from typing import Annotated, Any, Protocol

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from libs.common.messages.account import ReconcileReport
from libs.common.runtime.http import Doors
from libs.common.runtime.http_problem import Problem
from libs.common.runtime.http_tokens import Scope
from libs.common.runtime.service import Context
from services.reconciler.config import REPORTS_KEPT_MAX, ReconcilerConfig

REPORTS_SHOWN = 20


class Desk(Protocol):
    """What stands behind the doors."""

    def reports(self, count: int) -> list[ReconcileReport]:
        """The newest reports, the newest first."""

    async def compare_now(self) -> ReconcileReport | None:
        """Compare, and return the report; ``None`` if there is none in time."""


class ReportsFront:
    """Makes the doors before there is a desk behind them; until then they say so."""

    def __init__(self) -> None:
        self._desk: Desk | None = None

    def open(self, desk: Desk) -> None:
        """Put the desk behind the doors."""
        self._desk = desk

    @property
    def desk(self) -> Desk:
        """The desk.

        Raises:
            Problem: it is not there yet.
        """
        if self._desk is None:
            raise Problem(503, "starting", "the service is starting")
        return self._desk

    def routes(self, _: Context[ReconcilerConfig], doors: Doors) -> APIRouter:
        """Every door."""
        router = APIRouter(prefix="/v1")

        @router.get("/reports", tags=["reads"], dependencies=[Depends(doors.need(Scope.READ))])
        async def reports(
            limit: Annotated[int, Query(ge=1, le=REPORTS_KEPT_MAX)] = REPORTS_SHOWN,
        ) -> Response:
            """The last reports, the newest first."""
            found = self.desk.reports(limit)
            return _json({"reports": msgspec.to_builtins(found)})

        @router.post(
            "/reconcile", tags=["commands"], dependencies=[Depends(doors.need(Scope.OPERATE))]
        )
        async def reconcile() -> Response:
            """Compare now, and answer with the report."""
            report = await self.desk.compare_now()
            if report is None:
                raise Problem(504, "not-compared", "no comparison came about in time: see the log")
            return _json({"report": msgspec.to_builtins(report)})

        return router


def _json(body: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(body, enc_hook=str), media_type="application/json")
