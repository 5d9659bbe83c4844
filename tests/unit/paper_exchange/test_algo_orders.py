"""Conditional orders: what is taken, what triggers them, what is born, and what they say."""

from decimal import Decimal

import pytest

from services.paper_exchange.config import Limits
from services.paper_exchange.wire.decimal_text import java_double

PATH = "/fapi/v1/algoOrder"
GOOD = {
    "algoType": "CONDITIONAL",
    "symbol": "BTCUSDT",
    "side": "SELL",
    "type": "STOP_MARKET",
    "quantity": "0.010",
    "triggerPrice": "49000.00",
}


def place(venue, **change):
    sent = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    return venue.call("POST", PATH, **sent)


def waiting(venue, **change):
    """Place one that must be taken and forget what was said about it."""
    found = place(venue, **change)
    assert found.status == 200, found
    venue.events()
    return found.body


def long_position(venue, quantity="0.010"):
    assert venue.order("BUY", quantity).status == 200
    venue.call("POST", "/fapi/v1/listenKey")
    venue.events()


def algo(venue, body):
    return venue.get(PATH, algoId=body["algoId"])


def said(venue):
    """What was said since, in short: order events by execution, algo events by status."""
    short = []
    for event in venue.events():
        if event["e"] == "ORDER_TRADE_UPDATE":
            short.append(f"order {event['o']['x']} {event['o']['X']}")
        elif event["e"] == "ALGO_UPDATE":
            short.append(f"algo {event['o']['X']}")
    return short


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"algoType": None}, -1102),
        ({"algoType": "TWAP"}, -1130),
        ({"symbol": "NOPE"}, -1121),
        ({"side": "HOLD"}, -1117),
        ({"type": "LIMIT"}, -1116),
        ({"triggerPrice": None}, -1102),
        ({"triggerPrice": "1e4"}, -1102),
        ({"triggerPrice": "0"}, -4006),
        ({"triggerPrice": "9999999.90"}, -4007),
        ({"triggerPrice": "49000.05"}, -4014),
        ({"quantity": None}, -1102),
        ({"quantity": "0"}, -4003),
        ({"quantity": "0.0101"}, -1111),
        ({"price": "48000.00"}, -1106),
        ({"type": "STOP"}, -1102),
        ({"type": "STOP", "price": "48000.05"}, -4014),
        ({"workingType": "INDEX_PRICE"}, -4031),
        ({"timeInForce": "DAY"}, -1115),
        ({"positionSide": "LONG"}, -4061),
        ({"clientAlgoId": "a b"}, -1100),
        ({"clientAlgoId": "a" * 37}, -4015),
        ({"closePosition": "true"}, -4137),
        ({"closePosition": "true", "quantity": None}, -4509),
        ({"closePosition": "true", "quantity": None, "reduceOnly": "true"}, -1106),
        ({"type": "STOP", "price": "48000.00", "closePosition": "true"}, -4136),
        ({"triggerPrice": "50000.00"}, -2021),
        ({"side": "BUY"}, -2021),
        ({"type": "TAKE_PROFIT_MARKET"}, -2021),
        ({"type": "TAKE_PROFIT_MARKET", "side": "BUY", "triggerPrice": "51000.00"}, -2021),
        ({"type": "TRAILING_STOP_MARKET", "triggerPrice": None}, -1102),
        ({"type": "TRAILING_STOP_MARKET", "triggerPrice": None, "callbackRate": "11"}, -2007),
        ({"callbackRate": "1"}, -1106),
        ({"priceMatch": "QUEUE"}, -5038),
    ],
)
def test_a_conditional_order_is_refused_in_the_venues_words(venue, change, code):
    assert place(venue, **change).code == code
    assert venue.get("/fapi/v1/openAlgoOrders") == []


def test_it_is_acknowledged_queried_and_listed_in_the_recorded_shapes(venue):
    body = waiting(venue, clientAlgoId="mine")
    settings = [
        "selfTradePreventionMode",
        "workingType",
        "priceMatch",
        "closePosition",
        "priceProtect",
        "reduceOnly",
        "createTime",
        "updateTime",
        "triggerTime",
        "goodTillDate",
    ]
    heading = [
        "algoId",
        "clientAlgoId",
        "algoType",
        "orderType",
        "symbol",
        "side",
        "positionSide",
        "timeInForce",
        "quantity",
        "algoStatus",
    ]
    prices = ["triggerPrice", "price", "icebergQuantity"]
    assert list(body) == heading + prices + settings
    assert (body["quantity"], body["triggerPrice"], body["price"]) == ("0.010", "49000.00", "0.00")
    queried = venue.get(PATH, clientAlgoId="mine")
    assert queried.keys() - body.keys() == {"actualOrderId", "actualPrice", "tpOrderType"}
    assert (queried["actualOrderId"], queried["actualPrice"]) == ("", "0.000000")
    (listed,) = venue.get("/fapi/v1/openAlgoOrders")
    assert (listed["quantity"], listed["price"], listed["triggerPrice"]) == (
        "0.01",
        "0.0",
        "49000.0",
    )
    assert "actualQty" in listed
    assert not listed.keys() & {"actualPrice", "tpOrderType"}, "neither was recorded of this list"
    assert venue.get("/fapi/v1/allAlgoOrders", symbol="BTCUSDT") == [queried]


