"""What the gate costs an order, beside the eight Redis commands that it replaces.

    python -m bench.guard_cost [--decisions 150] [--rounds 7] [--json]

One run, interleaved rounds, everything on this machine: all guards without I/O; all guards with the
durable append (nats-server, file store, sync_interval always) and the fold of it; a bare durable
publish of nats-py, as the floor of the append; and eight sequential Redis commands with an
append-only file that is synced at every write (`appendfsync always`), and without one: by redis-py
where it is installed (`pip install redis`), and by the barest client that can be. p50 and p99 are
medians of the rounds. Without redis-server its rows are left out, with the reason.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import uvloop
from nats.js.api import StorageType, StreamConfig
from rich.console import Console
from rich.table import Table

from bench.figures import median_of_rounds
from bench.guard_case import ACCOUNT, GuardCase
from bench.redis_guards import (
    BareRedis,
    RedisGuards,
    RedisMissingError,
    RedisProcess,
    RedisPy,
    has_redis_py,
)
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.config import BusConfig
from libs.common.runtime.log import configure_logging
from libs.common.runtime.provisioning import provision

DECIDE = "decide (all guards, no I/O)"
APPEND = "decide + durable append"
FLOOR = "bare durable publish (nats-py)"
DURABLE, VOLATILE = "AOF always", "no AOF"
BARE, LIBRARY = "8 Redis commands, bare client", "8 Redis commands, redis-py"
#: About a recorded order with its verdicts.
FLOOR_BYTES = 4_000
WARM_UP = 20

Rounds = dict[str, list[list[int]]]


async def _gate_round(case: GuardCase, decisions: int) -> tuple[list[int], list[int]]:
    """Nanoseconds of deciding alone, and of deciding with the append, for the same intents."""
    alone: list[int] = []
    appended: list[int] = []
    for number in range(WARM_UP + decisions):
        approved, facts = await case.prepare()
        began = time.perf_counter_ns()
        case.decide(approved, facts)
        decided = time.perf_counter_ns()
        decision = await case.transact(approved, facts)
        ended = time.perf_counter_ns()
        await case.settle(decision)
        if number >= WARM_UP:
            alone.append(decided - began)
            appended.append(ended - decided)
    return alone, appended


async def _redis_round(guards: RedisGuards, first: int, decisions: int) -> list[int]:
    samples: list[int] = []
    for number in range(WARM_UP + decisions):
        began = time.perf_counter_ns()
        await guards.decide(first + number)
        if number >= WARM_UP:
            samples.append(time.perf_counter_ns() - began)
    return samples


async def _floor_round(url: str, publishes: int) -> list[int]:
    client = await nats.connect(url)
    jetstream = client.jetstream()
    payload = b"." * FLOOR_BYTES
    samples: list[int] = []
    for number in range(WARM_UP + publishes):
        began = time.perf_counter_ns()
        await jetstream.publish("bench.floor", payload)
        if number >= WARM_UP:
            samples.append(time.perf_counter_ns() - began)
    await client.close()
    return samples


@contextlib.asynccontextmanager
async def _gate(directory: Path) -> AsyncIterator[tuple[GuardCase, str]]:
    broker = Broker(directory / "broker")
    await broker.start()
    settings = BusConfig(url=broker.url)
    bus = await Bus.connect(settings, "bench", lambda: None)
    try:
        await provision(bus, ACCOUNT, settings)
        await bus.jetstream.add_stream(
            StreamConfig(name="FLOOR", subjects=["bench.floor"], storage=StorageType.FILE)
        )
        case = GuardCase(bus)
        await case.open()
        yield case, broker.url
    finally:
        await bus.close()
        await broker.stop()


@contextlib.asynccontextmanager
async def _redis(directory: Path, kind: str) -> AsyncIterator[dict[str, RedisGuards]]:
    """A server of its own, and its clients by row."""
    process = RedisProcess(directory, is_durable=kind == DURABLE)
    await process.start()
    clients: dict[str, RedisGuards] = {}
    try:
        if has_redis_py():
            clients[f"{LIBRARY}, {kind}"] = RedisGuards(RedisPy(process.port), "library:")
        bare = BareRedis(*await asyncio.open_connection("127.0.0.1", process.port))
        clients[f"{BARE}, {kind}"] = RedisGuards(bare, "bare:")
        for guards in clients.values():
            await guards.open()
        yield clients
    finally:
        for guards in clients.values():
            await guards.close()
        await process.stop()


async def measure(decisions: int, rounds: int) -> tuple[Rounds, str]:
    """Samples by row and round, and why Redis is missing (empty: it is not)."""
    found: Rounds = {}
    reason = ""
    async with contextlib.AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        case, url = await stack.enter_async_context(_gate(directory))
        redis: dict[str, RedisGuards] = {}
        try:
            for kind in (DURABLE, VOLATILE):
                opened = _redis(directory / f"redis {kind}", kind)
                redis |= await stack.enter_async_context(opened)
        except RedisMissingError as error:
            reason = str(error)
        for number in range(rounds):
            alone, appended = await _gate_round(case, decisions)
            found.setdefault(DECIDE, []).append(alone)
            found.setdefault(APPEND, []).append(appended)
            found.setdefault(FLOOR, []).append(await _floor_round(url, decisions))
            for name, guards in redis.items():
                first = number * (WARM_UP + decisions)
                found.setdefault(name, []).append(await _redis_round(guards, first, decisions))
    return found, reason


def report(found: Rounds) -> dict[str, dict[str, float]]:
    """p50 and p99 in microseconds, and our p50 over that of each way with Redis, by row."""
    appended = median_of_rounds(found[APPEND], 50)
    rows: dict[str, dict[str, float]] = {}
    for name, rounds in found.items():
        p50 = median_of_rounds(rounds, 50)
        rows[name] = {"p50_us": p50 / 1_000, "p99_us": median_of_rounds(rounds, 99) / 1_000}
        if "Redis" in name:
            rows[name]["decide_append_over_this"] = appended / p50
    return rows


def show(rows: dict[str, dict[str, float]], reason: str, title: str) -> None:
    """Print the figures, and why any are missing."""
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    for heading in ("p50 us", "p99 us", f"{APPEND} / this"):
        table.add_column(heading, justify="right")
    for name, row in rows.items():
        ratio = row.get("decide_append_over_this")
        shown = "" if ratio is None else f"{ratio:.2f}"
        table.add_row(name, f"{row['p50_us']:.0f}", f"{row['p99_us']:.0f}", shown)
    console = Console(width=100)
    console.print(table)
    if reason:
        console.print(f"The Redis rows are missing: {reason}")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, default=150, help="a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    configure_logging("bench", "error")
    found, reason = uvloop.run(measure(options.decisions, options.rounds))
    rows = report(found)
    if options.json:
        print(json.dumps({"rows": rows, "redis_missing": reason}, indent=2))
    else:
        show(rows, reason, f"One decision: {options.rounds} rounds of {options.decisions}, one run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
