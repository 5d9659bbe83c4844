"""Hedge mode, price match, order/test, amendments and quirks: what an order may say and be."""

import pytest

from services.paper_exchange.config import Limits, Quirks

PATH = "/fapi/v1/order"
DAY_S = 86_400
LADDER = (
    [(f"{50000 - n}.00", "1") for n in range(20)],
    [(f"{50001 + n}.00", "1") for n in range(6)],
)


@pytest.fixture
def hedged(venue):
    """A venue whose customer is long 0.010 and short 0.010 in hedge mode."""
    venue.account.is_hedge_mode = True
    for side, position_side in (("BUY", "LONG"), ("SELL", "SHORT")):
        assert venue.order(side, "0.010", positionSide=position_side).status == 200
    return venue


@pytest.fixture
def ladder(venue):
    """A book of 20 bids from 50000 down and 6 asks from 50001 up."""
    venue.depth("BTCUSDT", *LADDER, mark="50000.00")
    return venue


@pytest.mark.parametrize("position_side", [None, "BOTH"])
def test_an_order_of_hedge_mode_names_its_position_side(hedged, position_side):
    more = {} if position_side is None else {"positionSide": position_side}
    assert hedged.code("BUY", "0.010", **more) == -4061


@pytest.mark.parametrize("reduce_only", ["true", "false"])
def test_reduce_only_is_not_accepted_in_hedge_mode(hedged, reduce_only):
    found = hedged.order("SELL", "0.010", positionSide="LONG", reduceOnly=reduce_only)
    assert (found.code, found.body["msg"]) == (
        -1106,
        "Parameter 'reduceonly' sent when not required.",
    )


def test_a_position_of_hedge_mode_is_closed_and_never_turned(hedged):
    assert hedged.code("SELL", "0.011", positionSide="LONG") == -2022
    assert hedged.code("SELL", "0.010", positionSide="LONG") == 0
    assert hedged.code("SELL", "0.010", positionSide="LONG") == -2022
    assert hedged.account.position("BTCUSDT", "LONG").quantity == 0
    assert hedged.account.position("BTCUSDT", "SHORT").quantity < 0


def test_what_closes_in_hedge_mode_ends_with_its_position_only(hedged):
    resting = hedged.order("SELL", "0.010", "51000.00", positionSide="LONG").body["orderId"]
    other = hedged.order("BUY", "0.010", "49000.00", positionSide="SHORT").body["orderId"]
    hedged.order("SELL", "0.010", positionSide="LONG")
    assert hedged.get(PATH, symbol="BTCUSDT", orderId=resting)["status"] == "EXPIRED"
    row = hedged.get(PATH, symbol="BTCUSDT", orderId=other)
    assert (row["status"], row["positionSide"], row["reduceOnly"]) == ("NEW", "SHORT", False)


def test_a_stop_that_closes_a_side_of_hedge_mode_leaves_the_other(hedged):
    sent = {
        "algoType": "CONDITIONAL",
        "symbol": "BTCUSDT",
        "type": "STOP_MARKET",
        "triggerPrice": "49000.00",
        "closePosition": "true",
        "positionSide": "LONG",
    }
    assert hedged.call("POST", "/fapi/v1/algoOrder", side="BUY", **sent).code == -4136
    found = hedged.call("POST", "/fapi/v1/algoOrder", side="SELL", **sent)
    assert (found.status, found.body["positionSide"]) == (200, "LONG")
    hedged.trade("BTCUSDT", "48999.00", "1", is_buyer_maker=True)
    assert hedged.account.position("BTCUSDT", "LONG").quantity == 0
    assert hedged.account.position("BTCUSDT", "SHORT").quantity != 0
    row = hedged.get("/fapi/v1/algoOrder", algoId=found.body["algoId"])
    assert row["algoStatus"] == "FINISHED"


@pytest.mark.parametrize(
    ("side", "price_match", "price"),
    [
        ("BUY", "OPPONENT", "50001.00"),
        ("BUY", "OPPONENT_5", "50005.00"),
        ("SELL", "OPPONENT", "50000.00"),
        ("BUY", "QUEUE", "50000.00"),
        ("BUY", "QUEUE_5", "49996.00"),
        ("BUY", "QUEUE_10", "49991.00"),
        ("BUY", "QUEUE_20", "49981.00"),
        ("SELL", "QUEUE_5", "50005.00"),
    ],
)
def test_a_price_match_takes_its_price_from_the_book(ladder, side, price_match, price):
    found = ladder.call(
        "POST", PATH, symbol="BTCUSDT", side=side, type="LIMIT", timeInForce="GTC",
        quantity="0.010", priceMatch=price_match,
    )  # fmt: skip
    assert (found.body["price"], found.body["priceMatch"]) == (price, price_match)
    order = ladder.get(PATH, symbol="BTCUSDT", orderId=found.body["orderId"])
    assert order["priceMatch"] == price_match


