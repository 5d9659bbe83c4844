"""Conditional orders through the SDK's algo endpoints."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from binance_common.errors import BadRequestError

from conformance.clients.drive_official_sdk_session import ID, Rest, bought, price, trader
from conformance.driver import capability, equal, expect, only, positive, refused, until

_CENT = Decimal("0.01")
_shared: list[Rest] = []


def _holder() -> Rest:
    """A client whose account is long, so that a stop has something to protect."""
    if not _shared:
        made = trader()
        bought(made, "0.05")
        _shared.append(made)
    return _shared[0]


def _place(kind: str, **params: Any) -> Any:
    order = _holder()("new_algo_order", "CONDITIONAL", ID, "SELL", kind, **params)
    equal((order.order_type, order.algo_type, order.algo_status), (kind, "CONDITIONAL", "NEW"))
    return order


def _waits(kind: str, trigger: str, **params: Any) -> Any:
    return _place(kind, quantity=_CENT, trigger_price=price(trigger), reduce_only="true", **params)


def _read(order: Any, **named: Any) -> Any:
    """Read a conditional order: for 1.5 s after it was placed the venue may not find it yet."""
    asked = named or {"algo_id": order.algo_id}

    def read() -> Any:
        try:
            return _holder()("query_algo_order", **asked)
        except BadRequestError as error:
            equal(error.status_code, -2013)
            return None

    return until(read)


def _end(order: Any) -> None:
    answer = _holder()("cancel_algo_order", algo_id=order.algo_id)
    equal((answer.algo_id, answer.code, answer.msg), (order.algo_id, "200", "success"))
    until(lambda: _read(order).algo_status == "CANCELED")


@capability("algo.stop")
def stop() -> None:
    order = _waits("STOP", "0.96", price=price("0.95"), time_in_force="GTC")
    expect(positive(order.trigger_price) > positive(order.price), order)
    expect(order.reduce_only and order.iceberg_quantity is None, order)
    _end(order)


@capability("algo.stop_market")
def stop_market() -> None:
    asked = {"trigger_price": price("0.96"), "close_position": "true", "price_protect": "TRUE"}
    order = _place("STOP_MARKET", working_type="MARK_PRICE", **asked)
    equal(
        (order.working_type, order.close_position, order.price_protect), ("MARK_PRICE", True, True)
    )
    with refused(BadRequestError, -4130):
        _place("STOP_MARKET", **asked)
    _end(order)


@capability("algo.take_profit")
def take_profit() -> None:
    _end(_waits("TAKE_PROFIT", "1.02", price=price("1.03"), time_in_force="GTC"))


@capability("algo.take_profit_market")
def take_profit_market() -> None:
    _end(_waits("TAKE_PROFIT_MARKET", "1.02"))


@capability("algo.trailing_stop_market")
def trailing_stop_market() -> None:
    order = _place(
        "TRAILING_STOP_MARKET",
        quantity=_CENT,
        callback_rate=Decimal("0.5"),
        activate_price=price("1.01"),
        reduce_only="true",
    )
    equal(
        (Decimal(order.callback_rate), positive(order.activate_price) > 0), (Decimal("0.5"), True)
    )
    with refused(BadRequestError, -2007):
        _place("TRAILING_STOP_MARKET", quantity=_CENT, callback_rate=Decimal(11))
    _end(order)


@capability("algo.query")
def query() -> None:
    order = _waits("STOP_MARKET", "0.96", client_algo_id="sdk:algo/1")
    read = _read(order)
    equal(
        (read.algo_id, read.client_algo_id, read.algo_status), (order.algo_id, "sdk:algo/1", "NEW")
    )
    equal((read.actual_order_id, read.trigger_price), ("", order.trigger_price))
    equal(_read(order, client_algo_id="sdk:algo/1").algo_id, order.algo_id)
    _end(order)


@capability("algo.open")
def open_() -> None:
    order = _waits("STOP_MARKET", "0.96")
    row = only(_holder()("current_all_algo_open_orders", symbol=ID))
    equal((row.algo_id, Decimal(row.quantity)), (order.algo_id, _CENT))
    equal(row.quantity, "0.01", "formatted as the venue's doubles are")
    equal(_holder()("current_all_open_orders", ID), [], "it is no regular order")
    _end(order)


@capability("algo.all")
def all_() -> None:
    order = _waits("STOP_MARKET", "0.96")
    _end(order)
    rows = _holder()("query_all_algo_orders", ID)
    equal([row.algo_status for row in rows if row.algo_id == order.algo_id], ["CANCELED"])


@capability("algo.cancel")
def cancel() -> None:
    order = _waits("STOP_MARKET", "0.96", client_algo_id="sdk.algo-2")
    answer = _holder()("cancel_algo_order", client_algo_id="sdk.algo-2")
    equal((answer.algo_id, answer.client_algo_id), (order.algo_id, "sdk.algo-2"))
    with refused(BadRequestError, -2011):
        _holder()("cancel_algo_order", algo_id=order.algo_id)


@capability("algo.cancel_all")
def cancel_all() -> None:
    _waits("STOP_MARKET", "0.96")
    _waits("TAKE_PROFIT_MARKET", "1.04")
    equal(_holder()("cancel_all_algo_open_orders", ID).code, 200)
    equal(_holder()("current_all_algo_open_orders", symbol=ID), [])


@capability("algo.trigger", timeout_s=60)
def trigger() -> None:
    pair = [_waits("TAKE_PROFIT_MARKET", "1.0003"), _waits("STOP_MARKET", "0.9997")]

    def born() -> Any:
        return next((read for read in map(_read, pair) if read.actual_order_id), None)

    ended = until(born, timeout_s=50)
    order = until(lambda: _filled(int(ended.actual_order_id)))
    equal((order.side, order.reduce_only, Decimal(order.executed_qty)), ("SELL", True, _CENT))
    until(lambda: _read(ended).algo_status == "FINISHED")
    _holder()("cancel_all_algo_open_orders", ID)


def _filled(order_id: int) -> Any:
    order = _holder()("query_order", ID, order_id=order_id)
    return order if order.status == "FILLED" else None
