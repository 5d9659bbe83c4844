"""Batches: each order as if it came alone, the whole counted as documented."""

import json

import pytest

from services.paper_exchange.config import Limits
from services.paper_exchange.core import ENDPOINTS

PATH = "/fapi/v1/batchOrders"


def limit(price="49000.00", side="BUY", **more):
    return {
        "symbol": "BTCUSDT",
        "side": side,
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.010",
        "price": price,
        **more,
    }


def send(venue, method, orders, **more):
    return venue.call(method, PATH, batchOrders=json.dumps(orders), **more)


def test_each_order_of_a_batch_is_answered_in_its_place(venue):
    found = send(
        venue, "POST", [limit(), limit(quantity="0.0001"), limit(price="x"), {"symbol": "NOPE"}]
    )
    assert found.status == 200
    assert len(found.body[0]) == 22
    assert [row.get("code") for row in found.body] == [None, -1111, -1102, -1121]
    assert all(set(row) == {"code", "msg"} for row in found.body[1:])
    assert len(venue.account.open_orders) == 1


def test_numbers_and_booleans_of_a_batch_may_be_sent_as_json_has_them(venue):
    order = limit(quantity=0.01, price=49000.1, reduceOnly=False, newClientOrderId=None)
    (row,) = send(venue, "POST", [order]).body
    assert (row["price"], row["origQty"], row["reduceOnly"]) == ("49000.10", "0.010", False)


def test_an_order_of_a_batch_may_trade_with_its_own_account(venue):
    (row,) = send(venue, "POST", [limit()]).body
    assert row["selfTradePreventionMode"] == "NONE"
    assert venue.order("BUY", "0.010", "49000.00").body["selfTradePreventionMode"] == "EXPIRE_MAKER"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("[]", -4082),
        (json.dumps([limit()] * 6), -4082),
        ("[", -1130),
        ("{}", -1130),
        ("7", -1130),
        ('"x"', -1130),
        ("[7]", -1130),
        ('[{"symbol":["BTCUSDT"]}]', -1130),
        ("[" * 5_000, -1130),
        ("", -1102),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_what_is_no_batch_is_refused_as_a_whole(venue, method, sent, code):
    found = venue.call(method, PATH, batchOrders=sent)
    assert (found.status, found.code) == (400, code)
    assert venue.account.counts.count_10s == 0


def test_a_batch_counts_five_in_10_seconds_and_one_in_a_minute(venue):
    send(venue, "POST", [limit()])
    assert (venue.account.counts.count_10s, venue.account.counts.count_1m) == (5, 1)
    assert ENDPOINTS["POST", PATH].weight == ENDPOINTS["PUT", PATH].weight == 5
    assert ENDPOINTS["DELETE", PATH].weight == 1


def test_a_batch_that_would_pass_the_limit_is_refused_before_it_begins(make_venue):
    venue = make_venue(Limits(orders_per_10_seconds_max=6))
    venue.order("BUY", "0.010", "49000.00")
    venue.order("BUY", "0.010", "49000.00")
    assert send(venue, "POST", [limit()]).code == -1015
    assert len(venue.account.open_orders) == 2


def test_a_batch_modifies_each_order(venue):
    first, second = (row["orderId"] for row in send(venue, "POST", [limit(), limit()]).body)
    change = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.020", "price": "48000.00"}
    found = send(
        venue,
        "PUT",
        [{**change, "orderId": first}, {**change, "orderId": 99}, {**change, "orderId": second}],
    )
    assert [row.get("code", row.get("origQty")) for row in found.body] == ["0.020", -2013, "0.020"]
    assert found.body[0]["pair"] == "BTCUSDT"


@pytest.mark.parametrize("name", ["orderIdList", "orderidlist"])
def test_a_batch_cancels_by_id(venue, name):
    ids = [row["orderId"] for row in send(venue, "POST", [limit(), limit()]).body]
    found = venue.call("DELETE", PATH, symbol="BTCUSDT", **{name: json.dumps([*ids, 99])})
    assert [row.get("status", row.get("code")) for row in found.body] == [
        "CANCELED",
        "CANCELED",
        -2011,
    ]
    assert not venue.account.open_orders


@pytest.mark.parametrize("name", ["origClientOrderIdList", "origclientorderidlist"])
def test_a_batch_cancels_by_the_customers_own_id(venue, name):
    venue.order("BUY", "0.010", "49000.00", newClientOrderId="mine")
    found = venue.call("DELETE", PATH, symbol="BTCUSDT", **{name: '["mine","none"]'})
    assert [row.get("status", row.get("code")) for row in found.body] == ["CANCELED", -2011]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({}, -1102),
        ({"orderIdList": "[]"}, -1130),
        ({"orderIdList": "1,2"}, -1130),
        ({"orderIdList": "[[1]]"}, -1130),
        ({"orderIdList": json.dumps(list(range(11)))}, -4032),
    ],
)
def test_what_names_no_orders_to_cancel_is_refused(venue, sent, code):
    assert venue.call("DELETE", PATH, symbol="BTCUSDT", **sent).code == code
