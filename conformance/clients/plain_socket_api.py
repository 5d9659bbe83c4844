"""Checks of the WebSocket API, for clients that hand the venue's JSON through."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from conformance.clients.plain_account import buy_at_market
from conformance.clients.plain_client import Checks, PlainClient
from conformance.driver import equal, expect, filled_list, keys_in, only, positive, refused

SOCKET_API = Checks()


async def _place(own: PlainClient) -> Any:
    price = str(own.venue.price("BTCUSDT", "0.97"))
    placed = await own(
        "ws_place", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC",
        quantity="0.020", price=price,
    )  # fmt: skip
    equal((placed["status"], placed["origQty"]), ("NEW", "0.020"))
    expect("avgPrice" not in placed and "cumQuote" not in placed, "acknowledgments of 2026")
    return placed


@SOCKET_API.add("socket_api.order_place")
async def order_place(client: PlainClient) -> None:
    own = client.fresh()
    placed = await _place(own)
    equal(only(await own("open_orders", symbol="BTCUSDT"))["orderId"], placed["orderId"])
    with refused(client.error, -2019):
        await own("ws_place", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="100")


@SOCKET_API.add("socket_api.order_modify")
async def order_modify(client: PlainClient) -> None:
    own = client.fresh()
    placed = await _place(own)
    price = str(own.venue.price("BTCUSDT", "0.96"))
    modified = await own(
        "ws_modify", symbol="BTCUSDT", orderId=placed["orderId"], side="BUY", quantity="0.030",
        price=price,
    )  # fmt: skip
    equal((modified["origQty"], Decimal(modified["price"])), ("0.030", Decimal(price)))


@SOCKET_API.add("socket_api.order_query")
async def order_query(client: PlainClient) -> None:
    own = client.fresh()
    placed = await _place(own)
    found = await own("ws_query", symbol="BTCUSDT", orderId=placed["orderId"])
    equal((found["clientOrderId"], found["status"]), (placed["clientOrderId"], "NEW"))
    keys_in(found, "avgPrice cumQuote time")
    with refused(client.error, -2013):
        await own("ws_query", symbol="BTCUSDT", orderId=1)


@SOCKET_API.add("socket_api.order_cancel")
async def order_cancel(client: PlainClient) -> None:
    own = client.fresh()
    placed = await _place(own)
    canceled = await own("ws_cancel", symbol="BTCUSDT", orderId=placed["orderId"])
    equal((canceled["orderId"], canceled["status"]), (placed["orderId"], "CANCELED"))
    equal(await own("open_orders", symbol="BTCUSDT"), [])


@SOCKET_API.add("socket_api.account")
async def account(client: PlainClient) -> None:
    own = client.fresh()
    await buy_at_market(own, "BTCUSDT", "0.010")
    status = await own("ws_account")
    positive(status["totalWalletBalance"])
    (balance,) = (row for row in await own("ws_balance") if row["asset"] == "USDT")
    positive(balance["availableBalance"])
    (position,) = (
        row
        for row in filled_list(await own("ws_position", symbol="BTCUSDT"))
        if Decimal(row["positionAmt"])
    )
    equal((position["symbol"], position["positionAmt"]), ("BTCUSDT", "0.010"))


@SOCKET_API.add("socket_api.market")
async def market(client: PlainClient) -> None:
    book = await client("ws_depth", symbol="BTCUSDT", limit=10)
    expect(positive(book["bids"][0][0]) < positive(book["asks"][0][0]), book)
    price = await client("ws_price", symbol="BTCUSDT")
    equal(price["symbol"], "BTCUSDT")
    positive(price["price"])
    best = await client("ws_book", symbol="BTCUSDT")
    expect(positive(best["bidPrice"]) < positive(best["askPrice"]), best)
