"""The driver: market time and market data move together, and every line is accounted for."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from services.paper_exchange import driver
from services.paper_exchange.clock import MarketClock
from services.paper_exchange.doors.hub import Hub, Subscriber
from services.paper_exchange.driver import Driver
from services.paper_exchange.market.instruments import select_instruments
from services.paper_exchange.market.market import Market, MarketUpdate, UpdateKind
from services.paper_exchange.sources.event import SourceError
from services.paper_exchange.sources.tape import TapeSource
from services.paper_exchange.wire.stream_names import Route

TAPES = Path(__file__).parents[4] / "shared" / "data" / "tape"
needs_tapes = pytest.mark.skipif(
    bool(os.environ.get("CI")) or not TAPES.is_dir(),
    reason="the recorded tapes are not part of the repository",
)
START_MS = 1_700_000_000_000
NS = 1_000_000


class _World:
    def __init__(self, source: TapeSource, speed: str, limit_ns: int | None) -> None:
        self.source = source
        self.clock = MarketClock(time.monotonic_ns, source.start_ns, speed, limit_ns)
        self.hub = Hub()
        self.market = Market(select_instruments(source.symbols), source.start_ns)
        self.updates: list[MarketUpdate] = []
        self.driver = Driver(
            source,
            self.market,
            self.clock,
            self.hub,
            wall=time.monotonic_ns,
            on_market=self.updates.append,
        )
        self.socket = Subscriber([Route.PUBLIC, Route.MARKET], is_combined=True)
        self.hub.attach(self.socket)

    def received(self) -> list[tuple[str, dict[str, int]]]:
        messages = [msgspec.json.decode(frame) for frame in self.socket.frames]
        return [(message["stream"], message["data"]) for message in messages]


def _tape(tmp_path: Path, *offsets_ms: int) -> Path:
    path = tmp_path / "btcusdt_1"
    line = (
        '1 {{"stream":"btcusdt@bookTicker","data":{{"e":"bookTicker","u":5,"s":"BTCUSDT",'
        '"b":"{0}.10","B":"1","a":"{0}.20","A":"2","T":{1},"E":{1}}}}}\n'
    )
    path.write_text("".join(line.format(100 + n, START_MS + n) for n in offsets_ms))
    return path


@asynccontextmanager
async def _running(
    path: Path, speed: str = "1000", limit_ns: int | None = None
) -> AsyncIterator[_World]:
    world = _World(TapeSource([path]), speed, limit_ns)
    for stream in ("btcusdt@bookTicker", "!clock@sim"):
        world.hub.subscribe(world.socket, stream)
    task = asyncio.create_task(world.driver.run())
    try:
        yield world
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


async def test_every_line_is_applied_published_and_told_to_matching(tmp_path: Path) -> None:
    async with _running(_tape(tmp_path, 0, 5, 5, 900, 2_500)) as world:
        await _until(lambda: world.driver.source_ended)
        stats = world.driver.stats()
        assert stats["lines_read"] == 5
        assert stats["applied"] == {"quote": 5}
        quotes = [name for name, _ in world.received() if name == "btcusdt@bookTicker"]
        assert len(quotes) == 5
        assert [u.kind for u in world.updates].count(UpdateKind.QUOTE) == 5
        assert UpdateKind.MARK in [u.kind for u in world.updates]


async def test_a_held_market_says_nothing_beyond_its_limit(tmp_path: Path) -> None:
    limit_ns = (START_MS + 10) * NS
    async with _running(_tape(tmp_path, 0, 10, 11), limit_ns=limit_ns) as world:
        await _until(lambda: world.clock.now_ns() == limit_ns)
        await _until(lambda: len(world.updates) == 2)
        frames = [data for name, data in world.received() if name == "!clock@sim"]
        assert frames[-1]["n"] == limit_ns
        assert frames[-1]["l"] == limit_ns
        world.clock.set_grant(limit_ns=limit_ns + NS)
        await _until(lambda: len(world.updates) == 3)


async def test_a_market_held_at_its_start_has_said_nothing_yet(tmp_path: Path) -> None:
    start_ns = TapeSource([_tape(tmp_path, 0, 1)]).start_ns
    async with _running(_tape(tmp_path, 0, 1), limit_ns=start_ns) as world:
        await _until(lambda: len(world.received()) >= 2)
        assert {name for name, _ in world.received()} == {"!clock@sim"}
        world.clock.set_grant(limit_ns=None)
        await _until(lambda: len(world.updates) >= 2)


async def test_a_clock_frame_comes_behind_all_data_up_to_its_time(tmp_path: Path) -> None:
    path = _tape(tmp_path, *range(0, 3_000, 3))
    async with _running(path, limit_ns=START_MS * NS) as world:
        for step_ms in range(0, 3_000, 500):
            world.clock.set_grant(limit_ns=(START_MS + step_ms) * NS)
            await _until(lambda: world.clock.now_ns() == world.clock.limit_ns)
        proven_ns = 0
        for name, data in world.received():
            if name == "!clock@sim":
                assert data["n"] >= proven_ns
                proven_ns = data["n"]
            else:
                assert data["E"] * NS > proven_ns or proven_ns == START_MS * NS


async def test_the_limit_is_announced_the_instant_it_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "CLOCK_FRAME_SECONDS", 60.0)  # no regular frame tells of it
    path = _tape(tmp_path, 0, 1, 100_000)
    async with _running(path, "1", limit_ns=START_MS * NS) as world:
        await _until(lambda: len(world.received()) >= 1)
        world.socket.frames.clear()
        began = time.monotonic()
        limit_ns = (START_MS + 50) * NS
        world.clock.set_grant(limit_ns=limit_ns)
        await _until(lambda: any(data.get("n") == limit_ns for _, data in world.received()))
        assert time.monotonic() - began >= 0.045, "not before it is reached"


async def test_time_flows_on_after_the_end_and_quotes_stand_still(tmp_path: Path) -> None:
    async with _running(_tape(tmp_path, 0, 1)) as world:
        await _until(lambda: world.driver.source_ended)
        await _until(lambda: world.clock.now_ns() > (START_MS + 60_000) * NS)
        frames = [data for name, data in world.received() if name == "!clock@sim"]
        assert frames[-1]["z"] is True
        marks = [update for update in world.updates if update.kind is UpdateKind.MARK]
        assert len({mark.price for mark in marks}) == 1
        assert len(marks) >= 10


async def test_a_number_the_book_cannot_read_names_its_line(tmp_path: Path) -> None:
    path = _tape(tmp_path, 0, 1, 2, 3)
    lines = path.read_text().splitlines(keepends=True)
    lines[2] = lines[2].replace('"b":"102.10"', '"b":"many"')
    path.write_text("".join(lines))
    world = _World(TapeSource([path]), "1000", None)
    async with asyncio.timeout(10):
        with pytest.raises(SourceError, match="line 3: 'many' is not a price"):
            await world.driver.run()


@needs_tapes
async def test_both_recorded_tapes_pass_through_whole_at_any_speed() -> None:
    source = TapeSource([TAPES / "btcusdt_20240808.gz", TAPES / "ethusdt_20240808.gz"])
    world = _World(source, "100000", None)
    task = asyncio.create_task(world.driver.run())
    async with asyncio.timeout(60):
        while not world.driver.source_ended:
            assert not task.done(), task.exception()
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert world.driver.stats()["applied"] == {
        "quote": 120_081,
        "trade": 35_389,
        "depth": 13_137,
        "snapshot": 2,
    }
    assert source.lines_read == 168_609
