"""Prometheus is told the figures of strategies under their names, and forgets what is no more."""

from decimal import Decimal

import pytest
from prometheus_client import REGISTRY

from libs.common.testing.builders import NOW_NS
from services.execution.config import ExecutionConfig
from services.execution.gauges import REFRESH_NS, STRATEGIES_MAX, Gauges
from services.execution.round_trips import CALIBRATION_COUNT_MIN, Entry, MeasuredOrder, RoundTrip
from services.execution.state import State

NAMES = ("slippage_realized_vs_predicted", "hit_ratio_rolling", "pwin_calibration_ece")


def labeled(name):
    """{labels without values: value} of a gauge."""
    (metric,) = [one for one in REGISTRY.collect() if one.name == name]
    return {tuple(sample.labels.items()): sample.value for sample in metric.samples}


def a_state(*, confidence=None, count=1):
    state = State(quote_asset="USDT")
    for number in range(count):
        entry = Entry(
            venue_order_id=number,
            strategy_id="rsi",
            confidence=None if confidence is None else Decimal(confidence),
        )
        trip = RoundTrip(
            symbol="BTCUSDT",
            opened_at_ns=NOW_NS,
            closed_at_ns=NOW_NS,
            realized_pnl=Decimal(1 if number % 2 else -1),
            entries=[entry],
        )
        state.trade_book.ended.append(trip)
    return state


@pytest.fixture
def gauges():
    return Gauges(ExecutionConfig(figures_window_ms=120_000))


def test_each_figure_has_its_name_and_the_strategy(gauges):
    state = a_state(confidence="0.75", count=CALIBRATION_COUNT_MIN)
    state.trade_book.measure(
        MeasuredOrder(
            strategy_id="rsi",
            at_ns=NOW_NS,
            realized_bps=Decimal("2.5"),
            predicted_bps=Decimal("0.5"),
        )
    )
    gauges.show(state, NOW_NS)
    slippage, hits, calibration = (labeled(name) for name in NAMES)
    assert slippage == {
        (("strategy", "rsi"), ("figure", "realized")): 2.5,
        (("strategy", "rsi"), ("figure", "predicted")): 0.5,
    }
    assert hits == {(("strategy", "rsi"),): 0.5}
    assert calibration == {(("strategy", "rsi"),): 0.25}


def test_calibration_is_absent_where_no_intent_stated_a_confidence(gauges):
    gauges.show(a_state(count=CALIBRATION_COUNT_MIN), NOW_NS)
    assert labeled("hit_ratio_rolling")
    assert labeled("pwin_calibration_ece") == {}
    assert labeled("slippage_realized_vs_predicted") == {}


def test_what_is_older_than_the_window_is_told_no_more(gauges):
    state = a_state()
    gauges.show(state, NOW_NS)
    assert labeled("hit_ratio_rolling")
    gauges.show(state, NOW_NS + 3 * REFRESH_NS)
    assert labeled("hit_ratio_rolling") == {}


def test_there_are_never_more_labels_than_named(gauges):
    state = State(quote_asset="USDT")
    for number in range(3 * STRATEGIES_MAX):
        entry = Entry(venue_order_id=number, strategy_id=f"s{number}")
        trip = RoundTrip(
            symbol="BTCUSDT", opened_at_ns=NOW_NS, closed_at_ns=NOW_NS, entries=[entry]
        )
        state.trade_book.ended.append(trip)
    gauges.show(state, NOW_NS)
    assert len(labeled("hit_ratio_rolling")) == STRATEGIES_MAX
