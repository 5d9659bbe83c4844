"""Stops, trades and settings: how they differ, and when they only seem to."""

from decimal import Decimal

import pytest

from libs.common.messages.account import DiscrepancyKind, OrderView, SettingsView, TradesView
from libs.common.model.algo_order import AlgoStatus
from libs.common.model.order import OrderStatus, Side
from libs.common.venue.payloads import PositionRisk
from services.reconciler.core import POSITION_MODE
from services.reconciler.snapshots import SettingsSeen, TradeSeen, positions_of
from tests.unit.reconciler.snapshot_cases import (
    NOW_NS,
    SECOND_NS,
    exposure,
    found,
    look,
    our_stop,
    state,
    venue,
    venue_stop,
)

KIND = DiscrepancyKind


# -- conditional orders ---------------------------------------------------------------------------


def test_a_stop_that_both_sides_know_is_no_difference():
    comparison = look(state(algo_orders=(our_stop(),)), venue(algo_orders=(venue_stop(),)))
    assert (comparison.discrepancies, comparison.algo_orders_compared) == ((), 1)


def test_a_conditional_order_only_the_venue_knows_is_an_orphan():
    yours = venue(algo_orders=(venue_stop("web_1"),))
    assert found(state(), yours) == [(KIND.ORPHAN_ALGO_ORDER, "web_1")]


def test_a_working_stop_the_venue_does_not_list_is_lost():
    assert found(state(algo_orders=(our_stop(),)), venue()) == [(KIND.LOST_ALGO_ORDER, "pa-1")]


@pytest.mark.parametrize(
    "mine",
    [
        our_stop(status=AlgoStatus.RECORDED),
        our_stop(status=AlgoStatus.UNKNOWN),
        our_stop(status=AlgoStatus.TRIGGERING),
        our_stop(status=AlgoStatus.TRIGGERED),
        our_stop(is_ending=True),
    ],
)
@pytest.mark.parametrize("at_venue", [True, False])
def test_a_stop_on_its_way_in_or_out_may_be_there_or_not(mine, at_venue):
    yours = venue(algo_orders=(venue_stop(),) if at_venue else ())
    assert found(state(algo_orders=(mine,)), yours) == []


def test_a_look_that_did_not_ask_for_conditional_orders_says_nothing_of_them():
    mine = state({"BTCUSDT": "1"}, algo_orders=(our_stop(),), exposures=(exposure(),))
    comparison = look(mine, venue({"BTCUSDT": "1"}, algo_orders=None))
    assert (comparison.discrepancies, comparison.algo_orders_compared) == ((), 0)


# -- naked positions ------------------------------------------------------------------------------


def held(exposures=(), stops=(), quantity="1", mine_changes=None, **arguments):
    mine = state({"BTCUSDT": quantity}, exposures=exposures, **(mine_changes or {}))
    yours = venue({"BTCUSDT": quantity}, algo_orders=stops)
    kinds = [kind for kind, _ in found(mine, yours, **arguments)]
    return KIND.NAKED_POSITION in kinds


def test_a_position_whose_intent_named_a_stop_is_naked_without_one():
    assert held([exposure()])
    assert not held([exposure()], [venue_stop()])


def test_a_stop_over_less_than_is_owed_leaves_it_naked():
    assert held([exposure("2")], [venue_stop(quantity="1")], quantity="2")
    assert not held([exposure("2")], [venue_stop(quantity="1"), venue_stop("pa-2")], quantity="2")


def test_no_more_stop_is_owed_than_is_held():
    assert not held([exposure("2")], [venue_stop(quantity="1")], quantity="1")


@pytest.mark.parametrize(
    "stop",
    [venue_stop(side="BUY"), venue_stop(is_stop=False), venue_stop(symbol="ETHUSDT")],
    ids=["same side", "target", "another symbol"],
)
def test_what_would_not_end_the_loss_is_no_stop(stop):
    assert held([exposure()], [stop])


def test_a_stop_that_closes_all_covers_any_size():
    assert not held([exposure("5")], [venue_stop(quantity="0", closes_all=True)], quantity="5")


def test_a_position_that_asked_for_no_stop_is_naked_only_by_policy():
    assert not held()
    assert held(every_position_needs_stop=True)
    assert not held(stops=[venue_stop()], every_position_needs_stop=True)


@pytest.mark.parametrize(("age_s", "is_naked"), [(1, False), (14, False), (16, True)])
def test_execution_has_its_time_to_place_the_stop(age_s, is_naked):
    since_ns = NOW_NS - age_s * SECOND_NS
    assert held([exposure(unprotected_since_ns=since_ns)]) is is_naked