def test_a_price_match_without_its_level_is_refused(ladder):
    sent = {"symbol": "BTCUSDT", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010"}
    found = ladder.call("POST", PATH, side="SELL", priceMatch="QUEUE_10", **sent)
    assert (found.code, found.body["msg"]) == (-5041, "No depth matches this BBO order")
    assert ladder.code("BUY", "0.010", priceMatch="QUEUE") == -5038


def test_a_modification_may_match_its_price(ladder):
    order_id = ladder.order("BUY", "0.010", "49000.00").body["orderId"]
    sent = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.010", "orderId": order_id}
    found = ladder.call("PUT", PATH, priceMatch="QUEUE_5", **sent).body
    assert (found["price"], found["priceMatch"]) == ("49996.00", "QUEUE_5")
    assert ladder.call("PUT", PATH, priceMatch="QUEUE", price="1", **sent).code == -1106


def test_a_stop_matches_its_price_when_it_is_triggered(ladder):
    found = ladder.call(
        "POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", symbol="BTCUSDT", side="SELL",
        type="STOP", quantity="0.010", triggerPrice="49500.00", priceMatch="QUEUE",
    )  # fmt: skip
    assert (found.status, found.body["priceMatch"], found.body["price"]) == (200, "QUEUE", "0.00")
    ladder.trade("BTCUSDT", "49500.00", "0.001", is_buyer_maker=True)
    (order,) = ladder.get("/fapi/v1/openOrders", symbol="BTCUSDT")
    assert (order["price"], order["origType"], order["priceMatch"]) == ("50001.00", "STOP", "QUEUE")


def test_a_tested_order_is_judged_and_placed_nowhere(venue):
    sent = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    found = venue.call("POST", f"{PATH}/test", quantity="0.010", price="49000.00", **sent)
    assert found.status == 200
    assert list(found.body)[4:10] == [
        "price", "avgPrice", "origQty", "executedQty", "cumQty", "cumQuote",
    ]  # fmt: skip
    assert len(found.body) == 24
    assert (found.body["status"], found.body["avgPrice"]) == ("NEW", "0.00")
    assert not venue.account.orders
    assert venue.account.counts.count_1m == 0
    for change, code in (({"price": "49000.05"}, -4014), ({"quantity": "100"}, -2019)):
        values = {"quantity": "0.010", "price": "49000.00", **change}
        assert venue.call("POST", f"{PATH}/test", **sent, **values).code == code


def test_the_201st_open_order_of_a_symbol_is_refused(make_venue):
    venue = make_venue(Limits(orders_per_10_seconds_max=1_000), balance="1000000")
    for _ in range(200):
        assert venue.code("BUY", "0.002", "49000.00") == 0
    found = venue.order("BUY", "0.002", "49000.00")
    assert (found.code, found.body["msg"]) == (-2025, "Reach max open order limit.")


def test_amendments_are_listed_newest_first(venue):
    order_id = venue.order("BUY", "0.010", "49000.00", newClientOrderId="mine").body["orderId"]
    sent = {"symbol": "BTCUSDT", "side": "BUY", "orderId": order_id}
    venue.call("PUT", PATH, quantity="0.020", price="49000.00", **sent)
    venue.sleep(10)
    venue.call("PUT", PATH, quantity="0.020", price="48000.00", modifyId=7, **sent)
    rows = venue.get("/fapi/v1/orderAmendment", symbol="BTCUSDT", origClientOrderId="mine")
    assert [row["amendment"]["count"] for row in rows] == [2, 1]
    assert rows[0] == {
        "amendmentId": 2,
        "symbol": "BTCUSDT",
        "pair": "BTCUSDT",
        "orderId": order_id,
        "clientOrderId": "mine",
        "time": venue.now_ns // 1_000_000,
        "amendment": {
            "price": {"before": "49000.00", "after": "48000.00"},
            "origQty": {"before": "0.020", "after": "0.020"},
            "count": 2,
            "modifyId": 7,
        },
    }
    path, name = "/fapi/v1/orderAmendment", {"symbol": "BTCUSDT", "orderId": order_id}
    assert len(venue.get(path, startTime=rows[0]["time"], **name)) == 1
    assert len(venue.get(path, endTime=rows[1]["time"], **name)) == 1
    assert len(venue.get(path, limit=1, **name)) == 1
    assert venue.call("GET", path, limit=101, **name).code == -1130
    assert venue.call("GET", path, symbol="BTCUSDT", orderId=99).code == -2013
    assert venue.call("GET", path, symbol="BTCUSDT").code == -1102


def test_a_fill_is_listed_with_pair_and_margin_asset(venue):
    venue.order("BUY", "0.010")
    (row,) = venue.get("/fapi/v1/userTrades", symbol="BTCUSDT")
    assert list(row) == [
        "buyer", "commission", "commissionAsset", "id", "maker", "orderId", "price", "qty",
        "quoteQty", "baseQty", "marginAsset", "pair", "realizedPnl", "side", "positionSide",
        "symbol", "time",
    ]  # fmt: skip


def test_a_client_order_id_is_free_again_once_its_order_ended(venue):
    venue.order("BUY", "0.010", newClientOrderId="mine")
    assert venue.code("BUY", "0.010", "49000.00", newClientOrderId="mine") == 0
    assert venue.code("BUY", "0.010", "49000.00", newClientOrderId="mine") == -4116


def test_with_its_quirks_off_the_venue_remembers_writes_and_answers_plainly(venue):
    venue.exchange.quirks = Quirks(
        exponent_format=False,
        code_as_string=False,
        retention=False,
        client_order_id_unique_among_open_only=False,
    )
    order_id = venue.order("BUY", "0.010", newClientOrderId="mine").body["orderId"]
    assert venue.code("BUY", "0.010", newClientOrderId="mine") == -4116
    found = venue.call(
        "POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", symbol="BTCUSDT", side="SELL",
        type="STOP_MARKET", quantity="0.010", triggerPrice="49500.00",
    )  # fmt: skip
    (row,) = venue.get("/fapi/v1/openAlgoOrders")
    assert (row["quantity"], row["price"], row["triggerPrice"]) == ("0.010", "0.00", "49500.00")
    ended = venue.call("DELETE", "/fapi/v1/algoOrder", algoId=found.body["algoId"])
    assert ended.body["code"] == 200
    venue.sleep(100 * DAY_S)
    assert venue.get(PATH, symbol="BTCUSDT", orderId=order_id)["status"] == "FILLED"
    assert len(venue.get("/fapi/v1/userTrades", symbol="BTCUSDT", fromId=1)) == 1
