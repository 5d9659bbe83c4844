"""The doors through which things go wrong on purpose: faults, bans, conditions, surprises.

Every answer says `"simulation": true`; every fault that struck is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web
from pydantic import TypeAdapter

from services.paper_exchange.doors.doorkeeper import Doorkeeper
from services.paper_exchange.doors.sim_answers import (
    SimRefusalError,
    guarded,
    read_body,
    read_query,
    sim_answer,
)
from services.paper_exchange.doors.sim_requests import (
    BanRequest,
    ConditionsRequest,
    NoQuery,
    PardonQuery,
    SurpriseRequest,
    UserStreamRequest,
)
from services.paper_exchange.doors.stage import Stage
from services.paper_exchange.doors.stream_disturbance import StreamDisturbance
from services.paper_exchange.doors.trade_desk import TradeDesk
from services.paper_exchange.exchange import NS_PER_MS
from services.paper_exchange.faults.event_faults import EventFaults, EventRules
from services.paper_exchange.faults.rules import FaultRules, Faults
from services.paper_exchange.faults.stream_faults import StreamFaults, StreamRules
from services.paper_exchange.money.surprises import ForcedClosing, force_close, owner_trades
from services.paper_exchange.state.accounts import Account
from services.paper_exchange.wire.refusals import RefusalError

_CONDITIONS: Final = TypeAdapter(ConditionsRequest)
_BANS: Final = TypeAdapter(BanRequest)
_USER_STREAMS: Final = TypeAdapter(UserStreamRequest)
_SURPRISES: Final = TypeAdapter(SurpriseRequest)


class SimFaultsHttp:
    """Handlers of what can be made to go wrong."""

    def __init__(
        self,
        desk: TradeDesk,
        stage: Stage,
        faults: Faults,
        event_faults: EventFaults,
        disturbance: StreamDisturbance,
        doorkeeper: Doorkeeper,
    ) -> None:
        self._desk = desk
        self._exchange = desk.exchange
        self._stage = stage
        self._faults = faults
        self._event_faults = event_faults
        self._disturbance = disturbance
        self._doorkeeper = doorkeeper
        self._surprises = {"liquidation": 0, "adl": 0, "manual_order": 0}

    def routes(self) -> list[web.RouteDef]:
        """All routes of this door."""
        return guarded(
            [
                web.get("/sim/faults", self.read_faults),
                web.post("/sim/faults", self.set_faults),
                web.delete("/sim/faults", self.clear_faults),
                web.get("/sim/event-faults", self.read_event_faults),
                web.post("/sim/event-faults", self.set_event_faults),
                web.delete("/sim/event-faults", self.clear_event_faults),
                web.get("/sim/stream-faults", self.read_stream_faults),
                web.post("/sim/stream-faults", self.set_stream_faults),
                web.delete("/sim/stream-faults", self.clear_stream_faults),
                web.get("/sim/conditions", self.read_conditions),
                web.post("/sim/conditions", self.set_conditions),
                web.post("/sim/bans", self.ban),
                web.delete("/sim/bans", self.pardon),
                web.post("/sim/user-stream", self.disturb_user_stream),
                web.post("/sim/surprises", self.surprise),
            ]
        )

    def counts(self) -> Mapping[str, object]:
        """Every fault that struck since the start, by kind."""
        return {
            "faults_struck": dict(self._faults.struck),
            "event_faults_struck": dict(self._event_faults.struck),
            "stream_faults_struck": dict(self._disturbance.faults.struck),
            "conditions_struck": dict(self._exchange.conditions.struck),
            "surprises": dict(self._surprises),
            "signatures": dict(self._desk.signed_forms),
            "answered_429": self._doorkeeper.refused,
            "bans": self._doorkeeper.banned,
        }

    async def read_faults(self, request: web.Request) -> web.Response:
        """GET /sim/faults: the rules in force and how often each struck."""
        read_query(request, NoQuery)
        return _rules(self._faults)

    async def set_faults(self, request: web.Request) -> web.Response:
        """POST /sim/faults: replace the rules by the list sent."""
        rules = await read_body(request, FaultRules)
        self._faults.set_rules(rules)
        return _rules(self._faults)

    async def clear_faults(self, request: web.Request) -> web.Response:
        """DELETE /sim/faults: no request goes wrong any more."""
        read_query(request, NoQuery)
        self._faults.set_rules([])
        return _rules(self._faults)

    async def read_event_faults(self, request: web.Request) -> web.Response:
        """GET /sim/event-faults: the rules in force and how often each struck."""
        read_query(request, NoQuery)
        return _rules(self._event_faults)

    async def set_event_faults(self, request: web.Request) -> web.Response:
        """POST /sim/event-faults: replace the rules by the list sent."""
        rules = await read_body(request, EventRules)
        self._event_faults.set_rules(rules)
        return _rules(self._event_faults)

    async def clear_event_faults(self, request: web.Request) -> web.Response:
        """DELETE /sim/event-faults: no event goes wrong any more."""
        read_query(request, NoQuery)
        self._event_faults.set_rules([])
        return _rules(self._event_faults)

    async def read_stream_faults(self, request: web.Request) -> web.Response:
        """GET /sim/stream-faults: the rules in force and how often each struck."""
        read_query(request, NoQuery)
        return _rules(self._disturbance.faults)

    async def set_stream_faults(self, request: web.Request) -> web.Response:
        """POST /sim/stream-faults: replace the rules by the list sent."""
        rules = await read_body(request, StreamRules)
        self._disturbance.set_rules(rules)
        return _rules(self._disturbance.faults)

    async def clear_stream_faults(self, request: web.Request) -> web.Response:
        """DELETE /sim/stream-faults: no message goes wrong any more, silent sockets speak."""
        read_query(request, NoQuery)
        self._disturbance.set_rules([])
        return _rules(self._disturbance.faults)

    async def read_conditions(self, request: web.Request) -> web.Response:
        """GET /sim/conditions: the conditions in force."""
        read_query(request, NoQuery)
        return self._conditions()

    async def set_conditions(self, request: web.Request) -> web.Response:
        """POST /sim/conditions: change what is sent."""
        asked = await read_body(request, _CONDITIONS)
        for name, value in asked.model_dump(exclude_none=True).items():
            setattr(self._exchange.conditions, name, value)
        return self._conditions()

    async def ban(self, request: web.Request) -> web.Response:
        """POST /sim/bans: every counted request of the address is answered 418 until then."""
        asked = await read_body(request, _BANS)
        address, now_ns = asked.address or request.remote or "", self._desk.clock.now_ns()
        until_ns = now_ns + asked.for_ms * NS_PER_MS
        self._doorkeeper.ban(address, until_ns, now_ns)
        return sim_answer({"address": address, "banned_until_ms": until_ns // NS_PER_MS})

    async def pardon(self, request: web.Request) -> web.Response:
        """DELETE /sim/bans?address=A: forget the bans and the weight of an address."""
        address = read_query(request, PardonQuery).address or request.remote or ""
        self._doorkeeper.pardon(address)
        return sim_answer({"address": address, "banned_until_ms": None})

    async def disturb_user_stream(self, request: web.Request) -> web.Response:
        """POST /sim/user-stream: stall, resume, close or expire it."""
        asked = await read_body(request, _USER_STREAMS)
        account = self._exchange.accounts.get(asked.account_id)
        if account is None or account.listen_key is None:
            raise SimRefusalError("account_id: no such account, or it has no listen key")
        self._stage.disturb_user_stream(account, asked.action)
        return sim_answer({"account_id": asked.account_id, "action": asked.action})

    async def surprise(self, request: web.Request) -> web.Response:
        """POST /sim/surprises: liquidation, deleveraging, or a manual order of the owner."""
        asked = await read_body(request, _SURPRISES)
        account = self._exchange.accounts.get(asked.account_id)
        if account is None or asked.symbol not in self._exchange.instruments:
            raise SimRefusalError("account_id, symbol: no such account or symbol")
        client_order_id, order_id = self._trade(account, asked)
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

    def _conditions(self) -> web.Response:
        conditions = self._exchange.conditions
        return sim_answer(
            {
                "query_lag_ms": conditions.query_lag_ms,
                "algo_query_lag_ms": conditions.algo_query_lag_ms,
                "clock_offset_ms": conditions.clock_offset_ms,
                "zero_tick_symbols": list(conditions.zero_tick_symbols),
                "odd_symbols": list(conditions.odd_symbols),
                "struck": dict(conditions.struck),
            }
        )


def _rules(faults: Faults | EventFaults | StreamFaults) -> web.Response:
    return sim_answer({"faults": faults.describe(), "struck": dict(faults.struck)})
