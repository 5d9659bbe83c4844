"""The readers that the feed is compared with, each a process of its own.

    python -m bench.flood_readers NAME --port PORT --symbols COUNT --frames COUNT

`reader` is the feed's own reading: sockets, checks, dispatch and core, without a bus. `bare` is
picows and msgspec alone: each frame decoded to the same structs, and one function called with it.
`python-binance` is its socket manager, whose JSON becomes dicts. Each listens to both routes, says
that it is ready, and measures from its first frame to its last.
"""

import argparse
import asyncio
import json
import random
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from typing import cast

import msgspec
import picows
import uvloop

from bench.flood_frames import stream_names, symbol_names
from libs.common.runtime.log import configure_logging

LOOK_INTERVAL_S = 0.002
QUEUE_FRAMES_MAX = 10_000_000


class Watch:
    """Wall and CPU time from the first frame to the last."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.heard = 0
        self._wall_s = self._cpu_s = 0.0
        self.done = asyncio.Event()

    def count(self, frames: int = 1) -> None:
        """Note frames that were heard."""
        if not self.heard:
            self.begin()
        self.heard += frames
        if self.heard >= self.frames:
            self.end()

    def begin(self) -> None:
        """The first frame is here."""
        self._wall_s, self._cpu_s = time.perf_counter(), time.process_time()

    def end(self) -> None:
        """The last frame is here."""
        self._wall_s = time.perf_counter() - self._wall_s
        self._cpu_s = time.process_time() - self._cpu_s
        self.done.set()

    def report(self) -> str:
        """What was measured, as a line of JSON."""
        return json.dumps(
            {
                "event": "measured",
                "messages_per_s": self.frames / self._wall_s,
                "cpu_us": self._cpu_s / self.frames * 1e6,
                "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )


def say(line: str) -> None:
    """Tell whoever started us."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def say_ready() -> None:
    """Every socket listens."""
    say(json.dumps({"event": "ready", "port": 0}))


async def read_bare(port: int, symbols: list[str], watch: Watch) -> None:
    """Decode and call, and nothing else."""
    from services.feed.events import Frame

    decode = msgspec.json.Decoder(Frame).decode
    text = picows.WSMsgType.TEXT
    count = watch.count

    def on_event(frame: Frame) -> None:
        count()

    class Bare(picows.WSListener):
        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            if frame.msg_type is text:
                on_event(decode(frame.get_payload_as_bytes()))

    for route in stream_names(symbols):
        await picows.ws_connect(Bare, f"ws://127.0.0.1:{port}/{route}/stream")
    say_ready()
    await watch.done.wait()


async def read_as_feed(port: int, symbols: list[str], watch: Watch) -> None:
    """The feed with everything between the socket and the publisher, which never begins."""
    from libs.common.runtime.bus import Bus
    from libs.common.runtime.config import CommonConfig, Mode, VenueConfig
    from libs.common.runtime.service import Context
    from services.feed.config import FeedConfig
    from services.feed.shell import FeedShell

    url = f"127.0.0.1:{port}"
    common = CommonConfig(
        mode=Mode.TESTNET,
        symbols=tuple(symbols),
        candle_intervals=("1m",),
        venue=VenueConfig(rest_url=f"http://{url}", stream_url=f"ws://{url}"),
    )
    nobody = cast("Bus", None)
    context = Context("feed", common, FeedConfig(), "", nobody)
    shell = FeedShell(context, random.Random(1))
    context.spawn(shell.tick(), "tick")  # or every time would be judged the long way
    streams = shell.streams
    for stream in streams:
        context.spawn(stream.run(), stream.plan.name)
    while not all(stream.is_up for stream in streams):
        await asyncio.sleep(LOOK_INTERVAL_S)
    before = sum(stream.frames for stream in streams)
    say_ready()
    while not watch.done.is_set():
        heard = sum(stream.frames for stream in streams) - before
        if heard > watch.heard:
            watch.count(heard - watch.heard)
        await asyncio.sleep(LOOK_INTERVAL_S)
    unreadable = sum(stream.unreadable for stream in streams)
    if unreadable:
        raise RuntimeError(f"{unreadable} frames were unreadable: nothing was measured")


async def read_with_python_binance(port: int, symbols: list[str], watch: Watch) -> None:
    """The library's socket manager, with a queue large enough not to break its read loop."""
    from binance.async_client import AsyncClient
    from binance.ws.streams import BinanceSocketManager

    client = AsyncClient()
    manager = BinanceSocketManager(client, max_queue_size=QUEUE_FRAMES_MAX)
    manager.FSTREAM_URL = f"ws://127.0.0.1:{port}/"
    sockets = [
        manager.futures_multiplex_socket(names, category=route)
        for route, names in stream_names(symbols).items()
    ]

    async def read(socket: object) -> None:
        while not watch.done.is_set():
            if "data" in await socket.recv():  # type: ignore[attr-defined]
                watch.count()

    for socket in sockets:
        await socket.__aenter__()
    say_ready()
    tasks = [asyncio.create_task(read(socket)) for socket in sockets]
    await watch.done.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.close_connection()


READERS: dict[str, Callable[[int, list[str], Watch], Awaitable[None]]] = {
    "reader": read_as_feed,
    "bare": read_bare,
    "python-binance": read_with_python_binance,
}


async def _main(arguments: argparse.Namespace) -> None:
    watch = Watch(arguments.frames)
    await READERS[arguments.name](arguments.port, symbol_names(arguments.symbols), watch)
    say(watch.report())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=READERS)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--symbols", type=int, required=True)
    parser.add_argument("--frames", type=int, required=True)
    chosen = parser.parse_args()
    configure_logging("bench")
    uvloop.run(_main(chosen))
