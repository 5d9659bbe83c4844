"""How far a look goes, by who asked for it and by what is known to differ."""

from libs.common.messages.account import Discrepancy, DiscrepancyKind
from services.reconciler.venue_look import NARROW, Scope, scope_of

KIND = DiscrepancyKind


def difference(kind):
    return Discrepancy(kind=kind, subject="s", ours="1", theirs="2", is_confirmed=True)


def test_at_start_and_in_its_turn_everything_is_looked_at():
    whole = Scope(is_whole=True, has_details=True, has_income=True)
    assert scope_of("start", ()) == scope_of("period", ()) == whole


def test_a_person_and_a_reconnect_are_told_of_income_and_execution_on_its_own_account_is_not():
    assert scope_of("demand", ()).has_income
    assert scope_of("reconnect", ()).has_income
    assert not scope_of("demand", (), is_unasked=True).has_income
    assert scope_of("retry", ()) == NARROW


def test_what_differed_is_looked_at_again():
    assert scope_of("retry", [difference(KIND.INCOME_DRIFT)]).has_income
    assert scope_of("retry", [difference(KIND.ORPHAN_ORDER)]).is_whole
    assert scope_of("retry", [difference(KIND.SETTING_DRIFT)]).has_details


def test_a_comparison_that_failed_is_made_again_as_far_as_it_was_to_go():
    assert scope_of("retry", ()).widened(scope_of("start", ())) == scope_of("start", ())
