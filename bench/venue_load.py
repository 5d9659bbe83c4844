"""What the paper exchange bears: signed orders a second, and subscribers, beside an aiohttp floor.

    python -m bench.venue_load [--orders-per-second 2000] [--seconds 30] [--sockets 200] [--json]

In one run, one after the other: an open-loop client sends orders to a bare aiohttp server and then
to the venue (signatures checked, orders matched, ledger posted), and once more while a user stream
listens to the account; then sockets subscribe to streams of the running market, and are counted;
then both at once. Latency runs from the moment an order was due. Every server is one process with
one thread.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import picows
import uvloop
from rich.console import Console
from rich.table import Table

from bench import echo_server
from bench.figures import percentile
from bench.listener import cpu_seconds
from bench.open_loop import OpenLoop, OrderWriter, Outcome
from libs.common.runtime.log import configure_logging

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT")
GENERATED = f"--symbols={','.join(SYMBOLS)}"
TRADED = ("BTCUSDT", "ETHUSDT")
"""Whose smallest quantity fits the order that the load sends."""
STREAMS = {
    "public": ("bookTicker", "depth@100ms", "depth5@100ms"),
    "market": ("aggTrade", "markPrice@1s", "kline_1m", "kline_5m"),
}
STREAMS_MAX = 50
START_WAIT_S = 20.0
WARM_UP_S = 2.0
COUNTED = ("orders_per_10_seconds_max", "orders_per_minute_max")
MANY = 10_000_000


@dataclass(frozen=True)
class Venue:
    """A running venue."""

    host: str
    port: int
    pid: int

    @property
    def url(self) -> str:
        """Where REST is."""
        return f"http://{self.host}:{self.port}"


@contextlib.asynccontextmanager
async def running_venue(*options: str) -> AsyncIterator[Venue]:
    """The paper exchange in its own process, counting but never refusing orders."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.paper_exchange", *options,
        *(f"--limit={name}={MANY}" for name in COUNTED),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_WAIT_S):
            while (said := json.loads(await process.stdout.readline())).get("event") != "listening":
                pass
        yield Venue("127.0.0.1", int(said["port"]), process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def running_echo() -> AsyncIterator[Venue]:
    """The bare aiohttp server in its own process."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=echo_server.serve, args=(theirs,))
    process.start()
    try:
        port = await asyncio.to_thread(ours.recv)
        yield Venue("127.0.0.1", port, process.pid or 0)
    finally:
        ours.send("stop")
        process.join(START_WAIT_S)


class Ear(picows.WSListener):
    """A socket that counts what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = 0
        self.bytes = 0

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Count a frame; answer a ping."""
        if frame.msg_type == picows.WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
            return
        self.heard += 1
        self.bytes += frame.payload_size


async def load(
    server: Venue, per_second: int, seconds: float, *, is_listening: bool = False
) -> tuple[Outcome, float]:
    """Send orders; returns what came of them and the CPU the server used, in cores.

    With `is_listening` a user stream is told of each order's four events.
    """
    account = {"api_key": "k" * 64, "secret": "s" * 64}
    timestamp_ms = 0
    async with aiohttp.ClientSession(server.url) as session:
        async with session.post("/sim/accounts", json={"balance": "100000000"}) as answer:
            if answer.status == 200:
                account = await answer.json()
                async with session.get("/fapi/v1/time") as told:
                    timestamp_ms = (await told.json())["serverTime"]
        user = await _listen_to_account(session, server, account) if is_listening else None
    writer = OrderWriter(
        f"{server.host}:{server.port}", account["api_key"], account["secret"], TRADED
    )
    before = cpu_seconds(server.pid)
    outcome = await OpenLoop(writer, per_second, seconds).run(
        server.host, server.port, timestamp_ms
    )
    cores = (cpu_seconds(server.pid) - before) / (outcome.took_ns / 1e9)
    if user is not None:
        user.disconnect()
    return outcome, cores


async def _listen_to_account(
    session: aiohttp.ClientSession, server: Venue, account: dict[str, str]
) -> picows.WSTransport:
    headers = {"X-MBX-APIKEY": account["api_key"]}
    async with session.post("/fapi/v1/listenKey", headers=headers) as answer:
        listen_key = (await answer.json())["listenKey"]
    url = f"ws://{server.host}:{server.port}/private/ws?listenKey={listen_key}"
    return (await picows.ws_connect(Ear, url))[0]


def stream_names() -> dict[str, list[str]]:
    """`STREAMS_MAX` names, by route."""
    every = [
        (route, f"{symbol.lower()}@{kind}")
        for symbol in SYMBOLS
        for route, kinds in STREAMS.items()
        for kind in kinds
    ]
    every = [*every, ("market", "!markPrice@arr@1s")][-STREAMS_MAX:]
    return {route: [name for at, name in every if at == route] for route in STREAMS}


@contextlib.asynccontextmanager
async def subscribers(server: Venue, sockets: int) -> AsyncIterator[list[Ear]]:
    """Open sockets, half on each route, together on all streams."""
    opened: list[tuple[picows.WSTransport, Ear]] = []
    names = stream_names()
    for number in range(sockets):
        route = ("public", "market")[number % 2]
        url = f"ws://{server.host}:{server.port}/{route}/stream?streams={'/'.join(names[route])}"
        opened.append(await picows.ws_connect(Ear, url))  # type: ignore[arg-type]
    try:
        yield [ear for _, ear in opened]
    finally:
        for transport, _ in opened:
            transport.disconnect()


async def listen(server: Venue, ears: list[Ear], seconds: float) -> dict[str, float]:
    """Count what all hear for a while."""
    await asyncio.sleep(WARM_UP_S)
    before, bytes_before = sum(ear.heard for ear in ears), sum(ear.bytes for ear in ears)
    cpu_before = cpu_seconds(server.pid)
    await asyncio.sleep(seconds)
    return {
        "sockets": len(ears),
        "messages_per_s": (sum(ear.heard for ear in ears) - before) / seconds,
        "megabytes_per_s": (sum(ear.bytes for ear in ears) - bytes_before) / seconds / 1e6,
        "cores": (cpu_seconds(server.pid) - cpu_before) / seconds,
        "quietest_socket": min(ear.heard for ear in ears),
        "slow_disconnects": await _slow_disconnects(server),
    }


async def _slow_disconnects(server: Venue) -> int:
    async with aiohttp.ClientSession(server.url) as session, session.get("/sim/stats") as answer:
        stats = msgspec.json.decode(await answer.read())
        return int(stats["slow_disconnects"])


def figures(outcome: Outcome, cores: float) -> dict[str, Any]:
    """What is printed of one load."""
    answered = outcome.latencies_ns
    return {
        "orders": len(answered),
        "per_s": len(answered) / (outcome.took_ns / 1e9),
        "p50_ms": percentile(answered, 50) / 1e6,
        "p99_ms": percentile(answered, 99) / 1e6,
        "max_ms": max(answered) / 1e6,
        "cores": cores,
        "statuses": dict(outcome.statuses),
        "unanswered": outcome.unanswered,
    }


async def measure(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Everything, one after the other."""
    per_second, seconds = options.orders_per_second, options.seconds
    found: dict[str, dict[str, Any]] = {}
    async with running_echo() as echo:
        await load(echo, per_second, WARM_UP_S)
        found["bare aiohttp"] = figures(*await load(echo, per_second, seconds))
    async with running_venue(GENERATED) as venue:
        await load(venue, per_second // 4, WARM_UP_S)
        found["paper exchange"] = figures(*await load(venue, per_second, seconds))
        await asyncio.sleep(WARM_UP_S)
        listened = await load(venue, per_second, seconds, is_listening=True)
        found["paper exchange, user stream"] = figures(*listened)
    async with running_venue(GENERATED) as venue, subscribers(venue, options.sockets) as ears:
        found["subscribers"] = await listen(venue, ears, seconds / 2)
        found["orders beside subscribers"] = figures(
            *await load(venue, per_second // 4, seconds / 2)
        )
    return found


def show(found: dict[str, dict[str, Any]]) -> None:
    """Print tables."""
    table = Table(title="Signed orders, latency from the moment each was due", title_justify="left")
    for heading in ("", "orders", "per s", "p50 ms", "p99 ms", "max ms", "cores", "p99 / floor"):
        table.add_column(heading, justify="right")
    floor = found["bare aiohttp"]["p99_ms"]
    for name, row in found.items():
        if "p99_ms" in row:
            table.add_row(
                name, f"{row['orders']:,}", f"{row['per_s']:,.0f}", f"{row['p50_ms']:.2f}",
                f"{row['p99_ms']:.2f}", f"{row['max_ms']:.1f}", f"{row['cores']:.2f}",
                f"{row['p99_ms'] / floor:.2f}",
            )  # fmt: skip
    console = Console(width=110)
    console.print(table)
    heard = found["subscribers"]
    console.print(
        f"{heard['sockets']} sockets on {STREAMS_MAX} streams: {heard['messages_per_s']:,.0f} "
        f"messages/s, {heard['megabytes_per_s']:.1f} MB/s, {heard['cores']:.2f} cores, "
        f"{heard['slow_disconnects']} too slow"
    )


def main() -> int:
    """Measure and print; 1 where an order went unanswered or was refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders-per-second", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    configure_logging("bench", "error")
    found = uvloop.run(measure(options))
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        show(found)
    loads = [row for row in found.values() if "statuses" in row]
    return int(any(row["unanswered"] or set(row["statuses"]) != {200} for row in loads))


if __name__ == "__main__":
    sys.exit(main())
