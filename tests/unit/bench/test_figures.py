"""The figures of the pipeline benchmark: percentiles, stages, floors, and the market it makes."""

from itertools import pairwise

import pytest

from bench.figures import (
    CANDLE_TO_ORDER,
    Way,
    describe_hops,
    floor_ns,
    median_of_rounds,
    percentile,
)
from bench.listener import Usage
from bench.market_tape import PRICES, messages, ticks_at, write_tapes
from bench.table import Measured, as_report
from services.paper_exchange.sources.event import Quote, Trade
from services.paper_exchange.sources.tape import TapeSource

MS = 1_000_000


def test_a_percentile_is_a_sample_that_was_measured():
    samples = [5, 1, 4, 2, 3]
    assert percentile(samples, 50) == 3
    assert percentile(samples, 99) == 5
    assert percentile([7], 1) == 7


def test_no_samples_have_no_percentile():
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)


def test_one_bad_round_does_not_decide_the_median():
    assert median_of_rounds([[1, 2, 3], [900, 900, 900], [2, 3, 4]], 50) == 3


def test_the_floor_is_the_sum_of_the_hops_of_the_way():
    costs = {"stored hop": 10, "stored publish": 7, "core hop": 1}
    assert floor_ns(CANDLE_TO_ORDER, costs) == 3 * 10 + 2 * 7
    assert describe_hops(CANDLE_TO_ORDER) == "3 x stored hop + 2 x stored publish"


def test_a_hop_that_was_not_measured_is_not_free():
    with pytest.raises(KeyError):
        floor_ns(CANDLE_TO_ORDER, {"stored hop": 10})


def test_an_intent_counts_in_the_stages_whose_both_ends_it_passed():
    way = Way()
    sent, refused = way.of("a"), way.of("b")
    sent.candle_ns, sent.proposed_ns, sent.sent_ns = 100, 130, 190
    refused.candle_ns, refused.proposed_ns = 200, 240
    assert way.of("a") is sent
    assert way.spans_ns("candle to order") == [90]
    assert way.spans_ns("  candle -> intent") == [30, 40]
    assert way.spans_ns("  sent -> answer") == []


def test_the_report_divides_what_was_measured_by_the_floor_of_its_own_run():
    way = Way()
    stamps = way.of("a")
    stamps.candle_ns, stamps.proposed_ns, stamps.sent_ns = 1 * MS, 3 * MS, 9 * MS
    hops = {"stored hop": [MS], "stored publish": [MS], "order over HTTP": [2 * MS]}
    usage = Usage([(0, 1_000, {"feed": 1.0}), (2_000_000_000, 5_000, {"feed": 1.5})])
    report = as_report(
        Measured(
            idle=[hops],
            beside={name: [2 * ns for ns in samples] for name, samples in hops.items()},
            way=way,
            speed=10,
            steady=usage,
            fast=Usage(),
            run_report={"venue_orders": 1, "latency_ms": {}},
        )
    )
    assert report["stages_ms"]["candle to order"] == {"samples": 1, "p50": 8.0, "p99": 8.0}
    assert report["floor_ms"]["candle to order"] == {"idle": 5.0, "beside": 10.0}
    assert report["messages_per_s"] == {"steady": 2_000, "flat out": 0}
    assert report["cpu_percent"]["steady"] == {"feed": 25.0}


def test_the_market_turns_every_second_bar():
    closes = [ticks_at(bar * 1_000 + 999) for bar in range(8)]
    rises = [after > before for before, after in pairwise(closes)]
    assert rises == [True, False, False, True, True, False, False]


def test_the_tapes_are_tapes_to_the_paper_exchange(tmp_path):
    source = TapeSource(write_tapes(tmp_path, seconds=2))
    assert source.symbols == tuple(PRICES)
    events = list(source.events())
    assert len(events) == messages(seconds=2)
    assert {type(event) for event in events} == {Quote, Trade}
