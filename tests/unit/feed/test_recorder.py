"""Tapes hold everything heard, once, also over reconnects; what cannot be written stops nothing."""

import gzip
import json

import pytest

from services.feed.events import read_frame
from services.feed.recorder import Recorder

NOW_NS = 1_763_000_000 * 10**9


def line(kind, number, symbol="BTCUSDT"):
    texts = {
        "bookTicker": {"u": number, "T": 1, "b": "1", "B": "1", "a": "2", "A": "1"},
        "trade": {"t": number, "T": 1, "p": "1", "q": "1", "m": False},
        "depthUpdate": {"T": 1, "U": number, "u": number, "pu": number - 1, "b": [], "a": []},
        "markPriceUpdate": {"p": "1", "i": "1", "r": "0"},
    }
    data = {"e": kind, "E": number, "s": symbol, **texts[kind]}
    return json.dumps({"stream": f"{symbol.lower()}@{kind}", "data": data}).encode()


KINDS = ("bookTicker", "trade", "depthUpdate", "markPriceUpdate")


def hear(recorder, *payloads):
    for payload in payloads:
        recorder.write(NOW_NS, payload, read_frame(payload))


def tape_of(folder, symbol="btcusdt"):
    path = folder / f"{symbol}_{NOW_NS // 10**9}.gz"
    rows = gzip.decompress(path.read_bytes()).splitlines()
    assert all(row.partition(b" ")[0] == b"%d" % NOW_NS for row in rows)
    return [row.partition(b" ")[2] for row in rows]


def test_every_kind_is_recorded_as_it_came_one_tape_a_symbol(tmp_path):
    recorder = Recorder(tmp_path / "tapes", NOW_NS, 1_000_000)
    payloads = [line(kind, number) for number in range(1, 4) for kind in KINDS]
    other = line("depthUpdate", 7, "币安人生USDT")
    hear(recorder, *payloads, other)
    recorder.close()
    assert tape_of(tmp_path / "tapes") == payloads
    assert tape_of(tmp_path / "tapes", "币安人生usdt") == [other]


def test_what_two_sockets_tell_is_written_once_and_what_comes_late_is_not_lost(tmp_path):
    recorder = Recorder(tmp_path, NOW_NS, 1_000_000)
    first, second, third = (line("trade", number) for number in (1, 2, 3))
    hear(recorder, first, third, second, third, second)
    recorder.close()
    assert tape_of(tmp_path) == [first, third, second]
    assert (recorder.lines, recorder.repeated) == (3, 2)


def test_a_tape_goes_on_over_reconnects_though_the_venue_counts_anew(tmp_path):
    recorder = Recorder(tmp_path, NOW_NS, 1_000_000)
    payload = line("depthUpdate", 5)
    hear(recorder, payload)
    recorder.on_reconnected(("btcusdt@depthUpdate",))
    hear(recorder, payload)
    recorder.close()
    assert tape_of(tmp_path) == [payload, payload]


def test_at_its_limit_recording_stops_says_so_and_the_tape_is_whole(tmp_path):
    payloads = [line("bookTicker", number) for number in range(1, 200)]
    recorder = Recorder(tmp_path, NOW_NS, 50 * (len(payloads[50]) + 21))
    hear(recorder, *payloads)
    assert "size limit" in recorder.stopped
    assert tape_of(tmp_path) == payloads[: recorder.lines]
    assert recorder.lines + recorder.dropped == len(payloads)
    recorder.close()


@pytest.mark.parametrize("blocks", [1, 60])
def test_a_full_disk_stops_recording_and_nothing_else(tmp_path, blocks):
    (tmp_path / f"btcusdt_{NOW_NS // 10**9}.gz").symlink_to("/dev/full")
    recorder = Recorder(tmp_path, NOW_NS, 10**9)
    padding = " " * 40_000
    for number in range(blocks):
        hear(recorder, line("bookTicker", number) + padding.encode())
    hear(recorder, line("bookTicker", 1, "ETHUSDT"))
    recorder.close()
    assert "No space left" in recorder.stopped
    hear(recorder, line("bookTicker", 999))
    assert recorder.dropped >= 1


def test_a_folder_that_cannot_be_made_stops_recording_and_nothing_else(tmp_path):
    (tmp_path / "file").write_text("")
    recorder = Recorder(tmp_path / "file" / "tapes", NOW_NS, 1_000)
    hear(recorder, line("trade", 1))
    recorder.close()
    assert "cannot be made" in recorder.stopped
    assert recorder.dropped == 1
