"""Tapes: every line becomes one event, in market time, and a bad line is named."""

import gzip
import os
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from services.paper_exchange.market.book import Book
from services.paper_exchange.sources.event import (
    DepthSnapshot,
    DepthUpdate,
    MarkPrice,
    Quote,
    SourceError,
    Trade,
)
from services.paper_exchange.sources.tape import TapeSource

TAPES = Path(__file__).parents[4] / "shared" / "data" / "tape"
needs_tapes = pytest.mark.skipif(
    bool(os.environ.get("CI")) or not TAPES.is_dir(),
    reason="the recorded tapes are not part of the repository",
)

QUOTE = (
    '{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5,"s":"BTCUSDT","b":"100.10",'
    '"B":"1.000","a":"100.20","A":"2.000","T":1000,"E":%d}}'
)
TRADE = (
    '{"stream":"btcusdt@trade","data":{"e":"trade","E":1001,"T":1000,"s":"BTCUSDT","t":7,'
    '"p":"100.20","q":"0.006","X":"MARKET","m":false}}'
)
DEPTH = (
    '{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1002,"T":1001,"s":"BTCUSDT",'
    '"U":3,"u":4,"pu":2,"b":[["100.00","0.000"]],"a":[]}}'
)
MARK = (
    '{"stream":"btcusdt@markPrice","data":{"e":"markPriceUpdate","E":1003,"s":"BTCUSDT",'
    '"p":"100.15","i":"100.14","P":"1","r":"0","T":0}}'
)
SNAPSHOT = '{"lastUpdateId":9,"E":1004,"T":1003,"bids":[["100.00","1"]],"asks":[["100.30","1"]]}'


def _write(path: Path, *bodies: str) -> Path:
    path.write_text("".join(f"17{index:017d} {body}\n" for index, body in enumerate(bodies)))
    return path


def test_each_kind_of_line_becomes_its_event(tmp_path: Path) -> None:
    tape = _write(tmp_path / "btcusdt_1", QUOTE % 1000, TRADE, DEPTH, MARK, SNAPSHOT)
    source = TapeSource([tape])
    assert source.symbols == ("BTCUSDT",)
    assert source.start_ns == 999_000_000, "just before the first line"
    quote, trade, depth, mark, snapshot = source.events()
    assert quote == Quote(1_000_000_000, "BTCUSDT", 1000, 5, "100.10", "1.000", "100.20", "2.000")
    assert isinstance(trade, Trade)
    assert (str(trade.price), str(trade.quantity)) == ("100.20", "0.006")
    assert depth == DepthUpdate(1_002_000_000, "BTCUSDT", 1001, 3, 4, 2, (("100.00", "0.000"),), ())
    assert mark == MarkPrice(1_003_000_000, "BTCUSDT", Decimal("100.15"), Decimal("100.14"))
    assert isinstance(snapshot, DepthSnapshot)
    assert snapshot.symbol == "BTCUSDT"
    assert source.lines_read == 5


def test_market_time_never_runs_backwards(tmp_path: Path) -> None:
    tape = _write(tmp_path / "btcusdt_1", QUOTE % 2000, QUOTE % 1990, QUOTE % 2010)
    times = [event.ts_ns // 1_000_000 for event in TapeSource([tape]).events()]
    assert times == [2000, 2000, 2010]


def test_tapes_are_merged_by_market_time(tmp_path: Path) -> None:
    first = _write(tmp_path / "btcusdt_1", QUOTE % 1000, QUOTE % 3000)
    ether = (QUOTE % 2000).replace("BTC", "ETH")
    second = _write(tmp_path / "ethusdt_1", ether)
    source = TapeSource([first, second])
    assert [event.symbol for event in source.events()] == ["BTCUSDT", "ETHUSDT", "BTCUSDT"]


def test_a_snapshot_on_the_first_line_belongs_to_the_symbol_of_the_file(tmp_path: Path) -> None:
    tape = _write(tmp_path / "ethusdt_20240808", SNAPSHOT)
    assert TapeSource([tape]).symbols == ("ETHUSDT",)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("not a tape", "time in ns"),
        ("170 {broken", "unreadable"),
        ('170 {"stream":"x","data":{"e":"forceOrder"}}', "unreadable"),
        ('170 {"hello":1}', "neither"),
        ("170 " + (QUOTE % 1).replace('"u":5', '"u":"five"'), "unreadable"),
        ("170 " + (QUOTE % 1).replace("BTC", "ETH"), "ETHUSDT in a tape of BTCUSDT"),
    ],
)
def test_a_bad_line_is_named_with_file_and_number(tmp_path: Path, line: str, reason: str) -> None:
    tape = _write(tmp_path / "btcusdt_1", QUOTE % 1, QUOTE % 2)
    with tape.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(SourceError, match=reason) as caught:
        list(TapeSource([tape]).events())
    assert caught.value.line == 3
    assert "btcusdt_1, line 3" in str(caught.value)


