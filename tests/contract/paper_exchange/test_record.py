"""Recording a running venue over real sockets makes a tape that replays to the same market."""

import asyncio
import gzip
import json
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.paper_exchange.market.instruments import select_instruments
from services.paper_exchange.market.market import Market
from services.paper_exchange.record import main
from services.paper_exchange.sources.event import DepthUpdate
from services.paper_exchange.sources.tape import TapeSource

ROOT = Path(__file__).resolve().parents[3]
SYMBOLS = ("BTCUSDT", "ETHUSDT")
NS = 1_000_000_000
PLAYED_NS = 20 * NS
LOOKS = 5


def start_recorder(url: str, out: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable, "-m", "services.paper_exchange.record",
            "--streams-url", url.replace("http", "ws"), "--rest-url", url,
            "--symbols", ",".join(SYMBOLS), "--out", str(out), "--depth", "depth@0ms", *options,
        ],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


async def ask(session: aiohttp.ClientSession, url: str, body: object = None) -> dict[str, Any]:
    method = "GET" if body is None else "POST"
    async with session.request(method, url, json=body) as response:
        return dict(await response.json())


def is_asleep(pid: int) -> bool:
    """Whether a process waits for something to come; one that is only starved does not."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("S")


async def all_is_written(venue_pid: int, recorder_pid: int) -> None:
    """Return once a venue with nothing more to say and its recorder have nothing left to do."""
    looks = 0
    while looks < LOOKS:
        await asyncio.sleep(0.1)
        looks = looks + 1 if is_asleep(venue_pid) and is_asleep(recorder_pid) else 0


async def play(venue: Any, recorder: subprocess.Popen[str]) -> dict[str, dict[str, Any]]:
    """Let a held venue play while it is recorded, end the recorder, and return the books."""
    url = venue.url
    async with aiohttp.ClientSession() as session, asyncio.timeout(60):
        start_ns = (await ask(session, f"{url}/sim/clock"))["now_ns"]
        limit_ns = start_ns + PLAYED_NS
        while (await ask(session, f"{url}/sim/stats"))["sockets"] < 2:
            assert recorder.poll() is None
            await asyncio.sleep(0.02)
        await ask(session, f"{url}/sim/clock", {"limit_ns": limit_ns, "speed": "10"})
        while (await ask(session, f"{url}/sim/clock"))["now_ns"] < limit_ns:
            await asyncio.sleep(0.05)
        await all_is_written(venue.pid, recorder.pid)  # a signal ends it at once
        recorder.send_signal(signal.SIGINT)
        return {
            symbol: await ask(session, f"{url}/sim/book?symbol={symbol}&limit=1000")
            for symbol in SYMBOLS
        }


def end(recorder: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = recorder.communicate(timeout=60)
    assert recorder.returncode == 0, err
    return dict(json.loads(out.splitlines()[-1]))


@pytest.mark.parametrize("options", [(), ("--max-bytes", "20000")])
async def test_a_recorded_tape_replays_to_the_same_books(
    launcher: Any, tmp_path: Path, options: tuple[str, ...]
) -> None:
    symbols = ",".join(SYMBOLS)
    venue = launcher.start("--seed", "3", "--symbols", symbols, "--hold")
    async with aiohttp.ClientSession() as session:  # a held venue has no book to take down yet
        now_ns = (await ask(session, f"{venue.url}/sim/clock"))["now_ns"]
        await ask(session, f"{venue.url}/sim/clock", {"limit_ns": now_ns + NS // 2})
    recorder = start_recorder(venue.url, tmp_path / "day.gz", *options)
    books = await play(venue, recorder)
    report = end(recorder)
    assert report["gaps"] == 0
    paths = [Path(path) for path in report["files"]]
    assert {path.name for path in paths} >= {"btcusdt_day.gz", "ethusdt_day.gz"}
    assert (len(paths) > 2) is bool(options)
    source = TapeSource(paths)
    market = Market(select_instruments(SYMBOLS), source.start_ns)
    chain: dict[str, int] = {}
    for event in source.events():
        market.apply(event)
        if isinstance(event, DepthUpdate):
            assert event.previous_update_id == chain.get(event.symbol, event.previous_update_id)
            chain[event.symbol] = event.final_update_id
    assert sum(report["lines"].values()) == source.lines_read
    for symbol, book in books.items():
        replayed = market.book(symbol)
        assert replayed.last_update_id == book["last_update_id"]
        assert [list(level) for level in replayed.snapshot(1_000)[0]] == book["bids"]
        assert [list(level) for level in replayed.snapshot(1_000)[1]] == book["asks"]
        assert replayed.last_price == Decimal(book["last_price"])


def test_a_recording_of_nobody_ends_with_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = ["--streams-url", "ws://127.0.0.1:1", "--rest-url", "http://127.0.0.1:1"]
    out = str(tmp_path / "x.gz")
    assert main([*url, "--symbols", "BTCUSDT", "--out", out]) == 2
    assert "127.0.0.1" in capsys.readouterr().err
    assert main([*url, "--symbols", "BTCUSDT,BTCUSDT", "--out", out]) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_recording_is_left_alone(
    running_venue: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tmp_path / "btcusdt_x.gz"
    before.write_bytes(gzip.compress(b"mine"))
    url = [
        "--streams-url",
        running_venue.url.replace("http", "ws"),
        "--rest-url",
        running_venue.url,
    ]
    out = str(tmp_path / "x.gz")
    assert main([*url, "--symbols", "BTCUSDT", "--out", out, "--seconds", "10"]) == 2
    assert "exists" in capsys.readouterr().err
    assert gzip.decompress(before.read_bytes()) == b"mine"
