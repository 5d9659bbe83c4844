"""Margin, settings and histories of an account."""

from decimal import Decimal

import pytest

from services.paper_exchange.config import Limits

ORDER_PATH = "/fapi/v1/order"
DAY_S = 86_400


def figures(venue):
    return {name: Decimal(value) for name, value in venue.get("/fapi/v3/account").items()
            if isinstance(value, str)}  # fmt: skip


def test_a_position_ties_up_its_notional_at_mark_over_leverage(venue):
    venue.order("BUY", "0.100")
    found = figures(venue)
    assert found["totalPositionInitialMargin"] == Decimal(250)
    assert found["totalUnrealizedProfit"] == Decimal("-0.01")
    assert found["totalMaintMargin"] == Decimal(20)
    wallet = 10_000 - Decimal("2.500005")
    assert found["totalWalletBalance"] == wallet
    assert found["availableBalance"] == wallet - Decimal("0.01") - 250


def test_open_orders_tie_up_margin_but_closing_ones_do_not(venue):
    venue.order("BUY", "0.100")
    before = figures(venue)["availableBalance"]
    order_id = venue.order("SELL", "0.100", "51000").body["orderId"]
    assert figures(venue)["availableBalance"] == before
    venue.call("DELETE", ORDER_PATH, symbol="BTCUSDT", orderId=order_id)
    venue.order("BUY", "0.100", "49000")
    assert figures(venue)["totalOpenOrderInitialMargin"] == Decimal(245)
    assert figures(venue)["availableBalance"] == before - 245


def test_an_accepted_order_never_leaves_free_margin_negative(venue):
    placed = 0
    while venue.order("BUY", "0.500", "49999.90").status == 200:
        placed += 1
        margin = venue.exchange.margin_of(venue.account)
        assert margin.free >= 0
    assert placed == 8


def test_maintenance_margin_follows_the_brackets(venue):
    venue.call("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=50)
    venue.order("BUY", "2.000")
    assert figures(venue)["totalMaintMargin"] == Decimal(100000) * Decimal("0.005") - 50


def test_a_long_is_liquidated_below_and_a_short_above_its_entry(venue):
    venue.call("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=20)
    venue.order("BUY", "3.900")
    (row,) = venue.get("/fapi/v3/positionRisk")
    price = Decimal(row["liquidationPrice"])
    # At that mark the margin balance equals the maintenance margin of this bracket.
    wallet = venue.exchange.wallet_of(venue.account)
    position = venue.account.position("BTCUSDT")
    maintenance = position.quantity * price * Decimal("0.005") - 50
    assert abs(wallet + position.unrealized(price) - maintenance) < Decimal("0.0001")
    assert price < 50_000
    venue.order("SELL", "7.700")
    (row,) = venue.get("/fapi/v3/positionRisk")
    assert Decimal(row["liquidationPrice"]) > 50_000


def test_leverage_is_bounded_by_brackets_position_and_margin(venue):
    def change(leverage):
        return venue.call("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=leverage)

    assert change(0).code == -4028
    assert change(126).body["msg"] == "Leverage 126 is not valid"
    assert change(125).status == 200
    venue.order("BUY", "0.900")
    assert change(20).status == 200
    assert change(2).code == -2028
    assert venue.account.leverage_of("BTCUSDT") == 20


def test_margin_type_does_not_change_under_orders_or_positions(venue):
    def change(margin_type):
        parameters = {"symbol": "BTCUSDT", "marginType": margin_type}
        return venue.call("POST", "/fapi/v1/marginType", **parameters).code

    assert change("CROSSED") == -4046
    assert change("LOOSE") == -1130
    venue.order("BUY", "0.010", "49000")
    assert change("ISOLATED") == -4047
    venue.call("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")
    venue.order("BUY", "0.010")
    assert change("ISOLATED") == -4048


def test_the_dead_mans_switch_cancels_unless_it_is_refreshed(venue):
    def arm(milliseconds):
        return venue.call(
            "POST", "/fapi/v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=milliseconds
        )

    venue.order("BUY", "0.010", "49000")
    venue.order("BUY", "1.000", "2900", symbol="ETHUSDT")
    assert arm(10_000).body == {"symbol": "BTCUSDT", "countdownTime": "10000"}
    venue.sleep(9)
    arm(10_000)
    venue.sleep(9)
    assert len(venue.account.open_orders) == 2
    venue.sleep(1)
    assert [order.symbol for order in venue.account.open_orders.values()] == ["ETHUSDT"]
    venue.order("BUY", "0.010", "49000")
    arm(1_000)
    arm(0)
    venue.sleep(5)
    assert len(venue.account.open_orders) == 2


def test_fills_page_by_id_without_a_gap_or_a_repeat(venue):
    for _ in range(25):
        venue.order("BUY", "0.002")
    found, next_id = [], 1
    while page := venue.get("/fapi/v1/userTrades", symbol="BTCUSDT", fromId=next_id, limit=7):
        assert len(page) <= 7
        found += [trade["id"] for trade in page]
        next_id = found[-1] + 1
    assert found == list(range(1, 26))
    newest = venue.get("/fapi/v1/userTrades", symbol="BTCUSDT", limit=3)
    assert [trade["id"] for trade in newest] == [23, 24, 25]


def test_fills_page_by_time_from_the_start_of_the_window(venue):
    start_ms = venue.now_ns // 1_000_000
    for _ in range(6):
        venue.order("BUY", "0.002")
        venue.sleep(1)
    times = {"startTime": start_ms + 1_000, "endTime": start_ms + 3_000}
    found = venue.get("/fapi/v1/userTrades", symbol="BTCUSDT", **times)
    assert [trade["id"] for trade in found] == [2, 3, 4]
    first = venue.get("/fapi/v1/userTrades", symbol="BTCUSDT", startTime=start_ms, limit=2)
    assert [trade["id"] for trade in first] == [1, 2]


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"fromId": 1, "startTime": 1}, -1128),
        ({"startTime": 2, "endTime": 1}, -1023),
        ({"startTime": 0, "endTime": 7 * DAY_S * 1000 + 1}, -4165),
        ({"startTime": 1}, -4166),
        ({"endTime": 1}, -4166),
        ({"limit": 0}, -1130),
        ({"limit": 1001}, -1130),
        ({"fromId": "x"}, -1102),
    ],
)
def test_a_list_that_cannot_be_asked_for_is_refused(venue, parameters, code):
    found = venue.call("GET", "/fapi/v1/userTrades", symbol="BTCUSDT", **parameters)
    assert found.code == code


