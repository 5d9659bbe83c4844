"""Orders and conditional orders of every kind, placed and read in ccxt's unified way."""

from __future__ import annotations

from typing import Any

import ccxt

from conformance.clients.drive_ccxt_session import (
    BY_HOST,
    ID,
    SYMBOL,
    client,
    filled,
    place,
    position,
    price,
    trader,
)
from conformance.driver import capability, equal, expect, filled_list, only, refused, until

on = client()
_FAR = "0.96"


def _rest(factor: str = _FAR, **params: Any) -> Any:
    """Place a limit order below the market; ccxt's reading of the answer is checked."""
    on.markets or on.load_markets()
    order = place(on, "limit", "buy", 0.01, price(factor), **params)
    equal((order["status"], order["filled"], order["amount"]), ("open", 0.0, 0.01))
    return order


def _gone(order: Any) -> Any:
    """Cancel the order and check the answer."""
    canceled = on.cancel_order(order["id"], SYMBOL)
    equal((canceled["id"], canceled["status"]), (order["id"], "canceled"))
    return canceled


@capability("order.test")
def test() -> None:
    on.markets or on.load_markets()
    asked = on.create_order_request(SYMBOL, "limit", "buy", 0.01, price(_FAR))
    order = on.parse_order(on.fapiPrivatePostOrderTest(asked))  # the unified `test` is spot's
    equal((order["symbol"], order["amount"], order["type"]), (SYMBOL, 0.01, "limit"))
    equal(on.fetch_open_orders(SYMBOL), [], "nothing was placed")


@capability("order.limit_gtc")
def limit_gtc() -> None:
    order = _rest()
    equal((order["timeInForce"], order["type"], order["reduceOnly"]), ("GTC", "limit", False))
    read = on.fetch_order(order["id"], SYMBOL)
    equal((read["price"], read["amount"], read["status"]), (order["price"], 0.01, "open"))
    expect(read["timestamp"] and read["lastUpdateTimestamp"], read)
    _gone(order)


@capability("order.limit_ioc")
def limit_ioc() -> None:
    lost = place(on, "limit", "buy", 0.01, price(_FAR), timeInForce="IOC")
    equal((lost["status"], lost["filled"], lost["timeInForce"]), ("expired", 0.0, "IOC"))
    taken = place(on, "limit", "buy", 0.01, price("1.01"), timeInForce="IOC")
    filled(on, taken)


@capability("order.limit_fok")
def limit_fok() -> None:
    filled(on, place(on, "limit", "buy", 0.01, price("1.01"), timeInForce="FOK"))
    with refused(ccxt.InvalidOrder, -5021):
        place(on, "limit", "buy", 0.01, price(_FAR), timeInForce="FOK")


@capability("order.limit_gtx")
def limit_gtx() -> None:
    order = _rest(postOnly=True)
    expect(order["postOnly"] and order["timeInForce"] == "PO", order)
    _gone(order)
    with refused(ccxt.ExchangeError, -5022):
        place(on, "limit", "buy", 0.01, price("1.01"), postOnly=True)