@pytest.mark.parametrize("status", [AlgoStatus.RECORDED, AlgoStatus.UNKNOWN, AlgoStatus.TRIGGERED])
def test_a_stop_in_flight_or_triggered_is_not_missed(status):
    stops = {"algo_orders": (our_stop(status=status),)}
    assert not held([exposure()], mine_changes=stops)


def test_a_way_out_in_flight_is_not_missed():
    exit_order = OrderView(
        client_order_id="pc-1", intent_id="i", symbol="BTCUSDT", side=Side.SELL,
        quantity=Decimal(1), cumulative_quantity=Decimal(0), reduce_only=True,
        status=OrderStatus.UNKNOWN, recorded_at_ns=1,
    )  # fmt: skip
    assert not held([exposure()], mine_changes={"orders": (exit_order,)})


def test_a_short_is_covered_by_a_stop_that_buys():
    short = [exposure(side=Side.SELL)]
    assert held(short, [venue_stop()], quantity="-1")
    assert not held(short, [venue_stop(side="BUY")], quantity="-1")


# -- trades ---------------------------------------------------------------------------------------


def trade(trade_id, age_s=60):
    at_ns = NOW_NS - age_s * SECOND_NS
    return TradeSeen(trade_id=trade_id, at_ns=at_ns, side="BUY", quantity=Decimal(1))


def missed(known, told, floor_id=0):
    mine = state(trades=(TradesView(symbol="BTCUSDT", floor_id=floor_id, trade_ids=known),))
    return look(mine, venue(trades={"BTCUSDT": told})).discrepancies


def test_a_trade_the_journal_does_not_hold_was_missed_and_needs_no_second_look():
    (one,) = missed((5, 7), (trade(5), trade(6), trade(7)))
    assert (one.kind, one.subject, one.is_confirmed) == (KIND.MISSED_FILL, "BTCUSDT", True)
    assert one.theirs == "6 BUY 1"


def test_a_trade_whose_event_may_still_come_was_not_missed():
    assert missed((5,), (trade(5), trade(6, age_s=2))) == ()


def test_trades_older_than_execution_tells_of_are_not_missed():
    assert missed((5, 7), (trade(3), trade(5), trade(7)), floor_id=4) == ()


def test_a_trade_of_a_symbol_the_journal_has_never_heard_of_was_missed():
    yours = venue(trades={"ETHUSDT": (trade(1),)})
    assert found(state(), yours) == [(KIND.MISSED_FILL, "ETHUSDT")]


# -- settings -------------------------------------------------------------------------------------


def settings(leverage=10, margin_type="CROSSED", is_hedge_mode=False):
    symbols = {"BTCUSDT": (leverage, margin_type)}
    return venue(settings=SettingsSeen(symbols=symbols, is_hedge_mode=is_hedge_mode))


ASSERTED = state(settings=(SettingsView(symbol="BTCUSDT", leverage=10, margin_type="CROSSED"),))


def test_settings_as_asserted_are_clean():
    comparison = look(ASSERTED, settings())
    assert (comparison.discrepancies, comparison.settings_compared) == ((), 3)


@pytest.mark.parametrize(
    ("changes", "subject", "ours", "theirs"),
    [
        ({"leverage": 20}, "BTCUSDT leverage", "10", "20"),
        ({"margin_type": "ISOLATED"}, "BTCUSDT margin type", "CROSSED", "ISOLATED"),
        ({"is_hedge_mode": True}, POSITION_MODE, "one-way", "hedge"),
    ],
)
def test_each_setting_changed_by_hand_is_a_hard_fact(changes, subject, ours, theirs):
    (one,) = look(ASSERTED, settings(**changes)).discrepancies
    assert (one.kind, one.subject, one.is_confirmed) == (KIND.SETTING_DRIFT, subject, True)
    assert (one.ours, one.theirs) == (ours, theirs)


def test_settings_that_execution_has_not_asserted_yet_cannot_have_drifted():
    assert found(state(), settings(leverage=20)) == []


# -- positions in hedge mode ----------------------------------------------------------------------


def test_both_sides_of_a_symbol_in_hedge_mode_make_one_position():
    def risk(quantity):
        return PositionRisk(
            symbol="BTCUSDT", quantity=Decimal(quantity), entry_price=Decimal(1),
            mark_price=Decimal(1), unrealized_profit=Decimal(0),
        )  # fmt: skip

    assert positions_of([risk("3"), risk("-1")]) == {"BTCUSDT": Decimal(2)}
    assert positions_of([risk("1"), risk("-1")]) == {}
