"""Conditional orders, which ccxt calls trigger orders."""

from __future__ import annotations

from typing import Any

import ccxt

from conformance.clients.drive_ccxt_session import SYMBOL, filled, place, price, trader
from conformance.driver import capability, equal, expect, only, refused, until

_TRIGGER = {"trigger": True}
_shared: list[Any] = []


def _holder() -> Any:
    """A client whose account is long, so that a stop has something to protect."""
    if not _shared:
        made = trader()
        filled(made, place(made, "market", "buy", 0.05))
        _shared.append(made)
    return _shared[0]


def _waits(kind: str, at: float | None = None, **params: Any) -> Any:
    order = place(_holder(), kind, "sell", 0.01, at, **params)
    expect(order["info"]["algoId"] and order["info"]["algoType"] == "CONDITIONAL", order)
    equal((order["status"], order["amount"]), ("open", 0.01))
    return order


def _found(order_id: Any, **params: Any) -> Any:
    """Read a conditional order: for 1.5 s after it was placed the venue may not find it yet."""

    def read() -> Any:
        try:
            return _holder().fetch_order(order_id, SYMBOL, {**_TRIGGER, **params})
        except ccxt.OrderNotFound:
            return None

    return until(read)


def _read(order: Any) -> Any:
    return _found(order["id"])


def _end(order: Any) -> None:
    canceled = _holder().cancel_order(order["id"], SYMBOL, _TRIGGER)
    equal((canceled["id"], canceled["clientOrderId"]), (order["id"], order["clientOrderId"]))
    until(lambda: _read(order)["status"] == "canceled")


@capability("algo.stop")
def stop() -> None:
    order = _waits("limit", price("0.95"), stopLossPrice=price("0.96"), reduceOnly=True)
    equal(order["info"]["orderType"], "STOP")
    equal((order["triggerPrice"] > order["price"], order["reduceOnly"]), (True, True))
    _end(order)


@capability("algo.stop_market")
def stop_market() -> None:
    order = _holder().create_order(
        SYMBOL, "market", "sell", 0.01, None,
        {"stopLossPrice": price("0.96"), "closePosition": True, "workingType": "MARK_PRICE"},
    )  # fmt: skip
    raw = order["info"]
    equal(
        (raw["orderType"], raw["closePosition"], raw["workingType"]),
        ("STOP_MARKET", True, "MARK_PRICE"),
    )
    with refused(ccxt.ExchangeError, -4130):
        _holder().create_order(
            SYMBOL, "market", "sell", 0.01, None,
            {"stopLossPrice": price("0.95"), "closePosition": True},
        )  # fmt: skip
    _end(order)


@capability("algo.take_profit")
def take_profit() -> None:
    order = _waits("limit", price("1.03"), takeProfitPrice=price("1.02"), reduceOnly=True)
    equal(order["info"]["orderType"], "TAKE_PROFIT")
    _end(order)


@capability("algo.take_profit_market")
def take_profit_market() -> None:
    order = _waits("market", takeProfitPrice=price("1.02"), reduceOnly=True)
    equal((order["info"]["orderType"], order["price"]), ("TAKE_PROFIT_MARKET", None))
    _end(order)


@capability("algo.trailing_stop_market")
def trailing_stop_market() -> None:
    order = _waits("market", trailingPercent=1, trailingTriggerPrice=price("1.01"), reduceOnly=True)
    raw = order["info"]
    equal((raw["orderType"], float(raw["callbackRate"])), ("TRAILING_STOP_MARKET", 1.0))
    expect(float(raw["activatePrice"]) > 0, raw)
    _end(order)


@capability("algo.query")
def query() -> None:
    order = _waits("market", stopLossPrice=price("0.96"), reduceOnly=True)
    read = _read(order)
    equal(
        (read["id"], read["status"], read["triggerPrice"]),
        (order["id"], "open", order["triggerPrice"]),
    )
    by_name = _found(None, clientAlgoId=order["clientOrderId"])
    equal(by_name["id"], order["id"])
    _end(order)


@capability("algo.open")
def open_() -> None:
    order = _waits("market", stopLossPrice=price("0.96"), reduceOnly=True)
    row = only(_holder().fetch_open_orders(SYMBOL, params=_TRIGGER))
    equal(
        (row["id"], row["amount"], row["triggerPrice"]), (order["id"], 0.01, order["triggerPrice"])
    )
    equal(_holder().fetch_open_orders(SYMBOL), [], "it is no regular order")
    _end(order)


@capability("algo.all")
def all_() -> None:
    order = _waits("market", stopLossPrice=price("0.96"), reduceOnly=True)
    _end(order)
    rows = _holder().fetch_orders(SYMBOL, params=_TRIGGER)
    ended = [row for row in rows if row["id"] == order["id"]]
    equal(only(ended)["status"], "canceled")


@capability("algo.cancel")
def cancel() -> None:
    order = _waits("market", stopLossPrice=price("0.96"), reduceOnly=True)
    _end(order)
    with refused(ccxt.OrderNotFound, -2011):
        _holder().cancel_order(order["id"], SYMBOL, _TRIGGER)


@capability("algo.cancel_all")
def cancel_all() -> None:
    _waits("market", stopLossPrice=price("0.96"), reduceOnly=True)
    _waits("market", takeProfitPrice=price("1.04"), reduceOnly=True)
    equal(_holder().cancel_all_orders(SYMBOL, _TRIGGER)[0]["info"]["code"], 200)
    equal(_holder().fetch_open_orders(SYMBOL, params=_TRIGGER), [])


@capability("algo.trigger", timeout_s=60)
def trigger() -> None:
    above = _waits("market", takeProfitPrice=price("1.0003"), reduceOnly=True)
    below = _waits("market", stopLossPrice=price("0.9997"), reduceOnly=True)

    def born() -> Any:
        reads = [_read(above), _read(below)]
        return next(
            (read["info"]["actualOrderId"] for read in reads if read["info"]["actualOrderId"]), None
        )

    order_id = until(born, timeout_s=50)
    order = filled(_holder(), {"id": str(order_id)})
    equal((order["side"], order["reduceOnly"], order["amount"]), ("sell", True, 0.01))
    _holder().cancel_all_orders(SYMBOL, _TRIGGER)
