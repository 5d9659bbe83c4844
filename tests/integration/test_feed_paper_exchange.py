"""The feed against the real paper exchange: what it says equals what the venue lists."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import aiohttp

from libs.common.messages import subjects
from libs.common.messages.codec import decode
from libs.common.messages.market import Candle
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.provisioning import provision
from tests.integration.patience import patient

ROOT = Path(__file__).resolve().parents[2]
SYMBOL = "BTCUSDT"
DEADLINE_S = 30
SPEED = 240


async def start(module, announces, environment, *arguments):
    """Start a service; returns the process and the port it names."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
    )  # fmt: skip
    async with asyncio.timeout(DEADLINE_S):
        while True:
            line = json.loads(await process.stdout.readline())
            if line["event"] == announces:
                break

    async def drain():
        while await process.stdout.readline():
            pass

    process.reading = asyncio.create_task(drain())
    return process, line["port"]


async def end(process, number=signal.SIGTERM):
    if process.returncode is None:
        process.send_signal(number)
    await asyncio.wait_for(process.wait(), DEADLINE_S)
    await process.reading


async def stored_minutes(bus):
    info = await bus.jetstream.stream_info(subjects.MARKET_STREAM)
    found = []
    for sequence in range(1, info.state.last_seq + 1):
        stored = await bus.read_message(subjects.MARKET_STREAM, sequence)
        found.append(decode(stored.data, Candle))
    return found


async def until_stored(bus, count):
    async with asyncio.timeout(DEADLINE_S):
        while len(await stored_minutes(bus)) < count:
            await asyncio.sleep(0.05)


async def test_minutes_equal_the_venues_klines_though_the_feed_is_killed_twice(tmp_path):
    broker = Broker(tmp_path / "broker")
    settings = patient(await broker.start())
    bus = await Bus.connect(settings, "test", lambda: None)
    await provision(bus, "paper", settings)
    venue, port = await start(
        "services.paper_exchange", "listening", {},
        "--port", "0", "--source", "generator", "--speed", str(SPEED),
    )  # fmt: skip
    environment = {
        "PORTCULLIS_BUS__URL": settings.url,
        "PORTCULLIS_VENUE__REST_URL": f"http://127.0.0.1:{port}",
        "PORTCULLIS_VENUE__STREAM_URL": f"ws://127.0.0.1:{port}",
        "PORTCULLIS_SYMBOLS": f'["{SYMBOL}"]',
        "PORTCULLIS_CANDLE_INTERVALS": '["1m"]',
        "PORTCULLIS_FEED__HTTP_PORT": "0",
    }
    feed = None
    try:
        for count in (2, 5, 8):
            feed, _ = await start("services.feed", "http listening", environment)
            await until_stored(bus, count)
            await end(feed, signal.SIGKILL)
        candles = await stored_minutes(bus)
        query = {
            "symbol": SYMBOL,
            "interval": "1m",
            "startTime": candles[0].open_ns // 1_000_000,
            "endTime": candles[-1].open_ns // 1_000_000,
        }
        url = f"http://127.0.0.1:{port}/fapi/v1/klines"
        async with aiohttp.ClientSession() as session, session.get(url, params=query) as answer:
            listed = await answer.json()
        assert [
            [c.open_ns // 1_000_000, *map(str, (c.open, c.high, c.low, c.close, c.volume))]
            for c in candles
        ] == [row[:6] for row in listed]
    finally:
        for process in (feed, venue):
            if process is not None:
                await end(process, signal.SIGKILL)
        await bus.close()
        await broker.stop()
