"""Checks of finding and canceling orders, for clients that hand the venue's JSON through."""

from __future__ import annotations

from decimal import Decimal

from conformance.clients.plain_account import buy_at_market
from conformance.clients.plain_client import Checks, PlainClient
from conformance.clients.plain_orders import place_limit, status_of
from conformance.driver import equal, expect, filled_list, keys_in, only, refused

QUERIES = Checks()
_ORDER_KEYS = (
    "orderId symbol status clientOrderId price avgPrice origQty executedQty cumQuote timeInForce "
    "type reduceOnly closePosition side positionSide stopPrice workingType priceProtect origType "
    "priceMatch selfTradePreventionMode goodTillDate time updateTime"
)


@QUERIES.add("order.query")
async def query(client: PlainClient) -> None:
    placed = await place_limit(client)
    by_id = await client("query", symbol="BTCUSDT", orderId=placed["orderId"])
    keys_in(by_id, _ORDER_KEYS)
    name = placed["clientOrderId"]
    equal(await client("query", symbol="BTCUSDT", origClientOrderId=name), by_id)
    await client("cancel", symbol="BTCUSDT", orderId=placed["orderId"])


@QUERIES.add("order.open_order")
async def open_order(client: PlainClient) -> None:
    placed = await place_limit(client)
    found = await client("open_order", symbol="BTCUSDT", orderId=placed["orderId"])
    equal((found["orderId"], found["status"]), (placed["orderId"], "NEW"))
    await client("cancel", symbol="BTCUSDT", orderId=placed["orderId"])
    with refused(client.error, -2013):
        await client("open_order", symbol="BTCUSDT", orderId=placed["orderId"])


@QUERIES.add("order.open_orders")
async def open_orders(client: PlainClient) -> None:
    own = client.fresh()
    equal(await own("open_orders", symbol="BTCUSDT"), [])
    placed = await place_limit(own)
    listed = only(await own("open_orders", symbol="BTCUSDT"))
    keys_in(listed, _ORDER_KEYS)
    equal(listed["orderId"], placed["orderId"])
    equal(only(await own("open_orders"))["orderId"], placed["orderId"])
    equal(await own("open_orders", symbol="ETHUSDT"), [])


@QUERIES.add("order.all_orders")
async def all_orders(client: PlainClient) -> None:
    own = client.fresh()
    filled = await buy_at_market(own, "ETHUSDT", "0.500")
    second = await buy_at_market(own, "ETHUSDT", "0.100")
    rows = filled_list(await own("all_orders", symbol="ETHUSDT"))
    equal([row["orderId"] for row in rows], [filled["orderId"], second["orderId"]])
    keys_in(rows[0], _ORDER_KEYS)
    later = await own("all_orders", symbol="ETHUSDT", orderId=second["orderId"])
    equal([row["orderId"] for row in later], [second["orderId"]])


@QUERIES.add("order.user_trades")
async def user_trades(client: PlainClient) -> None:
    own = client.fresh()
    filled = await buy_at_market(own, "ETHUSDT", "0.500")
    rows = filled_list(await own("user_trades", symbol="ETHUSDT"))
    keys_in(
        rows[0],
        "buyer commission commissionAsset id maker orderId price qty quoteQty realizedPnl side "
        "positionSide symbol time",
    )
    equal(sum(Decimal(row["qty"]) for row in rows), Decimal("0.5"))
    found = await own("query", symbol="ETHUSDT", orderId=filled["orderId"])
    equal(sum(Decimal(row["quoteQty"]) for row in rows), Decimal(found["cumQuote"]))
    expect(all(Decimal(row["commission"]) > 0 for row in rows), rows)
    expect(all(row["orderId"] == filled["orderId"] and not row["maker"] for row in rows), rows)


@QUERIES.add("order.cancel")
async def cancel(client: PlainClient) -> None:
    placed = await place_limit(client)
    canceled = await client("cancel", symbol="BTCUSDT", orderId=placed["orderId"])
    equal((canceled["orderId"], canceled["status"]), (placed["orderId"], "CANCELED"))
    placed = await place_limit(client)
    name = placed["clientOrderId"]
    canceled = await client("cancel", symbol="BTCUSDT", origClientOrderId=name)
    equal((canceled["clientOrderId"], canceled["status"]), (name, "CANCELED"))


@QUERIES.add("order.cancel_all")
async def cancel_all(client: PlainClient) -> None:
    own = client.fresh()
    placed = [await place_limit(own), await place_limit(own, "0.96")]
    answer = await own("cancel_all", symbol="BTCUSDT")
    equal((answer["code"], answer["msg"]),
          (200, "The operation of cancel all open order is done."))  # fmt: skip
    equal(await own("open_orders", symbol="BTCUSDT"), [])
    for order in placed:
        await status_of(own, order, "CANCELED")


@QUERIES.add("listen_key.start")
async def start_listen_key(client: PlainClient) -> None:
    listen_key = await client("start_listen_key")
    expect(isinstance(listen_key, str) and len(listen_key) >= 32, listen_key)
    equal(await client("start_listen_key"), listen_key, "the key that is still valid")


@QUERIES.add("listen_key.extend")
async def extend_listen_key(client: PlainClient) -> None:
    listen_key = await client("start_listen_key")
    await client("extend_listen_key", listenKey=listen_key)
    equal(await client("start_listen_key"), listen_key, "the key that is still valid")


@QUERIES.add("listen_key.close")
async def close_listen_key(client: PlainClient) -> None:
    own = client.fresh()
    listen_key = await own("start_listen_key")
    equal(await own("close_listen_key", listenKey=listen_key), {})
    with refused(client.error, -1125):
        await own("extend_listen_key", listenKey=listen_key)