@capability("order.limit_gtd")
def limit_gtd() -> None:
    date = (on.milliseconds() // 1000 + 1000) * 1000
    order = _rest(timeInForce="GTD", goodTillDate=date)
    equal((order["timeInForce"], order["info"]["goodTillDate"]), ("GTD", date))
    _gone(order)


@capability("order.market")
def market() -> None:
    order = place(on, "market", "buy", 0.01, newOrderRespType="ACK")
    equal((order["status"], order["filled"]), ("open", 0.0), "what an ACK says")
    filled(on, order)


@capability("order.market_result")
def market_result() -> None:
    order = place(on, "market", "sell", 0.01)
    equal((order["status"], order["filled"], order["remaining"]), ("closed", 0.01, 0.0))
    filled(on, order)


@capability("order.reduce_only")
def reduce_only() -> None:
    own = trader()
    filled(own, place(own, "market", "buy", 0.02))
    closed = place(own, "market", "sell", 0.02, reduceOnly=True)
    expect(closed["reduceOnly"], closed)
    filled(own, closed)
    until(lambda: position(own) is None)
    with refused(BY_HOST, -2022):
        place(own, "market", "sell", 0.02, reduceOnly=True)


@capability("order.hedge")
def hedge() -> None:
    own = trader()
    own.set_position_mode(True)
    filled(own, place(own, "market", "buy", 0.02, hedged=True))
    filled(own, place(own, "market", "sell", 0.03, hedged=True))
    equal((position(own, "long")["contracts"], position(own, "short")["contracts"]), (0.02, 0.03))
    expect(position(own, "long")["hedged"], "a position of hedge mode")
    filled(own, place(own, "market", "sell", 0.02, hedged=True, reduceOnly=True))
    until(lambda: position(own, "long") is None)
    equal(position(own, "short")["contracts"], 0.03)
    with refused(BY_HOST, -4061):
        place(own, "market", "sell", 0.01)


@capability("order.price_match")
def price_match() -> None:
    order = place(on, "limit", "buy", 0.01, None, priceMatch="QUEUE_5")
    equal(order["info"]["priceMatch"], "QUEUE_5")
    expect(0 < order["price"] < price("1.001"), order)
    on.cancel_all_orders(SYMBOL)


@capability("order.query")
def query() -> None:
    order = _rest()
    by_id = on.fetch_order(order["id"], SYMBOL)
    by_name = on.fetch_order(None, SYMBOL, {"clientOrderId": order["clientOrderId"]})
    equal(by_id["info"], by_name["info"], "both ways")
    equal((by_id["id"], by_id["clientOrderId"]), (order["id"], order["clientOrderId"]))
    _gone(order)


@capability("order.open_order")
def open_order() -> None:
    order = _rest()
    equal(on.fetch_open_order(order["id"], SYMBOL)["id"], order["id"])
    _gone(order)
    with refused(ccxt.OrderNotFound, -2013):
        on.fetch_open_order(order["id"], SYMBOL)


@capability("order.open_orders")
def open_orders() -> None:
    on.cancel_all_orders(SYMBOL)
    order = _rest()
    equal(only(on.fetch_open_orders(SYMBOL))["id"], order["id"])
    on.options["warnOnFetchOpenOrdersWithoutSymbol"] = False
    equal(only(on.fetch_open_orders())["id"], order["id"])
    _gone(order)
    equal(on.fetch_open_orders(SYMBOL), [])


@capability("order.all_orders")
def all_orders() -> None:
    order = _rest()
    _gone(order)
    expect(order["id"] in [row["id"] for row in on.fetch_orders(SYMBOL)], "all orders")
    expect(order["id"] in [row["id"] for row in on.fetch_canceled_orders(SYMBOL)], "canceled")
    expect(order["id"] not in [row["id"] for row in on.fetch_closed_orders(SYMBOL)], "closed")


@capability("order.user_trades")
def user_trades() -> None:
    order = filled(on, place(on, "market", "buy", 0.01))
    rows = [row for row in on.fetch_my_trades(SYMBOL) if row["order"] == order["id"]]
    equal(round(sum(row["amount"] for row in filled_list(rows)), 3), 0.01)
    for row in rows:
        equal((row["side"], row["takerOrMaker"], row["fee"]["currency"]), ("buy", "taker", "USDT"))
        rate = row["fee"]["cost"] / row["cost"]
        expect(abs(rate - on.fetch_trading_fee(SYMBOL)["taker"]) < 1e-6, f"a fee rate of {rate}")


@capability("order.cancel")
def cancel() -> None:
    order = _rest()
    _gone(order)
    equal(on.fetch_order(order["id"], SYMBOL)["status"], "canceled")
    named = _rest(clientOrderId="conformance:cancel/1")
    by_name = on.cancel_order(None, SYMBOL, {"clientOrderId": "conformance:cancel/1"})
    equal((by_name["id"], by_name["status"]), (named["id"], "canceled"))


@capability("order.cancel_all")
def cancel_all() -> None:
    _rest()
    _rest("0.97")
    equal(on.cancel_all_orders(SYMBOL)[0]["info"]["code"], 200)
    equal(on.fetch_open_orders(SYMBOL), [])


@capability("order.modify")
def modify() -> None:
    order = _rest()
    wanted = price("0.955")
    edited = on.edit_order(order["id"], SYMBOL, "limit", "buy", 0.012, wanted)
    equal((edited["id"], edited["price"], edited["amount"]), (order["id"], wanted, 0.012))
    equal(on.fetch_order(order["id"], SYMBOL)["price"], wanted)
    with refused(ccxt.ExchangeError, -5027):
        on.edit_order(order["id"], SYMBOL, "limit", "buy", 0.012, wanted)
    _gone(order)


@capability("order.amendments")
def amendments() -> None:
    order = _rest()
    on.edit_order(order["id"], SYMBOL, "limit", "buy", 0.012, price("0.955"))
    row = only(on.fapiPrivateGetOrderAmendment({"symbol": ID, "orderId": order["id"]}))
    equal((row["symbol"], str(row["orderId"])), (ID, order["id"]))
    change = row["amendment"]
    equal(float(change["origQty"]["before"]), 0.01)
    equal(float(change["origQty"]["after"]), 0.012)
    equal((float(change["price"]["before"]), change["count"]), (order["price"], 1))
    _gone(order)


def _asked(factor: str, amount: float = 0.01) -> dict[str, Any]:
    return {
        "symbol": SYMBOL, "type": "limit", "side": "buy", "amount": amount, "price": price(factor),
    }  # fmt: skip


@capability("order.batch_place")
def batch_place() -> None:
    rows = on.create_orders([_asked("0.96"), _asked("0.96", 900), _asked("0.97")])
    # ccxt sorts them by time, and a refusal has none.
    equal([row["status"] for row in rows], ["rejected", "open", "open"])
    refusal, *placed = rows
    expect(refusal["id"] is None and refusal["info"]["code"] < 0, refusal)
    expect(all(row["id"] and row["amount"] == 0.01 for row in placed), placed)
    on.cancel_all_orders(SYMBOL)


@capability("order.batch_modify")
def batch_modify() -> None:
    orders = on.create_orders([_asked("0.96"), _asked("0.97")])
    edits = [{"id": order["id"], **_asked("0.955", 0.013)} for order in orders]
    edited = on.edit_orders(edits)
    equal([row["amount"] for row in edited], [0.013, 0.013])
    equal([row["id"] for row in edited], [row["id"] for row in orders])
    on.cancel_all_orders(SYMBOL)


@capability("order.batch_cancel")
def batch_cancel() -> None:
    orders = on.create_orders([_asked("0.96"), _asked("0.97")])
    canceled = on.cancel_orders([order["id"] for order in orders], SYMBOL)
    equal([row["status"] for row in canceled], ["canceled", "canceled"])
    named = on.create_orders([_asked("0.96"), _asked("0.97")])
    names = [order["clientOrderId"] for order in named]
    canceled = on.cancel_orders([], SYMBOL, {"clientOrderIds": names})
    equal([row["id"] for row in canceled], [order["id"] for order in named])
    equal(on.fetch_open_orders(SYMBOL), [])


@capability("order.countdown")
def countdown() -> None:
    order = _rest()
    answer = on.fapiPrivatePostCountdownCancelAll({"symbol": ID, "countdownTime": 800})
    equal(answer, {"symbol": ID, "countdownTime": "800"})
    until(lambda: on.fetch_order(order["id"], SYMBOL)["status"] == "canceled")
