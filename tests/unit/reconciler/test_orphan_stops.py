"""A stop that nobody counts on is canceled, unless it is all that guards a position."""

from decimal import Decimal

import pytest

from libs.common.messages.account import DiscrepancyKind, Verb
from libs.common.model.ids import derive_client_algo_id
from libs.common.model.trading_state import TradingState
from services.reconciler.core import confirmed
from services.reconciler.remedies import Policies, decide_remedies, is_tolerated
from tests.unit.reconciler.snapshot_cases import look, our_stop, state, venue, venue_stop

KIND = DiscrepancyKind
LEFT_OVER = derive_client_algo_id("paper", "earlier", "STOP", 1)
COUNTED_ON = derive_client_algo_id("paper", "now", "STOP", 1)


def orphan_and_wishes(ours, theirs):
    found = look(ours, theirs, seen_before=look(ours, theirs).keys).discrepancies
    wishes = decide_remedies(
        Policies(), found, before=confirmed(found), trading_state=TradingState.ACTIVE
    )
    (orphan,) = (one for one in found if one.kind is KIND.ORPHAN_ALGO_ORDER)
    return orphan, {wish.target for wish in wishes if wish.verb is Verb.CANCEL_ORPHAN}


@pytest.mark.parametrize("held", ["0", "1"])
def test_a_stop_that_alone_guards_a_position_is_left_alone_and_nothing_waits_for_its_end(held):
    """A journal that was lost must not cost the position its stop, whether it is known or not."""
    stop = venue_stop(LEFT_OVER)
    orphan, canceled = orphan_and_wishes(
        state({"BTCUSDT": held}), venue({"BTCUSDT": "1"}, algo_orders=(stop,))
    )
    assert not canceled
    assert is_tolerated(Policies(), orphan)
    assert not is_tolerated(Policies(orphan_algo_order="halt"), orphan)


def test_a_stop_over_what_is_guarded_already_is_canceled():
    ours = state({"BTCUSDT": "1"}, algo_orders=(our_stop(COUNTED_ON),))
    both = (venue_stop(COUNTED_ON), venue_stop(LEFT_OVER))
    orphan, canceled = orphan_and_wishes(ours, venue({"BTCUSDT": "1"}, algo_orders=both))
    assert canceled == {f"BTCUSDT:{LEFT_OVER}"}
    assert not is_tolerated(Policies(), orphan)


@pytest.mark.parametrize(
    ("held", "changes"),
    [({}, {}), ({"BTCUSDT": "-1"}, {}), ({"BTCUSDT": "1"}, {"is_stop": False})],
)
def test_what_guards_nothing_is_canceled(held, changes):
    ours = state(held)
    stop = venue_stop(LEFT_OVER, **changes)
    _, canceled = orphan_and_wishes(ours, venue(held, algo_orders=(stop,)))
    assert canceled == {f"BTCUSDT:{LEFT_OVER}"}


def test_of_a_stop_that_is_on_its_way_out_nothing_is_expected():
    ours = state({"BTCUSDT": "1"}, algo_orders=(our_stop(COUNTED_ON, is_ending=True),))
    both = (venue_stop(COUNTED_ON), venue_stop(LEFT_OVER, quantity=Decimal(1)))
    _, canceled = orphan_and_wishes(ours, venue({"BTCUSDT": "1"}, algo_orders=both))
    assert not canceled
