"""Resting orders: filled by trades through them, by quotes that reach them, and in their turn."""

import pytest

ORDER_PATH = "/fapi/v1/order"


def executed(venue, order_id):
    """The filled quantity of an order, as the venue tells it."""
    return venue.get(ORDER_PATH, symbol="BTCUSDT", orderId=order_id)["executedQty"]


def test_a_print_through_the_price_fills_a_resting_order_as_maker_at_its_price(venue):
    order_id = venue.order("BUY", "0.010", "49999.90").body["orderId"]
    venue.trade("BTCUSDT", "49999.80", "0.001", is_buyer_maker=True)
    assert executed(venue, order_id) == "0.010"
    (trade,) = venue.get("/fapi/v1/userTrades", symbol="BTCUSDT")
    assert (trade["price"], trade["maker"]) == ("49999.90", True)
    assert trade["commission"] == "0.09999980"


def test_a_print_at_the_price_fills_only_after_the_quantity_that_was_there_before(venue):
    venue.depth("BTCUSDT", [("50000.00", "0.5"), ("49999.90", "0.3")], [("50000.10", "1")])
    order_id = venue.order("BUY", "0.010", "49999.90").body["orderId"]
    venue.trade("BTCUSDT", "49999.90", "0.2", is_buyer_maker=True)
    assert executed(venue, order_id) == "0.000"
    venue.trade("BTCUSDT", "49999.90", "0.104", is_buyer_maker=True)
    assert executed(venue, order_id) == "0.004"
    venue.trade("BTCUSDT", "49999.90", "5", is_buyer_maker=True)
    assert executed(venue, order_id) == "0.010"


def test_a_print_at_the_price_by_a_buyer_does_not_fill_a_resting_bid(venue):
    order_id = venue.order("BUY", "0.010", "49999.90").body["orderId"]
    venue.trade("BTCUSDT", "49999.90", "5", is_buyer_maker=False)
    assert executed(venue, order_id) == "0.000"


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_print_away_from_the_price_fills_nothing(venue, side):
    price = "49999.90" if side == "BUY" else "50000.20"
    order_id = venue.order(side, "0.010", price).body["orderId"]
    venue.trade("BTCUSDT", "50000.00" if side == "BUY" else "50000.10", "5", is_buyer_maker=True)
    assert executed(venue, order_id) == "0.000"


def test_the_opposite_side_reaching_a_resting_order_fills_it_at_its_price(venue):
    order_id = venue.order("SELL", "0.010", "50000.20").body["orderId"]
    venue.depth("BTCUSDT", [("50000.30", "0.004"), ("50000.10", "9")], [("50000.40", "1")])
    assert executed(venue, order_id) == "0.004"
    venue.depth("BTCUSDT", [("50000.30", "0.4")], [("50000.40", "1")])
    assert executed(venue, order_id) == "0.010"
    assert {t["price"] for t in venue.get("/fapi/v1/userTrades", symbol="BTCUSDT")} == {"50000.20"}


def test_a_resting_reduction_never_closes_more_than_the_position(venue):
    venue.order("BUY", "0.010")
    first = venue.order("SELL", "0.010", "50100", reduceOnly="true").body["orderId"]
    second = venue.order("SELL", "0.010", "50100", reduceOnly="true").body["orderId"]
    venue.trade("BTCUSDT", "50200", "5", is_buyer_maker=False)
    assert executed(venue, first) == "0.010"
    order = venue.get(ORDER_PATH, symbol="BTCUSDT", orderId=second)
    assert (order["status"], order["executedQty"]) == ("EXPIRED", "0.000")
    assert venue.account.position("BTCUSDT").quantity == 0


def test_a_canceled_order_is_filled_no_more_and_cannot_be_canceled_again(venue):
    order_id = venue.order("BUY", "0.010", "49999.90").body["orderId"]
    found = venue.call("DELETE", ORDER_PATH, symbol="BTCUSDT", orderId=order_id)
    assert (found.status, found.body["status"]) == (200, "CANCELED")
    venue.trade("BTCUSDT", "49000", "5", is_buyer_maker=True)
    assert executed(venue, order_id) == "0.000"
    again = venue.call("DELETE", ORDER_PATH, symbol="BTCUSDT", orderId=order_id)
    assert (again.code, again.body["msg"]) == (-2011, "Unknown order sent.")
