"""What is under way is no drift, and what drifts stays the same while the account trades."""

from decimal import Decimal

import pytest

from libs.common.messages.account import DiscrepancyKind, OrderView, TradesView
from libs.common.model.order import OrderStatus, Side
from services.reconciler.snapshots import TradeSeen, VenueOrderSeen
from tests.unit.reconciler.snapshot_cases import NOW_NS, SECOND_NS, look, state, venue

KIND = DiscrepancyKind


def trade(trade_id, quantity, side="BUY", age_s=1):
    return TradeSeen(
        trade_id=trade_id, at_ns=NOW_NS - age_s * SECOND_NS, side=side, quantity=Decimal(quantity)
    )


def known(*trade_ids):
    return (TradesView(symbol="BTCUSDT", floor_id=0, trade_ids=trade_ids),)


def confirmed(first, second):
    """What two looks at pairs of snapshots make sure of."""
    seen = look(*first).keys
    found = look(*second, seen_before=seen).discrepancies
    return [one.kind for one in found if one.is_confirmed]


def test_two_fills_under_way_one_after_the_other_are_no_drift():
    first = state({"BTCUSDT": "1"}), venue({"BTCUSDT": "2"})
    second = state({"BTCUSDT": "2"}), venue({"BTCUSDT": "1"})
    assert confirmed(first, second) == []


def test_drift_that_persists_while_the_account_trades_is_confirmed_under_whatever_name():
    first = state({"BTCUSDT": "1"}), venue({"BTCUSDT": "1.5"})
    second = state({"BTCUSDT": "0"}), venue({"BTCUSDT": "0.5"})
    assert confirmed(first, second) == [KIND.UNTRACKED_POSITION]


def test_fills_of_the_same_size_are_told_apart_by_the_trades_that_explain_them():
    first = (
        state({"BTCUSDT": "1"}, trades=known(1)),
        venue({"BTCUSDT": "2"}, trades={"BTCUSDT": (trade(1, "1"), trade(2, "1"))}),
    )
    second = (
        state({"BTCUSDT": "2"}, trades=known(1, 2)),
        venue({"BTCUSDT": "3"}, trades={"BTCUSDT": (trade(2, "1"), trade(3, "1"))}),
    )
    assert confirmed(first, second) == []


def test_a_trade_that_stays_untold_explains_nothing_any_more_once_it_is_overdue():
    late = trade(2, "1", age_s=4)
    pair = (
        state({"BTCUSDT": "1"}, trades=known(1)),
        venue({"BTCUSDT": "2"}, trades={"BTCUSDT": (trade(1, "1", age_s=9), late)}),
    )
    assert confirmed(pair, pair) == [KIND.SIZE_MISMATCH, KIND.MISSED_FILL]


def test_a_balance_that_differs_by_another_amount_each_time_is_moving_not_drifting():
    first = state(wallet_balance=Decimal(100)), venue(wallet_balance=Decimal(99))
    second = state(wallet_balance=Decimal(99)), venue(wallet_balance=Decimal(97))
    assert confirmed(first, second) == []
    assert confirmed(first, first) == [KIND.BALANCE_DRIFT]


# -- terms of orders ------------------------------------------------------------------------------


def ours(price="100", quantity="2", status=OrderStatus.OPEN):
    order = OrderView(
        client_order_id="pc-1", intent_id="i", symbol="BTCUSDT", side=Side.BUY,
        quantity=Decimal(quantity), cumulative_quantity=Decimal(0), reduce_only=False,
        status=status, recorded_at_ns=1, price=None if price is None else Decimal(price),
    )  # fmt: skip
    return state(orders=(order,))


def theirs(price="100", quantity="2"):
    order = VenueOrderSeen(
        client_order_id="pc-1", symbol="BTCUSDT", side="BUY", quantity=Decimal(quantity),
        price=Decimal(price),
    )  # fmt: skip
    return venue(orders=(order,))


@pytest.mark.parametrize(
    ("mine", "yours", "is_changed"),
    [
        ({}, {}, False),
        ({}, {"price": "100.0"}, False),
        ({}, {"price": "99"}, True),
        ({}, {"quantity": "3"}, True),
        ({"price": None}, {"price": "0"}, False),
        ({"status": OrderStatus.UNKNOWN}, {"price": "99"}, False),
    ],
)
def test_another_price_or_quantity_at_the_venue_is_a_change_of_the_order(mine, yours, is_changed):
    kinds = [one.kind for one in look(ours(**mine), theirs(**yours)).discrepancies]
    assert kinds == ([KIND.ORDER_CHANGED] if is_changed else [])


def test_drift_is_confirmed_however_much_is_under_way_each_time():
    """An account that always trades must not hide for ever what differs besides."""
    first = (
        state({"BTCUSDT": "1"}, trades=known(1)),
        venue({"BTCUSDT": "2.5"}, trades={"BTCUSDT": (trade(1, "1"), trade(2, "1"))}),
    )
    second = (
        state({"BTCUSDT": "2"}, trades=known(1, 2)),
        venue({"BTCUSDT": "5.5"}, trades={"BTCUSDT": (trade(2, "1"), trade(3, "3"))}),
    )
    assert confirmed(first, second) == [KIND.SIZE_MISMATCH]
    assert confirmed(second, first) == [KIND.SIZE_MISMATCH]