@pytest.mark.parametrize("path", ["userTrades", "allOrders", "allAlgoOrders", "forceOrders"])
def test_a_window_too_wide_or_too_old_is_refused_in_the_venue_s_words(venue, path):
    now_ms = venue.now_ns // 1_000_000
    week, kept = 7 * DAY_S * 1_000, 90 * DAY_S * 1_000

    def ask(**times):
        return venue.call("GET", f"/fapi/v1/{path}", symbol="BTCUSDT", **times)

    assert ask(startTime=now_ms - week, endTime=now_ms).status == 200
    wide = ask(startTime=now_ms - week - 1, endTime=now_ms).body
    assert wide == {"code": -4165, "msg": "Maximum time interval is 7 days."}
    assert ask(startTime=now_ms - kept).status == 200
    old = ask(startTime=now_ms - kept - 1).body
    assert old == {"code": -4166, "msg": "Search window is restricted to recent 90 days only."}


def test_orders_page_by_id_over_all_symbols(venue):
    for _ in range(3):
        venue.order("BUY", "0.002")
        venue.order("BUY", "0.100", symbol="ETHUSDT")
    found = venue.get("/fapi/v1/allOrders", orderId=2, limit=3)
    assert [order["orderId"] for order in found] == [2, 3, 4]
    found = venue.get("/fapi/v1/allOrders", symbol="ETHUSDT")
    assert [order["orderId"] for order in found] == [2, 4, 6]


def test_orders_are_forgotten_like_the_venue_forgets_them(venue):
    unfilled = venue.order("BUY", "0.010", "49000", timeInForce="IOC").body["orderId"]
    filled = venue.order("BUY", "0.010").body["orderId"]
    open_id = venue.order("BUY", "0.010", "49000").body["orderId"]

    def status(order_id):
        return venue.call("GET", ORDER_PATH, symbol="BTCUSDT", orderId=order_id).status

    venue.sleep(3 * DAY_S)
    assert [status(i) for i in (unfilled, filled, open_id)] == [200, 200, 200]
    venue.sleep(1)
    assert [status(i) for i in (unfilled, filled, open_id)] == [400, 200, 200]
    venue.sleep(88 * DAY_S)
    assert [status(i) for i in (unfilled, filled, open_id)] == [400, 400, 200]


def test_income_adds_up_to_the_wallet(venue):
    venue.order("BUY", "0.010")
    venue.depth("BTCUSDT", [("51000.00", "1")], [("51000.10", "1")], mark="51000")
    venue.order("SELL", "0.010")
    rows = venue.get("/fapi/v1/income", limit=1000)
    assert [row["incomeType"] for row in rows] == [
        "TRANSFER",
        "COMMISSION",
        "REALIZED_PNL",
        "COMMISSION",
    ]
    total = sum(Decimal(row["income"]) for row in rows)
    assert total == venue.exchange.wallet_of(venue.account)
    only = venue.get("/fapi/v1/income", incomeType="REALIZED_PNL")
    assert [row["income"] for row in only] == ["9.99900000"]


