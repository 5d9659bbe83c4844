"""Modifying limit orders: what is refused, what it does to queue, margin and fills."""

import pytest

PATH = "/fapi/v1/order"
BEST = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.020", "price": "49000.10"}


def rest(venue, price="49000.10", quantity="0.010", **more):
    found = venue.order("BUY", quantity, price, **more)
    assert found.status == 200, found
    return found.body["orderId"]


def modify(venue, order_id, **change):
    sent = {name: value for name, value in {**BEST, **change}.items() if value is not None}
    return venue.call("PUT", PATH, orderId=order_id, **sent)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"quantity": None}, -1102),
        ({"price": None}, -1102),
        ({"side": None}, -1102),
        ({"side": "HOLD"}, -1117),
        ({"side": "SELL"}, -1130),
        ({"price": "49000.05"}, -4014),
        ({"price": "60000.00"}, -4016),
        ({"quantity": "0.0101"}, -1111),
        ({"quantity": "0.001"}, -5029),
        ({"quantity": "0.010"}, -5027),
        ({"quantity": "100.000"}, -2019),
        ({"reduceOnly": "true"}, -5047),
        ({"orderId": 999}, -2013),
    ],
)
def test_a_modification_is_refused_and_changes_nothing(venue, change, code):
    order_id = rest(venue)
    before = venue.get(PATH, symbol="BTCUSDT", orderId=order_id)
    sent = {"orderId": order_id, **BEST, **change}
    sent = {name: value for name, value in sent.items() if value is not None}
    assert venue.call("PUT", PATH, **sent).code == code
    assert venue.get(PATH, symbol="BTCUSDT", orderId=order_id) == before


def test_it_answers_with_pair_and_modify_id_and_says_amendment(venue):
    order_id = rest(venue)
    venue.call("POST", "/fapi/v1/listenKey")
    venue.events()
    found = modify(venue, order_id, modifyId=77).body
    head = ["orderId", "symbol", "pair", "status", "clientOrderId", "modifyId", "price"]
    assert list(found)[:7] == head
    assert (found["origQty"], found["pair"], found["status"]) == ("0.020", "BTCUSDT", "NEW")
    assert "avgPrice" not in found
    (event,) = venue.events()
    assert (event["o"]["x"], event["o"]["M"]) == ("AMENDMENT", 77)
    unnamed = modify(venue, order_id, quantity="0.030").body
    assert "modifyId" not in unnamed
    assert venue.account.counts.count_1m == 3


def test_it_loses_its_place_in_the_queue(venue):
    venue.depth("BTCUSDT", [("50000.00", "5")], [("50000.10", "5")], mark="50000.00")
    order_id = rest(venue, "50000.00")
    venue.trade("BTCUSDT", "50000.00", "4.990", is_buyer_maker=True)
    modify(venue, order_id, price="50000.00", quantity="0.011")
    venue.trade("BTCUSDT", "50000.00", "4.990", is_buyer_maker=True)
    assert venue.get(PATH, symbol="BTCUSDT", orderId=order_id)["executedQty"] == "0.000"


def test_a_price_that_crosses_takes(venue):
    order_id = rest(venue)
    found = modify(venue, order_id, price="50000.10").body
    assert (found["status"], found["executedQty"]) == ("FILLED", "0.020")


def test_a_quantity_that_is_filled_already_ends_the_order(venue):
    venue.depth("BTCUSDT", [("50000.00", "1")], [("50000.10", "0.004")], mark="50000.00")
    order_id = rest(venue, "50000.10")
    found = modify(venue, order_id, price="50000.10", quantity="0.004").body
    assert (found["status"], found["executedQty"]) == ("CANCELED", "0.004")


def test_a_post_only_order_that_would_take_ends(venue):
    order_id = rest(venue, timeInForce="GTX")
    assert modify(venue, order_id, price="50000.10").body["status"] == "CANCELED"


def test_an_order_may_be_moved_so_often(venue):
    order_id = rest(venue)
    modify(venue, order_id, quantity="0.011")
    venue.account.orders[order_id].amendments *= 10_000
    assert modify(venue, order_id).code == -5026


def test_a_modification_needs_the_margin_that_placing_it_would_need(make_venue):
    venue = make_venue(balance="1000")
    venue.call("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=125)
    venue.depth("BTCUSDT", [("50000.00", "9")], [("52000.00", "9")], mark="50000")
    assert venue.code("BUY", "0.900", "52000.00") == -2019
    order_id = rest(venue, "49000.00", "0.900")
    assert modify(venue, order_id, quantity="0.900", price="52000.00").code == -2019
    assert modify(venue, order_id, quantity="0.900", price="50100.00").code == 0


def test_only_who_says_so_may_make_a_reduce_only_order_small(venue):
    venue.order("BUY", "0.010")
    order_id = venue.order("SELL", "0.010", "51000.00", reduceOnly="true").body["orderId"]
    small = {"side": "SELL", "quantity": "0.001", "price": "49999.00"}
    venue.depth("BTCUSDT", [("49000.00", "5")], [("51000.00", "5")], mark="49999.00")
    for sent in ({}, {"reduceOnly": "false"}):
        assert modify(venue, order_id, **small, **sent).code == -5029
    assert modify(venue, order_id, **small, reduceOnly="true").body["reduceOnly"] is True


def test_a_modification_that_takes_the_order_for_reduce_only_is_told_so(venue):
    found = modify(venue, rest(venue), reduceOnly="true")
    assert found.body == {"code": -5047, "msg": "The original order is not a reduce-only order"}
