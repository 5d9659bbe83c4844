"""Placing orders: what the venue takes, what it refuses, and with which code."""

import pytest

from services.paper_exchange.config import Limits

ORDER_PATH = "/fapi/v1/order"
GOOD = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.010",
    "price": "49000.10",
}


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"symbol": None}, -1102, "'symbol' was not sent"),
        ({"symbol": ""}, -1102, "'symbol' was not sent"),
        ({"symbol": "NOPE"}, -1121, "Invalid symbol."),
        ({"symbol": "btcusdt"}, -1121, "Invalid symbol."),
        ({"side": "HOLD"}, -1117, "Invalid side."),
        ({"side": None}, -1102, "'side'"),
        ({"type": "ICEBERG"}, -1116, "Invalid orderType."),
        ({"type": "STOP_MARKET"}, -4120, "Algo Order API"),
        ({"type": "TRAILING_STOP_MARKET"}, -4120, "Algo Order API"),
        ({"timeInForce": None}, -1102, "'timeInForce'"),
        ({"timeInForce": "DAY"}, -1115, "Invalid timeInForce."),
        ({"quantity": None}, -1102, "'quantity'"),
        ({"quantity": "1e-2"}, -1102, "'quantity'"),
        ({"quantity": "NaN"}, -1102, "'quantity'"),
        ({"quantity": "0"}, -4003, "Quantity less than zero."),
        ({"quantity": "-1"}, -4003, "Quantity less than zero."),
        ({"quantity": "0.0101"}, -1111, "Precision is over the maximum"),
        ({"quantity": "1000.001"}, -4005, "Quantity greater than max quantity."),
        ({"price": None}, -1102, "'price'"),
        ({"price": "0"}, -4001, "Price less than 0."),
        ({"price": "49000.001"}, -1111, "Precision is over the maximum"),
        ({"price": "49000.05"}, -4014, "Price not increased by tick size."),
        ({"price": "556.70"}, -4013, "Price less than min price."),
        ({"price": "4529764.10"}, -4002, "Price greater than max price."),
        ({"price": "52500.10"}, -4016, "Limit price can't be higher than 52500.00."),
        ({"side": "SELL", "price": "47499.90"}, -4024, "Limit price can't be lower than 47500.00."),
        ({"quantity": "0.001"}, -4164, "no smaller than 50 (unless you choose reduce only)"),
        ({"positionSide": "LONG"}, -4061, "position side does not match"),
        ({"positionSide": "UP"}, -4060, "Invalid position side."),
        ({"reduceOnly": "true"}, -2022, "ReduceOnly Order is rejected."),
        ({"reduceOnly": "maybe"}, -1102, "'reduceOnly'"),
        ({"closePosition": "true"}, -4136, "orderType LIMIT,closePosition true"),
        ({"stopPrice": "49000"}, -1106, "'stopPrice' sent when not required."),
        ({"priceMatch": "QUEUE"}, -1106, "Parameter 'price' sent when not required."),
        ({"priceMatch": "OPPONENT_10"}, -5037, "Invalid price match"),
        ({"selfTradePreventionMode": "X"}, -5039, "self trade"),
        ({"newClientOrderId": "a" * 37}, -4015, "less than 36"),
        ({"newClientOrderId": "a b"}, -1100, "'newClientOrderId'; legal range is"),
        ({"newOrderRespType": "FULL"}, -1136, "newOrderRespType"),
        ({"goodTillDate": "1"}, -1106, "'goodTillDate'"),
        ({"timeInForce": "GTD"}, -1102, "'goodTillDate'"),
        ({"timeInForce": "GTD", "goodTillDate": "1700000600000"}, -5040, "goodTillDate"),
        ({"quantity": "5"}, -2019, "Margin is insufficient."),
        ({"type": "MARKET"}, -1106, "'timeInForce' sent when not required."),
        ({"type": "MARKET", "timeInForce": None}, -1106, "'price' sent when not required."),
        (
            {"type": "MARKET", "timeInForce": None, "price": None, "quantity": "120.001"},
            -4005,
            "Quantity greater than max quantity.",
        ),
    ],
)
def test_an_order_the_venue_does_not_take_is_refused_with_its_code_and_text(
    venue, change, code, text
):
    parameters = {name: value for name, value in (GOOD | change).items() if value is not None}
    found = venue.call("POST", ORDER_PATH, **parameters)
    assert (found.status, found.code) == (400, code)
    assert list(found.body) == ["code", "msg"]
    assert text in found.body["msg"]
    assert venue.account.orders == {}


