"""Checks of every order type, for clients that hand the venue's JSON through."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from conformance.clients.plain_account import buy_at_market
from conformance.clients.plain_client import Checks, PlainClient
from conformance.driver import equal, expect, keys_in, only, positive, refused, until_async

ORDERS = Checks()
_ACK_KEYS = (
    "orderId symbol status clientOrderId price origQty executedQty cumQty timeInForce type "
    "reduceOnly closePosition side positionSide stopPrice workingType priceProtect origType "
    "priceMatch selfTradePreventionMode goodTillDate updateTime"
)
BELOW = "0.97"
ABOVE = "1.01"


async def place_limit(
    client: PlainClient, factor: str = BELOW, quantity: str = "0.020", **parameters: Any
) -> Any:
    """Place a limit order to buy bitcoin at `factor` times the best bid."""
    price = str(client.venue.price("BTCUSDT", factor))
    asked = {"timeInForce": "GTC", "price": price, "quantity": quantity, **parameters}
    return await client("place", symbol="BTCUSDT", side="BUY", type="LIMIT", **asked)


async def status_of(client: PlainClient, order: Any, wanted: str) -> Any:
    """Query the order until its status is the wanted one, and return it."""

    async def read() -> Any:
        found = await client("query", symbol=order["symbol"], orderId=order["orderId"])
        return found if found["status"] == wanted else None

    return await until_async(read)


@ORDERS.add("order.test")
async def test_order(client: PlainClient) -> None:
    own = client.fresh()
    price = str(client.venue.price("BTCUSDT", BELOW))
    answer = await own(
        "test_order", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC",
        quantity="0.020", price=price,
    )  # fmt: skip
    keys_in(answer, "orderId symbol status type side")
    equal(await own("open_orders", symbol="BTCUSDT"), [])
    with refused(client.error, -2019):
        await own("test_order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="100")


@ORDERS.add("order.limit_gtc")
async def limit_gtc(client: PlainClient) -> None:
    placed = await place_limit(client)
    keys_in(placed, _ACK_KEYS)
    expect("avgPrice" not in placed and "cumQuote" not in placed, "acknowledgments of 2026")
    equal((placed["status"], placed["type"], placed["origQty"]), ("NEW", "LIMIT", "0.020"))
    found = await status_of(client, placed, "NEW")
    equal(found["price"], placed["price"])
    await client("cancel", symbol="BTCUSDT", orderId=placed["orderId"])


@ORDERS.add("order.limit_ioc")
async def limit_ioc(client: PlainClient) -> None:
    missed = await place_limit(client, timeInForce="IOC", newOrderRespType="RESULT")
    equal(missed["status"], "EXPIRED")
    taken = await place_limit(client, ABOVE, timeInForce="IOC", newOrderRespType="RESULT")
    equal((taken["status"], taken["executedQty"]), ("FILLED", "0.020"))


@ORDERS.add("order.limit_fok")
async def limit_fok(client: PlainClient) -> None:
    with refused(client.error, -5021):
        await place_limit(client, timeInForce="FOK")
    taken = await place_limit(client, ABOVE, timeInForce="FOK", newOrderRespType="RESULT")
    equal((taken["status"], taken["executedQty"]), ("FILLED", "0.020"))


@ORDERS.add("order.limit_gtx")
async def limit_gtx(client: PlainClient) -> None:
    placed = await place_limit(client, timeInForce="GTX")
    equal((placed["status"], placed["timeInForce"]), ("NEW", "GTX"))
    await client("cancel", symbol="BTCUSDT", orderId=placed["orderId"])
    with refused(client.error, -5022):
        await place_limit(client, ABOVE, timeInForce="GTX")


@ORDERS.add("order.limit_gtd")
async def limit_gtd(client: PlainClient) -> None:
    now_ms = (await client("time"))["serverTime"]
    ends_ms = (now_ms + 700_000) // 1000 * 1000
    placed = await place_limit(client, timeInForce="GTD", goodTillDate=ends_ms)
    equal((placed["status"], placed["goodTillDate"]), ("NEW", ends_ms))
    await client("cancel", symbol="BTCUSDT", orderId=placed["orderId"])
    with refused(client.error, -5040):
        await place_limit(client, timeInForce="GTD", goodTillDate=now_ms + 1000)


@ORDERS.add("order.market")
async def market(client: PlainClient) -> None:
    own = client.fresh()
    placed = await own("place", symbol="ETHUSDT", side="BUY", type="MARKET", quantity="0.500")
    equal((placed["status"], placed["executedQty"]), ("NEW", "0.000"))
    found = await status_of(own, placed, "FILLED")
    equal(found["executedQty"], "0.500")
    positive(found["avgPrice"])
    equal(only(await own("position_risk", symbol="ETHUSDT"))["positionAmt"], "0.500")


@ORDERS.add("order.market_result")
async def market_result(client: PlainClient) -> None:
    own = client.fresh()
    placed = await buy_at_market(own, "ETHUSDT", "0.500")
    keys_in(placed, _ACK_KEYS)
    equal((placed["executedQty"], placed["cumQty"]), ("0.500", "0.500"))


@ORDERS.add("order.reduce_only")
async def reduce_only(client: PlainClient) -> None:
    own = client.fresh()
    with refused(client.error, -2022):
        await own(
            "place", symbol="ETHUSDT", side="SELL", type="MARKET", quantity="0.500",
            reduceOnly="true",
        )  # fmt: skip
    await buy_at_market(own, "ETHUSDT", "0.500")
    closed = await own(
        "place", symbol="ETHUSDT", side="SELL", type="MARKET", quantity="0.500", reduceOnly="true",
        newOrderRespType="RESULT",
    )  # fmt: skip
    equal((closed["status"], closed["reduceOnly"]), ("FILLED", True))
    equal(await own("position_risk", symbol="ETHUSDT"), [])


@ORDERS.add("order.hedge")
async def hedge(client: PlainClient) -> None:
    own = client.fresh()
    await own("change_position_mode", dualSidePosition="true")
    for side, position_side, quantity in (("BUY", "LONG", "0.500"), ("SELL", "SHORT", "0.300")):
        placed = await own(
            "place", symbol="ETHUSDT", side=side, type="MARKET", quantity=quantity,
            positionSide=position_side, newOrderRespType="RESULT",
        )  # fmt: skip
        equal((placed["status"], placed["positionSide"]), ("FILLED", position_side))
    rows = await own("position_risk", symbol="ETHUSDT")
    held = {row["positionSide"]: Decimal(row["positionAmt"]) for row in rows}
    equal(held, {"LONG": Decimal("0.5"), "SHORT": Decimal("-0.3")})
    with refused(client.error, -4061):
        await own("place", symbol="ETHUSDT", side="BUY", type="MARKET", quantity="0.500")


@ORDERS.add("order.price_match")
async def price_match(client: PlainClient) -> None:
    own = client.fresh()
    placed = await own(
        "place", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.010",
        priceMatch="QUEUE_20",
    )  # fmt: skip
    equal(placed["priceMatch"], "QUEUE_20")
    found = await own("query", symbol="BTCUSDT", orderId=placed["orderId"])
    expect(positive(found["price"]) < client.venue.price("BTCUSDT", ABOVE), found)
    await own("cancel_all", symbol="BTCUSDT")


@ORDERS.add("order.modify")
async def modify(client: PlainClient) -> None:
    own = client.fresh()
    placed = await place_limit(own)
    price = str(client.venue.price("BTCUSDT", "0.96"))
    modified = await own(
        "modify", symbol="BTCUSDT", orderId=placed["orderId"], side="BUY", quantity="0.030",
        price=price, modifyId=7,
    )  # fmt: skip
    equal((modified["origQty"], Decimal(modified["price"])), ("0.030", Decimal(price)))
    equal(modified["orderId"], placed["orderId"])
    equal(modified["modifyId"], 7, "the number we gave the change")
    found = await own("query", symbol="BTCUSDT", orderId=placed["orderId"])
    equal((found["origQty"], Decimal(found["price"])), ("0.030", Decimal(price)))
    with refused(client.error, -5027):
        await own(
            "modify", symbol="BTCUSDT", orderId=placed["orderId"], side="BUY", quantity="0.030",
            price=price,
        )  # fmt: skip


@ORDERS.add("order.amendments")
async def amendments(client: PlainClient) -> None:
    own = client.fresh()
    placed = await place_limit(own)
    price = str(client.venue.price("BTCUSDT", "0.96"))
    await own(
        "modify", symbol="BTCUSDT", orderId=placed["orderId"], side="BUY", quantity="0.030",
        price=price,
    )  # fmt: skip
    row = only(await own("amendments", symbol="BTCUSDT", orderId=placed["orderId"]))
    keys_in(row, "amendmentId symbol pair orderId clientOrderId time amendment")
    changed = row["amendment"]
    equal(Decimal(changed["price"]["before"]), Decimal(placed["price"]))
    equal(Decimal(changed["price"]["after"]), Decimal(price))
    equal([Decimal(changed["origQty"][key]) for key in ("before", "after")],
          [Decimal("0.020"), Decimal("0.030")])  # fmt: skip
    equal(changed["count"], 1)


@ORDERS.add("order.batch_place")
async def batch_place(client: PlainClient) -> None:
    own = client.fresh()
    price = str(client.venue.price("BTCUSDT", BELOW))
    good = {
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "quantity": "0.020", "price": price,
    }  # fmt: skip
    bad = {**good, "quantity": "0.0001"}
    first, second, third = await own("batch_place", orders=[good, bad, dict(good)])
    equal((first["status"], third["status"]), ("NEW", "NEW"))
    keys_in(first, "orderId clientOrderId origQty")
    equal(second["code"], -1111)
    listed = {row["orderId"] for row in await own("open_orders", symbol="BTCUSDT")}
    equal(listed, {first["orderId"], third["orderId"]})


async def _two_orders(own: PlainClient) -> list[Any]:
    return [await place_limit(own), await place_limit(own, "0.96")]


@ORDERS.add("order.batch_modify")
async def batch_modify(client: PlainClient) -> None:
    own = client.fresh()
    price = str(client.venue.price("BTCUSDT", "0.95"))
    changes = [
        {"symbol": "BTCUSDT", "orderId": str(order["orderId"]), "side": "BUY",
         "quantity": "0.030", "price": price}
        for order in await _two_orders(own)
    ]  # fmt: skip
    for row in await own("batch_modify", orders=changes):
        equal((row["origQty"], Decimal(row["price"])), ("0.030", Decimal(price)))
    rows = await own("open_orders", symbol="BTCUSDT")
    equal([row["origQty"] for row in rows], ["0.030", "0.030"])


@ORDERS.add("order.batch_cancel")
async def batch_cancel(client: PlainClient) -> None:
    own = client.fresh()
    ids = [order["orderId"] for order in await _two_orders(own)]
    rows = await own("batch_cancel", symbol="BTCUSDT", order_ids=[*ids, 1])
    equal([row.get("status", row.get("code")) for row in rows], ["CANCELED", "CANCELED", -2011])
    equal(await own("open_orders", symbol="BTCUSDT"), [])
    names = [order["clientOrderId"] for order in await _two_orders(own)]
    rows = await own("batch_cancel", symbol="BTCUSDT", client_order_ids=names)
    equal([row["status"] for row in rows], ["CANCELED", "CANCELED"])


@ORDERS.add("order.countdown")
async def countdown(client: PlainClient) -> None:
    own = client.fresh()
    placed = await place_limit(own)
    started = await own("countdown", symbol="BTCUSDT", countdownTime=500)
    equal(started, {"symbol": "BTCUSDT", "countdownTime": "500"})
    await status_of(own, placed, "CANCELED")
    equal(await own("open_orders", symbol="BTCUSDT"), [])