def test_histories_are_bounded(make_venue):
    venue = make_venue(Limits(order_history_max=5, trade_history_max=5, income_history_max=5))
    kept = venue.order("BUY", "0.010", "49000").body["orderId"]
    for _ in range(12):
        venue.order("BUY", "0.002")
    account = venue.account
    assert len(account.orders) <= 7
    assert kept in account.orders
    assert len(account.trades["BTCUSDT"]) <= 5
    assert len(account.income) <= 5
    assert len(account.latest_by_client_id) == len(account.orders)


def test_open_orders_count_against_what_the_leverage_allows(venue):
    venue.call("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=125)
    venue.order("BUY", "0.500")
    placed = venue.order("BUY", "0.400", "49000").body["orderId"]
    assert venue.code("BUY", "0.200", "49000") == -2027
    assert venue.order("SELL", "0.900", "51000").status == 200

    def modify(quantity):
        return venue.call(
            "PUT", ORDER_PATH, symbol="BTCUSDT", orderId=placed, side="BUY", quantity=quantity,
            price="49000",
        ).code  # fmt: skip

    assert modify("0.520") == -2027
    assert modify("0.480") == 0


def test_lists_have_the_pair_and_quantities_that_only_contracts_in_coins_have(venue):
    order_id = venue.order("BUY", "0.002").body["orderId"]
    asked = {"symbol": "BTCUSDT", "orderId": order_id}
    (row,) = venue.get("/fapi/v1/allOrders", **asked)
    one = venue.get("/fapi/v1/order", **asked)
    assert {name: row[name] for name in one} == one
    assert set(row) - set(one) == {"pair", "cumBase"}
    assert (row["pair"], row["cumBase"]) == ("BTCUSDT", "0")
    (trade,) = venue.get("/fapi/v1/userTrades", **asked)
    assert (trade["qty"], trade["baseQty"]) == ("0.002", "0")


@pytest.mark.parametrize(
    ("method", "path", "names"),
    [
        ("GET", "order", ("origClientOrderId", "orderId")),
        ("DELETE", "order", ("origClientOrderId", "orderId")),
        ("GET", "openOrder", ("origClientOrderId", "orderId")),
        ("GET", "algoOrder", ("clientAlgoId", "algoId")),
        ("DELETE", "algoOrder", ("clientAlgoId", "algoId")),
        ("DELETE", "batchOrders", ("origClientOrderIdList", "orderIdList")),
    ],
)
def test_a_request_that_names_no_order_is_told_both_ways_to_name_one(venue, method, path, names):
    found = venue.call(method, f"/fapi/v1/{path}", symbol="BTCUSDT")
    text = f"Param '{names[0]}' or '{names[1]}' must be sent, but both were empty/null!"
    assert found.body == {"code": -1102, "msg": text}


def test_leverage_does_not_rise_above_what_open_orders_would_need(make_venue):
    venue = make_venue(balance="100000")
    venue.order("BUY", "1.500", "49000.00")
    change = {"symbol": "BTCUSDT", "leverage": 125}
    assert venue.call("POST", "/fapi/v1/leverage", **change).code == -2027
    venue.call("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")
    assert venue.call("POST", "/fapi/v1/leverage", **change).code == 0


def test_an_open_order_keeps_its_name_when_the_venue_makes_up_the_same(venue):
    named = venue.order("BUY", "0.010", "40000.00", newClientOrderId="paper-2").body["orderId"]
    other = venue.order("BUY", "0.010", "41000.00").body
    assert (other["orderId"], other["clientOrderId"]) == (2, "paper-2")
    asked = {"symbol": "BTCUSDT", "origClientOrderId": "paper-2"}
    assert venue.get("/fapi/v1/order", **asked)["orderId"] == named
    assert venue.code("BUY", "0.010", "40000.00", newClientOrderId="paper-2") == -4116


def test_a_countdown_that_is_refreshed_all_the_time_is_kept_in_mind_once(venue):
    def count_down(milliseconds):
        return venue.call(
            "POST", "/fapi/v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=milliseconds
        )

    venue.order("BUY", "0.010", "40000.00")
    for milliseconds in [*range(60_000, 61_000), 30_000, 0, 90_000]:
        count_down(milliseconds)
    assert len(venue.exchange._deadlines) <= 2
    venue.sleep(89)
    assert venue.account.open_orders
    count_down(2_000)
    venue.sleep(1)
    assert venue.account.open_orders
    venue.sleep(1)
    assert not venue.account.open_orders