def test_a_limit_order_that_rests_is_acknowledged_as_new_and_listed(venue):
    found = venue.call("POST", ORDER_PATH, **GOOD, newClientOrderId="mine-1")
    assert (found.status, found.body["status"]) == (200, "NEW")
    (listed,) = venue.get("/fapi/v1/openOrders", symbol="BTCUSDT")
    assert listed["clientOrderId"] == "mine-1"
    assert venue.get("/fapi/v1/openOrders", symbol="ETHUSDT") == []


def test_a_client_order_id_is_unique_only_while_its_order_is_open(venue):
    assert venue.order("BUY", "0.010", "49000", newClientOrderId="x").status == 200
    assert venue.code("BUY", "0.010", "49000", newClientOrderId="x") == -4116
    assert venue.call("DELETE", ORDER_PATH, symbol="BTCUSDT", origClientOrderId="x").status == 200
    assert venue.order("BUY", "0.010", newClientOrderId="x").status == 200
    assert venue.order("BUY", "0.010", newClientOrderId="x").status == 200
    latest = venue.get(ORDER_PATH, symbol="BTCUSDT", origClientOrderId="x")
    assert latest["orderId"] == 3


def test_a_market_order_acknowledges_new_and_is_filled_when_asked_again(venue):
    found = venue.order("BUY", "0.010")
    assert (found.body["status"], found.body["executedQty"]) == ("NEW", "0.000")
    order = venue.get(ORDER_PATH, symbol="BTCUSDT", orderId=found.body["orderId"])
    assert (order["status"], order["avgPrice"]) == ("FILLED", "50000.10")
    assert order["cumQuote"] == "500.00100"


def test_a_market_order_with_result_answers_its_final_state(venue):
    found = venue.order("BUY", "0.010", newOrderRespType="RESULT")
    assert (found.body["status"], found.body["executedQty"]) == ("FILLED", "0.010")


def test_a_market_order_makes_one_trade_a_level_and_leaves_the_book_alone(venue):
    venue.depth("BTCUSDT", [("50000.00", "1")], [("50000.10", "0.004"), ("50000.20", "1")])
    for _ in range(2):
        venue.order("BUY", "0.010")
    trades = venue.get("/fapi/v1/userTrades", symbol="BTCUSDT")
    assert [(trade["price"], trade["qty"]) for trade in trades] == [
        ("50000.10", "0.004"),
        ("50000.20", "0.006"),
    ] * 2
    assert [trade["id"] for trade in trades] == [1, 2, 3, 4]


def test_what_a_market_order_finds_beyond_the_take_bound_expires(venue):
    venue.depth("BTCUSDT", [("50000.00", "1")], [("50000.10", "0.004"), ("52500.10", "1")])
    found = venue.order("BUY", "0.010", newOrderRespType="RESULT")
    assert (found.body["status"], found.body["executedQty"]) == ("EXPIRED", "0.004")


def test_a_market_order_against_a_price_far_from_mark_is_refused_with_4131(venue):
    venue.depth("BTCUSDT", [("50000.00", "1")], [("52500.10", "1")])
    assert venue.code("BUY", "0.010") == -4131
    venue.depth("BTCUSDT", [], [("50000.10", "1")])
    assert venue.code("SELL", "0.010") == -4131


def test_an_ioc_order_fills_what_it_can_and_expires(venue):
    venue.depth("BTCUSDT", [("50000.00", "1")], [("50000.10", "0.004"), ("50000.20", "1")])
    more = {"timeInForce": "IOC", "newOrderRespType": "RESULT"}
    found = venue.order("BUY", "0.010", "50000.10", **more)
    assert (found.body["status"], found.body["executedQty"]) == ("EXPIRED", "0.004")


