"""When the next comparison is due: at once for a person, in good time for all else."""

import pytest

from services.reconciler.cadence import FAILURES_HEEDED_MIN, Asks, Cadence, Due
from services.reconciler.config import ReconcilerConfig

SETTINGS = ReconcilerConfig(retry_wall_ms=1_000, retry_wall_ms_max=6_000)
NOBODY = Asks(is_asked=False, softly="", is_period_over=False)
PERSON = Asks(is_asked=True, softly="", is_period_over=False)
EXECUTION = Asks(is_asked=False, softly="demand", is_period_over=False)
RECONNECTED = Asks(is_asked=False, softly="reconnect", is_period_over=False)
PERIOD = Asks(is_asked=False, softly="", is_period_over=True)
RETRY = Due("retry", is_unasked=True)
DEMAND = Due("demand", is_unasked=False)


@pytest.fixture
def cadence():
    return Cadence(SETTINGS)


def due(cadence, asks=NOBODY, waited_ms=0, has_room=True):
    return cadence.due(asks, waited_ms=waited_ms, has_room=has_room)


def first_wait_ms(cadence, asks=NOBODY):
    """After how many milliseconds one is due, to the nearest 500."""
    return next(ms for ms in range(0, 100_000, 500) if due(cadence, asks, ms))


def test_a_person_is_answered_at_once_even_where_the_share_of_weight_is_used_up(cadence):
    assert due(cadence, PERSON, has_room=False) == DEMAND


def test_nobody_else_is_while_the_weight_is_used_up(cadence):
    cadence.on_failed()
    for asks in (EXECUTION, RECONNECTED, PERIOD, NOBODY):
        assert due(cadence, asks, 100_000, has_room=False) is None


def test_execution_is_heeded_at_once_and_a_reconnect_counts_as_asked_for(cadence):
    assert due(cadence, EXECUTION) == Due("demand", is_unasked=True)
    assert due(cadence, RECONNECTED) == Due("reconnect", is_unasked=False)


def test_where_all_agreed_nothing_is_due_before_the_period_is_over(cadence):
    cadence.on_compared(is_known=False, is_settled=True)
    assert due(cadence, NOBODY, 100_000) is None
    assert due(cadence, PERIOD) == Due("period", is_unasked=True)


def test_each_failure_doubles_the_wait_up_to_the_longest(cadence):
    waits = []
    for _ in range(6):
        cadence.on_failed()
        waits.append(first_wait_ms(cadence))
    assert waits == [1_000, 2_000, 4_000, 6_000, 6_000, 6_000]
    assert due(cadence, NOBODY, 6_000) == RETRY


def test_after_some_failures_even_a_person_waits_but_only_as_long_as_after_the_first(cadence):
    for _ in range(FAILURES_HEEDED_MIN + 3):
        cadence.on_failed()
    assert first_wait_ms(cadence) == 6_000
    assert first_wait_ms(cadence, PERSON) == 1_000
    assert due(cadence, PERSON, 1_000, has_room=False) == DEMAND
    cadence.on_compared(is_known=False, is_settled=True)
    assert due(cadence, PERSON) == DEMAND


def test_what_a_person_asked_for_is_made_once_there_is_weight_again(cadence):
    cadence.on_put_off(is_unasked=False)
    assert cadence.weight_share == SETTINGS.weight_per_minute_max
    assert due(cadence, has_room=False) is None
    assert due(cadence) == DEMAND
    cadence.on_compared(is_known=False, is_settled=True)
    assert due(cadence) is None
    assert cadence.weight_share == SETTINGS.weight_unasked_max


def test_what_nobody_asked_for_keeps_its_share_and_is_tried_again(cadence):
    cadence.on_put_off(is_unasked=True)
    assert cadence.weight_share == SETTINGS.weight_unasked_max
    assert first_wait_ms(cadence) == 1_000


def test_what_was_put_off_and_fails_waits_as_long_as_any_other_that_fails(cadence):
    cadence.on_put_off(is_unasked=False)
    for _ in range(FAILURES_HEEDED_MIN):
        assert due(cadence) == DEMAND
        cadence.on_failed()
    assert first_wait_ms(cadence) == 2_000


def test_while_the_same_differs_execution_waits_the_longer(cadence):
    cadence.on_compared(is_known=False, is_settled=False)
    waits = [first_wait_ms(cadence, EXECUTION)]
    for _ in range(3):
        cadence.on_compared(is_known=True, is_settled=False)
        waits.append(first_wait_ms(cadence, EXECUTION))
    assert waits == [0, 1_000, 2_000, 4_000]
    cadence.on_moved()
    assert first_wait_ms(cadence, EXECUTION) == 0
