"""Orders of our own accounts meet one another: price, then time, and never one account itself."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.paper_exchange.wire.authentication import KeyType, Permission

PATH = "/fapi/v1/order"
SPREAD = ("49990.00", "50010.00")


def second_key(venue, account_id="two", balance="10000"):
    venue.exchange.open_account(account_id, Decimal(balance), venue.now_ns)
    return venue.exchange.issue_key(account_id, frozenset(Permission), KeyType.HMAC)


@pytest.fixture
def other(venue):
    """A second customer's key; the spread is wide enough to stand in."""
    venue.depth("BTCUSDT", [(SPREAD[0], "1")], [(SPREAD[1], "1")], mark="50000.00")
    return second_key(venue)


def placed(venue, *arguments, **more):
    found = venue.order(*arguments, **more)
    assert found.status == 200, found
    return found.body["orderId"]


def state(venue, order_id, key=None):
    order = venue.call("GET", PATH, key=key, symbol="BTCUSDT", orderId=order_id).body
    return order["status"], order["executedQty"]


def trades(venue, key=None):
    rows = venue.call("GET", "/fapi/v1/userTrades", key=key, symbol="BTCUSDT").body
    return [(row["side"], row["price"], row["qty"], row["maker"]) for row in rows]


def test_a_taker_fills_a_better_order_of_another_account_at_the_makers_price(venue, other):
    maker = placed(venue, "SELL", "0.010", "50005.00", key=other)
    found = venue.order("BUY", "0.010", "50006.00", newOrderRespType="RESULT", timeInForce="IOC")
    assert (found.body["status"], found.body["executedQty"]) == ("FILLED", "0.010")
    assert state(venue, maker, other) == ("FILLED", "0.010")
    assert trades(venue) == [("BUY", "50005.00", "0.010", False)]
    assert trades(venue, other) == [("SELL", "50005.00", "0.010", True)]
    (maker_trade,) = venue.exchange.accounts["two"].trades["BTCUSDT"]
    assert maker_trade.trade_id == venue.account.trades["BTCUSDT"][0].trade_id
    assert maker_trade.commission == Decimal("0.10001000")
    assert venue.exchange.ledger.total() == 0


def test_a_taker_sweeps_both_books_best_price_first(venue, other):
    placed(venue, "SELL", "0.010", "50005.00", key=other)
    placed(venue, "SELL", "0.010", "50020.00", key=other)
    venue.depth("BTCUSDT", [(SPREAD[0], "1")], [("50010.00", "0.010"), ("50030.00", "9")])
    venue.order("BUY", "0.035")
    assert [(price, quantity) for _, price, quantity, _ in trades(venue)] == [
        ("50005.00", "0.010"),
        ("50010.00", "0.010"),
        ("50020.00", "0.010"),
        ("50030.00", "0.005"),
    ]


def test_what_rested_before_an_order_goes_before_it_and_what_came_later_after_it(venue, other):
    first = placed(venue, "SELL", "0.010", "50010.00", key=other)
    venue.depth("BTCUSDT", [(SPREAD[0], "1")], [("50010.00", "1.005")])
    placed(venue, "BUY", "0.999", "50010.00", timeInForce="IOC")
    assert state(venue, first, other) == ("NEW", "0.000")
    placed(venue, "BUY", "0.006", "50010.00", timeInForce="IOC")
    assert state(venue, first, other) == ("PARTIALLY_FILLED", "0.005")
    assert [quantity for _, _, quantity, _ in trades(venue)] == ["0.999", "0.001", "0.005"]


def test_at_one_price_the_order_that_came_first_fills_first(venue, other):
    third = second_key(venue, "three")
    first = placed(venue, "SELL", "0.010", "50005.00", key=third)
    second = placed(venue, "SELL", "0.010", "50005.00", key=other)
    placed(venue, "BUY", "0.015", "50005.00")
    assert state(venue, first, third) == ("FILLED", "0.010")
    assert state(venue, second, other) == ("PARTIALLY_FILLED", "0.005")


