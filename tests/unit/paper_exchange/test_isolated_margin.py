"""Isolated margin: a position with a wallet of its own, apart from the cross wallet."""

from decimal import Decimal

import pytest

from services.paper_exchange.wire.authentication import Permission

MARGIN = "/fapi/v1/positionMargin"
HISTORY = "/fapi/v1/positionMargin/history"


@pytest.fixture
def isolated(venue):
    """A venue whose BTCUSDT positions are isolated, at leverage 10, and that listens."""
    venue.call("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=10)
    venue.call("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    venue.call("POST", "/fapi/v1/listenKey")
    venue.events()
    return venue


def change(venue, amount, kind, **more):
    return venue.call("POST", MARGIN, symbol="BTCUSDT", amount=amount, type=kind, **more)


def own(venue, side="BOTH"):
    return venue.exchange.isolated_wallet_of(venue.account, "BTCUSDT", side)


def cross(venue):
    return venue.exchange.wallets_of(venue.account).cross


def risk(venue):
    (row,) = venue.get("/fapi/v3/positionRisk", symbol="BTCUSDT")
    return row


def test_opening_brings_initial_margin_along_and_pays_commission_from_it(isolated):
    isolated.order("BUY", "0.100")
    # 0.1 at 50000.1: notional 5000.01, commission 0.05 percent.
    assert own(isolated) == Decimal("500.001") - Decimal("2.500005")
    assert cross(isolated) == 10_000 - Decimal("500.001")
    row = risk(isolated)
    assert row["isolatedWallet"] == "497.50099500"
    assert row["isolatedMargin"] == "497.49099500"
    account = isolated.get("/fapi/v3/account")
    assert account["totalWalletBalance"] == "9997.49999500"
    assert account["totalCrossWalletBalance"] == "9499.99900000"
    assert account["totalCrossUnPnl"] == "0.00000000"
    assert account["totalUnrealizedProfit"] == "-0.01000000"
    assert account["availableBalance"] == "9499.99900000"
    (balance,) = isolated.get("/fapi/v3/balance")
    assert (balance["balance"], balance["crossWalletBalance"]) == (
        "9997.49999500", "9499.99900000",
    )  # fmt: skip


def test_a_fill_tells_both_wallets(isolated):
    isolated.order("BUY", "0.100")
    update = isolated.events()[2]["a"]
    assert update["B"] == [{"a": "USDT", "wb": "9997.49999500", "cw": "9499.99900000", "bc": "0"}]
    assert (update["P"][0]["mt"], update["P"][0]["iw"]) == ("isolated", "497.50099500")


def test_reducing_takes_its_share_and_its_profit_back_to_the_cross_wallet(isolated):
    isolated.order("BUY", "0.100")
    wallet, before = own(isolated), cross(isolated)
    isolated.depth("BTCUSDT", [("51000.00", "9")], [("51000.10", "9")], mark="51000")
    isolated.order("SELL", "0.025", reduceOnly="true")
    assert own(isolated) == wallet * 3 / 4
    realized, commission = Decimal("0.025") * Decimal("999.9"), Decimal("0.6375")
    assert cross(isolated) == before + wallet / 4 + realized - commission


def test_closing_returns_everything(isolated):
    isolated.order("BUY", "0.100")
    isolated.depth("BTCUSDT", [("49000.00", "9")], [("49000.10", "9")], mark="49000")
    isolated.order("SELL", "0.100")
    assert own(isolated) == 0
    assert cross(isolated) == isolated.exchange.wallet_of(isolated.account)
    rows = isolated.get("/fapi/v1/income", limit=1000)
    assert sum(Decimal(row["income"]) for row in rows) == cross(isolated)


def test_a_position_that_turns_around_starts_with_a_new_wallet(isolated):
    isolated.order("BUY", "0.100")
    isolated.order("SELL", "0.150")
    # 0.05 at 50000 opened; the commission of the whole order stays with it.
    assert own(isolated) == Decimal(250) - Decimal("0.150") * 25
    assert isolated.exchange.ledger.total() == 0


def test_a_loss_beyond_the_share_eats_into_what_stays_and_never_into_the_cross_wallet(isolated):
    isolated.order("BUY", "0.100")
    before, wallet = cross(isolated), own(isolated)
    isolated.depth("BTCUSDT", [("44200.00", "9")], [("44200.10", "9")], mark="46500")
    isolated.order("SELL", "0.050")
    realized, commission = Decimal("0.05") * Decimal("-5800.1"), Decimal("1.105")
    assert cross(isolated) == before
    assert own(isolated) == wallet + realized - commission
    isolated.order("SELL", "0.050")
    assert (cross(isolated), own(isolated)) == (before, 0)
    insured = isolated.get("/fapi/v1/income", incomeType="INSURANCE_CLEAR")
    assert sum(Decimal(row["income"]) for row in insured) > 0
    assert isolated.exchange.ledger.balance("insurance") < 0
    assert isolated.exchange.ledger.total() == 0


def test_margin_is_added_and_taken(isolated):
    isolated.order("BUY", "0.100")
    isolated.events()
    before = own(isolated)
    added = change(isolated, "100.5", 1)
    assert added.body == {
        "amount": Decimal("100.5"), "code": 200, "msg": "Successfully modify position margin.",
        "type": 1,
    }  # fmt: skip
    assert own(isolated) == before + Decimal("100.5")
    (event,) = isolated.events()
    assert event["a"]["m"] == "MARGIN_TRANSFER"
    assert event["a"]["B"][0]["wb"] == "9997.49999500"
    assert event["a"]["B"][0]["cw"] == "9399.49900000"
    assert event["a"]["P"][0]["iw"] == "598.00099500"
    isolated.sleep(2)
    assert change(isolated, "50", 2).status == 200
    assert own(isolated) == before + Decimal("50.5")
    rows = isolated.get(HISTORY, symbol="BTCUSDT")
    assert rows[0] == {
        "symbol": "BTCUSDT", "type": 1, "deltaType": "USER_ADJUST", "amount": "100.50000000",
        "asset": "USDT", "time": isolated.now_ns // 1_000_000 - 2_000, "positionSide": "BOTH",
    }  # fmt: skip
    assert [row["type"] for row in rows] == [1, 2]
    assert [row["type"] for row in isolated.get(HISTORY, symbol="BTCUSDT", type=2)] == [2]
    recent = isolated.get(HISTORY, symbol="BTCUSDT", startTime=isolated.now_ns // 1_000_000 - 1_000)
    assert [row["type"] for row in recent] == [2]
    assert len(isolated.get(HISTORY, symbol="BTCUSDT", limit=1)) == 1


def test_margin_that_is_needed_does_not_move(isolated):
    assert change(isolated, "1", 1).code == -4054
    isolated.order("BUY", "0.100")
    assert change(isolated, "0", 1).code == -4055
    assert change(isolated, "1", 3).code == -1130
    assert change(isolated, "0.000000001", 1).code == -1111
    assert change(isolated, "9500", 1).code == -4050
    assert change(isolated, "1", 2).code == -4051
    assert change(isolated, "9000", 1).status == 200
    assert change(isolated, "9000", 2).code == -4051
    assert change(isolated, "8997", 2).status == 200
    assert change(isolated, "1", 1, positionSide="LONG").code == -4061
    assert change(isolated, "1", 1, positionSide="UP").code == -4060
    found = isolated.call("POST", MARGIN, symbol="ETHUSDT", amount="1", type=1)
    assert found.code == -4049
    window = {"startTime": 1, "endTime": 1 + 31 * 86_400_000}
    assert isolated.call("GET", HISTORY, symbol="BTCUSDT", **window).code == -4165


def test_history_is_of_the_last_thirty_days(isolated):
    isolated.order("BUY", "0.100")
    change(isolated, "10", 1)
    isolated.sleep(30 * 86_400)
    assert len(isolated.get(HISTORY, symbol="BTCUSDT")) == 1
    isolated.sleep(1)
    assert isolated.get(HISTORY, symbol="BTCUSDT") == []


def test_the_liquidation_price_is_where_the_wallet_ends(isolated):
    isolated.order("BUY", "0.100")
    isolated.order("BUY", "10.000", symbol="ETHUSDT")
    before = Decimal(risk(isolated)["liquidationPrice"])
    # 497.500995 + 0.1 * LP - 5000.01 = 0.1 * LP * 0.004
    assert abs(before - Decimal("4502.509005") / Decimal("0.0996")) < Decimal("0.00001")
    change(isolated, "100", 1)
    assert Decimal(risk(isolated)["liquidationPrice"]) < before
    isolated.depth("ETHUSDT", [("2000.00", "900")], [("2000.01", "900")])
    isolated.exchange.books["ETHUSDT"].mark_price = Decimal(2900)
    after = Decimal(risk(isolated)["liquidationPrice"])
    assert abs(after - Decimal("4402.509005") / Decimal("0.0996")) < Decimal("0.00001")


def test_a_gain_that_is_not_realized_backs_no_isolated_position(make_venue):
    venue = make_venue(balance="1000")
    venue.call("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    venue.order("BUY", "5.000", symbol="ETHUSDT")
    venue.depth("ETHUSDT", [("4000.00", "900")], [("4000.01", "900")], mark="4000")
    assert Decimal(venue.get("/fapi/v3/account")["availableBalance"]) > 4_500
    assert venue.order("BUY", "0.400").code == -2019
    assert venue.order("BUY", "0.300").status == 200
    assert cross(venue) >= 0


def test_leverage_does_not_go_down_under_an_isolated_position(isolated):
    def set_leverage(leverage):
        return venue_leverage(isolated, leverage)

    isolated.order("BUY", "0.100")
    assert set_leverage(9).code == -4161
    before = own(isolated)
    assert set_leverage(20).status == 200
    assert own(isolated) == before
    # At the higher leverage half of the margin is free to be taken.
    assert change(isolated, "240", 2).status == 200
    assert change(isolated, "240", 2).code == -4051


def venue_leverage(venue, leverage):
    return venue.call("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=leverage)


def test_a_change_of_margin_type_is_told(venue):
    venue.call("POST", "/fapi/v1/listenKey")
    venue.call("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    (event,) = venue.events()
    assert event["a"]["m"] == "MARGIN_TYPE_CHANGE"
    assert event["a"]["B"] == []
    assert [(row["s"], row["mt"]) for row in event["a"]["P"]] == [("BTCUSDT", "isolated")]
    (config,) = venue.get("/fapi/v1/symbolConfig", symbol="BTCUSDT")
    assert (config["marginType"], config["isAutoAddMargin"]) == ("ISOLATED", False)
    (row,) = venue.get("/fapi/v2/positionRisk", symbol="BTCUSDT")
    assert (row["marginType"], row["isolated"], row["isAutoAddMargin"]) == (
        "isolated", True, "false",
    )  # fmt: skip


def test_both_sides_of_hedge_mode_have_wallets_of_their_own(isolated):
    isolated.call("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    isolated.order("BUY", "0.100", positionSide="LONG")
    isolated.order("SELL", "0.050", positionSide="SHORT")
    assert own(isolated, "LONG") == Decimal("497.500995")
    assert own(isolated, "SHORT") == Decimal(250) - Decimal("1.25")
    assert change(isolated, "10", 1).code == -4061
    assert change(isolated, "10", 1, positionSide="SHORT").status == 200
    assert own(isolated, "SHORT") == Decimal("258.75")
    prices = {
        row["positionSide"]: Decimal(row["liquidationPrice"])
        for row in isolated.get("/fapi/v3/positionRisk", symbol="BTCUSDT")
    }
    assert prices["LONG"] < 50_000 < prices["SHORT"]


def test_only_who_may_trade_may_change_margin_or_see_its_history(isolated):
    reader = isolated.exchange.issue_key("one", frozenset({Permission.READ}), isolated.key.key_type)
    assert isolated.call("GET", HISTORY, key=reader, symbol="BTCUSDT").code == -2015
    found = isolated.call("POST", MARGIN, key=reader, symbol="BTCUSDT", amount="1", type=1)
    assert found.code == -2015


def test_a_modified_order_needs_idle_margin_too(make_venue):
    venue = make_venue(balance="1000")
    venue.call("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    venue.order("BUY", "5.000", symbol="ETHUSDT")
    venue.depth("ETHUSDT", [("4000.00", "900")], [("4000.01", "900")], mark="4000")
    placed = venue.order("BUY", "0.100", "49000").body["orderId"]

    def modify(quantity):
        return venue.call(
            "PUT", "/fapi/v1/order", symbol="BTCUSDT", orderId=placed, side="BUY",
            quantity=quantity, price="49000",
        )  # fmt: skip

    assert modify("0.500").code == -2019
    assert modify("0.300").status == 200


def test_turning_a_losing_position_around_needs_the_margin_of_the_new_one(make_venue):
    venue = make_venue(balance="1000")
    venue.call("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=10)
    venue.call("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    venue.order("BUY", "0.180")
    venue.depth("BTCUSDT", [("46000.00", "9")], [("46000.10", "9")], mark="46000")
    # 175 of the 895 are left, 100 lie idle, and a short position of 0.18 needs 828.
    assert venue.code("SELL", "0.360") == -2019
    assert venue.code("SELL", "0.220") == 0
    assert cross(venue) >= 0
    assert venue.exchange.ledger.balance("insurance") == 0


def test_a_fill_brings_no_more_margin_along_than_there_is(make_venue):
    venue = make_venue(balance="960")
    venue.call("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=1)
    venue.call("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    asks = [("50000.10", "0.001"), ("52000.00", "9")]
    venue.depth("BTCUSDT", [("50000.00", "9")], asks, mark="50000")
    venue.order("BUY", "0.019")
    assert venue.account.position("BTCUSDT").quantity == Decimal("0.019")
    commission = (Decimal("50.0001") + 18 * 52) * Decimal("0.0005")
    assert (cross(venue), own(venue)) == (0, 960 - commission)
    assert venue.exchange.ledger.balance("insurance") == 0
