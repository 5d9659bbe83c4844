"""The doors through which a simulation touches money: funding rates, withdrawals, commissions."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from aiohttp import web
from pydantic import Field, TypeAdapter

from services.paper_exchange.clock import MarketClock
from services.paper_exchange.doors.sim_answers import (
    SimRefusalError,
    guarded,
    plain,
    read_body,
    read_query,
    sim_answer,
)
from services.paper_exchange.doors.sim_requests import MONEY_MAX, SYMBOL, Asked, NoQuery
from services.paper_exchange.exchange import Exchange
from services.paper_exchange.money.transfers import TransferError, withdraw
from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.commission_rates import CommissionRates

RATE_MAX: Final = Decimal(1)


class FundingRequest(Asked):
    """POST /sim/funding: the rate of a symbol's next fundings; null gives back the market's own."""

    symbol: str = Field(pattern=SYMBOL)
    rate: Decimal | None = Field(ge=-RATE_MAX, le=RATE_MAX, decimal_places=8)


class WithdrawalRequest(Asked):
    """POST /sim/withdrawals: take money out of a cross wallet, as far as nothing depends on it."""

    account_id: str = Field(max_length=64)
    amount: Decimal = Field(gt=0, le=MONEY_MAX, decimal_places=8)


class CommissionRequest(Asked):
    """POST /sim/commissions: what the fills of an account cost from now on, per notional."""

    account_id: str = Field(max_length=64)
    maker: Decimal = Field(ge=-RATE_MAX, le=RATE_MAX, decimal_places=6)
    taker: Decimal = Field(ge=0, le=RATE_MAX, decimal_places=6)
    rpi: Decimal = Field(ge=-RATE_MAX, le=RATE_MAX, decimal_places=6)


_FUNDING: Final = TypeAdapter(FundingRequest)
_WITHDRAWALS: Final = TypeAdapter(WithdrawalRequest)
_COMMISSIONS: Final = TypeAdapter(CommissionRequest)


class SimMoneyHttp:
    """Handlers of `/sim/funding`, `/sim/withdrawals` and `/sim/commissions`."""

    def __init__(
        self, exchange: Exchange, clock: MarketClock, deliver_events: Callable[[], None]
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._deliver_events = deliver_events

    def routes(self) -> list[web.RouteDef]:
        """All routes of this door."""
        return guarded(
            [
                web.get("/sim/funding", self.read_funding),
                web.post("/sim/funding", self.dictate_funding),
                web.post("/sim/withdrawals", self.withdraw),
                web.post("/sim/commissions", self.set_commission),
            ]
        )

    async def read_funding(self, request: web.Request) -> web.Response:
        """GET /sim/funding: the rate of each symbol, its next time, and whether it is dictated."""
        read_query(request, NoQuery)
        return self._funding()

    async def dictate_funding(self, request: web.Request) -> web.Response:
        """POST /sim/funding: dictate the rate of a symbol, or stop dictating it."""
        asked = await read_body(request, _FUNDING)
        if asked.symbol not in self._exchange.instruments:
            raise SimRefusalError("symbol: there is no such symbol here")
        overrides = self._exchange.funding_rates.overrides
        if asked.rate is None:
            overrides.pop(asked.symbol, None)
        else:
            overrides[asked.symbol] = asked.rate
        return self._funding()

    async def withdraw(self, request: web.Request) -> web.Response:
        """POST /sim/withdrawals: take money out of an account."""
        asked = await read_body(request, _WITHDRAWALS)
        account = self._account(asked.account_id)
        try:
            withdraw(self._exchange, account, asked.amount, self._clock.now_ns())
        except TransferError as error:
            raise SimRefusalError(f"amount: {error}") from error
        self._deliver_events()
        left = self._exchange.wallet_of(account)
        return sim_answer({"account_id": asked.account_id, "wallet_balance": plain(left)})

    async def set_commission(self, request: web.Request) -> web.Response:
        """POST /sim/commissions: change what the fills of an account cost."""
        asked = await read_body(request, _COMMISSIONS)
        account = self._account(asked.account_id)
        account.own_commission_rates = CommissionRates(asked.maker, asked.taker, asked.rpi)
        return sim_answer(asked.model_dump(mode="json"))

    def _account(self, account_id: str) -> Account:
        account = self._exchange.accounts.get(account_id)
        if account is None:
            raise SimRefusalError("account_id: there is no such account")
        return account

    def _funding(self) -> web.Response:
        rates, now_ns = self._exchange.funding_rates, self._clock.now_ns()
        return sim_answer(
            {
                "funding": {
                    symbol: {
                        "rate": f"{rates.rate(symbol):f}",
                        "next_funding_ms": rates.next_funding_ms(symbol, now_ns),
                        "is_dictated": symbol in rates.overrides,
                    }
                    for symbol in self._exchange.instruments
                }
            }
        )
