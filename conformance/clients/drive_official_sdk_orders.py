"""Orders of every kind, placed with decimals and read into the SDK's models."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

from binance_common.errors import BadRequestError

from conformance.clients.drive_official_sdk_session import ID, bought, price, rest, resting, trader
from conformance.driver import (
    capability,
    equal,
    expect,
    filled_list,
    only,
    positive,
    refused,
    until,
)

_CENT = Decimal("0.01")


def _cancel(order: Any) -> Any:
    gone = rest("cancel_order", ID, order_id=order.order_id)
    equal((gone.order_id, gone.status), (order.order_id, "CANCELED"))
    return gone


def _limit(time_in_force: str, at: Decimal, **params: Any) -> Any:
    return rest(
        "new_order",
        ID,
        "BUY",
        "LIMIT",
        time_in_force=time_in_force,
        quantity=_CENT,
        price=at,
        **params,
    )


@capability("order.test")
def test() -> None:
    asked = {"time_in_force": "GTC", "quantity": _CENT, "price": price("0.96")}
    order = rest("test_order", ID, "BUY", "LIMIT", **asked)
    equal((order.symbol, order.status), (ID, "NEW"))
    equal(rest("current_all_open_orders", ID), [], "nothing was placed")


@capability("order.limit_gtc")
def limit_gtc() -> None:
    order = resting(rest)
    equal((order.time_in_force, order.type, order.reduce_only), ("GTC", "LIMIT", False))
    equal((order.self_trade_prevention_mode, order.price_match), ("EXPIRE_MAKER", "NONE"))
    _cancel(order)


@capability("order.limit_ioc")
def limit_ioc() -> None:
    equal(_limit("IOC", price("0.96"), new_order_resp_type="RESULT").status, "EXPIRED")
    equal(_limit("IOC", price("1.01"), new_order_resp_type="RESULT").status, "FILLED")


@capability("order.limit_fok")
def limit_fok() -> None:
    equal(_limit("FOK", price("1.01"), new_order_resp_type="RESULT").status, "FILLED")
    with refused(BadRequestError, -5021):
        _limit("FOK", price("0.96"))


@capability("order.limit_gtx")
def limit_gtx() -> None:
    order = _limit("GTX", price("0.96"))
    equal((order.status, order.time_in_force), ("NEW", "GTX"))
    _cancel(order)
    with refused(BadRequestError, -5022):
        _limit("GTX", price("1.01"))


@capability("order.limit_gtd")
def limit_gtd() -> None:
    date = (int(time.time()) + 1_000) * 1_000
    order = _limit("GTD", price("0.96"), good_till_date=date)
    equal((order.time_in_force, order.good_till_date), ("GTD", date))
    _cancel(order)
    with refused(BadRequestError, -5040):
        _limit("GTD", price("0.96"), good_till_date=int(time.time() + 60) * 1_000)


@capability("order.market")
def market() -> None:
    order = rest("new_order", ID, "BUY", "MARKET", quantity=_CENT)
    equal((order.status, Decimal(order.executed_qty)), ("NEW", Decimal(0)), "what an ACK says")
    until(lambda: rest("query_order", ID, order_id=order.order_id).status == "FILLED")


@capability("order.market_result")
def market_result() -> None:
    order = bought(rest, side="SELL")
    equal((Decimal(order.executed_qty), order.type), (_CENT, "MARKET"))
    cost = Decimal(order.avg_price) * _CENT
    expect(abs(Decimal(order.cum_quote) - cost) < Decimal("0.01"), order)


@capability("order.reduce_only")
def reduce_only() -> None:
    on = trader()
    bought(on, "0.02")
    order = bought(on, "0.02", "SELL", reduce_only="true")
    expect(order.reduce_only, order)
    equal(on("position_information_v3", ID), [], "the position is closed")
    with refused(BadRequestError, -2022, "ReduceOnly Order is rejected."):
        bought(on, "0.02", "SELL", reduce_only="true")


@capability("order.hedge")
def hedge() -> None:
    on = trader()
    on("change_position_mode", "true")
    equal(bought(on, "0.02", position_side="LONG").position_side, "LONG")
    bought(on, "0.03", "SELL", position_side="SHORT")
    rows = {
        row.position_side: Decimal(row.position_amt) for row in on("position_information_v3", ID)
    }
    equal(rows, {"LONG": Decimal("0.02"), "SHORT": Decimal("-0.03")})
    bought(on, "0.02", "SELL", position_side="LONG")
    equal([row.position_side for row in on("position_information_v3", ID)], ["SHORT"])
    with refused(BadRequestError, -4061):
        bought(on)


@capability("order.price_match")
def price_match() -> None:
    order = resting(rest, price=None, price_match="QUEUE_5")
    expect(order.price_match == "QUEUE_5" and positive(order.price) < price("1.001"), order)
    _cancel(order)
    with refused(BadRequestError, -1106):
        resting(rest, price_match="QUEUE_5")


@capability("order.query")
def query() -> None:
    order = resting(rest, new_client_order_id="sdk:query/1")
    by_id = rest.told("query_order", ID, order_id=order.order_id).raw
    by_name = rest.told("query_order", ID, orig_client_order_id="sdk:query/1").raw
    equal(by_id, by_name, "both ways")
    equal((by_id["avgPrice"], by_id["cumQuote"]), ("0.00", "0.00000"), "decimal scales")
    _cancel(order)


@capability("order.open_order")
def open_order() -> None:
    order = resting(rest)
    equal(rest("query_current_open_order", ID, order_id=order.order_id).status, "NEW")
    _cancel(order)
    with refused(BadRequestError, -2013):
        rest("query_current_open_order", ID, order_id=order.order_id)


@capability("order.open_orders")
def open_orders() -> None:
    rest("cancel_all_open_orders", ID)
    order = resting(rest)
    equal(only(rest("current_all_open_orders", ID)).order_id, order.order_id)
    equal(only(rest("current_all_open_orders")).order_id, order.order_id)
    _cancel(order)


@capability("order.all_orders")
def all_orders() -> None:
    order = resting(rest)
    _cancel(order)
    row = next(row for row in rest("all_orders", ID) if row.order_id == order.order_id)
    equal((row.status, row.client_order_id), ("CANCELED", order.client_order_id))


@capability("order.user_trades")
def user_trades() -> None:
    order = bought(rest)
    rows = filled_list(rest("account_trade_list", ID, order_id=order.order_id))
    equal(sum(Decimal(row.qty) for row in rows), _CENT)
    rate = Decimal(rest("user_commission_rate", ID).taker_commission_rate)
    for row in rows:
        equal((row.buyer, row.maker, row.commission_asset), (True, False, "USDT"))
        paid = Decimal(row.price) * Decimal(row.qty) * rate
        expect(abs(Decimal(row.commission) - paid) < Decimal("0.000001"), row)


@capability("order.cancel")
def cancel() -> None:
    _cancel(resting(rest))
    resting(rest, new_client_order_id="sdk.cancel-2")
    gone = rest("cancel_order", ID, orig_client_order_id="sdk.cancel-2")
    equal((gone.client_order_id, gone.status), ("sdk.cancel-2", "CANCELED"))


@capability("order.cancel_all")
def cancel_all() -> None:
    resting(rest)
    resting(rest, "0.97")
    answer = rest("cancel_all_open_orders", ID)
    equal((answer.code, answer.msg), (200, "The operation of cancel all open order is done."))
    equal(rest("current_all_open_orders", ID), [])


def _modify(order: Any, factor: str = "0.955", quantity: str = "0.012") -> Any:
    named = {"order_id": order.order_id, "modify_id": 77}
    changed = rest("modify_order", ID, "BUY", Decimal(quantity), price(factor), **named)
    equal(changed.modify_id, 77)
    return changed


@capability("order.modify")
def modify() -> None:
    order = resting(rest)
    changed = _modify(order)
    equal((changed.order_id, Decimal(changed.orig_qty)), (order.order_id, Decimal("0.012")))
    with refused(BadRequestError, -5027):
        again = {"order_id": order.order_id}
        rest("modify_order", ID, "BUY", Decimal("0.012"), Decimal(changed.price), **again)
    _cancel(order)


@capability("order.amendments")
def amendments() -> None:
    order = resting(rest)
    _modify(order)
    row = only(rest("get_order_modify_history", ID, order_id=order.order_id))
    equal((row.order_id, row.symbol, row.amendment.count), (order.order_id, ID, 1))
    quantity = row.amendment.orig_qty
    equal((Decimal(quantity.before), Decimal(quantity.after)), (_CENT, Decimal("0.012")))
    equal(row.amendment.modify_id, 77)
    _cancel(order)


def _asked(factor: str, quantity: str = "0.01") -> dict[str, str]:
    return {
        "symbol": ID, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "quantity": quantity, "price": str(price(factor)),
    }  # fmt: skip


def _pair() -> Any:
    return rest("place_multiple_orders", [_asked("0.96"), _asked("0.97")])


@capability("order.batch_place")
def batch_place() -> None:
    client = rest.client
    orders = [_asked("0.96"), _asked("0.96", "0.0001"), _asked("0.97")]
    first, refusal, second = client.place_multiple_orders(orders).data()
    equal((first.status, second.status), ("NEW", "NEW"))
    expect(refusal.order_id is None and refusal.code < 0 and refusal.msg, refusal)
    rest("cancel_all_open_orders", ID)


@capability("order.batch_modify")
def batch_modify() -> None:
    orders = _pair()
    edits = [
        {
            "orderId": order.order_id, "symbol": ID, "side": "BUY",
            "quantity": "0.013", "price": str(price("0.955")),
        }
        for order in orders
    ]  # fmt: skip
    rows = rest("modify_multiple_orders", edits)
    equal([Decimal(row.orig_qty) for row in rows], [Decimal("0.013")] * 2)
    equal([row.order_id for row in rows], [row.order_id for row in orders])
    rest("cancel_all_open_orders", ID)


@capability("order.batch_cancel")
def batch_cancel() -> None:
    rows = rest("cancel_multiple_orders", ID, order_id_list=[row.order_id for row in _pair()])
    equal([row.status for row in rows], ["CANCELED", "CANCELED"])
    names = [row.client_order_id for row in _pair()]
    rows = rest("cancel_multiple_orders", ID, orig_client_order_id_list=names)
    equal([row.client_order_id for row in rows], names)


@capability("order.countdown")
def countdown() -> None:
    order = resting(rest)
    answer = rest("auto_cancel_all_open_orders", ID, 800)
    equal((answer.symbol, answer.countdown_time), (ID, "800"))
    until(lambda: rest("query_order", ID, order_id=order.order_id).status == "CANCELED")
