"""The doors through which things go wrong on purpose: faults, bans, conditions, surprises.

Every answer says `"simulation": true`; every fault that struck is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.paper_exchange.doors.doorkeeper import Doorkeeper
from services.paper_exchange.doors.hub import Hub
from services.paper_exchange.doors.sim_http import sim_answer, sim_refuse
from services.paper_exchange.doors.trade_desk import TradeDesk
from services.paper_exchange.exchange import NS_PER_MS
from services.paper_exchange.faults.event_faults import EventFaults, EventRules
from services.paper_exchange.faults.rules import FaultRules, Faults
from services.paper_exchange.money.surprises import ForcedClosing, force_close, owner_trades
from services.paper_exchange.state.accounts import Account
from services.paper_exchange.wire.refusals import RefusalError

_DAY_MS = 86_400_000
_LAG_MS_MAX = 600_000


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ConditionsRequest(_Asked):
    """POST /sim/conditions: what is not sent stays as it is.

    `query_lag_ms` and `algo_query_lag_ms`: how long a young order is not found (-2013).
    `clock_offset_ms`: how far the venue's own clock is off market time.
    """

    query_lag_ms: int | None = Field(default=None, ge=0, le=_LAG_MS_MAX)
    algo_query_lag_ms: int | None = Field(default=None, ge=0, le=_LAG_MS_MAX)
    clock_offset_ms: int | None = Field(default=None, ge=-_DAY_MS, le=_DAY_MS)


class BanRequest(_Asked):
    """POST /sim/bans: keep an address (the asker's where not said) out for so much market time."""

    for_ms: int = Field(ge=1, le=3 * _DAY_MS)
    address: str | None = Field(default=None, max_length=64)


class UserStreamRequest(_Asked):
    """POST /sim/user-stream: what befalls the user stream of an account.

    `stall` keeps it open and loses every event until `resume`; `close` cuts its sockets; `expire`
    ends the listen key with the event that says so.
    """

    account_id: str = Field(max_length=64)
    action: Literal["stall", "resume", "close", "expire"]


class SurpriseRequest(_Asked):
    """POST /sim/surprises: the venue or the owner trades an account.

    Quantity and price: all and the best of the book where not said, for `liquidation` and `adl`;
    `manual_order` needs side and quantity, and is a LIMIT order where a price is said.
    """

    account_id: str = Field(max_length=64)
    symbol: str = Field(max_length=40)
    kind: Literal["liquidation", "adl", "manual_order"]
    side: Literal["BUY", "SELL"] | None = None
    quantity: Decimal | None = Field(default=None, gt=0)
    price: Decimal | None = Field(default=None, gt=0)


_Model = TypeVar("_Model", bound=_Asked)


class SimFaultsHttp:
    """Handlers of what can be made to go wrong."""

    def __init__(
        self,
        desk: TradeDesk,
        hub: Hub,
        faults: Faults,
        event_faults: EventFaults,
        doorkeeper: Doorkeeper,
    ) -> None:
        self._desk = desk
        self._exchange = desk.exchange
        self._hub = hub
        self._faults = faults
        self._event_faults = event_faults
        self._doorkeeper = doorkeeper
        self._surprises = {"liquidation": 0, "adl": 0, "manual_order": 0}

    def routes(self) -> list[web.RouteDef]:
        """All routes of this door."""
        return [
            web.get("/sim/faults", self.read_faults),
            web.post("/sim/faults", self.set_faults),
            web.delete("/sim/faults", self.clear_faults),
            web.get("/sim/event-faults", self.read_event_faults),
            web.post("/sim/event-faults", self.set_event_faults),
            web.delete("/sim/event-faults", self.clear_event_faults),
            web.get("/sim/conditions", self.read_conditions),
            web.post("/sim/conditions", self.set_conditions),
            web.post("/sim/bans", self.ban),
            web.delete("/sim/bans", self.pardon),
            web.post("/sim/user-stream", self.disturb_user_stream),
            web.post("/sim/surprises", self.surprise),
        ]

    def counts(self) -> Mapping[str, object]:
        """Every fault that struck since the start, by kind."""
        return {
            "faults_struck": dict(self._faults.struck),
            "event_faults_struck": dict(self._event_faults.struck),
            "conditions_struck": dict(self._exchange.conditions.struck),
            "surprises": dict(self._surprises),
            "answered_429": self._doorkeeper.refused,
            "bans": self._doorkeeper.banned,
        }

    async def read_faults(self, request: web.Request) -> web.Response:
        """GET /sim/faults: the rules in force and how often each struck."""
        return self._rules(self._faults)

    async def set_faults(self, request: web.Request) -> web.Response:
        """POST /sim/faults: replace the rules by the list sent."""
        try:
            self._faults.set_rules(FaultRules.validate_json(await request.read()))
        except ValidationError as error:
            return sim_refuse(error)
        return self._rules(self._faults)

    async def clear_faults(self, request: web.Request) -> web.Response:
        """DELETE /sim/faults: no request goes wrong any more."""
        self._faults.set_rules([])
        return self._rules(self._faults)

    async def read_event_faults(self, request: web.Request) -> web.Response:
        """GET /sim/event-faults: the rules in force and how often each struck."""
        return self._rules(self._event_faults)

    async def set_event_faults(self, request: web.Request) -> web.Response:
        """POST /sim/event-faults: replace the rules by the list sent."""
        try:
            self._event_faults.set_rules(EventRules.validate_json(await request.read()))
        except ValidationError as error:
            return sim_refuse(error)
        return self._rules(self._event_faults)

    async def clear_event_faults(self, request: web.Request) -> web.Response:
        """DELETE /sim/event-faults: no event goes wrong any more."""
        self._event_faults.set_rules([])
        return self._rules(self._event_faults)

    async def read_conditions(self, request: web.Request) -> web.Response:
        """GET /sim/conditions: the conditions in force."""
        return self._conditions()

    async def set_conditions(self, request: web.Request) -> web.Response:
        """POST /sim/conditions: change what is sent."""
        asked = await _read(request, ConditionsRequest)
        if isinstance(asked, web.Response):
            return asked
        for name, value in asked.model_dump(exclude_none=True).items():
            setattr(self._exchange.conditions, name, value)
        return self._conditions()

    async def ban(self, request: web.Request) -> web.Response:
        """POST /sim/bans: every counted request of the address is answered 418 until then."""
        asked = await _read(request, BanRequest)
        if isinstance(asked, web.Response):
            return asked
        address, now_ns = asked.address or request.remote or "", self._desk.clock.now_ns()
        until_ns = now_ns + asked.for_ms * NS_PER_MS
        self._doorkeeper.ban(address, until_ns, now_ns)
        return sim_answer({"address": address, "banned_until_ms": until_ns // NS_PER_MS})

    async def pardon(self, request: web.Request) -> web.Response:
        """DELETE /sim/bans?address=A: forget the bans and the weight of an address."""
        address = request.query.get("address", request.remote or "")
        self._doorkeeper.pardon(address)
        return sim_answer({"address": address, "banned_until_ms": None})

    async def disturb_user_stream(self, request: web.Request) -> web.Response:
        """POST /sim/user-stream: stall, resume, close or expire it."""
        asked = await _read(request, UserStreamRequest)
        if isinstance(asked, web.Response):
            return asked
        account = self._exchange.accounts.get(asked.account_id)
        if account is None or account.listen_key is None:
            return sim_answer({"error": "no such account, or it has no listen key"}, 400)
        self._disturb(account, account.listen_key, asked.action)
        return sim_answer({"account_id": asked.account_id, "action": asked.action})

    async def surprise(self, request: web.Request) -> web.Response:
        """POST /sim/surprises: liquidation, deleveraging, or a manual order of the owner."""
        asked = await _read(request, SurpriseRequest)
        if isinstance(asked, web.Response):
            return asked
        account = self._exchange.accounts.get(asked.account_id)
        if account is None or asked.symbol not in self._exchange.instruments:
            return sim_answer({"error": "no such account or symbol"}, 400)
        try:
            client_order_id, order_id = self._trade(account, asked)
        except RefusalError as refusal:
            return sim_answer({"error": str(refusal)}, 400)
        self._surprises[asked.kind] += 1
        self._desk.deliver_events()
        return sim_answer({"client_order_id": client_order_id, "order_id": order_id})

    def _trade(self, account: Account, asked: SurpriseRequest) -> tuple[str, int]:
        exchange, now_ns = self._exchange, self._desk.clock.now_ns()
        if asked.kind != "manual_order":
            order = force_close(
                exchange, account, asked.symbol, ForcedClosing(asked.kind), now_ns,
                quantity=asked.quantity, price=asked.price,
            )  # fmt: skip
            return order.client_order_id, order.order_id
        if asked.side is None or asked.quantity is None:
            raise RefusalError(-1102, "quantity" if asked.side else "side")
        order = owner_trades(
            exchange, account, asked.symbol, asked.side, asked.quantity, now_ns, price=asked.price
        )
        return order.client_order_id, order.order_id

    def _disturb(self, account: Account, listen_key: str, action: str) -> None:
        stalled = self._event_faults.stalled
        match action:
            case "stall":
                stalled.add(listen_key)
            case "resume":
                stalled.discard(listen_key)
            case "close":
                self._hub.disconnect_user(listen_key)
            case "expire":
                self._exchange.end_listen_key(account, self._desk.clock.now_ns())
                self._desk.deliver_events()

    def _rules(self, faults: Faults | EventFaults) -> web.Response:
        return sim_answer({"faults": faults.describe(), "struck": dict(faults.struck)})

    def _conditions(self) -> web.Response:
        conditions = self._exchange.conditions
        return sim_answer(
            {
                "query_lag_ms": conditions.query_lag_ms,
                "algo_query_lag_ms": conditions.algo_query_lag_ms,
                "clock_offset_ms": conditions.clock_offset_ms,
                "struck": dict(conditions.struck),
            }
        )


async def _read(request: web.Request, model: type[_Model]) -> _Model | web.Response:
    """The body as this model, or the refusal that says what is wrong with it."""
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        return sim_refuse(error)
