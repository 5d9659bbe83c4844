"""What the venue and the owner do without the client: liquidation, deleveraging, manual orders."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.paper_exchange.money.surprises import ForcedClosing, force_close, owner_trades
from services.paper_exchange.wire.refusals import RefusalError


def close(venue, kind=ForcedClosing.LIQUIDATION, **more):
    return force_close(venue.exchange, venue.account, "BTCUSDT", kind, venue.now_ns, **more)


def order_events(venue):
    return [event["o"] for event in venue.events() if event["e"] == "ORDER_TRADE_UPDATE"]


def test_a_liquidation_cancels_orders_closes_and_takes_its_fee(venue):
    venue.order("BUY", "0.100")
    venue.order("BUY", "0.010", "49000.00")
    venue.call("POST", "/fapi/v1/listenKey")
    venue.events()
    close(venue, price=Decimal(49000))
    said = order_events(venue)
    assert [(event["x"], event["X"]) for event in said] == [
        ("CANCELED", "CANCELED"), ("NEW", "NEW"), ("CALCULATED", "FILLED"),
    ]  # fmt: skip
    assert said[2]["c"].startswith("autoclose-")
    assert (said[2]["o"], said[2]["f"], said[2]["L"]) == ("LIMIT", "IOC", "49000.00")
    assert venue.get("/fapi/v3/positionRisk") == []
    (row,) = venue.get("/fapi/v1/income", incomeType="INSURANCE_CLEAR")
    assert row["income"] == "-61.25000000"
    assert venue.exchange.ledger.balance("insurance") == Decimal("61.25")
    assert venue.exchange.ledger.total() == 0


def test_the_public_hears_of_a_liquidation_at_the_end_of_its_second(venue):
    venue.order("BUY", "0.100")
    close(venue, price=Decimal(49000))
    assert venue.exchange.announcements == []
    venue.exchange.advance(venue.now_ns + 1_000_000_000)
    told = dict(venue.exchange.announcements)
    assert set(told) == {"btcusdt@forceOrder", "!forceOrder@arr"}
    one, every = told["btcusdt@forceOrder"], told["!forceOrder@arr"]
    assert (one["o"]["S"], one["o"]["q"], one["o"]["X"]) == ("SELL", "0.100", "FILLED")
    assert every == {**one, "ps": "BTCUSDT", "st": 1}


def test_deleveraging_may_take_a_part_and_takes_no_fee(venue):
    venue.order("SELL", "0.100")
    venue.call("POST", "/fapi/v1/listenKey")
    venue.events()
    close(venue, ForcedClosing.ADL, quantity=Decimal("0.040"))
    said = order_events(venue)
    assert {event["c"] for event in said} == {"adl_autoclose"}
    assert said[-1]["x"] == "CALCULATED"
    assert venue.account.position("BTCUSDT").quantity == Decimal("-0.060")
    assert venue.exchange.ledger.balance("insurance") == 0


def test_the_insurance_fund_pays_for_a_wallet_below_zero(make_venue):
    venue = make_venue(balance="300")
    venue.order("BUY", "0.100")
    close(venue, price=Decimal(40000))
    assert venue.exchange.wallet_of(venue.account) == 0
    assert venue.exchange.ledger.balance("insurance") < 0
    assert venue.exchange.ledger.total() == 0


def test_there_must_be_a_position(venue):
    with pytest.raises(RefusalError):
        close(venue)


def test_the_owners_hand_leaves_an_order_of_its_own(venue):
    arguments = (venue.exchange, venue.account, "BTCUSDT", "BUY")
    market = owner_trades(*arguments, Decimal("0.010"), venue.now_ns)
    assert (market.status, market.client_order_id) == ("FILLED", "web_1")
    limit = owner_trades(*arguments, Decimal("0.010"), venue.now_ns, price=Decimal(49000))
    assert venue.get("/fapi/v1/openOrders")[0]["orderId"] == limit.order_id
    with pytest.raises(RefusalError):
        owner_trades(*arguments, Decimal(100), venue.now_ns)


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["ORDER", "LIQUIDATION", "ADL", "STOP", "CLOSE", "TRADE", "MARK", "OWNER"]),
        st.sampled_from(["BUY", "SELL"]),
        st.integers(2, 300),
        st.integers(-900, 900),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(MOVES)
def test_money_is_conserved_whatever_the_venue_and_the_market_do(make_venue, moves):
    venue = make_venue()
    exchange, account = venue.exchange, venue.account
    for kind, side, size, offset in moves:
        quantity, price = Decimal(size).scaleb(-3), Decimal(50_000 + offset)
        try:
            if kind == "ORDER":
                venue.order(side, f"{quantity}", f"{price}" if offset % 2 else None)
            elif kind in ("LIQUIDATION", "ADL"):
                close(venue, ForcedClosing[kind], quantity=quantity, price=price)
            elif kind == "OWNER":
                owner_trades(exchange, account, "BTCUSDT", side, quantity, venue.now_ns)
            elif kind == "TRADE":
                venue.trade("BTCUSDT", price, quantity, is_buyer_maker=side == "BUY")
            elif kind == "MARK":
                exchange.books["BTCUSDT"].mark_price = price
                exchange.on_mark("BTCUSDT", venue.now_ns)
            else:
                amount = {"quantity": quantity} if kind == "STOP" else {"closePosition": "true"}
                venue.call(
                    "POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", symbol="BTCUSDT",
                    side=side, type="STOP_MARKET", triggerPrice=price, **amount,
                    workingType="MARK_PRICE" if offset % 3 else "CONTRACT_PRICE",
                )  # fmt: skip
        except RefusalError:
            pass
        ledger = exchange.ledger
        assert ledger.total() == 0
        paid_in = -ledger.balance("deposits")
        fills = account.trades.get("BTCUSDT", [])
        realized = sum((trade.realized for trade in fills), Decimal(0))
        fees = sum((trade.commission for trade in fills), Decimal(0))
        insured = ledger.balance("insurance")
        assert exchange.wallet_of(account) == paid_in + realized - fees - insured
        held = sum(
            (trade.quantity * (1 if trade.side == "BUY" else -1) for trade in fills), Decimal(0)
        )
        assert account.position("BTCUSDT").quantity == held
        for algo in account.waiting_algos.values():
            if algo.close_position:
                assert exchange.reducible(account, "BTCUSDT", algo.sign) > 0


@pytest.mark.parametrize(("side", "position_side"), [("BUY", "LONG"), ("SELL", "SHORT")])
def test_the_owners_hand_opens_a_position_of_the_mode_that_the_account_is_in(
    venue, side, position_side
):
    venue.call("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    arguments = (venue.exchange, venue.account, "BTCUSDT", side, Decimal("0.010"))
    assert owner_trades(*arguments, venue.now_ns).status == "FILLED"
    held = {key: position.quantity for key, position in venue.account.positions.items()}
    sign = 1 if side == "BUY" else -1
    assert held == {("BTCUSDT", position_side): sign * Decimal("0.010")}