@pytest.mark.parametrize(
    ("number", "text"),
    [("0", "0.0"), ("0.0007", "7.0E-4"), ("0.001", "0.001"), ("74457.10", "74457.1"),
     ("12345678", "1.2345678E7"), ("9999999", "9999999.0"), ("-0.00012", "-1.2E-4")],
)  # fmt: skip
def test_the_open_list_writes_numbers_as_java_does(number, text):
    assert java_double(Decimal(number)) == text
    assert Decimal(text) == Decimal(number)


def test_a_client_id_is_unique_among_the_waiting_only(venue):
    first = waiting(venue, clientAlgoId="mine")
    assert place(venue, clientAlgoId="mine").code == -4116
    canceled = venue.call("DELETE", PATH, clientAlgoId="mine")
    assert canceled.body == {
        "algoId": first["algoId"], "clientAlgoId": "mine", "code": "200", "msg": "success",
    }  # fmt: skip
    assert venue.call("DELETE", PATH, clientAlgoId="mine").code == -2011
    second = waiting(venue, clientAlgoId="mine")
    assert venue.get(PATH, clientAlgoId="mine")["algoId"] == second["algoId"]
    assert venue.call("GET", PATH, algoId=1).code == -2013
    assert venue.call("GET", PATH).code == -1102


def test_an_account_may_have_so_many_waiting(make_venue):
    venue = make_venue(Limits(algo_orders_max=2))
    waiting(venue)
    waiting(venue, symbol="ETHUSDT", triggerPrice="2900.00")
    assert place(venue).code == -4045


def test_it_counts_as_an_order_and_ties_up_no_margin(venue):
    before = venue.get("/fapi/v3/account")
    waiting(venue, quantity="10.000")
    assert venue.account.counts.count_1m == 1
    assert venue.get("/fapi/v3/account") == before


def test_order_endpoints_neither_list_nor_cancel_it(venue):
    body = waiting(venue)
    assert venue.get("/fapi/v1/openOrders") == []
    venue.call("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")
    venue.call("POST", "/fapi/v1/countdownCancelAll", symbol="BTCUSDT", countdownTime="1000")
    venue.sleep(2)
    assert algo(venue, body)["algoStatus"] == "NEW"
    gone = venue.call("DELETE", "/fapi/v1/algoOpenOrders", symbol="BTCUSDT")
    assert gone.body == {"code": 200, "msg": "The operation of cancel all open order is done."}
    assert algo(venue, body)["algoStatus"] == "CANCELED"


def test_a_stop_becomes_a_market_order_when_the_last_price_comes(venue):
    long_position(venue)
    body = waiting(venue, clientAlgoId="stop", reduceOnly="true")
    venue.trade("BTCUSDT", "49000.10", "1", is_buyer_maker=True)
    assert said(venue) == []
    venue.trade("BTCUSDT", "49000.00", "1", is_buyer_maker=True)
    events = venue.events()
    kinds = [event["e"] for event in events]
    assert kinds == [
        "ALGO_UPDATE", "ORDER_TRADE_UPDATE", "TRADE_LITE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE",
        "ALGO_UPDATE", "ALGO_UPDATE",
    ]  # fmt: skip
    triggering, new, _, _, trade, triggered, finished = (event.get("o") for event in events)
    assert (triggering["X"], triggering["ai"]) == ("TRIGGERING", "")
    assert (new["c"], new["o"], new["ot"], new["sp"]) == (
        "stop", "MARKET", "STOP_MARKET", "49000.00",
    )  # fmt: skip
    assert (trade["x"], trade["X"], trade["R"]) == ("TRADE", "FILLED", True)
    assert (triggered["X"], triggered["ai"]) == ("TRIGGERED", str(trade["i"]))
    assert (finished["X"], finished["aq"], finished["ap"]) == ("FINISHED", "0.01", "50000")
    queried = algo(venue, body)
    assert (queried["algoStatus"], queried["actualOrderId"]) == ("FINISHED", str(trade["i"]))
    order = venue.get("/fapi/v1/order", symbol="BTCUSDT", orderId=trade["i"])
    assert (order["type"], order["origType"], order["stopPrice"]) == (
        "MARKET", "STOP_MARKET", "49000.00",
    )  # fmt: skip
    assert venue.get("/fapi/v3/positionRisk") == []


