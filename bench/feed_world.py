"""A broker, the paper exchange and the feed as processes, and what a judge asks of them."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from libs.common.messages import subjects
from libs.common.messages.codec import decode
from libs.common.messages.market import Candle
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import NS_PER_MS
from libs.common.runtime.config import BusConfig
from libs.common.runtime.provisioning import provision

ROOT = Path(__file__).resolve().parents[1]
DEADLINE_S = 40.0
#: How long the judge's own questions to the broker may take: a busy machine is no failure.
PATIENCE_MS = 20_000
POLL_S = 0.03
KLINES_MAX = 1_500


class FeedWorld:
    """What runs, and where to ask it."""

    def __init__(
        self, bus: Bus, bus_url: str, http: aiohttp.ClientSession, venue_port: int
    ) -> None:
        self.bus = bus
        self.bus_url = bus_url
        self._http = http
        self.venue_url = f"http://127.0.0.1:{venue_port}"
        self._venue_port = venue_port
        self._read_up_to = 0
        self._candles: list[Candle] = []
        self.feed: asyncio.subprocess.Process | None = None
        self._feed_url = ""
        self._symbols: Sequence[str] = ()

    async def start_feed(
        self,
        symbols: Sequence[str],
        intervals: Sequence[str],
        *,
        module: str = "services.feed",
        also: Mapping[str, str] | None = None,
        mode: str = "paper",
        **settings: object,
    ) -> None:
        """Start the feed, or a module that wraps it, and return once it listens.

        ``also`` is further environment of the process.
        """
        self._symbols = symbols
        environment = {
            "PORTCULLIS_MODE": mode,
            "PORTCULLIS_BUS__URL": self.bus_url,
            "PORTCULLIS_VENUE__REST_URL": self.venue_url,
            "PORTCULLIS_VENUE__STREAM_URL": f"ws://127.0.0.1:{self._venue_port}",
            "PORTCULLIS_SYMBOLS": json.dumps(list(symbols)),
            "PORTCULLIS_CANDLE_INTERVALS": json.dumps(list(intervals)),
            "PORTCULLIS_FEED__HTTP_PORT": "0",
            **{
                f"PORTCULLIS_FEED__{name.upper()}": json.dumps(value)
                for name, value in settings.items()
            },
        }
        self.feed, port = await start_process(
            module, "http listening", {**environment, **(also or {})}
        )
        self._feed_url = f"http://127.0.0.1:{port}"
        await self.until(self.is_connected, "the feed is connected")

    async def end_feed(self, number: int = signal.SIGKILL) -> None:
        """End the feed."""
        if self.feed is not None:
            await end_process(self.feed, number)

    async def sim(self, path: str, body: object = None, method: str = "POST") -> Any:
        """Ask a door of the simulation."""
        async with self._http.request(method, f"{self.venue_url}{path}", json=body) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def ask_feed(self, path: str) -> Any:
        """The answer of a door of the feed, whatever its status."""
        async with self._http.get(f"{self._feed_url}{path}") as answer:
            return await answer.json()

    async def status(self) -> Any:
        """What the feed says of itself."""
        return await self.ask_feed("/v1/status")

    async def metrics(self) -> dict[str, float]:
        """The feed's metrics by name with labels."""
        async with self._http.get(f"{self._feed_url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        rows = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in rows}

    async def is_connected(self) -> bool:
        """Whether every socket of the feed is up."""
        return bool((await self.status()).get("is_connected"))

    async def candles(self) -> list[Candle]:
        """Every candle stored so far, in the order it was stored."""
        info = await self.bus.jetstream.stream_info(subjects.MARKET_STREAM)
        for sequence in range(self._read_up_to + 1, info.state.last_seq + 1):
            stored = await self.bus.read_message(subjects.MARKET_STREAM, sequence)
            if stored is not None and stored.data is not None:
                self._candles.append(decode(stored.data, Candle))
        self._read_up_to = info.state.last_seq
        return self._candles

    async def until_candles(self, more: int) -> None:
        """Return once so many more candles of every symbol are stored."""
        before = await self._counts()
        wanted = {symbol: before.get(symbol, 0) + more for symbol in self._symbols}

        async def are_there() -> bool:
            counts = await self._counts()
            return all(counts.get(symbol, 0) >= count for symbol, count in wanted.items())

        await self.until(are_there, f"{more} more candles of every symbol")

    async def _counts(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for candle in await self.candles():
            counts[candle.symbol] = counts.get(candle.symbol, 0) + 1
        return counts

    async def differences(self) -> list[str]:
        """Candles that are not the venue's own, missing ones, and repeated ones."""
        found: list[str] = []
        series: dict[tuple[str, str], list[Candle]] = {}
        for candle in await self.candles():
            series.setdefault((candle.symbol, candle.interval), []).append(candle)
        for (symbol, interval), candles in series.items():
            told = [
                [c.open_ns // NS_PER_MS, *map(str, (c.open, c.high, c.low, c.close, c.volume))]
                for c in candles
            ]
            listed = await self.klines(symbol, interval, told[0][0], told[-1][0])
            if told != listed:
                wrong = [row for row in told if row not in listed]
                missing = [row for row in listed if row not in told]
                found.append(
                    f"{symbol} {interval}: {len(told)} told, {len(listed)} listed, "
                    f"wrong {wrong[:2]}, missing {missing[:2]}"
                )
        return found

    async def klines(
        self, symbol: str, interval: str, first_ms: Any, last_ms: Any
    ) -> list[list[Any]]:
        """What the venue lists, from the bar of one opening time to that of another."""
        rows: list[list[Any]] = []
        while not rows or rows[-1][0] < last_ms:
            query = {
                "symbol": symbol, "interval": interval, "limit": str(KLINES_MAX),
                "startTime": str(rows[-1][0] + 1 if rows else first_ms), "endTime": str(last_ms),
            }  # fmt: skip
            async with self._http.get(f"{self.venue_url}/fapi/v1/klines", params=query) as answer:
                page = await answer.json()
            if not page:
                break
            rows += [row[:6] for row in page]
        return rows

    async def until(
        self, condition: Callable[[], Awaitable[Any]], what: str, seconds: float = DEADLINE_S
    ) -> Any:
        """Return what a condition says once it is true.

        Raises:
            TimeoutError: naming what did not come.
        """
        try:
            async with asyncio.timeout(seconds):
                while not (found := await condition()):
                    await asyncio.sleep(POLL_S)
                return found
        except TimeoutError:
            raise TimeoutError(f"waited in vain: {what}") from None


@contextlib.asynccontextmanager
async def feed_world(folder: Path, *options: str) -> AsyncIterator[FeedWorld]:
    """The paper exchange with these options, and a broker of its own."""
    broker = Broker(folder / "broker")
    settings = BusConfig(url=await broker.start(), publish_timeout_ms=PATIENCE_MS)
    bus = await Bus.connect(settings, "judge", lambda: None)
    await provision(bus, "paper", settings)
    venue, port = await start_process(
        "services.paper_exchange", "listening", {}, *options, "--port", "0",
        "--limit=weight_per_minute_max=10000000",
    )  # fmt: skip
    try:
        async with aiohttp.ClientSession() as http:
            world = FeedWorld(bus, settings.url, http, port)
            try:
                yield world
            finally:
                await world.end_feed()
    finally:
        await end_process(venue, signal.SIGKILL)
        await bus.close()
        await broker.stop()


_drains: set[asyncio.Task[None]] = set()


async def start_process(
    module: str, announces: str, environment: dict[str, str], *arguments: str
) -> tuple[asyncio.subprocess.Process, int]:
    """Start a Python module and return it with its port, once it says so in a line of JSON."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
    )  # fmt: skip
    reader = process.stdout
    assert reader is not None
    async with asyncio.timeout(DEADLINE_S):
        while (line := json.loads(await reader.readline()))["event"] != announces:
            pass

    async def drain() -> None:
        while await reader.readline():
            pass

    task = asyncio.create_task(drain())
    _drains.add(task)
    task.add_done_callback(_drains.discard)
    return process, int(line["port"])


async def end_process(process: asyncio.subprocess.Process, number: int) -> None:
    """Send a signal and wait for the end."""
    if process.returncode is None:
        process.send_signal(number)
    async with asyncio.timeout(DEADLINE_S):
        await process.wait()
