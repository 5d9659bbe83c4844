"""Checks of conditional orders, for clients that hand the venue's JSON through."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from conformance.clients.plain_account import buy_at_market
from conformance.clients.plain_client import Checks, PlainClient
from conformance.driver import Failed, equal, expect, keys_in, only, until_async

ALGOS = Checks()
_DOES_NOT_EXIST = -2013


async def _holder(client: PlainClient) -> PlainClient:
    """A client whose account holds a long position in bitcoin."""
    own = client.fresh()
    await buy_at_market(own, "BTCUSDT", "0.010")
    return own


async def place_algo(own: PlainClient, kind: str, factor: str = "0.9", **parameters: Any) -> Any:
    """Place a conditional order to sell; its trigger is `factor` times the best bid."""
    trigger = str(own.venue.price("BTCUSDT", factor))
    asked = {"triggerPrice": trigger, **parameters}
    placed = await own("place_algo", symbol="BTCUSDT", side="SELL", type=kind, **asked)
    keys_in(
        placed,
        "algoId clientAlgoId algoType orderType symbol side positionSide timeInForce quantity "
        "algoStatus triggerPrice price selfTradePreventionMode workingType priceMatch "
        "closePosition priceProtect reduceOnly createTime updateTime triggerTime goodTillDate",
    )
    equal((placed["algoStatus"], placed["orderType"]), ("NEW", kind))
    equal(Decimal(placed["triggerPrice"]), Decimal(trigger))
    return placed


async def find_algo(own: PlainClient, algo_id: int) -> Any:
    """Query a conditional order; for a second or so the venue does not find a young one."""

    async def read() -> Any:
        try:
            return await own("query_algo", algoId=algo_id)
        except own.error as error:
            if str(_DOES_NOT_EXIST) not in str(error):
                raise
            return None

    return await until_async(read)


async def _expect_listed(own: PlainClient, placed: Any) -> None:
    listed = only(await own("open_algos", symbol="BTCUSDT"))
    equal((listed["algoId"], listed["algoStatus"]), (placed["algoId"], "NEW"))
    equal(Decimal(listed["triggerPrice"]), Decimal(placed["triggerPrice"]))


@ALGOS.add("algo.stop")
async def stop(client: PlainClient) -> None:
    own = await _holder(client)
    price = str(client.venue.price("BTCUSDT", "0.98"))
    placed = await place_algo(
        own, "STOP", price=price, quantity="0.010", timeInForce="GTC", reduceOnly="true"
    )
    equal((Decimal(placed["price"]), placed["reduceOnly"]), (Decimal(price), True))
    await _expect_listed(own, placed)


@ALGOS.add("algo.stop_market")
async def stop_market(client: PlainClient) -> None:
    own = await _holder(client)
    trigger = str(client.venue.price("BTCUSDT", "0.9"))
    placed = await own(
        "place_conditional", symbol="BTCUSDT", side="SELL", type="STOP_MARKET", stopPrice=trigger,
        closePosition="true", workingType="MARK_PRICE",
    )  # fmt: skip
    equal((placed["closePosition"], placed["workingType"]), (True, "MARK_PRICE"))
    await _expect_listed(own, placed)


@ALGOS.add("algo.take_profit")
async def take_profit(client: PlainClient) -> None:
    own = await _holder(client)
    price = str(client.venue.price("BTCUSDT", "1.04"))
    placed = await place_algo(
        own, "TAKE_PROFIT", "1.04", price=price, quantity="0.010", timeInForce="GTC"
    )
    equal(Decimal(placed["quantity"]), Decimal("0.010"))
    await _expect_listed(own, placed)


@ALGOS.add("algo.take_profit_market")
async def take_profit_market(client: PlainClient) -> None:
    own = await _holder(client)
    placed = await place_algo(
        own, "TAKE_PROFIT_MARKET", "1.1", quantity="0.010", reduceOnly="true", priceProtect="true"
    )
    equal((placed["reduceOnly"], placed["priceProtect"]), (True, True))
    await _expect_listed(own, placed)


@ALGOS.add("algo.trailing_stop_market")
async def trailing_stop_market(client: PlainClient) -> None:
    own = await _holder(client)
    activation = str(client.venue.price("BTCUSDT", "1.05"))
    placed = await own(
        "place_algo", symbol="BTCUSDT", side="SELL", type="TRAILING_STOP_MARKET",
        quantity="0.010", callbackRate="1", activatePrice=activation,
    )  # fmt: skip
    equal((placed["algoStatus"], placed["orderType"]), ("NEW", "TRAILING_STOP_MARKET"))
    equal(Decimal(placed["callbackRate"]), 1)
    equal(Decimal(placed["activatePrice"]), Decimal(activation))
    equal(only(await own("open_algos", symbol="BTCUSDT"))["algoId"], placed["algoId"])


@ALGOS.add("algo.query")
async def query(client: PlainClient) -> None:
    own = await _holder(client)
    placed = await place_algo(own, "STOP_MARKET", quantity="0.010")
    found = await find_algo(own, placed["algoId"])
    keys_in(found, "actualOrderId actualPrice tpOrderType")
    equal((found["algoStatus"], found["actualOrderId"]), ("NEW", ""))
    by_name = await own("query_algo", clientAlgoId=placed["clientAlgoId"])
    equal(by_name["algoId"], placed["algoId"])


@ALGOS.add("algo.open")
async def open_algos(client: PlainClient) -> None:
    own = await _holder(client)
    first = await place_algo(own, "STOP_MARKET", quantity="0.010")
    second = await place_algo(own, "TAKE_PROFIT_MARKET", "1.1", quantity="0.010")
    rows = await own("open_algos")
    equal({row["algoId"] for row in rows}, {first["algoId"], second["algoId"]})
    equal(await own("open_algos", symbol="ETHUSDT"), [])
    equal(await own("open_orders", symbol="BTCUSDT"), [], "plain open orders")


@ALGOS.add("algo.all")
async def all_algos(client: PlainClient) -> None:
    own = await _holder(client)
    ended = await place_algo(own, "STOP_MARKET", quantity="0.010")
    await own("cancel_algo", algoId=ended["algoId"])
    waiting = await place_algo(own, "STOP_MARKET", quantity="0.010")
    rows = await own("all_algos", symbol="BTCUSDT")
    statuses = {row["algoId"]: row["algoStatus"] for row in rows}
    equal(statuses, {ended["algoId"]: "CANCELED", waiting["algoId"]: "NEW"})


@ALGOS.add("algo.cancel")
async def cancel(client: PlainClient) -> None:
    own = await _holder(client)
    placed = await place_algo(own, "STOP_MARKET", quantity="0.010")
    gone = await own("cancel_algo", algoId=placed["algoId"])
    equal((gone["algoId"], gone["code"], gone["msg"]), (placed["algoId"], "200", "success"))
    equal(await own("open_algos", symbol="BTCUSDT"), [])

    async def canceled() -> bool:
        found = await find_algo(own, placed["algoId"])
        return bool(found["algoStatus"] == "CANCELED")

    await until_async(canceled)


@ALGOS.add("algo.cancel_all")
async def cancel_all(client: PlainClient) -> None:
    own = await _holder(client)
    await place_algo(own, "STOP_MARKET", quantity="0.010")
    await place_algo(own, "TAKE_PROFIT_MARKET", "1.1", quantity="0.010")
    answer = await own("cancel_all_algos", symbol="BTCUSDT")
    equal(answer["code"], 200)
    equal(await own("open_algos", symbol="BTCUSDT"), [])


@ALGOS.add("algo.trigger", timeout_s=60)
async def trigger(client: PlainClient) -> None:
    own = await _holder(client)
    placed = await _place_near(own)

    async def finished() -> Any:
        found = await find_algo(own, placed["algoId"])
        return found if found["algoStatus"] == "FINISHED" else None

    found = await until_async(finished, 50)
    expect(found["actualOrderId"] != "", found)
    order = await own("query", symbol="BTCUSDT", orderId=int(found["actualOrderId"]))
    equal((order["status"], order["executedQty"]), ("FILLED", "0.010"))
    equal((order["type"], order["origType"]), ("MARKET", "STOP_MARKET"))
    equal(await own("position_risk", symbol="BTCUSDT"), [])


async def _place_near(own: PlainClient) -> Any:
    """A stop so near that the market soon reaches it; one that it has passed is tried again."""
    for factor in ("0.9999", "0.9998", "0.9997", "0.9995"):
        try:
            return await place_algo(own, "STOP_MARKET", factor, closePosition="true")
        except own.error as error:
            if "-2021" not in str(error):
                raise
    raise Failed("the market passed every trigger before it was placed")