def test_a_torn_gzip_names_the_line_it_reached(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(b"170 %s\n" % (QUOTE % n).encode() for n in range(5_000)))
    tape = tmp_path / "btcusdt_1.gz"
    tape.write_bytes(whole[: len(whole) // 2])
    source = TapeSource([tape])
    with pytest.raises(SourceError, match="corrupt gzip") as caught:
        list(source.events())
    assert caught.value.line == source.lines_read + 1
    assert source.lines_read > 100


def test_a_gzip_with_flipped_bits_is_corrupt(tmp_path: Path) -> None:
    whole = bytearray(gzip.compress(b"170 %s\n" % (QUOTE % 1).encode() * 5_000))
    whole[len(whole) // 2] ^= 0xFF
    tape = tmp_path / "btcusdt_1.gz"
    tape.write_bytes(whole)
    with pytest.raises(SourceError, match=r"corrupt gzip|unreadable"):
        list(TapeSource([tape]).events())


def test_what_is_called_gzip_and_is_not_is_corrupt(tmp_path: Path) -> None:
    tape = _write(tmp_path / "btcusdt_1.gz", QUOTE % 1)
    with pytest.raises(SourceError, match="corrupt gzip"):
        TapeSource([tape])


def test_missing_and_empty_files_are_refused_at_the_door(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        TapeSource([tmp_path / "nothing.gz"])
    (tmp_path / "empty").touch()
    with pytest.raises(SourceError, match="empty"):
        TapeSource([tmp_path / "empty"])


def test_tapes_of_one_symbol_follow_one_another(tmp_path: Path) -> None:
    early = _write(tmp_path / "btcusdt_1", QUOTE % 1000, QUOTE % 3000)
    late = _write(tmp_path / "btcusdt_2", QUOTE % 2000, QUOTE % 4000)
    source = TapeSource([early, late])
    assert source.symbols == ("BTCUSDT",)
    assert [event.ts_ns // 1_000_000 for event in source.events()] == [1000, 3000, 3000, 4000]
    assert source.blame("BTCUSDT", "why").path == late
    with pytest.raises(SourceError, match="begins before btcusdt_2"):
        TapeSource([late, early])


@needs_tapes
def test_the_recorded_tapes_are_read_to_the_last_line_without_a_gap_or_a_crossed_book() -> None:
    source = TapeSource([TAPES / "btcusdt_20240808.gz", TAPES / "ethusdt_20240808.gz"])
    books = {symbol: Book(symbol, 2) for symbol in source.symbols}
    kinds: Counter[type] = Counter()
    previous: dict[str, int] = {}
    ts_ns = 0
    for event in source.events():
        assert event.ts_ns >= ts_ns
        ts_ns = event.ts_ns
        kinds[type(event)] += 1
        book = books[event.symbol]
        if isinstance(event, Quote):
            bid = (event.bid_price, event.bid_quantity)
            book.apply_quote(event.update_id, bid, (event.ask_price, event.ask_quantity), ts_ns)
        elif isinstance(event, DepthUpdate):
            assert previous.setdefault(event.symbol, event.previous_update_id) == (
                event.previous_update_id
            )
            previous[event.symbol] = event.final_update_id
            book.apply_depth(event.final_update_id, event.bids, event.asks, ts_ns)
        elif isinstance(event, DepthSnapshot):
            book.apply_snapshot(event.last_update_id, event.bids, event.asks, ts_ns)
        if book.best_bid and book.best_ask:
            assert book.best_bid[0] < book.best_ask[0]
    assert kinds == {Quote: 120_081, Trade: 35_389, DepthUpdate: 13_137, DepthSnapshot: 2}
    assert source.lines_read == sum(kinds.values()) == 168_609
