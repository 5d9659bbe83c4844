"""Orders that only reduce, several at once: none overfills, and what one leaves another takes."""

from decimal import Decimal

from services.paper_exchange.wire.authentication import KeyType, Permission

PATH = "/fapi/v1/order"


def second_key(venue):
    venue.exchange.open_account("two", Decimal(10_000), venue.now_ns)
    return venue.exchange.issue_key("two", frozenset(Permission), KeyType.HMAC)


def state(venue, name, key=None):
    order = venue.call("GET", PATH, key=key, symbol="BTCUSDT", origClientOrderId=name).body
    return order["status"], order["executedQty"]


def rest(venue, name, quantity, price, key=None, reduce_only=True):
    found = venue.order(
        "SELL", quantity, price, key=key, newClientOrderId=name, reduceOnly=str(reduce_only).lower()
    )
    assert found.status == 200, found


def test_a_fill_or_kill_order_does_not_count_on_what_an_earlier_fill_takes_from_it(venue):
    other = second_key(venue)
    venue.depth("BTCUSDT", [("50000.00", "1")], [("50001.00", "1")], mark="50000.00")
    venue.order("BUY", "0.010", key=other)
    rest(venue, "first", "0.010", "50000.30", other, reduce_only=False)
    rest(venue, "second", "0.010", "50000.40", other)
    asked = {"timeInForce": "FOK", "newClientOrderId": "all"}
    assert venue.code("BUY", "0.020", "50000.40", **asked) == -5021
    assert state(venue, "first", other) == ("NEW", "0.000")
    assert venue.code("BUY", "0.010", "50000.40", **asked) == 0


def test_what_a_reducing_order_cannot_take_of_a_print_is_for_the_next_in_line(venue):
    other = second_key(venue)
    venue.depth("BTCUSDT", [("50000.00", "1")], [("50001.00", "1")], mark="50000.00")
    venue.order("BUY", "0.010")
    for name in ("first", "second"):
        rest(venue, name, "0.010", "50000.50")
    rest(venue, "third", "0.010", "50000.50", other, reduce_only=False)
    venue.trade("BTCUSDT", "50000.50", "0.015", is_buyer_maker=False)
    assert state(venue, "first") == ("FILLED", "0.010")
    assert state(venue, "second") == ("EXPIRED", "0.000")
    assert state(venue, "third", other) == ("PARTIALLY_FILLED", "0.005")
    assert venue.account.position("BTCUSDT").quantity == 0


def test_what_a_reducing_order_cannot_take_of_the_book_is_for_the_next_in_line(venue):
    other = second_key(venue)
    venue.depth("BTCUSDT", [("50000.00", "1")], [("50001.00", "1")], mark="50000.00")
    venue.order("BUY", "0.010")
    for name in ("first", "second"):
        rest(venue, name, "0.010", "50000.50")
    rest(venue, "third", "0.010", "50000.50", other, reduce_only=False)
    venue.depth("BTCUSDT", [("50000.50", "0.015")], [("50001.00", "1")])
    assert state(venue, "second") == ("EXPIRED", "0.000")
    assert state(venue, "third", other) == ("PARTIALLY_FILLED", "0.005")
