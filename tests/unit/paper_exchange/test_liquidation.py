"""Liquidation by the venue itself: who is closed, at which price, who pays, who is told."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from services.paper_exchange.config import Limits
from services.paper_exchange.money import deleveraging
from services.paper_exchange.money.deleveraging import queue_of
from services.paper_exchange.wire.authentication import KeyType, Permission

ALL = frozenset(Permission)
CENT8 = Decimal("0.00000001")


def set_leverage(venue, leverage, symbol="BTCUSDT", key=None):
    found = venue.call("POST", "/fapi/v1/leverage", key=key, symbol=symbol, leverage=leverage)
    assert found.status == 200, found


def move_mark(venue, mark, *, bid=None, ask=None, depth="1000", symbol="BTCUSDT"):
    """The mark moves to a price; the book stands around it unless told where."""
    bid = bid or f"{Decimal(mark):.2f}"
    ask = ask or f"{Decimal(bid) + Decimal('0.1'):.2f}"
    venue.depth(symbol, [(bid, depth)], [(ask, depth)], mark=mark)
    venue.exchange.on_mark(symbol, venue.now_ns)


def second_account(venue, name="two", balance="10000"):
    account = venue.exchange.open_account(name, Decimal(balance), venue.now_ns)
    return account, venue.exchange.issue_key(name, ALL, KeyType.HMAC)


def order_events(events):
    return [event["o"] for event in events if event["e"] == "ORDER_TRADE_UPDATE"]


def long_on_the_edge(make_venue, balance="1000", quantity="0.200", **limits):
    """0.2 BTC at 50,000 with 1,000 USDT: used up a little above 45,000."""
    venue = make_venue(Limits(**limits), balance=balance)
    set_leverage(venue, 100)
    assert venue.order("BUY", quantity).status == 200
    return venue


def test_a_position_is_left_alone_until_maintenance_comes_to_the_balance(make_venue):
    venue = long_on_the_edge(make_venue)
    wallet = venue.exchange.wallet_of(venue.account)
    cost = venue.account.position("BTCUSDT").cost
    edge = (cost - wallet) / Decimal("0.2") / (1 - Decimal("0.004"))
    move_mark(venue, f"{edge + Decimal('0.1'):.2f}")
    assert venue.account.position("BTCUSDT").quantity == Decimal("0.200")
    move_mark(venue, f"{edge - Decimal('0.1'):.2f}")
    assert venue.account.position("BTCUSDT").quantity == 0


def test_a_liquidation_cancels_orders_closes_in_the_book_and_takes_what_is_left(make_venue):
    venue = long_on_the_edge(make_venue)
    venue.order("BUY", "0.010", "30000.00")
    venue.order("BUY", "0.010", "2000.00", symbol="ETHUSDT")
    venue.call("POST", "/fapi/v1/listenKey")
    venue.events()
    move_mark(venue, "45150.00")
    said = order_events(venue.events())
    assert [(one["x"], one["X"]) for one in said] == [
        ("CANCELED", "CANCELED"), ("CANCELED", "CANCELED"),
        ("NEW", "NEW"), ("CALCULATED", "FILLED"),
    ]  # fmt: skip
    forced = said[-1]
    assert forced["c"].startswith("autoclose-")
    assert (forced["o"], forced["f"], forced["S"]) == ("LIMIT", "IOC", "SELL")
    assert forced["L"] == "45150.00"
    assert Decimal(forced["p"]) < Decimal(45150)
    assert venue.exchange.wallet_of(venue.account) == 0
    (row,) = venue.get("/fapi/v1/income", incomeType="INSURANCE_CLEAR")
    assert Decimal(row["income"]) < 0
    assert venue.exchange.ledger.balance("insurance") == -Decimal(row["income"])
    assert venue.exchange.ledger.total() == 0


def test_the_fee_is_no_more_than_its_rate(make_venue):
    venue = make_venue(balance="10000")
    set_leverage(venue, 5)
    venue.order("BUY", "0.900")
    move_mark(venue, "39050.00", bid="40000.00")
    (row,) = venue.get("/fapi/v1/income", incomeType="INSURANCE_CLEAR")
    assert row["income"] == "-450.00000000"
    assert venue.exchange.wallet_of(venue.account) > 0


def test_what_the_book_does_not_take_goes_to_the_insurance_fund_at_the_bankruptcy_price(
    make_venue,
):
    venue = long_on_the_edge(make_venue)
    move_mark(venue, "40000.00")
    (trade,) = venue.get("/fapi/v1/userTrades", symbol="BTCUSDT")[1:]
    assert Decimal(trade["price"]) == Decimal("45025.2")
    assert Decimal(trade["commission"]) == 0
    wallet = venue.exchange.wallet_of(venue.account)
    assert 0 <= wallet <= Decimal("0.02")
    lost = Decimal("0.2") * (Decimal(trade["price"]) - 40000)
    assert venue.exchange.ledger.balance("insurance") <= -lost + Decimal("0.02")
    assert venue.exchange.ledger.total() == 0


def test_a_short_is_liquidated_above(make_venue):
    venue = make_venue(balance="1000")
    set_leverage(venue, 100)
    venue.order("SELL", "0.200")
    move_mark(venue, "54700.00")
    assert venue.account.position("BTCUSDT").quantity == Decimal("-0.200")
    move_mark(venue, "54800.00")
    assert venue.account.position("BTCUSDT").quantity == 0


def test_a_large_position_is_brought_into_a_lower_bracket_only(make_venue):
    venue = make_venue(balance="2000")
    set_leverage(venue, 75)
    assert venue.order("BUY", "2.000").status == 200
    move_mark(venue, "49260.00", bid="49100.00")
    assert venue.account.position("BTCUSDT").quantity == 2
    move_mark(venue, "49240.00", bid="49100.00")
    assert venue.account.position("BTCUSDT").quantity == Decimal("1.015")
    margin = venue.exchange.margin_of(venue.account)
    assert margin.cross_maintenance < margin.cross_margin_balance


def test_an_isolated_position_falls_alone(make_venue):
    venue = make_venue()
    venue.call("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    set_leverage(venue, 100)
    venue.order("BUY", "0.200")
    venue.order("BUY", "1.000", symbol="ETHUSDT")
    venue.order("BUY", "1.000", "2900", symbol="ETHUSDT")
    cross = venue.exchange.wallets_of(venue.account).cross
    move_mark(venue, "49000.00")
    assert venue.account.position("BTCUSDT").quantity == 0
    assert venue.account.position("ETHUSDT").quantity == 1
    assert len(venue.account.open_orders) == 1
    assert cross <= venue.exchange.wallet_of(venue.account) <= cross + Decimal("0.02")


def test_an_isolated_position_survives_the_fall_of_the_cross_margin(make_venue):
    venue = make_venue(balance="1100")
    venue.call("POST", "/fapi/v1/marginType", symbol="ETHUSDT", marginType="ISOLATED")
    set_leverage(venue, 100)
    venue.order("BUY", "0.400", symbol="ETHUSDT")
    venue.order("BUY", "0.200")
    move_mark(venue, "44000.00")
    assert venue.account.position("BTCUSDT").quantity == 0
    assert venue.account.position("ETHUSDT").quantity == Decimal("0.400")


def test_a_margin_call_is_said_once_per_crossing(make_venue):
    venue = long_on_the_edge(make_venue)
    venue.call("POST", "/fapi/v1/listenKey")
    venue.events()

    def calls():
        return [event for event in venue.events() if event["e"] == "MARGIN_CALL"]

    move_mark(venue, "46000.00")
    assert calls() == []
    move_mark(venue, "45240.00")
    (call,) = calls()
    assert list(call) == ["e", "E", "cw", "p"]
    (row,) = call["p"]
    assert row == {
        "s": "BTCUSDT", "ps": "BOTH", "pa": "0.200", "mt": "CROSSED", "iw": "0",
        "mp": "45240.00000000", "up": row["up"], "mm": "36.19200000",
    }  # fmt: skip
    move_mark(venue, "45235.00")
    assert calls() == []
    move_mark(venue, "46000.00")
    move_mark(venue, "45240.00")
    assert len(calls()) == 1


def test_the_public_stream_tells_the_latest_liquidation_of_a_second(make_venue):
    venue = long_on_the_edge(make_venue)
    _, key = second_account(venue, balance="500")
    set_leverage(venue, 100, key=key)
    assert venue.order("BUY", "0.100", key=key).status == 200
    move_mark(venue, "44000.00")
    assert venue.exchange.announcements == []
    venue.sleep(1)
    (single, everyone) = venue.exchange.announcements
    assert (single[0], everyone[0]) == ("btcusdt@forceOrder", "!forceOrder@arr")
    assert everyone[1] == {**single[1], "ps": "BTCUSDT", "st": 1}
    body = single[1]["o"]
    assert list(body) == ["s", "S", "o", "f", "q", "p", "ap", "X", "l", "z", "T"]
    assert (body["S"], body["q"], body["X"]) == ("SELL", "0.100", "FILLED")


def test_a_fill_that_uses_up_the_margin_liquidates_without_a_mark(make_venue):
    venue = make_venue(balance="1000")
    set_leverage(venue, 100)
    venue.order("BUY", "0.200")
    venue.exchange.books["BTCUSDT"].mark_price = Decimal(44000)
    venue.order("BUY", "0.002", "50000.10")
    assert venue.account.position("BTCUSDT").quantity in (0, Decimal("0.200"))
    venue.order("SELL", "0.002", reduceOnly="true")
    assert venue.account.position("BTCUSDT").quantity == 0


@pytest.mark.parametrize("fund", ["1000000", "0"])
def test_a_cascade_ends_with_every_wallet_at_zero_or_above(make_venue, fund):
    venue = long_on_the_edge(make_venue, insurance_fund=Decimal(fund))
    weak, weak_key = second_account(venue, "weak", "600")
    strong, strong_key = second_account(venue, "strong", "5000")
    set_leverage(venue, 100, key=weak_key)
    set_leverage(venue, 20, key=strong_key)
    assert venue.order("BUY", "0.100", key=weak_key).status == 200
    assert venue.order("SELL", "0.250", key=strong_key).status == 200
    move_mark(venue, "40000.00")
    ledger = venue.exchange.ledger
    assert ledger.total() == 0
    for account in (venue.account, weak):
        assert account.position("BTCUSDT").quantity == 0
        assert venue.exchange.wallet_of(account) >= 0
    left = strong.position("BTCUSDT").quantity
    if fund == "0":
        assert left == 0
        assert ledger.balance("insurance") >= 0
        (first, *_) = venue.call(
            "GET", "/fapi/v1/userTrades", key=strong_key, symbol="BTCUSDT"
        ).body[1:]
        assert Decimal(first["price"]) > 44000
    else:
        assert left == Decimal("-0.250")
        assert ledger.balance("insurance") < 0


def test_the_most_leveraged_profit_is_deleveraged_first(make_venue):
    venue = long_on_the_edge(make_venue, insurance_fund=Decimal(0))
    calm, calm_key = second_account(venue, "calm", "50000")
    bold, bold_key = second_account(venue, "bold", "2000")
    set_leverage(venue, 100, key=bold_key)
    venue.order("SELL", "0.200", key=calm_key)
    venue.order("SELL", "0.200", key=bold_key)
    venue.call("POST", "/fapi/v1/listenKey", key=bold_key)
    venue.events()
    move_mark(venue, "40000.00")
    assert calm.position("BTCUSDT").quantity == Decimal("-0.200")
    assert bold.position("BTCUSDT").quantity == 0
    said = order_events(venue.events())
    assert [(one["c"], one["x"], one["S"]) for one in said] == [
        ("adl_autoclose", "NEW", "BUY"), ("adl_autoclose", "CALCULATED", "BUY"),
    ]  # fmt: skip


@pytest.mark.parametrize("margin_type", ["CROSSED", "ISOLATED"])
@pytest.mark.parametrize(("side", "inward"), [("BUY", 1), ("SELL", -1)])
def test_it_happens_at_the_liquidation_price_that_was_told(make_venue, margin_type, side, inward):
    venue = make_venue(balance="1500")
    venue.call("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType=margin_type)
    set_leverage(venue, 50)
    venue.order("BUY", "0.500", symbol="ETHUSDT")
    assert venue.order(side, "0.200").status == 200
    (row,) = venue.get("/fapi/v3/positionRisk", symbol="BTCUSDT")
    told = Decimal(row["liquidationPrice"])
    assert told > 0
    quantity = venue.account.position("BTCUSDT").quantity
    move_mark(venue, f"{told + inward * Decimal('0.01'):.8f}", bid="50000.00")
    assert venue.account.position("BTCUSDT").quantity == quantity
    move_mark(venue, f"{told - inward * Decimal('0.01'):.8f}", bid="50000.00")
    assert venue.account.position("BTCUSDT").quantity == 0


def test_one_side_of_a_hedge_stays_where_its_profit_covers_it(make_venue):
    venue = make_venue(balance="1000")
    venue.call("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    set_leverage(venue, 100)
    assert venue.order("BUY", "0.300", positionSide="LONG").status == 200
    assert venue.order("SELL", "0.100", positionSide="SHORT").status == 200
    venue.call("POST", "/fapi/v1/listenKey")
    venue.events()
    move_mark(venue, "45200.00", bid="45250.00")
    forced = [one for one in order_events(venue.events()) if one["x"] == "CALCULATED"]
    assert forced[0]["ps"] == "LONG"
    assert venue.account.position("BTCUSDT", "LONG").quantity == 0
    assert venue.account.position("BTCUSDT", "SHORT").quantity == Decimal("-0.100")
    margin = venue.exchange.margin_of(venue.account)
    assert margin.cross_wallet < 0 < margin.cross_margin_balance
    venue.order("BUY", "0.100", positionSide="SHORT")
    assert venue.exchange.wallet_of(venue.account) >= 0
    assert venue.exchange.ledger.total() == 0


def test_a_liquidation_meets_the_orders_of_other_customers(make_venue):
    venue = long_on_the_edge(make_venue)
    buyer, key = second_account(venue, "buyer", "20000")
    bid = venue.order("BUY", "0.050", "45180.00", key=key).body["orderId"]
    venue.call("POST", "/fapi/v1/listenKey")
    venue.call("POST", "/fapi/v1/listenKey", key=key)
    venue.events()
    move_mark(venue, "45150.00", ask="45200.00")
    assert venue.account.position("BTCUSDT").quantity == 0
    assert buyer.position("BTCUSDT").quantity == Decimal("0.050")
    assert buyer.orders[bid].status == "FILLED"
    fills = [(one["x"], one["L"], one["l"]) for one in order_events(venue.events()) if one["t"]]
    assert fills == [
        ("CALCULATED", "45180.00", "0.050"),
        ("TRADE", "45180.00", "0.050"),
        ("CALCULATED", "45150.00", "0.150"),
    ]
    assert venue.exchange.ledger.total() == 0


def test_a_cascade_ranks_the_other_side_once(make_venue, monkeypatch):
    rankings = []

    def counted(*arguments):
        rankings.append(arguments)
        return queue_of(*arguments)

    monkeypatch.setattr(deleveraging, "queue_of", counted)
    venue = make_venue(Limits(insurance_fund=Decimal(0)))
    for number in range(20):
        for side in ("BUY", "SELL"):
            _, key = second_account(venue, f"{side}-{number}", "60")
            assert venue.order(side, "0.010", key=key).status == 200
    move_mark(venue, "40000.00")
    assert not any(account.has_position() for account in venue.exchange.accounts.values())
    assert len(rankings) == 1
    assert venue.exchange.ledger.total() == 0


def test_a_halted_symbol_is_liquidated_when_it_trades_again(make_venue):
    venue = long_on_the_edge(make_venue)
    _, key = second_account(venue, "buyer", "20000")
    venue.order("BUY", "0.050", "48000.00", key=key)
    instruments = venue.exchange.instruments
    trading = instruments["BTCUSDT"]
    instruments["BTCUSDT"] = replace(trading, status="TRADING_HALT")
    venue.exchange.books["BTCUSDT"].mark_price = Decimal(44_000)
    venue.exchange.on_mark("BTCUSDT", venue.now_ns)
    assert venue.account.position("BTCUSDT").quantity == Decimal("0.200")
    instruments["BTCUSDT"] = trading
    venue.exchange.on_mark("BTCUSDT", venue.now_ns)
    assert venue.account.position("BTCUSDT").quantity == 0
