"""The doors that no real venue has: the clock, fresh accounts, the ledger, the record.

Every answer says `"simulation": true`, so that nobody can mistake this venue for the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

import msgspec
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from services.paper_exchange.clock import UNCHANGED, ClockError, MarketClock
from services.paper_exchange.doors.request_log import RequestLog
from services.paper_exchange.driver import Driver
from services.paper_exchange.exchange import Exchange
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.wire.authentication import KeyType, Permission

_encode = msgspec.json.Encoder().encode
_BALANCE_DEFAULT: Final = Decimal(10_000)
_LOG_ROWS_MAX: Final = 10_000


class AccountRequest(BaseModel):
    """POST /sim/accounts: a fresh account, or a further key (and deposit) for an existing one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    balance: Decimal | None = Field(default=None, ge=0, le=10**12, decimal_places=8)
    key_type: KeyType = KeyType.HMAC
    permissions: frozenset[Permission] = frozenset(Permission)
    account_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,36}$")


class GrantRequest(BaseModel):
    """POST /sim/clock: what is not sent stays as it is; `limit_ns` null takes the limit away."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    speed: str | int | None = None
    limit_ns: int | None = None


_ACCOUNTS: TypeAdapter[AccountRequest] = TypeAdapter(AccountRequest)
_GRANTS: TypeAdapter[GrantRequest] = TypeAdapter(GrantRequest)


class SimHttp:
    """Handlers of `/sim/*`."""

    def __init__(
        self,
        exchange: Exchange,
        clock: MarketClock,
        driver: Driver,
        log: RequestLog,
        deliver_events: Callable[[], None],
        count_faults: Callable[[], Mapping[str, object]],
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._driver = driver
        self._log = log
        self._deliver_events = deliver_events
        self._count_faults = count_faults

    def routes(self) -> list[web.RouteDef]:
        """All routes below /sim."""
        return [
            web.get("/sim/clock", self.read_clock),
            web.post("/sim/clock", self.grant),
            web.post("/sim/accounts", self.open_account),
            web.get("/sim/ledger", self.read_ledger),
            web.get("/sim/stats", self.read_stats),
            web.get("/sim/log", self.read_log),
        ]

    async def read_clock(self, request: web.Request) -> web.Response:
        """GET /sim/clock: the grant in force."""
        return sim_answer(self._clock_body())

    async def grant(self, request: web.Request) -> web.Response:
        """POST /sim/clock: change speed, limit or both."""
        try:
            asked = _GRANTS.validate_json(await request.read())
            sent = asked.model_fields_set
            limit_ns = asked.limit_ns if "limit_ns" in sent else UNCHANGED
            self._clock.set_grant(asked.speed, limit_ns)
        except (ValidationError, ClockError) as error:
            return sim_refuse(error)
        return sim_answer(self._clock_body())

    async def open_account(self, request: web.Request) -> web.Response:
        """POST /sim/accounts: an account with a key; the only answer that shows a secret."""
        try:
            asked = _ACCOUNTS.validate_json(await request.read() or b"{}")
        except ValidationError as error:
            return sim_refuse(error)
        exchange, now_ns = self._exchange, self._clock.now_ns()
        account_id = asked.account_id or f"account-{exchange.next_sequence('account')}"
        account = exchange.accounts.get(account_id)
        if account is not None:
            if asked.balance:
                exchange.deposit(account, asked.balance, now_ns)
        elif len(exchange.accounts) >= exchange.limits.accounts_max:
            return sim_answer({"error": "too many accounts"}, 409)
        else:
            balance = _BALANCE_DEFAULT if asked.balance is None else asked.balance
            exchange.open_account(account_id, balance, now_ns)
        key = exchange.issue_key(account_id, asked.permissions, asked.key_type)
        self._deliver_events()
        return sim_answer(
            {
                "account_id": account_id,
                "api_key": key.key,
                "secret": key.secret,
                "key_type": key.key_type.value,
                "permissions": sorted(item.value for item in key.permissions),
            }
        )

    async def read_ledger(self, request: web.Request) -> web.Response:
        """GET /sim/ledger: every balance as a decimal string, and their sum, which is "0"."""
        ledger = self._exchange.ledger
        return sim_answer(
            {
                "total": _plain(ledger.total()),
                "events_posted": ledger.events_posted,
                "accounts": {name: _plain(amount) for name, amount in ledger.balances.items()},
            }
        )

    async def read_stats(self, request: web.Request) -> web.Response:
        """GET /sim/stats: what the source, the hub and the exchange have handled so far."""
        exchange = self._exchange
        counts = {
            "accounts": len(exchange.accounts),
            "open_orders": sum(len(a.open_orders) for a in exchange.accounts.values()),
            "open_algo_orders": sum(len(a.waiting_algos) for a in exchange.accounts.values()),
            "trades": sum(len(t) for a in exchange.accounts.values() for t in a.trades.values()),
            "requests_logged": self._log.received,
        }
        return sim_answer({**self._driver.stats(), **counts, **self._count_faults()})

    async def read_log(self, request: web.Request) -> web.Response:
        """GET /sim/log?after=SEQUENCE&limit=N: order requests in the order they arrived."""
        try:
            after = int(request.query.get("after", "0"))
            limit = min(int(request.query.get("limit", str(_LOG_ROWS_MAX))), _LOG_ROWS_MAX)
        except ValueError as error:
            return sim_refuse(error)
        rows = self._log.rows_after(max(0, after), max(0, limit))
        totals = {"received": self._log.received, "forgotten": self._log.forgotten}
        return sim_answer({**totals, "requests": rows})

    def _clock_body(self) -> dict[str, object]:
        return {
            "now_ns": self._clock.now_ns(),
            "speed": f"{self._clock.speed:f}",
            "limit_ns": self._clock.limit_ns,
            "source_ended": self._driver.source_ended,
        }


def sim_answer(body: Mapping[str, object], status: int = 200) -> web.Response:
    """A JSON answer that says it comes from a simulation."""
    raw = _encode({"simulation": True, **body})
    return web.Response(body=raw, status=status, content_type="application/json")


def sim_refuse(error: Exception) -> web.Response:
    """400 with what was wrong, without repeating what was sent."""
    if isinstance(error, ValidationError):
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        where = [".".join(map(str, fault["loc"])) or "body" for fault in faults]
        text = "; ".join(f"{at}: {fault['msg']}" for at, fault in zip(where, faults, strict=True))
    else:
        text = str(error)
    return sim_answer({"error": text}, 400)


def _plain(amount: Decimal) -> str:
    """A balance without trailing zeros; zero is "0" and nothing else."""
    return f"{amount.normalize():f}" if amount != ZERO else "0"
