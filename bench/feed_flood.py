"""What the feed bears, beside python-binance's socket manager and a bare picows + msgspec loop.

    python -m bench.feed_flood [--symbols 300] [--frames 2400000] [--rounds 3] [--json]

A local venue replays the same prepared frames (bookTicker, markPrice and kline_1m of every symbol,
made by the paper exchange's builders) as fast as each socket takes them. In one run, in turn, each
in a process of its own: the whole feed with a broker, up to the last quote and mark on NATS; the
feed's reading alone; python-binance; and the bare loop. Medians of the rounds. There are so many
frames that the interval which the last quote waits to be published is a small part of the time;
python-binance gets a part of them, or it would need minutes. Nothing here fails because of a clock:
the goals are printed, met or not.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.table import Table

from bench.feed_world import FeedWorld, end_process, start_process
from bench.flood_frames import FRAMES_PER_ROUND, symbol_names
from bench.flood_readers import READERS
from bench.listener import cpu_seconds, resident_mb
from libs.common.messages import subjects
from libs.common.messages.codec import decode
from libs.common.messages.market import Mark, MarketHealth, Quote
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import NS_PER_MS, NS_PER_S, monotonic_ns
from libs.common.runtime.config import BusConfig
from libs.common.runtime.log import configure_logging
from libs.common.runtime.provisioning import provision

FEED = "feed to NATS"
READER, BARE, PEER = "reader", "bare", "python-binance"
PEER_PART = 8
"""python-binance hears one of so many of the frames."""
GOAL_PEER, GOAL_BARE = 10.0, 0.5
WAIT_S = 120.0

Sample = dict[str, float]


class Venue:
    """The server that floods."""

    def __init__(self, http: aiohttp.ClientSession, port: int, symbols: int) -> None:
        self.port = port
        self._symbols = symbols
        self._http = http

    async def prepare(self, frames: int) -> dict[str, int]:
        """Make about so many frames; returns how many, and how to know the last."""
        rounds = max(1, frames // (self._symbols * FRAMES_PER_ROUND))
        return await self._prepare({"rounds": rounds})

    async def prepare_seconds(self, seconds: int, end_ms: int) -> dict[str, int]:
        """Make a round for each of the seconds up to ``end_ms``; returns as ``prepare`` does."""
        return await self._prepare({"rounds": seconds, "round_ms": 1_000, "end_ms": end_ms})

    async def _prepare(self, wish: dict[str, int]) -> dict[str, int]:
        answer: dict[str, int] = await self._post("prepare", {"symbols": self._symbols, **wish})
        return answer

    async def begin(self) -> None:
        """Send them."""
        answer = await self._post("begin", {})
        if answer["sockets"] != 2:
            raise RuntimeError(f"{answer['sockets']} sockets listen instead of two")

    async def _post(self, verb: str, wish: dict[str, int]) -> Any:
        url = f"http://127.0.0.1:{self.port}/flood/{verb}"
        async with self._http.post(url, json=wish) as answer:
            answer.raise_for_status()
            return await answer.json()


async def measure_reader(name: str, venue: Venue, symbols: int, frames: int) -> Sample:
    """One of the readers, from its first frame to its last."""
    flood = await venue.prepare(frames // PEER_PART if name == PEER else frames)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.flood_readers", name, f"--port={venue.port}",
        f"--symbols={symbols}", f"--frames={flood['frames']}", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None, "asked for"
    try:
        async with asyncio.timeout(WAIT_S):
            await _line(process.stdout, "ready")
            await venue.begin()
            measured = await _line(process.stdout, "measured")
    finally:
        if process.returncode is None:
            await end_process(process, signal.SIGKILL)
    return {name: measured[name] for name in ("messages_per_s", "cpu_us", "rss_mb")}


async def _line(stream: asyncio.StreamReader, event: str) -> dict[str, float]:
    while raw := await stream.readline():
        line: dict[str, Any] = json.loads(raw)
        if line.get("event") == event:
            return line
    raise RuntimeError(f"a reader ended without saying {event}")


@contextlib.asynccontextmanager
async def flood_venue(symbols: int) -> AsyncIterator[tuple[Venue, aiohttp.ClientSession]]:
    """The server in a process of its own, and how to ask things over HTTP."""
    process, port = await start_process("bench.flood_server", "listening", {})
    try:
        async with aiohttp.ClientSession() as http:
            yield Venue(http, port, symbols), http
    finally:
        await end_process(process, signal.SIGKILL)


async def measure_feed(
    venue: Venue, http: aiohttp.ClientSession, count: int, frames: int
) -> Sample:
    """The real feed, from the word to begin until the last quote and mark are on NATS."""
    symbols = symbol_names(count)
    async with own_broker() as (bus, settings):
        world = FeedWorld(bus, settings.url, http, venue.port)
        ears = Ears(bus, symbols[0])
        await ears.listen()
        try:
            await world.start_feed(symbols, ["1m"], mode="testnet")
            assert world.feed is not None, "just started"
            flood = await venue.prepare(frames)
            cpu_before = cpu_seconds(world.feed.pid)
            began_ns = monotonic_ns()
            await venue.begin()
            async with asyncio.timeout(WAIT_S):
                await ears.until(flood["last_update_id"], flood["last_mark_ms"])
            wall_s = (monotonic_ns() - began_ns) / NS_PER_S
            cpu_s = cpu_seconds(world.feed.pid) - cpu_before
            health = await ears.next_health()
            rss_mb = resident_mb(world.feed.pid)
        finally:
            await world.end_feed()
    received = sum(health.received.values())
    if received != flood["frames"]:
        raise RuntimeError(f"the feed counted {received} of {flood['frames']} frames")
    return {
        "messages_per_s": received / wall_s,
        "cpu_us": cpu_s / received * 1e6,
        "rss_mb": rss_mb,
        "received": received,
        "published": sum(health.published.values()),
        "conflated": sum(health.conflated.values()),
    }


class Ears:
    """Hears on NATS what tells that everything is through."""

    def __init__(self, bus: Bus, symbol: str) -> None:
        self._bus = bus
        self._symbol = symbol
        self._update_id = self._mark_ms = 0
        self._health: MarketHealth | None = None
        self._news = asyncio.Event()

    async def listen(self) -> None:
        """Subscribe to one symbol's quote and mark, and to the feed's account of itself."""
        await self._bus.subscribe(subjects.quote(self._symbol), self._on_quote)
        await self._bus.subscribe(subjects.mark(self._symbol), self._on_mark)
        await self._bus.subscribe(subjects.MARKET_HEALTH, self._on_health)

    async def until(self, update_id: int, mark_ms: int) -> None:
        """Return once this quote and this mark were heard."""
        while self._update_id < update_id or self._mark_ms < mark_ms:
            await self._wait()

    async def next_health(self) -> MarketHealth:
        """What the feed says of itself the next time."""
        before = self._health
        while (health := self._health) is before or health is None:
            await self._wait()
        return health

    async def _wait(self) -> None:
        self._news.clear()
        await self._news.wait()

    async def _on_quote(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        self._update_id = decode(payload, Quote).update_id
        self._news.set()

    async def _on_mark(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        self._mark_ms = decode(payload, Mark).ts_event_ns // NS_PER_MS
        self._news.set()

    async def _on_health(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        self._health = decode(payload, MarketHealth)
        self._news.set()


@contextlib.asynccontextmanager
async def own_broker() -> AsyncIterator[tuple[Bus, BusConfig]]:
    """A broker for one measurement, provisioned, and how to reach it."""
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder))
        settings = BusConfig(url=await broker.start())
        bus = await Bus.connect(settings, "judge", lambda: None)
        try:
            await provision(bus, "paper", settings)
            yield bus, settings
        finally:
            await bus.close()
            await broker.stop()


async def measure(arguments: argparse.Namespace) -> dict[str, list[Sample]]:
    """Every contestant in turn, round by round."""
    samples: dict[str, list[Sample]] = {}
    async with flood_venue(arguments.symbols) as (venue, http):
        for _ in range(arguments.rounds):
            sample = await measure_feed(venue, http, arguments.symbols, arguments.frames)
            samples.setdefault(FEED, []).append(sample)
            for name in READERS:
                sample = await measure_reader(name, venue, arguments.symbols, arguments.frames)
                samples.setdefault(name, []).append(sample)
    return samples


def medians(samples: dict[str, list[Sample]]) -> dict[str, Sample]:
    """Of each contestant, the median of every figure."""
    return {
        name: {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        for name, rounds in samples.items()
    }


def goals(rows: dict[str, Sample]) -> list[str]:
    """What was asked for, and whether it was met."""
    rate = {name: row["messages_per_s"] for name, row in rows.items()}
    lines = []
    for what, above, below, goal in (
        (f"{FEED} against {PEER}, messages/s", FEED, PEER, GOAL_PEER),
        (f"{READER} against {PEER}, messages/s", READER, PEER, GOAL_PEER),
        (f"{READER} against {BARE}, messages/s (parse and dispatch)", READER, BARE, GOAL_BARE),
    ):
        ratio = rate[above] / rate[below]
        said = "met" if ratio >= goal else "NOT met"
        lines.append(f"{what}: {ratio:.2f}x, goal at least {goal:g}x: {said}")
    cpu = rows[PEER]["cpu_us"] / rows[FEED]["cpu_us"]
    lines.append(f"CPU a message, {PEER} against {FEED}: {cpu:.2f}x")
    return lines


def show(rows: dict[str, Sample], arguments: argparse.Namespace) -> None:
    """Print the table and the goals."""
    table = Table(
        title=f"{arguments.symbols} symbols x (bookTicker, markPrice, kline_1m), "
        f"medians of {arguments.rounds} rounds"
    )
    table.add_column("who")
    for heading in ("messages/s", "CPU s a million", "RSS MB", f"against {PEER}"):
        table.add_column(heading, justify="right")
    for name, row in rows.items():
        ratio = row["messages_per_s"] / rows[PEER]["messages_per_s"]
        table.add_row(
            name, f"{row['messages_per_s']:,.0f}", f"{row['cpu_us']:.2f}", f"{row['rss_mb']:.0f}",
            f"{ratio:.1f}x",
        )  # fmt: skip
    console = Console(width=100)
    console.print(table)
    feed = rows[FEED]
    console.print(
        f"{FEED}: {feed['received']:,.0f} received, {feed['published']:,.0f} published, "
        f"{feed['conflated']:,.0f} replaced by a newer one of their symbol"
    )
    for line in goals(rows):
        console.print(line, highlight=False)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=300)
    parser.add_argument("--frames", type=int, default=2_400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print the samples too")
    arguments = parser.parse_args()
    configure_logging("bench")
    samples = asyncio.run(measure(arguments))
    if arguments.json:
        sys.stdout.write(json.dumps(samples) + "\n")
    show(medians(samples), arguments)


if __name__ == "__main__":
    main()
