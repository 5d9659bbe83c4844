"""Comparisons cannot use up the weight that trading needs."""

from services.reconciler.budget import MINUTE_NS, WeightBudget, look_weight


def test_asking_for_all_symbols_costs_as_the_venue_counts_it():
    assert look_weight(2, is_whole=True) == 90
    assert look_weight(2, is_whole=False) == 14


def test_settings_and_trades_cost_more_only_where_they_are_asked_for():
    assert look_weight(2, is_whole=False, has_settings=True, trades_symbols=2) == 34


def test_what_would_be_too_much_is_refused_and_not_booked():
    budget = WeightBudget(100)
    assert budget.spend(60, 0)
    assert not budget.spend(41, 1)
    assert budget.spend(40, 2)


def test_weight_comes_back_after_a_minute_and_not_before():
    budget = WeightBudget(100)
    assert budget.spend(100, 0)
    assert not budget.spend(1, MINUTE_NS - 1)
    assert budget.spend(100, MINUTE_NS)


def test_what_nobody_asked_for_keeps_to_its_share_and_people_have_the_rest():
    budget = WeightBudget(100)
    assert budget.spend(50, 0)
    assert budget.has_room(10, 60, 1)
    assert not budget.has_room(11, 60, 1)
    assert budget.spend(50, 1)
    assert budget.has_room(11, 60, MINUTE_NS + 1)


def test_a_share_that_is_too_small_for_one_comparison_still_lets_one_through_a_minute():
    budget = WeightBudget(100)
    assert budget.has_room(80, 60, 0)
    assert budget.spend(80, 0)
    assert not budget.has_room(80, 60, MINUTE_NS - 1)
    assert budget.has_room(80, 60, MINUTE_NS)


def test_income_costs_a_page():
    assert look_weight(1, is_whole=False, income_pages=1) == 42
