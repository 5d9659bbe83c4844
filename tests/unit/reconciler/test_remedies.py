"""What is asked of execution for a difference, and what never is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from libs.common.messages.account import Discrepancy, DiscrepancyKind, Verb
from libs.common.model.ids import derive_client_algo_id, derive_client_order_id
from libs.common.model.trading_state import TradingState
from services.reconciler.config import ReconcilerConfig
from services.reconciler.core import HARD_FACTS, confirmed
from services.reconciler.remedies import (
    CHOICES,
    WISHES_MAX,
    Policies,
    Policy,
    decide_remedies,
    is_tolerated,
)

KIND = DiscrepancyKind
OURS = derive_client_order_id("paper", "intent", 1)
OUR_STOP = derive_client_algo_id("paper", "intent", "STOP", 1)


def difference(kind, subject="BTCUSDT", is_confirmed=True, symbol="BTCUSDT"):
    return Discrepancy(
        kind=kind, subject=subject, ours="1", theirs="0", is_confirmed=is_confirmed, symbol=symbol
    )


def wishes(*found, policies=None, before=None, trading_state=TradingState.ACTIVE):
    return decide_remedies(
        policies or Policies(),
        found,
        before=confirmed(found) if before is None else before,
        trading_state=trading_state,
    )


def asked(*found, **arguments):
    return [(wish.verb, wish.target) for wish in wishes(*found, **arguments)]


# -- configuration --------------------------------------------------------------------------------


def test_every_kind_of_difference_has_a_policy_that_can_be_done():
    assert set(CHOICES) == set(DiscrepancyKind)
    assert set(Policies.model_fields) == {kind.lower() for kind in DiscrepancyKind}
    for kind, choices in CHOICES.items():
        assert Policies().of(kind) in choices
        assert Policy.REPORT in choices
        assert Policy.HALT in choices


@pytest.mark.parametrize(
    ("kind", "policy"),
    [
        (kind, policy)
        for kind, choices in CHOICES.items()
        for policy in Policy
        if policy not in choices
    ],
)
def test_a_policy_that_cannot_be_done_is_refused_by_name(kind, policy):
    with pytest.raises(ValidationError, match=f"{kind.lower()} cannot be '{policy}': choose"):
        ReconcilerConfig.model_validate({"policies": {kind.lower(): policy}})


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValidationError):
        ReconcilerConfig.model_validate({"policies": {"phantom": "halt"}})


# -- when -----------------------------------------------------------------------------------------


def test_a_halt_needs_the_same_position_confirmed_twice_in_a_row():
    now = difference(KIND.SIZE_MISMATCH)
    assert asked(now, before=frozenset()) == []
    assert asked(now, before=frozenset({(KIND.SIZE_MISMATCH, "ETHUSDT")})) == []
    assert asked(now) == [(Verb.HALT, "")]


def test_a_difference_at_first_sight_asks_for_nothing():
    now = difference(KIND.SIZE_MISMATCH, is_confirmed=False)
    assert asked(now, before=frozenset({(KIND.SIZE_MISMATCH, "BTCUSDT")})) == []


def test_a_hard_fact_asks_at_once():
    now = difference(KIND.SETTING_DRIFT, "BTCUSDT leverage")
    assert asked(now, before=frozenset()) == [(Verb.ASSERT_SETTINGS, "")]


# -- what -----------------------------------------------------------------------------------------


def test_balances_and_missed_fills_are_only_reported_unless_it_is_wished_otherwise():
    now = (difference(KIND.BALANCE_DRIFT, "USDT"), difference(KIND.MISSED_FILL))
    assert asked(*now) == []
    assert asked(*now, policies=Policies(balance_drift=Policy.REDUCE)) == [(Verb.REDUCE, "")]


def test_an_order_of_ours_that_only_the_venue_knows_is_canceled():
    now = (difference(KIND.ORPHAN_ALGO_ORDER, OUR_STOP), difference(KIND.ORPHAN_ORDER, OURS))
    assert asked(*now) == [
        (Verb.CANCEL_ORPHAN, f"BTCUSDT:{OUR_STOP}"),
        (Verb.CANCEL_ORPHAN, f"BTCUSDT:{OURS}"),
    ]


def test_a_position_is_adopted_where_that_is_the_policy():
    policies = Policies(untracked_position=Policy.ADOPT)
    now = difference(KIND.UNTRACKED_POSITION, "ETHUSDT")
    assert asked(now, policies=policies) == [(Verb.ADOPT, "ETHUSDT")]


def test_many_settings_are_asserted_once():
    now = [difference(KIND.SETTING_DRIFT, f"{name} leverage") for name in ("A", "B")]
    (wish,) = wishes(*now)
    assert wish.verb is Verb.ASSERT_SETTINGS
    assert "A leverage" in wish.reason
    assert "B leverage" in wish.reason


def test_a_naked_position_reduces_and_a_halt_goes_before_a_reduction():
    naked = difference(KIND.NAKED_POSITION)
    assert asked(naked) == [(Verb.REDUCE, "")]
    assert asked(naked, difference(KIND.PHANTOM_POSITION)) == [(Verb.HALT, "")]


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCING])
def test_a_reduction_is_not_asked_of_an_account_that_is_held_back_already(state):
    assert asked(difference(KIND.NAKED_POSITION), trading_state=state) == []


def test_a_reason_fits_into_a_command_and_wishes_are_bounded():
    many = [difference(KIND.PHANTOM_POSITION, f"{'S' * 20}{number}") for number in range(100)]
    (wish,) = wishes(*many)
    assert len(wish.reason) <= 500
    adopting = Policies(phantom_position=Policy.ADOPT)
    assert len(wishes(*many, policies=adopting)) == WISHES_MAX


# -- what belongs to others -----------------------------------------------------------------------

foreign_ids = st.text("abcXYZ019_-./:", min_size=1, max_size=36)


@given(
    found=st.lists(
        st.builds(
            difference,
            st.sampled_from(DiscrepancyKind),
            foreign_ids,
            st.booleans(),
        ),
        max_size=8,
    ),
    policies=st.fixed_dictionaries(
        {kind.lower(): st.sampled_from(choices) for kind, choices in CHOICES.items()}
    ),
    trading_state=st.sampled_from(TradingState),
)
def test_whatever_the_policies_nothing_of_others_is_ended_and_nothing_is_loosened(
    found, policies, trading_state
):
    for wish in wishes(*found, policies=Policies(**policies), trading_state=trading_state):
        assert wish.verb not in (Verb.CANCEL_ORPHAN, Verb.FLATTEN, Verb.RESUME, Verb.CANCEL_ALL)
        assert not (wish.verb is Verb.REDUCE and trading_state is not TradingState.ACTIVE)


@pytest.mark.parametrize("kind", [KIND.ORPHAN_ORDER, KIND.ORPHAN_ALGO_ORDER])
def test_trading_need_not_wait_for_the_orders_of_others_unless_that_is_wished(kind):
    foreign = difference(kind, "web_1")
    assert is_tolerated(Policies(), foreign)
    assert not is_tolerated(Policies(**{kind.lower(): "halt"}), foreign)
    assert not is_tolerated(Policies(), difference(kind, OURS))


ENDLESS = {KIND.ORPHAN_ORDER, KIND.ORPHAN_ALGO_ORDER, KIND.INCOME_DRIFT}


def test_income_that_nobody_can_make_equal_is_passed_over_only_where_that_is_wished():
    drift = difference(KIND.INCOME_DRIFT)
    assert not is_tolerated(Policies(), drift)
    assert asked(drift) == [(Verb.REDUCE, "")]
    assert is_tolerated(Policies(income_drift="report"), drift)


def test_an_order_changed_by_hand_is_adopted_by_its_id():
    changed = difference(KIND.ORDER_CHANGED, OURS)
    assert asked(changed) == [(Verb.ADOPT, f"BTCUSDT:{OURS}")]
    assert asked(changed, before=frozenset()) == []


@pytest.mark.parametrize("kind", [kind for kind in DiscrepancyKind if kind not in ENDLESS])
def test_trading_waits_for_the_end_of_every_other_difference(kind):
    assert not is_tolerated(Policies(**{kind.lower(): "report"}), difference(kind))


def test_facts_that_need_no_second_look_are_few():
    assert {KIND.SETTING_DRIFT, KIND.MISSED_FILL} == HARD_FACTS