def test_an_untriggered_event_leaves_out_what_the_born_order_did(venue):
    venue.call("POST", "/fapi/v1/listenKey")
    place(venue, clientAlgoId="mine")
    (event,) = venue.events()
    assert list(event["o"]) == (
        [
            "caid",
            "aid",
            "at",
            "o",
            "s",
            "S",
            "ps",
            "f",
            "q",
            "X",
            "ai",
            "tp",
            "p",
            "V",
            "wt",
            "pm",
            "cp",
            "pP",
            "R",
            "tt",
            "gtd",
            "ia",
        ]
    )
    assert (event["o"]["ai"], event["o"]["tt"], event["o"]["tp"]) == ("", 0, "49000")


def test_the_mark_price_triggers_what_waits_for_it_and_nothing_else(venue):
    mark = waiting(venue, workingType="MARK_PRICE")
    last = waiting(venue)
    venue.trade("BTCUSDT", "48000.00", "1", is_buyer_maker=True)
    assert algo(venue, mark)["algoStatus"] == "NEW"
    assert algo(venue, last)["algoStatus"] == "FINISHED"
    venue.exchange.books["BTCUSDT"].mark_price = Decimal(49000)
    venue.exchange.on_mark("BTCUSDT", venue.now_ns)
    assert algo(venue, mark)["algoStatus"] == "FINISHED"


@pytest.mark.parametrize(
    ("order_type", "side", "trigger", "price"),
    [
        ("STOP_MARKET", "SELL", "49000.00", "48999.90"),
        ("STOP_MARKET", "BUY", "51000.00", "51000.10"),
        ("TAKE_PROFIT_MARKET", "SELL", "51000.00", "51000.10"),
        ("TAKE_PROFIT_MARKET", "BUY", "49000.00", "48999.90"),
    ],
)
def test_each_kind_waits_for_its_own_direction(venue, order_type, side, trigger, price):
    body = waiting(venue, type=order_type, side=side, triggerPrice=trigger)
    venue.trade("BTCUSDT", "50000.10", "1", is_buyer_maker=True)
    assert algo(venue, body)["algoStatus"] == "NEW"
    venue.trade("BTCUSDT", price, "1", is_buyer_maker=True)
    assert algo(venue, body)["algoStatus"] == "FINISHED"


def test_a_stop_limit_rests_until_it_is_filled_or_canceled(venue):
    long_position(venue)
    body = waiting(venue, type="STOP", price="52000.00")
    venue.trade("BTCUSDT", "48999.90", "1", is_buyer_maker=True)
    assert said(venue) == ["algo TRIGGERING", "order NEW NEW", "algo TRIGGERED"]
    (resting,) = venue.get("/fapi/v1/openOrders")
    assert (resting["type"], resting["origType"]) == ("LIMIT", "STOP")
    assert venue.get("/fapi/v1/openAlgoOrders") == []
    venue.call("DELETE", "/fapi/v1/order", symbol="BTCUSDT", orderId=resting["orderId"])
    assert said(venue) == ["order CANCELED CANCELED", "algo FINISHED"]
    assert algo(venue, body)["algoStatus"] == "FINISHED"


def test_margin_is_asked_for_only_when_it_triggers(venue):
    venue.call("POST", "/fapi/v1/listenKey")
    body = waiting(venue, side="BUY", triggerPrice="51000.00", quantity="100.000")
    venue.trade("BTCUSDT", "51000.00", "1", is_buyer_maker=False)
    events = venue.events()
    assert [event["o"]["X"] for event in events] == ["TRIGGERING", "REJECTED"]
    assert events[1]["o"]["rm"] == "Margin is insufficient."
    assert algo(venue, body)["algoStatus"] == "REJECTED"
    assert venue.get("/fapi/v1/allOrders") == []


def test_a_reduce_only_stop_without_a_position_is_rejected(venue):
    body = waiting(venue, reduceOnly="true")
    venue.trade("BTCUSDT", "48000.00", "1", is_buyer_maker=True)
    assert algo(venue, body)["algoStatus"] == "REJECTED"


