"""Every way in which ours and the venue's can differ, and every way in which they only seem to."""

from decimal import Decimal

import pytest

from libs.common.messages.account import (
    AccountState,
    DiscrepancyKind,
    OrderView,
    PositionView,
)
from libs.common.model.order import OrderStatus, Side
from libs.common.model.trading_state import TradingState
from services.reconciler.core import (
    compare,
    confirmed,
    position_difference,
)
from services.reconciler.snapshots import VenueOrderSeen, VenueSnapshot

KIND = DiscrepancyKind


def ours(positions=None, orders=(), wallet="100", balance_at_ns=1) -> AccountState:
    return AccountState(
        message_id="m", causation_id="m", correlation_id="m", ts_event_ns=1, ts_published_ns=1,
        source="execution", account="paper", journal_sequence=1, trading_state=TradingState.ACTIVE,
        armed=True, unarmed_reasons=(), wallet_balance=Decimal(wallet),
        available_balance=Decimal(wallet), balance_at_ns=balance_at_ns, changed_at_ns=1,
        positions=tuple(
            PositionView(
                symbol=symbol, quantity=Decimal(quantity), cost=Decimal(0), entry_price=Decimal(0),
                realized_pnl=Decimal(0), commission=Decimal(0),
            )
            for symbol, quantity in (positions or {}).items()
        ),
        orders=tuple(orders),
    )  # fmt: skip


def theirs(positions=None, orders=(), wallet="100") -> VenueSnapshot:
    return VenueSnapshot(
        positions={symbol: Decimal(text) for symbol, text in (positions or {}).items()},
        orders=tuple(orders),
        wallet_balance=None if wallet is None else Decimal(wallet),
    )


def our_order(client_order_id="pc-1", status=OrderStatus.OPEN) -> OrderView:
    return OrderView(
        client_order_id=client_order_id, intent_id="i", symbol="BTCUSDT", side=Side.BUY,
        quantity=Decimal(1), cumulative_quantity=Decimal(0), reduce_only=False, status=status,
        recorded_at_ns=1,
    )  # fmt: skip


def venue_order(client_order_id="pc-1") -> VenueOrderSeen:
    return VenueOrderSeen(
        client_order_id=client_order_id, symbol="BTCUSDT", side="BUY", quantity=Decimal(1)
    )


def look(mine, yours, **arguments):
    tolerance = arguments.pop("balance_tolerance", Decimal(0))
    return compare(mine, yours, asset="USDT", balance_tolerance=tolerance, **arguments)


def found(mine, yours, **arguments):
    return [(one.kind, one.subject) for one in look(mine, yours, **arguments).discrepancies]


def test_the_same_on_both_sides_is_clean_and_everything_was_compared():
    orders = [our_order()]
    comparison = look(ours({"BTCUSDT": "1.000"}, orders), theirs({"BTCUSDT": "1"}, [venue_order()]))
    assert comparison.discrepancies == ()
    assert comparison.positions_compared == 1
    assert comparison.orders_compared == 1
    assert comparison.balances_compared == 1


@pytest.mark.parametrize(
    ("mine", "yours", "kind"),
    [
        ("1", "0", KIND.PHANTOM_POSITION),
        ("0", "1", KIND.UNTRACKED_POSITION),
        ("1", "-1", KIND.SIDE_MISMATCH),
        ("-2", "-1", KIND.SIZE_MISMATCH),
        ("0.00000001", "0", KIND.PHANTOM_POSITION),
        ("1.0", "1", None),
        ("0", "0", None),
    ],
)
def test_each_difference_of_a_position_has_its_name(mine, yours, kind):
    assert position_difference(Decimal(mine), Decimal(yours)) is kind


def test_a_position_only_the_venue_knows_is_untracked():
    assert found(ours(), theirs({"ETHUSDT": "-3"})) == [(KIND.UNTRACKED_POSITION, "ETHUSDT")]


def test_a_closed_position_we_still_list_is_no_difference():
    assert found(ours({"BTCUSDT": "0"}), theirs()) == []


def test_an_order_only_the_venue_knows_is_an_orphan():
    assert found(ours(), theirs(orders=[venue_order("web_1")])) == [(KIND.ORPHAN_ORDER, "web_1")]


@pytest.mark.parametrize("status", [OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED])
def test_an_open_order_the_venue_does_not_know_is_lost(status):
    assert found(ours(orders=[our_order(status=status)]), theirs()) == [(KIND.LOST_ORDER, "pc-1")]


@pytest.mark.parametrize("status", [OrderStatus.RECORDED, OrderStatus.UNKNOWN])
@pytest.mark.parametrize("at_venue", [True, False])
def test_an_order_in_flight_may_be_there_or_not(status, at_venue):
    yours = theirs(orders=[venue_order()] if at_venue else [])
    assert found(ours(orders=[our_order(status=status)]), yours) == []


def test_the_balance_is_exact_to_the_last_digit():
    yours = theirs(wallet="100.00000001")
    assert found(ours(), yours) == [(KIND.BALANCE_DRIFT, "USDT")]


def test_a_tolerance_is_for_the_balance_alone():
    yours = theirs({"BTCUSDT": "1"}, wallet="100.5")
    kinds = found(ours(), yours, balance_tolerance=Decimal("0.5"))
    assert kinds == [(KIND.UNTRACKED_POSITION, "BTCUSDT")]


def test_a_balance_that_execution_does_not_know_yet_is_not_compared():
    comparison = look(ours(wallet="0", balance_at_ns=0), theirs())
    assert (comparison.discrepancies, comparison.balances_compared) == ((), 0)


def test_a_venue_that_does_not_list_the_asset_has_none_of_it():
    assert found(ours(), theirs(wallet=None)) == [(KIND.BALANCE_DRIFT, "USDT")]
    assert found(ours(wallet="0"), theirs(wallet=None)) == []


def test_only_what_was_seen_before_is_confirmed():
    first = look(ours({"BTCUSDT": "1"}), theirs())
    assert [one.is_confirmed for one in first.discrepancies] == [False]
    second = look(ours({"BTCUSDT": "1"}), theirs(wallet="99"), seen_before=first.keys)
    assert {one.kind: one.is_confirmed for one in second.discrepancies} == {
        KIND.PHANTOM_POSITION: True,
        KIND.BALANCE_DRIFT: False,
    }


def test_what_is_confirmed_is_remembered_by_kind_and_subject():
    first = look(ours({"BTCUSDT": "1"}), theirs())
    assert confirmed(first.discrepancies) == frozenset()
    second = look(ours({"BTCUSDT": "1"}), theirs(), seen_before=first.keys)
    assert confirmed(second.discrepancies) == {(KIND.PHANTOM_POSITION, "BTCUSDT")}
