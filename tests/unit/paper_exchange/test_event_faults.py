"""User events that are lost, doubled, late or out of order, and streams that fall silent."""

import pytest
from pydantic import ValidationError

from services.paper_exchange.faults.event_faults import EventFaults, EventRule
from services.paper_exchange.state.venue_state import UserEvent

MS = 1_000_000


def events(*names, key="k"):
    return [UserEvent(key, {"e": "ORDER_TRADE_UPDATE", "n": name}) for name in names]


def names(passed):
    return [event.event["n"] for event in passed]


@pytest.fixture
def faults():
    return EventFaults()


def rule(faults, effect, **more):
    faults.set_rules([EventRule(effect=effect, **more)])


def test_without_rules_everything_passes_in_its_order(faults):
    assert names(faults.pass_on(events(1, 2, 3), 0)) == [1, 2, 3]
    assert not faults.is_holding


def test_a_dropped_event_is_gone(faults):
    rule(faults, "drop", nth=2)
    assert names(faults.pass_on(events(1, 2, 3), 0)) == [1, 3]
    assert faults.struck == {"drop": 1}
    assert faults.describe()[0]["seen"] == 3


def test_a_duplicated_event_comes_twice(faults):
    rule(faults, "duplicate", nth=1)
    assert names(faults.pass_on(events(1, 2), 0)) == [1, 1, 2]


def test_a_delayed_event_comes_later_and_alone(faults):
    rule(faults, "delay", nth=1, delay_ms=5)
    assert names(faults.pass_on(events(1, 2), 0)) == [2]
    assert faults.is_holding
    assert names(faults.pass_on([], 5 * MS - 1)) == []
    assert names(faults.pass_on(events(3), 5 * MS)) == [1, 3]
    assert not faults.is_holding


def test_a_reordered_event_is_overtaken_by_the_next_of_its_stream(faults):
    rule(faults, "reorder", nth=1)
    passed = faults.pass_on([*events(1), *events(9, key="other"), *events(2)], 0)
    assert names(passed) == [9, 2, 1]


def test_a_reordered_event_that_nothing_overtakes_comes_after_a_second(faults):
    rule(faults, "reorder", nth=1)
    assert names(faults.pass_on(events(1), 0)) == []
    assert names(faults.pass_on([], 1_000 * MS)) == [1]


def test_a_rule_names_its_kind_of_event(faults):
    rule(faults, "drop", event="ACCOUNT_UPDATE")
    assert names(faults.pass_on(events(1), 0)) == [1]


def test_a_stalled_stream_loses_everything_until_it_resumes(faults):
    faults.stalled.add("k")
    assert names(faults.pass_on([*events(1), *events(2, key="other")], 0)) == [2]
    faults.stalled.discard("k")
    assert names(faults.pass_on(events(3), 0)) == [3]
    assert faults.struck == {"stall": 1}


def test_the_same_seed_strikes_the_same_events(faults):
    def passed():
        rule(faults, "drop", probability="0.5", seed=3)
        return names(faults.pass_on(events(*range(50)), 0))

    assert passed() == passed()
    assert 0 < len(passed()) < 50


@pytest.mark.parametrize(
    "wrong", [{"effect": "melt"}, {"effect": "delay"}, {"effect": "drop", "nth": 1,
              "probability": "0.1"}, {"effect": "drop", "event": "a b"}],
)  # fmt: skip
def test_a_rule_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        EventRule(**wrong)
