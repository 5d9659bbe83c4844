"""The HTTP doors of operators: commands and reads under /v1.

``operate`` opens what takes risk away, ``admin`` also what lets it back in: resume and unlock. The
account of who asked is the token's name, with the actor the request names before it.
"""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from libs.common.messages.account import Verb
from libs.common.model.pnl import DAYS_KEPT
from libs.common.model.settings import Symbol
from libs.common.runtime.http import Doors
from libs.common.runtime.http_problem import Problem
from libs.common.runtime.http_tokens import Holder, Scope
from libs.common.runtime.service import Context
from services.execution.admin import AdminDesk
from services.execution.config import ExecutionConfig
from services.execution.history import Wanted
from services.execution.history_pages import PLACE_PATTERN

KEY_LENGTH_MAX = 200
HISTORY_LIMIT_MAX = 500
NS_MAX = 1 << 62


class Wish(BaseModel):
    """Why, and on whose behalf where the token does not say it."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=500)
    actor: str | None = Field(None, min_length=1, max_length=100)


class FlattenWish(Wish):
    """What to flatten: one symbol, or everything."""

    symbol: Symbol | None = None


class UnlockWish(Wish):
    """Which guard to end before its time, and which part of it."""

    guard: str = Field(min_length=1, max_length=50)
    key: str | None = Field(None, max_length=100)


Key = Annotated[str, Header(alias="Idempotency-Key", max_length=KEY_LENGTH_MAX)]


class AdminFront:
    """Makes the doors before there is a desk behind them; until then they say so."""

    def __init__(self) -> None:
        self._desk: AdminDesk | None = None

    def open(self, desk: AdminDesk) -> None:
        """Put the desk behind the doors."""
        self._desk = desk

    @property
    def desk(self) -> AdminDesk:
        """The desk.

        Raises:
            Problem: it is not there yet.
        """
        if self._desk is None:
            raise Problem(503, "starting", "the service is starting")
        return self._desk

    def routes(self, _: Context[ExecutionConfig], doors: Doors) -> APIRouter:
        """Every door of operators."""
        router = APIRouter(prefix="/v1")
        self._add_commands(router, doors)
        self._add_reads(router, doors)
        self._add_accounts(router, doors)
        return router

    def _add_commands(self, router: APIRouter, doors: Doors) -> None:
        operate, admin = Depends(doors.need(Scope.OPERATE)), Depends(doors.need(Scope.ADMIN))

        def add(verb: Verb, scope: Any, summary: str) -> None:
            @router.post(f"/{verb}", tags=["commands"], summary=summary, name=str(verb))
            async def command(wish: Wish, key: Key = "", holder: Holder = scope) -> Response:
                return await self._ask(verb, wish, holder, key)

        add(Verb.HALT, operate, "Send nothing any more; cancels still pass.")
        add(Verb.REDUCE, operate, "Let only orders through that reduce a position.")
        add(Verb.RESUME, admin, "Trade again.")
        add(Verb.CANCEL_ALL, operate, "Halt, cancel every order and stop, and prove it.")
        add(Verb.RECONCILE, operate, "Ask the reconciler to compare now.")

        @router.post("/flatten", tags=["commands"])
        async def flatten(wish: FlattenWish, key: Key = "", holder: Holder = operate) -> Response:
            """Close every position (or one) at market, cancel the stops last, and prove it."""
            return await self._ask(Verb.FLATTEN, wish, holder, key, wish.symbol or "")

        @router.post("/unlock", tags=["commands"])
        async def unlock(wish: UnlockWish, key: Key = "", holder: Holder = admin) -> Response:
            """End a guard before its time."""
            target = f"{wish.guard}:{wish.key}" if wish.key else wish.guard
            return await self._ask(Verb.UNLOCK, wish, holder, key, target)

    async def _ask(
        self, verb: Verb, wish: Wish, holder: Holder, key: str, target: str = ""
    ) -> Response:
        named = wish.actor if wish.actor and wish.actor != holder.name else ""
        actor = f"{named} ({holder.name})" if named else holder.name
        status, body = await self.desk.ask(verb, actor, wish.reason, target, key)
        return _json(body, status)

    def _add_reads(self, router: APIRouter, doors: Doors) -> None:
        may_read = [Depends(doors.need(Scope.READ))]

        @router.get("/guards", tags=["reads"], dependencies=may_read)
        async def guards() -> Response:
            """Every guard with its limit, what was seen, and the seconds it has left."""
            return _json(self.desk.guards())

        @router.get("/orders", tags=["reads"], dependencies=may_read)
        async def orders() -> Response:
            """Orders that have not ended."""
            return _json(self.desk.orders())

        @router.get("/algo-orders", tags=["reads"], dependencies=may_read)
        async def algo_orders() -> Response:
            """Stops and targets that have not ended."""
            return _json(self.desk.algo_orders())

        @router.get("/positions", tags=["reads"], dependencies=may_read)
        async def positions() -> Response:
            """Positions as the journal knows them, at the newest mark."""
            return _json(self.desk.positions())

        @router.get("/budget", tags=["reads"], dependencies=may_read)
        async def budget() -> Response:
            """What the venue's own limits leave."""
            return _json(self.desk.budget())

        @router.get("/intents", tags=["reads"], dependencies=may_read)
        async def intents() -> Response:
            """The newest intents."""
            return _json(self.desk.intents())

        @router.get("/intents/{intent_id}", tags=["reads"], dependencies=may_read)
        async def story(intent_id: str) -> Response:
            """The whole story of an intent, from risk's verdict to its fills, however old."""
            return _json(await self.desk.story(intent_id))

    def _add_accounts(self, router: APIRouter, doors: Doors) -> None:
        """What was earned, lost and paid, and how well it was traded."""
        may_read = [Depends(doors.need(Scope.READ))]

        @router.get("/positions/history", tags=["reads"], dependencies=may_read)
        async def history(
            symbol: Annotated[str, Query(pattern=r"^\w{0,32}$")] = "",
            strategy: Annotated[str, Query(pattern="^[A-Za-z0-9_.:-]{0,128}$")] = "",
            cause: Annotated[str, Query(pattern="^[a-z_]{0,64}$")] = "",
            since_ns: Annotated[int, Query(ge=0, le=NS_MAX)] = 0,
            until_ns: Annotated[int | None, Query(ge=0, le=NS_MAX)] = None,
            before: Annotated[str, Query(pattern=PLACE_PATTERN)] = "",
            limit: Annotated[int, Query(ge=1, le=HISTORY_LIMIT_MAX)] = 100,
        ) -> Response:
            """Every change of position and wallet with its cause, newest first.

            ``next_before`` is the ``before`` of the next page, null after the last one; a page may
            be short, or empty, and not the last. Times are the venue's, ``until_ns`` not included.
            """
            wanted = Wanted(
                symbol=symbol,
                strategy_id=strategy,
                cause=cause,
                since_ns=since_ns,
                until_ns=until_ns,
            )
            return _json(await self.desk.history(wanted, before, limit))

        @router.get("/figures", tags=["reads"], dependencies=may_read)
        async def figures() -> Response:
            """How well each strategy trades: slippage, hit ratio, calibration; null: not known."""
            return _json(self.desk.figures())

        @router.get("/pnl", tags=["reads"], dependencies=may_read)
        async def pnl(days: Annotated[int, Query(ge=1, le=DAYS_KEPT)] = 7) -> Response:
            """Profit and loss by UTC day, symbol and strategy; amounts by asset."""
            return _json(self.desk.pnl(days))


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return Response(msgspec.json.encode(body, enc_hook=str), status, media_type="application/json")