def test_a_fok_order_fills_whole_or_leaves_no_trace(venue):
    venue.depth("BTCUSDT", [("50000.00", "1")], [("50000.10", "0.004"), ("50000.20", "1")])
    assert venue.code("BUY", "0.010", "50000.10", timeInForce="FOK") == -5021
    assert venue.account.orders == {}
    more = {"timeInForce": "FOK", "newOrderRespType": "RESULT"}
    assert venue.order("BUY", "0.010", "50000.20", **more).body["status"] == "FILLED"


def test_a_post_only_order_that_would_take_leaves_no_trace(venue):
    assert venue.code("BUY", "0.010", "50000.10", timeInForce="GTX") == -5022
    assert venue.account.orders == {}
    assert venue.order("BUY", "0.010", "50000.00", timeInForce="GTX").status == 200


def test_a_crossing_limit_order_takes_first_and_rests_with_the_remainder(venue):
    venue.depth("BTCUSDT", [("50000.00", "1")], [("50000.10", "0.004"), ("50000.20", "1")])
    order_id = venue.order("BUY", "0.010", "50000.10").body["orderId"]
    order = venue.get(ORDER_PATH, symbol="BTCUSDT", orderId=order_id)
    assert (order["status"], order["executedQty"]) == ("PARTIALLY_FILLED", "0.004")


def test_reduce_only_is_trimmed_to_the_position_and_refused_without_one(venue):
    assert venue.code("SELL", "0.010", reduceOnly="true") == -2022
    venue.order("BUY", "0.010")
    assert venue.code("BUY", "0.010", reduceOnly="true") == -2022
    found = venue.order("SELL", "0.500", reduceOnly="true", newOrderRespType="RESULT")
    assert (found.body["origQty"], found.body["status"]) == ("0.010", "FILLED")
    assert venue.account.position("BTCUSDT").quantity == 0


def test_reduce_only_is_exempt_from_the_smallest_notional(venue):
    venue.order("BUY", "0.010")
    assert venue.order("SELL", "0.001", reduceOnly="True").status == 200


def test_resting_reductions_expire_with_the_position_they_reduced(venue):
    venue.order("BUY", "0.010")
    order_id = venue.order("SELL", "0.010", "51000", reduceOnly="true").body["orderId"]
    venue.order("SELL", "0.010")
    order = venue.get(ORDER_PATH, symbol="BTCUSDT", orderId=order_id)
    assert order["status"] == "EXPIRED"


def test_a_closing_order_needs_no_margin(venue):
    venue.order("BUY", "3.900")
    assert venue.code("BUY", "0.500") == -2019
    assert venue.order("SELL", "3.900").status == 200


def test_a_position_may_not_outgrow_its_leverage(venue):
    venue.call("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=125)
    assert venue.code("BUY", "1.001") == -2027
    assert venue.order("BUY", "0.990").status == 200


def test_open_orders_are_limited_per_symbol(venue):
    for _ in range(200):
        assert venue.order("BUY", "0.002", "40000").status == 200
        venue.sleep(1)
    assert venue.code("BUY", "0.002", "40000") == -2025
    found = venue.order("BUY", "0.100", "2500", symbol="ETHUSDT")
    assert found.status == 200


def test_orders_are_counted_in_fixed_windows_and_refused_beyond_them(make_venue):
    venue = make_venue(Limits(orders_per_10_seconds_max=3))
    for _ in range(3):
        assert venue.order("BUY", "0.002", "40000").status == 200
    found = venue.order("BUY", "0.002", "40000")
    assert (found.status, found.code) == (429, -1015)
    venue.sleep(10)
    assert venue.order("BUY", "0.002", "40000").status == 200


def test_a_good_till_date_order_expires_at_its_date(venue):
    date = venue.now_ns // 1_000_000 + 700_000
    order_id = venue.order("BUY", "0.010", "49000", timeInForce="GTD", goodTillDate=date).body[
        "orderId"
    ]
    venue.sleep(699)
    assert venue.get(ORDER_PATH, symbol="BTCUSDT", orderId=order_id)["status"] == "NEW"
    venue.sleep(2)
    assert venue.get(ORDER_PATH, symbol="BTCUSDT", orderId=order_id)["status"] == "EXPIRED"
