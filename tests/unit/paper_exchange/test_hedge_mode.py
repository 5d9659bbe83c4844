"""Hedge mode: a long and a short position beside each other, which never turn around."""

from decimal import Decimal

import pytest


@pytest.fixture
def hedged(venue):
    """A venue whose account is in hedge mode."""
    assert venue.call("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true").status == 200
    return venue


def trade(venue, side, position_side, quantity, price=None, **more):
    found = venue.order(side, quantity, price, positionSide=position_side, **more)
    assert found.status == 200, found
    return found


def held(venue, position_side):
    return venue.account.position("BTCUSDT", position_side).quantity


def risk(venue, version="v3"):
    rows = venue.get(f"/fapi/{version}/positionRisk", symbol="BTCUSDT")
    return {row["positionSide"]: row for row in rows}


def test_long_and_short_stand_beside_each_other(hedged):
    trade(hedged, "BUY", "LONG", "0.100")
    trade(hedged, "SELL", "SHORT", "0.040")
    assert (held(hedged, "LONG"), held(hedged, "SHORT")) == (Decimal("0.1"), Decimal("-0.04"))
    trade(hedged, "SELL", "LONG", "0.060")
    trade(hedged, "BUY", "SHORT", "0.040")
    assert (held(hedged, "LONG"), held(hedged, "SHORT")) == (Decimal("0.04"), Decimal(0))
    assert held(hedged, "BOTH") == 0
    assert [row["positionSide"] for row in hedged.get("/fapi/v1/userTrades", symbol="BTCUSDT")] == [
        "LONG", "SHORT", "LONG", "SHORT",
    ]  # fmt: skip


def test_lists_of_all_positions_show_three_sides_and_the_others_only_what_is_open(hedged):
    trade(hedged, "BUY", "LONG", "0.100")
    trade(hedged, "SELL", "SHORT", "0.040", "51000")
    sides = [row["positionSide"] for row in hedged.get("/fapi/v2/positionRisk", symbol="BTCUSDT")]
    assert sides == ["BOTH", "LONG", "SHORT"]
    listed = hedged.get("/fapi/v2/account")["positions"]
    assert len(listed) == 3 * len(hedged.exchange.instruments)
    assert list(risk(hedged)) == ["LONG", "SHORT"]
    assert risk(hedged)["SHORT"]["positionAmt"] == "0.000"
    assert risk(hedged)["SHORT"]["askNotional"] == "2040.00000000"
    shown = hedged.get("/fapi/v3/account")["positions"]
    assert [row["positionSide"] for row in shown] == ["LONG", "SHORT"]


def test_events_name_the_side(hedged):
    hedged.call("POST", "/fapi/v1/listenKey")
    trade(hedged, "SELL", "SHORT", "0.010")
    placed, _, account, filled = hedged.events()
    assert (placed["o"]["ps"], filled["o"]["ps"]) == ("SHORT", "SHORT")
    (row,) = account["a"]["P"]
    assert (row["ps"], row["pa"]) == ("SHORT", "-0.010")


def test_an_order_that_closes_ties_up_nothing_and_opening_ones_add_up_per_side(hedged):
    trade(hedged, "BUY", "LONG", "0.100")
    before = Decimal(hedged.get("/fapi/v3/account")["totalOpenOrderInitialMargin"])
    trade(hedged, "SELL", "LONG", "0.100", "51000")
    account = hedged.get("/fapi/v3/account")
    assert Decimal(account["totalOpenOrderInitialMargin"]) == before == 0
    trade(hedged, "SELL", "SHORT", "0.100", "51000")
    trade(hedged, "BUY", "LONG", "0.100", "49000")
    account = hedged.get("/fapi/v3/account")
    assert Decimal(account["totalOpenOrderInitialMargin"]) == Decimal(5100 + 4900) / 20


def test_a_side_that_margin_does_not_suffice_for_is_refused_and_the_closing_one_is_not(make_venue):
    venue = make_venue(balance="300")
    venue.call("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    trade(venue, "BUY", "LONG", "0.100")
    assert venue.order("SELL", "0.100", positionSide="SHORT").code == -2019
    trade(venue, "SELL", "LONG", "0.100")


def test_the_leverage_bounds_each_side(hedged):
    hedged.call("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=125)
    trade(hedged, "BUY", "LONG", "0.990")
    trade(hedged, "SELL", "SHORT", "0.990")
    assert hedged.order("BUY", "0.020", positionSide="LONG").code == -2027
    assert hedged.order("SELL", "0.020", positionSide="SHORT").code == -2027
    assert hedged.order("SELL", "0.020", positionSide="LONG").status == 200


def test_orders_that_close_end_with_their_position(hedged):
    trade(hedged, "BUY", "LONG", "0.100")
    trade(hedged, "SELL", "SHORT", "0.100")
    trade(hedged, "SELL", "LONG", "0.100", "51000")
    trade(hedged, "BUY", "SHORT", "0.100", "49000")
    trade(hedged, "SELL", "LONG", "0.100")
    (left,) = hedged.account.open_orders.values()
    assert left.position_side == "SHORT"


def test_a_resting_order_closes_no_more_than_is_left(hedged):
    trade(hedged, "BUY", "LONG", "0.100")
    trade(hedged, "SELL", "LONG", "0.100", "51000")
    trade(hedged, "SELL", "LONG", "0.060")
    hedged.trade("BTCUSDT", "51000.10", "5", is_buyer_maker=False)
    assert held(hedged, "LONG") == 0
    assert hedged.account.open_orders == {}


def test_equal_sides_share_one_liquidation_price_far_away(hedged):
    hedged.call("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=75)
    trade(hedged, "BUY", "LONG", "3.000")
    trade(hedged, "SELL", "SHORT", "1.000")
    rows = risk(hedged)
    assert rows["LONG"]["liquidationPrice"] == rows["SHORT"]["liquidationPrice"]
    price = Decimal(rows["LONG"]["liquidationPrice"])
    margin_at(hedged, price)
    trade(hedged, "SELL", "SHORT", "2.000")
    # Profits cancel, so that only maintenance, which grows with the price, can use it up.
    price = Decimal(risk(hedged)["LONG"]["liquidationPrice"])
    assert price > 250_000
    margin_at(hedged, price)


def margin_at(venue, price):
    """At its liquidation price an account has its maintenance margin left."""
    before = venue.exchange.books["BTCUSDT"].mark_price
    venue.exchange.books["BTCUSDT"].mark_price = price
    margin = venue.exchange.margin_of(venue.account)
    assert abs(margin.cross_margin_balance - margin.cross_maintenance) < Decimal("0.0001")
    venue.exchange.books["BTCUSDT"].mark_price = before
