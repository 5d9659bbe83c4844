"""The independent reading of a tape, and the judgement built on it, notice what is wrong."""

import gzip
import json
from decimal import Decimal

from bench.tape_reading import read_tape
from bench.tape_replay import is_whole

WHOLE = {
    "lines": 9,
    "applied": 9,
    "breaks": {},
    "lost": {"depth": 0},
    "wrong_levels": {"BTCUSDT": 0},
}


def tape(tmp_path, *messages):
    path = tmp_path / "btcusdt.gz"
    with gzip.open(path, "wt") as lines:
        lines.writelines(f"1723161255030314667 {json.dumps(message)}\n" for message in messages)
    return path


def depth(first, last, previous, bids=(), asks=()):
    data = {"e": "depthUpdate", "s": "BTCUSDT", "U": first, "u": last, "pu": previous}
    return {"stream": "btcusdt@depth@0ms", "data": {**data, "b": bids, "a": asks}}


def quote(bid, ask):
    data = {"e": "bookTicker", "s": "BTCUSDT", "b": bid, "a": ask}
    return {"stream": "btcusdt@bookTicker", "data": data}


def test_updates_that_end_before_the_snapshot_are_dropped_and_zero_deletes(tmp_path):
    path = tape(
        tmp_path,
        depth(1, 5, 0, bids=[["100.0", "9"]]),
        depth(6, 12, 5, bids=[["99.0", "7"]]),
        {"lastUpdateId": 10, "bids": [["100.0", "1"], ["99.0", "2"]], "asks": [["101.0", "3"]]},
        depth(13, 15, 12, bids=[["100.0", "0"]], asks=[["102.0", "4"]]),
        quote("99.0", "101.0"),
    )
    reading = read_tape(path)
    assert reading.bids == {Decimal(99): Decimal(7)}
    assert reading.asks == {Decimal(101): Decimal(3), Decimal(102): Decimal(4)}
    assert reading.behind_quote() == ({}, {Decimal(102): Decimal(4)})
    assert reading.lines == {"depth": 3, "snapshot": 1, "quote": 1}


def test_a_replay_is_whole_only_if_nothing_at_all_is_wrong():
    assert is_whole(WHOLE)
    for fault in (
        {"applied": 8},
        {"breaks": {"depth@0ms": 1}},
        {"lost": {"depth": -1}},
        {"wrong_levels": {"BTCUSDT": 1}},
    ):
        assert not is_whole(WHOLE | fault)
