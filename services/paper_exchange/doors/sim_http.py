"""The doors that no real venue has: clock, new run, accounts, ledger, book, record.

Every answer says `"simulation": true`, so that nobody can mistake this venue for the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from aiohttp import web
from pydantic import TypeAdapter

from services.paper_exchange.clock import UNCHANGED, MarketClock
from services.paper_exchange.doors.request_log import RequestLog
from services.paper_exchange.doors.sim_answers import (
    SimRefusalError,
    guarded,
    plain,
    read_body,
    read_query,
    sim_answer,
)
from services.paper_exchange.doors.sim_requests import (
    AccountRequest,
    BookQuery,
    GrantRequest,
    LogQuery,
    NoQuery,
)
from services.paper_exchange.driver import Driver
from services.paper_exchange.exchange import Exchange
from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.orders import Order
from services.paper_exchange.wire.signing import PublicKey

_BALANCE_DEFAULT: Final = Decimal(10_000)
_ACCOUNTS: Final = TypeAdapter(AccountRequest)
_GRANTS: Final = TypeAdapter(GrantRequest)


class SimReports(NamedTuple):
    """What `/sim` has others do or count."""

    deliver_events: Callable[[], None]
    count_faults: Callable[[], Mapping[str, object]]
    start_over: Callable[[], MarketClock]
    """Begin a new run of the same source; raises `SimRefusalError` where there is none."""


class SimHttp:
    """Handlers of `/sim/*` that look and that set the stage."""

    def __init__(
        self,
        exchange: Exchange,
        clock: MarketClock,
        driver: Driver,
        log: RequestLog,
        reports: SimReports,
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._driver = driver
        self._log = log
        self._reports = reports

    def routes(self) -> list[web.RouteDef]:
        """All routes of this door."""
        return guarded(
            [
                web.get("/sim/clock", self.read_clock),
                web.post("/sim/clock", self.grant),
                web.post("/sim/reset", self.reset),
                web.get("/sim/accounts", self.read_accounts),
                web.post("/sim/accounts", self.open_account),
                web.get("/sim/ledger", self.read_ledger),
                web.get("/sim/book", self.read_book),
                web.get("/sim/stats", self.read_stats),
                web.get("/sim/log", self.read_log),
            ]
        )

    async def read_clock(self, request: web.Request) -> web.Response:
        """GET /sim/clock: the grant in force."""
        read_query(request, NoQuery)
        return sim_answer(self._clock_body())

    async def grant(self, request: web.Request) -> web.Response:
        """POST /sim/clock: change speed, limit or both."""
        asked = await read_body(request, _GRANTS)
        limit_ns = asked.limit_ns if "limit_ns" in asked.model_fields_set else UNCHANGED
        self._clock.set_grant(asked.speed, limit_ns)
        return sim_answer(self._clock_body())

    async def reset(self, request: web.Request) -> web.Response:
        """POST /sim/reset: everything back to the start; all sockets close."""
        read_query(request, NoQuery)
        await request.read()
        clock = self._reports.start_over()
        return sim_answer({"now_ns": clock.now_ns()})

    async def read_accounts(self, request: web.Request) -> web.Response:
        """GET /sim/accounts: who is here, what they own and what they have open."""
        read_query(request, NoQuery)
        rows = [self._account(account) for account in self._exchange.accounts.values()]
        return sim_answer({"accounts": rows})

    async def open_account(self, request: web.Request) -> web.Response:
        """POST /sim/accounts: an account with a key; the only answer that shows a secret."""
        asked = await read_body(request, _ACCOUNTS, empty=b"{}")
        exchange, now_ns = self._exchange, self._clock.now_ns()
        account_id = asked.account_id or f"account-{exchange.next_sequence('account')}"
        account = exchange.accounts.get(account_id)
        if account is not None:
            if asked.balance:
                exchange.deposit(account, asked.balance, now_ns)
        elif len(exchange.accounts) >= exchange.limits.accounts_max:
            raise SimRefusalError("too many accounts", 409)
        else:
            balance = _BALANCE_DEFAULT if asked.balance is None else asked.balance
            exchange.open_account(account_id, balance, now_ns)
        key = exchange.issue_key(
            account_id,
            asked.permissions,
            asked.key_type,
            public_key=None if asked.public_key is None else PublicKey(asked.public_key),
            addresses=frozenset(map(str, asked.ip_addresses)),
            now_ns=now_ns,
        )
        self._reports.deliver_events()
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
        read_query(request, NoQuery)
        ledger = self._exchange.ledger
        return sim_answer(
            {
                "total": plain(ledger.total()),
                "events_posted": ledger.events_posted,
                "accounts": {name: plain(amount) for name, amount in ledger.balances.items()},
            }
        )

    async def read_book(self, request: web.Request) -> web.Response:
        """GET /sim/book: the source's levels, and our own orders with what stands before them."""
        asked = read_query(request, BookQuery)
        book = self._exchange.books.get(asked.symbol)
        if book is None:
            raise SimRefusalError("symbol: there is no such symbol here")
        bids, asks = book.snapshot(asked.limit)
        prices = (book.last_price, self._exchange.mark_of(asked.symbol), book.index_price)
        last, mark, index = (None if price is None else plain(price) for price in prices)
        orders = [
            order
            for account in self._exchange.accounts.values()
            for order in account.open_orders_of(asked.symbol)
        ]
        orders.sort(key=lambda order: (order.side, order.price, order.order_id))
        return sim_answer(
            {
                "symbol": asked.symbol,
                "last_update_id": book.last_update_id,
                "bids": bids,
                "asks": asks,
                "last_price": last,
                "mark_price": mark,
                "index_price": index,
                "resting": [_resting(order) for order in orders],
            }
        )

    async def read_stats(self, request: web.Request) -> web.Response:
        """GET /sim/stats: what the source, the hub and the exchange have handled so far."""
        read_query(request, NoQuery)
        exchange = self._exchange
        counts = {
            "accounts": len(exchange.accounts),
            "open_orders": sum(len(a.open_orders) for a in exchange.accounts.values()),
            "open_algo_orders": sum(len(a.waiting_algos) for a in exchange.accounts.values()),
            "trades": sum(len(t) for a in exchange.accounts.values() for t in a.trades.values()),
            "requests_logged": self._log.received,
        }
        return sim_answer({**self._driver.stats(), **counts, **self._reports.count_faults()})

    async def read_log(self, request: web.Request) -> web.Response:
        """GET /sim/log?after=SEQUENCE&limit=N: order requests in the order they arrived."""
        asked = read_query(request, LogQuery)
        rows = self._log.rows_after(asked.after, asked.limit)
        totals = {"received": self._log.received, "forgotten": self._log.forgotten}
        return sim_answer({**totals, "requests": rows})

    def _clock_body(self) -> dict[str, object]:
        return {
            "now_ns": self._clock.now_ns(),
            "speed": f"{self._clock.speed:f}",
            "limit_ns": self._clock.limit_ns,
            "source_ended": self._driver.source_ended,
        }

    def _account(self, account: Account) -> dict[str, object]:
        marks = self._exchange.mark_of
        positions = [
            {
                "symbol": position.symbol,
                "position_side": position.position_side,
                "quantity": plain(position.quantity),
                "entry_price": plain(position.entry_price),
                "unrealized": plain(position.unrealized(marks(position.symbol) or Decimal(0))),
                "leverage": account.leverage_of(position.symbol),
                "margin_type": account.margin_type_of(position.symbol),
            }
            for position in account.positions.values()
            if position.quantity
        ]
        return {
            "account_id": account.account_id,
            "wallet": plain(self._exchange.wallet_of(account)),
            "positions": positions,
            "open_orders": len(account.open_orders),
            "open_algo_orders": len(account.waiting_algos),
        }


def _resting(order: Order) -> dict[str, object]:
    return {
        "account_id": order.account_id,
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "side": order.side,
        "price": plain(order.price),
        "quantity": plain(order.quantity),
        "executed": plain(order.executed),
        "queue_ahead": plain(order.queue_ahead),
    }