def test_an_order_that_was_modified_goes_behind_those_of_its_price(venue, other):
    first = placed(venue, "SELL", "0.010", "50005.00", key=other)
    third = second_key(venue, "three")
    second = placed(venue, "SELL", "0.010", "50005.00", key=third)
    change = {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.011", "price": "50005.00"}
    venue.call("PUT", PATH, key=other, orderId=first, **change)
    placed(venue, "BUY", "0.010", "50005.00")
    assert state(venue, first, other) == ("NEW", "0.000")
    assert state(venue, second, third) == ("FILLED", "0.010")


def test_one_print_at_a_price_is_shared_in_order_of_time(venue, other):
    first = placed(venue, "BUY", "0.010", "49995.00")
    second = placed(venue, "BUY", "0.010", "49995.00", key=other)
    venue.trade("BTCUSDT", "49995.00", "0.014", is_buyer_maker=True)
    assert state(venue, first) == ("FILLED", "0.010")
    assert state(venue, second, other) == ("PARTIALLY_FILLED", "0.004")


def test_what_the_opposite_side_brings_is_shared_in_order_of_price(venue, other):
    worse = placed(venue, "BUY", "0.010", "49995.00")
    better = placed(venue, "BUY", "0.010", "49996.00", key=other)
    venue.depth("BTCUSDT", [("49990.00", "1")], [("49994.00", "0.014")])
    assert state(venue, better, other) == ("FILLED", "0.010")
    assert state(venue, worse) == ("PARTIALLY_FILLED", "0.004")


def test_the_public_book_does_not_show_what_our_orders_rest(venue, other):
    before = venue.exchange.books["BTCUSDT"].snapshot(10)
    placed(venue, "SELL", "0.010", "50005.00", key=other)
    assert venue.exchange.books["BTCUSDT"].snapshot(10) == before


@pytest.mark.parametrize("time_in_force", ["GTX", "RPI"])
def test_a_post_only_order_that_would_meet_another_account_is_refused(venue, other, time_in_force):
    placed(venue, "SELL", "0.010", "50005.00", key=other)
    assert venue.code("BUY", "0.010", "50005.00", timeInForce=time_in_force) == -5022
    assert venue.code("BUY", "0.010", "50004.90", timeInForce=time_in_force) == 0


def test_an_order_that_fills_or_is_killed_counts_both_books(venue, other):
    placed(venue, "SELL", "0.010", "50005.00", key=other)
    assert venue.code("BUY", "1.011", "50010.00", timeInForce="FOK") == -5021
    assert trades(venue) == []
    assert venue.code("BUY", "1.010", "50010.00", timeInForce="FOK") == 0
    assert len(trades(venue)) == 2


def test_a_retail_price_improvement_order_meets_public_trades_but_no_order_of_ours(venue, other):
    maker = placed(venue, "SELL", "0.010", "50005.00", key=other, timeInForce="RPI")
    placed(venue, "BUY", "0.010", "50006.00", timeInForce="IOC")
    assert state(venue, maker, other) == ("NEW", "0.000")
    venue.trade("BTCUSDT", "50005.00", "1", is_buyer_maker=False)
    assert state(venue, maker, other) == ("FILLED", "0.010")


def test_a_resting_reduction_gives_a_taker_no_more_than_its_position(venue, other):
    placed(venue, "BUY", "0.010", "50010.00", key=other)
    one = placed(venue, "SELL", "0.010", "50005.00", key=other, reduceOnly="true")
    two = placed(venue, "SELL", "0.010", "50006.00", key=other, reduceOnly="true")
    placed(venue, "BUY", "0.030", "50006.00", timeInForce="IOC")
    assert state(venue, one, other) == ("FILLED", "0.010")
    assert state(venue, two, other) == ("EXPIRED", "0.000")
    assert venue.exchange.accounts["two"].position("BTCUSDT").quantity == 0


@pytest.mark.parametrize(
    ("mode", "taker_ends", "maker_ends"),
    [
        ("EXPIRE_TAKER", ("EXPIRED_IN_MATCH", "0.000"), ("NEW", "0.000")),
        ("EXPIRE_MAKER", ("FILLED", "0.010"), ("EXPIRED_IN_MATCH", "0.000")),
        ("EXPIRE_BOTH", ("EXPIRED_IN_MATCH", "0.000"), ("EXPIRED_IN_MATCH", "0.000")),
        ("NONE", ("FILLED", "0.010"), ("FILLED", "0.010")),
    ],
)
def test_an_account_does_not_trade_with_itself_unless_it_asks_to(
    venue, other, mode, taker_ends, maker_ends
):
    maker = placed(venue, "SELL", "0.010", "50005.00")
    venue.call("POST", "/fapi/v1/listenKey")
    venue.events()
    taker = placed(venue, "BUY", "0.010", "50010.00", selfTradePreventionMode=mode)
    assert state(venue, taker) == taker_ends
    assert state(venue, maker) == maker_ends
    ended = {
        event["o"]["i"]: (event["o"]["x"], event["o"]["er"])
        for event in venue.events()
        if event["e"] == "ORDER_TRADE_UPDATE" and event["o"]["X"] == "EXPIRED_IN_MATCH"
    }
    expected = {taker: taker_ends, maker: maker_ends}
    assert ended == {
        order_id: ("EXPIRED", "1")
        for order_id, ends in expected.items()
        if ends[0] == "EXPIRED_IN_MATCH"
    }


def test_without_another_word_the_resting_order_expires(venue, other):
    maker = placed(venue, "SELL", "0.010", "50005.00")
    placed(venue, "BUY", "0.010")
    assert state(venue, maker) == ("EXPIRED_IN_MATCH", "0.000")
    assert trades(venue) == [("BUY", "50010.00", "0.010", False)]


def test_prevention_keeps_what_the_taker_filled_before_and_names_an_ioc_order(venue, other):
    placed(venue, "SELL", "0.004", "50004.00", key=other)
    placed(venue, "SELL", "0.010", "50005.00")
    venue.call("POST", "/fapi/v1/listenKey")
    taker = placed(
        venue, "BUY", "0.010", "50010.00", timeInForce="IOC", selfTradePreventionMode="EXPIRE_TAKER"
    )
    assert state(venue, taker) == ("EXPIRED_IN_MATCH", "0.004")
    assert venue.events()[-1]["o"]["er"] == "3"


def test_an_order_to_fill_or_kill_is_not_kept_from_its_own_account(venue, other):
    maker = placed(venue, "SELL", "0.010", "50005.00")
    placed(venue, "BUY", "0.010", "50005.00", timeInForce="FOK")
    assert state(venue, maker) == ("FILLED", "0.010")


ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["one", "two", "three"]),
        st.sampled_from(["BUY", "SELL"]),
        st.integers(2, 60),
        st.integers(-12, 12),
        st.sampled_from(["GTC", "GTC", "GTC", "IOC", "FOK", "GTX", "MARKET", "PUT", "PRINT"]),
        st.sampled_from(["NONE", "EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH"]),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(ORDERS)