def test_a_close_position_stop_closes_whatever_is_open(venue):
    long_position(venue, "0.010")
    closing = {"closePosition": "true", "quantity": None}
    body = waiting(venue, **closing)
    assert (body["timeInForce"], body["reduceOnly"]) == ("GTE_GTC", True)
    assert place(venue, **closing, triggerPrice="48000.00").code == -4130
    profit = waiting(venue, **closing, type="TAKE_PROFIT_MARKET", triggerPrice="52000.00")
    assert venue.order("BUY", "0.013").status == 200
    venue.events()
    venue.trade("BTCUSDT", "48000.00", "1", is_buyer_maker=True)
    assert venue.get("/fapi/v3/positionRisk") == []
    assert algo(venue, body)["algoStatus"] == "FINISHED"
    assert algo(venue, profit)["algoStatus"] == "EXPIRED"
    assert "algo EXPIRED" in said(venue)


def test_a_close_position_stop_expires_with_its_position(venue):
    long_position(venue)
    body = waiting(venue, closePosition="true", quantity=None)
    venue.order("SELL", "0.004")
    assert algo(venue, body)["algoStatus"] == "NEW"
    venue.order("SELL", "0.006")
    assert algo(venue, body)["algoStatus"] == "EXPIRED"


def test_a_quantity_may_end_with_its_position_too(venue):
    dated = {"timeInForce": "GTE_GTC", "quantity": "0.004"}
    assert place(venue, **dated).code == -4509
    long_position(venue)
    first, second = waiting(venue, **dated), waiting(venue, **dated)
    venue.order("SELL", "0.010")
    assert {algo(venue, body)["algoStatus"] for body in (first, second)} == {"EXPIRED"}


def test_price_protection_rejects_a_trigger_far_from_the_mark(venue):
    body = waiting(venue, priceProtect="true")
    venue.trade("BTCUSDT", "40000.00", "1", is_buyer_maker=True)
    assert algo(venue, body)["algoStatus"] == "REJECTED"


def test_a_dated_one_expires(venue):
    until_ms = venue.now_ns // 1_000_000 + 700_000
    body = waiting(venue, timeInForce="GTD", goodTillDate=until_ms)
    venue.sleep(701)
    assert algo(venue, body)["algoStatus"] == "EXPIRED"


def test_a_trailing_stop_follows_the_price_and_triggers_when_it_comes_back(venue):
    long_position(venue)
    body = waiting(
        venue, type="TRAILING_STOP_MARKET", triggerPrice=None, callbackRate="1",
        activatePrice="50500.00", reduceOnly="true",
    )  # fmt: skip
    place = list(body).index("reduceOnly")
    after = ["reduceOnly", "activatePrice", "callbackRate", "createTime"]
    assert list(body)[place : place + 4] == after
    for price in ("49000.00", "50500.00", "52000.00", "51480.10"):
        venue.trade("BTCUSDT", price, "0.001", is_buyer_maker=True)
        assert algo(venue, body)["algoStatus"] == "NEW", price
    venue.trade("BTCUSDT", "51480.00", "0.001", is_buyer_maker=True)
    assert algo(venue, body)["algoStatus"] == "FINISHED"


def test_its_client_id_passes_to_the_order_unless_an_open_one_has_it(venue):
    venue.order("BUY", "0.010", "48000.00", newClientOrderId="mine")
    body = waiting(venue, clientAlgoId="mine", type="STOP", price="52000.00")
    venue.trade("BTCUSDT", "49000.00", "0", is_buyer_maker=False)
    order_id = int(algo(venue, body)["actualOrderId"])
    order = venue.get("/fapi/v1/order", symbol="BTCUSDT", orderId=order_id)
    assert order["clientOrderId"] == f"paper-{order_id}"


def test_the_query_trails_where_it_is_told_to(venue):
    venue.exchange.conditions.algo_query_lag_ms = 1_500
    body = waiting(venue)
    assert venue.call("GET", PATH, algoId=body["algoId"]).code == -2013
    assert len(venue.get("/fapi/v1/openAlgoOrders")) == 1
    venue.sleep(2)
    assert algo(venue, body)["algoStatus"] == "NEW"
    venue.call("DELETE", PATH, algoId=body["algoId"])
    assert algo(venue, body)["algoStatus"] == "NEW"
    venue.sleep(2)
    assert algo(venue, body)["algoStatus"] == "CANCELED"


def test_an_ended_one_is_forgotten_after_three_days(venue):
    body = waiting(venue)
    venue.call("DELETE", PATH, algoId=body["algoId"])
    venue.sleep(3 * 86_400 + 1)
    assert venue.call("GET", PATH, algoId=body["algoId"]).code == -2013
