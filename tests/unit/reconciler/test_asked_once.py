"""What only tightens is asked for once while the same differs, so that a person can resume."""

from libs.common.messages.account import Discrepancy, DiscrepancyKind, Verb
from libs.common.model.trading_state import TradingState
from services.reconciler.core import confirmed
from services.reconciler.remedies import Asked, Policies, decide_remedies

KIND = DiscrepancyKind


def difference(kind, subject="BTCUSDT", is_confirmed=True):
    return Discrepancy(
        kind=kind, subject=subject, ours="1", theirs="0", is_confirmed=is_confirmed, symbol=subject
    )


class Reconciler:
    """The remedies of one comparison after the other."""

    def __init__(self):
        self.asked = Asked()

    def compare(self, *found, state=TradingState.ACTIVE, in_flight=0):
        wishes = decide_remedies(Policies(), found, before=confirmed(found), trading_state=state)
        news = self.asked.news_of(wishes)
        self.asked.remember(news, found, in_flight=in_flight)
        return [wish.verb for wish in news]


def test_whoever_resumes_while_the_same_differs_is_not_reduced_again():
    one = Reconciler()
    naked = difference(KIND.NAKED_POSITION)
    assert one.compare(naked) == [Verb.REDUCE]
    assert one.compare(naked, state=TradingState.REDUCING) == []
    assert one.compare(naked) == []


def test_what_differs_anew_is_asked_for_again():
    one = Reconciler()
    naked = difference(KIND.NAKED_POSITION)
    assert one.compare(naked) == [Verb.REDUCE]
    assert one.compare(naked, difference(KIND.NAKED_POSITION, "ETHUSDT")) == [Verb.REDUCE]
    assert one.compare(naked) == []
    assert one.compare() == []
    assert one.compare(naked) == [Verb.REDUCE]


def test_what_a_busy_account_hides_for_one_comparison_is_the_same_afterwards():
    one = Reconciler()
    phantom = difference(KIND.PHANTOM_POSITION)
    assert one.compare(phantom) == [Verb.HALT]
    assert one.compare(in_flight=1) == []
    assert one.compare(phantom) == []


def test_repairs_are_asked_for_until_they_are_done():
    one = Reconciler()
    drift = difference(KIND.SETTING_DRIFT)
    assert one.compare(drift) == [Verb.ASSERT_SETTINGS]
    assert one.compare(drift) == [Verb.ASSERT_SETTINGS]