def test_whatever_is_matched_balances_and_is_never_worse_than_asked_for(make_venue, orders):
    venue = make_venue(balance="1000000")
    venue.depth("BTCUSDT", [("49990.00", "0.030")], [("50010.00", "0.030")], mark="50000.00")
    keys = {"one": venue.key, "two": second_key(venue), "three": second_key(venue, "three")}
    for owner, side, quantity, offset, kind, mode in orders:
        act(venue, keys[owner], side, f"{Decimal(quantity).scaleb(-3):f}", offset, kind, mode)
        assert venue.exchange.ledger.total() == 0
        check_resting(venue)
    check_trades(venue)


def act(venue, key, side, size, offset, kind, mode):
    price = f"{50000 + offset}.00"
    if kind == "PRINT":
        venue.trade("BTCUSDT", price, size, is_buyer_maker=side == "SELL")
    elif kind == "MARKET":
        venue.order(side, size, key=key, selfTradePreventionMode=mode)
    elif kind == "PUT":
        account = venue.exchange.accounts[key.account_id]
        for order_id, order in list(account.open_orders.items())[:1]:
            venue.call(
                "PUT", PATH, key=key, symbol="BTCUSDT", orderId=order_id, side=order.side,
                quantity=size, price=price,
            )  # fmt: skip
    else:
        venue.order(side, size, price, key=key, timeInForce=kind, selfTradePreventionMode=mode)


def check_resting(venue):
    """Every open order rests once, at its price; none of two accounts stands crossed."""
    resting = list(venue.exchange.resting["BTCUSDT"])
    accounts = venue.exchange.accounts.values()
    open_ids = sorted(i for account in accounts for i in account.open_orders)
    assert sorted(order.order_id for order in resting) == open_ids
    bids = [order.price for order in resting if order.side == "BUY"]
    asks = [order.price for order in resting if order.side == "SELL"]
    assert not bids or not asks or max(bids) < min(asks)


def check_trades(venue):
    orders = {
        order_id: order
        for account in venue.exchange.accounts.values()
        for order_id, order in account.orders.items()
    }
    for account in venue.exchange.accounts.values():
        filled = {}
        for trade in account.trades.get("BTCUSDT", ()):
            filled[trade.order_id] = filled.get(trade.order_id, 0) + trade.quantity
            order = orders[trade.order_id]
            if order.order_type == "LIMIT" and not order.amendments:
                assert (order.price - trade.price) * order.sign >= 0
        for order_id in account.orders:
            assert orders[order_id].executed == filled.get(order_id, 0)


@settings(max_examples=100, deadline=None)
@given(ORDERS)
def test_without_a_market_all_that_makers_give_takers_get(make_venue, orders):
    venue = make_venue(balance="1000000")
    venue.depth("BTCUSDT", [], [], mark="50000.00")
    keys = {"one": venue.key, "two": second_key(venue), "three": second_key(venue, "three")}
    for owner, side, quantity, offset, kind, mode in orders:
        if kind != "PRINT":
            act(venue, keys[owner], side, f"{Decimal(quantity).scaleb(-3):f}", offset, kind, mode)
    made, taken, held = Decimal(0), Decimal(0), Decimal(0)
    for account in venue.exchange.accounts.values():
        held += account.position("BTCUSDT").quantity
        for trade in account.trades.get("BTCUSDT", ()):
            made += trade.quantity if trade.is_maker else 0
            taken += 0 if trade.is_maker else trade.quantity
    assert (made, held) == (taken, 0)
