"""How ccxt is pointed at the venue: its addresses are options, nothing else is touched."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, Final

import ccxt
import ccxt.pro

from conformance.driver import Venue, expect, text_number, until, venue

VENUE: Final[Venue] = venue()
ID: Final = "BTCUSDT"
SYMBOL: Final = "BTC/USDT:USDT"
OTHER: Final = "ETH/USDT:USDT"

# ccxt tells a venue's codes apart by its host name; on any other host these become the general
# exception (binance.py, get_exceptions_by_url), with the code in its message.
BY_HOST: Final = ccxt.ExchangeError

_VERSIONS: Final = {
    "fapiPublic": "v1", "fapiPublicV2": "v2", "fapiPublicV3": "v3",
    "fapiPrivate": "v1", "fapiPrivateV2": "v2", "fapiPrivateV3": "v3",
}  # fmt: skip


def client(kind: Any = ccxt.binanceusdm, account: Any = None, secret: str | None = None) -> Any:
    """A client of ccxt, with the keys of `account` (the driver's own where not said)."""
    keys = VENUE.account if account is None else account
    made = kind(
        {
            "apiKey": keys["api_key"],
            "secret": keys["secret"] if secret is None else secret,
            "enableRateLimit": False,
            # Fetching currencies asks the spot wallet API, which is another venue.
            "options": {"fetchCurrencies": False},
        }
    )
    made.has["fetchCurrencies"] = False
    for group, version in _VERSIONS.items():
        made.urls["api"][group] = f"{VENUE.url}/fapi/{version}"
    made.urls["api"]["sapi"] = f"{VENUE.url}/sapi/v1"
    if "ws" in made.urls["api"]:
        made.urls["api"]["ws"]["linear"] = f"{VENUE.socket_url}/ws"
        made.urls["api"]["ws"]["ws-api"]["linear"] = f"{VENUE.socket_url}/ws-fapi/v1"
    return made


def trader(**options: object) -> Any:
    """A client of an account opened for one check, so that no other check's orders are seen."""
    made = client(account=VENUE.open_account(**options))
    made.load_markets()
    return made


rest: Final = client()


@contextlib.asynccontextmanager
async def streaming(account: Any = None) -> AsyncIterator[Any]:
    """A client of ccxt.pro, closed in the end."""
    made = client(ccxt.pro.binanceusdm, account)
    try:
        await made.load_markets()
        yield made
    finally:
        await made.close()


def price(factor: str = "1", symbol: str = ID, tick: str = "0.1") -> float:
    """A price near the best bid, on the tick."""
    return float(VENUE.price(symbol, factor, tick))


def place(
    on: Any, kind: str, side: str, amount: float, at: float | None = None, **params: Any
) -> Any:
    """Place an order in the unified way, and check that ccxt read the acknowledgement."""
    order = on.create_order(SYMBOL, kind, side, amount, at, params)
    expect(order["id"] and order["clientOrderId"], order)
    expect(order["symbol"] == SYMBOL and order["side"] == side, order)
    return order


def filled(on: Any, order: Any) -> Any:
    """Read the order until it is filled, and check the unified numbers of a fill."""
    read = until(lambda: _closed(on, order["id"]))
    expect(read["filled"] == read["amount"] and read["remaining"] == 0, read)
    expect(read["average"] and read["average"] > 0, f"no average price: {read}")
    cost = Decimal(str(read["average"])) * Decimal(str(read["filled"]))
    expect(abs(Decimal(str(read["cost"])) - cost) <= cost / 1000, f"cost is off: {read}")
    return read


def _closed(on: Any, order_id: str) -> Any:
    read = on.fetch_order(order_id, SYMBOL)
    return read if read["status"] == "closed" else None


def position(on: Any, side: str | None = None) -> Any:
    """The open position of a side, or None."""
    rows = [row for row in on.fetch_positions([SYMBOL]) if side in {None, row["side"]}]
    return rows[0] if rows else None


def digits(row: Any, names: str) -> None:
    """Fail unless all these raw values are numbers written as text."""
    for name in names.split():
        text_number(row[name], name)
