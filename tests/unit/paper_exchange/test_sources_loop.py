"""A source that starts over: later each time, with ids that never go back."""

import random
from itertools import islice, pairwise
from pathlib import Path

import pytest

from services.paper_exchange.market.instruments import select_instruments
from services.paper_exchange.market.market import Market
from services.paper_exchange.sources.event import (
    ClosedBar,
    DepthSnapshot,
    DepthUpdate,
    Quote,
    SourceError,
    Trade,
)
from services.paper_exchange.sources.generator import GeneratorSource
from services.paper_exchange.sources.klines import KlineSource
from services.paper_exchange.sources.loop import LoopedSource

ROW = "{0},1.50,1.60,1.40,1.55,100,{1},150,10,50,75,0\n"


@pytest.fixture
def candles(tmp_path: Path) -> Path:
    path = tmp_path / "ADAUSDT-1m-2022-12-13.csv"
    minutes = [1670889600000 + minute * 60_000 for minute in (0, 1, 3)]
    path.write_text("".join(ROW.format(open_ms, open_ms + 59_999) for open_ms in minutes))
    return path


def test_rounds_follow_one_another_in_time_and_in_ids(candles: Path) -> None:
    source = LoopedSource(lambda: KlineSource([candles]))
    per_round = sum(1 for _ in KlineSource([candles]).events())
    events = list(islice(source.events(), per_round * 3))
    assert source.rounds == 3
    assert all(earlier.ts_ns <= later.ts_ns for earlier, later in pairwise(events))
    for kind, name in ((Trade, "trade_id"), (Quote, "update_id"), (DepthUpdate, "final_update_id")):
        ids = [getattr(event, name) for event in events if isinstance(event, kind)]
        assert all(earlier < later for earlier, later in pairwise(ids)), name
    bars = [event for event in events if isinstance(event, ClosedBar)]
    assert [bar.open_ms // 60_000 - bars[0].open_ms // 60_000 for bar in bars] == [
        0, 1, 3, 4, 5, 7, 8, 9, 11,
    ]  # fmt: skip
    assert all(bar.close == bars[0].close for bar in bars)


def test_each_round_begins_with_its_own_snapshot_and_an_unbroken_chain(candles: Path) -> None:
    source = LoopedSource(lambda: KlineSource([candles]))
    previous: int | None = None
    snapshots = 0
    for event in islice(source.events(), 2_000):
        if isinstance(event, DepthSnapshot):
            snapshots += 1
            assert previous is None or event.last_update_id > previous
            previous = event.last_update_id
        elif isinstance(event, DepthUpdate):
            assert event.previous_update_id == previous
            previous = event.final_update_id
    assert snapshots == source.rounds > 1


def test_the_market_takes_a_looped_source(candles: Path) -> None:
    source = LoopedSource(lambda: KlineSource([candles]))
    market = Market(select_instruments(source.symbols), source.start_ns)
    for event in islice(source.events(), 3_000):
        market.apply(event)
    bid, ask = market.book("ADAUSDT").best_bid, market.book("ADAUSDT").best_ask
    assert bid is not None
    assert ask is not None
    assert bid[0] < ask[0]
    assert source.facts()["rounds"] == source.rounds
    assert source.lines_read > 3


def test_a_round_of_nothing_is_an_error() -> None:
    class Empty(GeneratorSource):
        def events(self):
            return iter(())

    source = LoopedSource(lambda: Empty(random.Random(1), 0))
    with pytest.raises(SourceError, match="nothing to start over with"):
        next(source.events())
