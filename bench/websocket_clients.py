"""Which WebSocket client costs least: picows, aiohttp, python-binance's socket manager.

    python -m bench.websocket_clients [--frames 100000] [--rounds 5]

A server in its own process floods recorded-shape bookTicker frames over loopback as fast as each
client reads. `count` only counts frames (what the client itself costs), `decode` also turns them
into our struct (what feed pays). python-binance always decodes to dicts itself, so it has one
line. From connecting to the last frame; medians of interleaved rounds: messages a second, and CPU
of the client process per message.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from typing import Any

import aiohttp
import aiohttp.web
import uvloop
from binance.async_client import AsyncClient
from binance.ws.streams import BinanceSocketManager
from rich.console import Console
from rich.table import Table

from libs.common.runtime.websocket import Closed, connect
from libs.common.venue.stream_payloads import decode_market_frame

FRAME = (
    b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT",'
    b'"b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256313}}'
)
BURST = 64
Work = Callable[[Any], object]


class Watch:
    """Wall and CPU time from its making to the last frame, closing left out."""

    def __init__(self, frames: int) -> None:
        self.frames_left = frames
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        self.wall_s = self.cpu_s = 0.0

    def count(self) -> bool:
        """Note one frame; true at the last."""
        self.frames_left -= 1
        if self.frames_left:
            return False
        self.cpu_s = time.process_time() - self._cpu
        self.wall_s = time.perf_counter() - self._wall
        return True


Client = Callable[[int, Watch, Work], Awaitable[None]]


async def read_with_picows(port: int, watch: Watch, work: Work) -> None:
    """Our own `connect`, as feed uses it."""
    done = asyncio.Event()

    def on_frame(frame: bytes) -> None:
        work(frame)
        if watch.count():
            done.set()

    def on_close(closed: Closed) -> None:
        done.set()

    socket = await connect(
        f"ws://127.0.0.1:{port}/public/stream?streams=btcusdt@bookTicker",
        on_frame,
        on_close,
        heartbeat_ms=10_000,
        max_frame_bytes=1_000_000,
        connect_timeout_ms=5_000,
    )
    await done.wait()
    await socket.close()


async def read_with_aiohttp(port: int, watch: Watch, work: Work) -> None:
    """The client of the stack we use for REST, without text decoding."""
    url = f"ws://127.0.0.1:{port}/public/stream?streams=btcusdt@bookTicker"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, heartbeat=10, decode_text=False) as socket,
    ):
        async for message in socket:
            work(message.data)
            if watch.count():
                break


async def read_with_python_binance(port: int, watch: Watch, work: Work) -> None:
    """The library's socket manager, with a queue large enough not to break its read loop."""
    client = AsyncClient()
    manager = BinanceSocketManager(client, max_queue_size=watch.frames_left + 1)
    manager.FSTREAM_URL = f"ws://127.0.0.1:{port}/"
    streams = manager.futures_multiplex_socket(["btcusdt@bookTicker"], category="public")
    async with streams as socket:
        while "data" in await socket.recv():
            if watch.count():
                break
    await client.close_connection()


def _nothing(frame: object) -> None:
    return None


CASES: dict[str, tuple[Client, Work]] = {
    "picows, count": (read_with_picows, _nothing),
    "aiohttp, count": (read_with_aiohttp, _nothing),
    "picows, decode": (read_with_picows, decode_market_frame),
    "aiohttp, decode": (read_with_aiohttp, decode_market_frame),
    "python-binance, its dicts": (read_with_python_binance, _nothing),
}


def serve(pipe: Connection, frames: int) -> None:
    """Answer handshakes and flood. Runs in its own process."""
    uvloop.run(_serve(pipe, frames))


async def _serve(pipe: Connection, frames: int) -> None:
    app = aiohttp.web.Application()

    async def flood(request: aiohttp.web.Request) -> aiohttp.web.WebSocketResponse:
        socket = aiohttp.web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        burst = (b"\x81\x7e" + len(FRAME).to_bytes(2, "big") + FRAME) * BURST
        transport = request.transport
        if transport is None:
            raise RuntimeError("the connection is gone")
        for _ in range(frames // BURST):
            transport.write(burst)
            while transport.get_write_buffer_size() > 1_000_000:
                await asyncio.sleep(0.0005)
        await socket.receive()
        return socket

    app.router.add_get("/{path:.*}", flood)
    runner = aiohttp.web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
    pipe.send(runner.addresses[0][1])
    await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
    await runner.cleanup()


def measure(case: tuple[Client, Work], port: int, frames: int, runner: Any) -> tuple[float, float]:
    """Return messages a second and CPU microseconds a message."""
    client, work = case
    watch = Watch(frames)
    runner(client(port, watch, work))
    if watch.frames_left:
        raise RuntimeError(f"{watch.frames_left} of {frames} frames did not arrive")
    return frames / watch.wall_s, watch.cpu_s / frames * 1e6


def main() -> None:
    """Measure in interleaved rounds and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=64_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    frames = arguments.frames // BURST * BURST
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, frames))
    server.start()
    port = ours.recv()
    results: dict[tuple[str, str], list[tuple[float, float]]] = {}
    try:
        for _ in range(arguments.rounds):
            for loop_name, runner in (("uvloop", uvloop.run), ("asyncio", asyncio.run)):
                for name, case in CASES.items():
                    sample = measure(case, port, frames, runner)
                    results.setdefault((loop_name, name), []).append(sample)
    finally:
        ours.send("stop")
        server.join(5)
    show(results, frames, arguments.rounds)


def show(
    results: dict[tuple[str, str], list[tuple[float, float]]], frames: int, rounds: int
) -> None:
    """Print one line per loop and client, with the ratio to picows."""
    table = Table(title=f"{frames} bookTicker frames, median of {rounds} interleaved rounds")
    for heading in ("loop", "client", "messages/s", "CPU us/message", "against picows, decode"):
        table.add_column(heading, justify="right")
    for (loop_name, name), samples in sorted(results.items()):
        rate = statistics.median(sample[0] for sample in samples)
        cpu = statistics.median(sample[1] for sample in samples)
        ours = results[loop_name, "picows, decode"]
        floor = statistics.median(sample[1] for sample in ours)
        table.add_row(loop_name, name, f"{rate:,.0f}", f"{cpu:.2f}", f"{cpu / floor:.2f}x")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
