"""Risk's own HTTP doors: the limits, and changes of them.

``operate`` may tighten a limit, only ``admin`` may loosen one again.
"""

from decimal import Decimal
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Header, Response
from pydantic import BaseModel, ConfigDict, Field

from libs.common.model.risk_limits import NAMES, RiskLimits
from libs.common.model.settings import Symbol
from libs.common.runtime.http import Doors
from libs.common.runtime.http_problem import Problem
from libs.common.runtime.http_tokens import Holder, Scope
from libs.common.runtime.service import Context
from services.risk.config import RiskConfig
from services.risk.limits_desk import LimitsDesk

KEY_LENGTH_MAX = 200

Amount = Annotated[str, Field(pattern=r"^[0-9]{1,12}(\.[0-9]{1,12})?$")]
Key = Annotated[str, Header(alias="Idempotency-Key", max_length=KEY_LENGTH_MAX)]


class LimitsWish(BaseModel):
    """Limits to set; ``null`` takes one back to the configuration's, unnamed ones stay."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field(min_length=1, max_length=500)
    actor: str | None = Field(None, min_length=1, max_length=100)
    order_notional_max: Amount | None = None
    position_notional_max: Amount | None = None
    daily_loss_max: Amount | None = None
    positions_max: int | None = Field(None, ge=0)
    symbols_allowed: list[Symbol] | None = None

    def limits(self) -> RiskLimits:
        """Those to set."""
        amounts = ("order_notional_max", "position_notional_max", "daily_loss_max")
        told = {name: Decimal(text) for name in amounts if (text := getattr(self, name))}
        symbols = self.symbols_allowed
        return RiskLimits(
            **told,
            positions_max=self.positions_max,
            symbols_allowed=None if symbols is None else tuple(dict.fromkeys(symbols)),
        )

    def released(self) -> tuple[str, ...]:
        """Those to take back."""
        told = self.model_fields_set
        return tuple(name for name in NAMES if name in told and getattr(self, name) is None)


class LimitsFront:
    """Makes the doors before there is a desk behind them; until then they say so."""

    def __init__(self) -> None:
        self._desk: LimitsDesk | None = None

    def open(self, desk: LimitsDesk) -> None:
        """Put the desk behind the doors."""
        self._desk = desk

    @property
    def desk(self) -> LimitsDesk:
        """The desk.

        Raises:
            Problem: it is not there yet.
        """
        if self._desk is None:
            raise Problem(503, "starting", "the service is starting")
        return self._desk

    def routes(self, _: Context[RiskConfig], doors: Doors) -> APIRouter:
        """Every door."""
        router = APIRouter(prefix="/v1")

        @router.get("/limits", tags=["reads"], dependencies=[Depends(doors.need(Scope.READ))])
        async def limits() -> Response:
            """Every limit that can be set: configured, set by people, in force."""
            return _json(self.desk.show())

        @router.post("/limits", tags=["commands"])
        async def set_limits(
            wish: LimitsWish,
            key: Key = "",
            holder: Holder = Depends(doors.need(Scope.OPERATE)),  # noqa: B008 - how it is declared
        ) -> Response:
            """Set limits, never above the configuration's; answers once they are in force."""
            wanted, released = wish.limits(), wish.released()
            if not wanted.named() and not released:
                raise Problem(422, "invalid-request", f"name a limit: {', '.join(NAMES)}")
            named = wish.actor if wish.actor and wish.actor != holder.name else ""
            actor = f"{named} ({holder.name})" if named else holder.name
            return _json(await self.desk.ask(wanted, released, holder, actor, wish.reason, key))

        return router


def _json(body: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(body, enc_hook=str), media_type="application/json")
