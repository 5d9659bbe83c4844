"""What a client costs an order: from its parameters to its answer, the decision left out.

    python -m bench.order_submission [--orders 200] [--rounds 7] [--pause-ms 0] [--json]

Every client sends the same market orders to the same venue, interleaved round by round, in one
run: ours over REST and over the WebSocket API, python-binance's plain AsyncClient, a bare aiohttp
POST, and two floors that are bytes by hand. Once against a venue that always says the same, where
the client is nearly all there is, and once against the paper exchange, which checks signatures and
matches. p50 and p99 are medians of the rounds; the ratio is to python-binance in the same run.
The market stands still, so a venue's own work is the same for all.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import uvloop
from rich.console import Console
from rich.table import Table

from bench.figures import median_of_rounds
from bench.fixed_venue import serve
from bench.order_clients import CLIENTS
from libs.common.runtime.clock import wall_ns
from libs.common.runtime.log import configure_logging

BASELINE = "python-binance AsyncClient"
#: A fresh account each round: the venue counts at most 300 orders in ten seconds.
ORDERS_MAX = 250
WARM_UP_ORDERS = 20
MARKET_MS = 5_000
ANSWER_WAIT_S = 10
NS_PER_MS = 1_000_000

Rounds = dict[str, list[list[int]]]


@dataclass(frozen=True)
class Account:
    """One account at one venue."""

    url: str
    socket_url: str
    api_key: str
    secret: str
    now_ms: Callable[[], int]


class FixedVenue:
    """Needs no account."""

    def __init__(self, http_port: int, socket_port: int) -> None:
        self._url = f"http://127.0.0.1:{http_port}"
        self._socket_url = f"ws://127.0.0.1:{socket_port}/ws-fapi/v1"

    async def account(self) -> Account:
        """Any key will do."""
        now_ms = lambda: wall_ns() // NS_PER_MS  # noqa: E731 - one expression
        return Account(self._url, self._socket_url, "k" * 64, "s" * 64, now_ms)


class PaperVenue:
    """The paper exchange with a held market; each account is new."""

    def __init__(self, url: str, market_ms: int) -> None:
        self._url = url
        self._market_ms = market_ms

    async def account(self) -> Account:
        """Open an account with enough balance."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self._url}/sim/accounts", json={"balance": "1000000"}) as answer,
        ):
            made = await answer.json()
        socket_url = self._url.replace("http", "ws", 1) + "/ws-fapi/v1"
        return Account(
            self._url, socket_url, made["api_key"], made["secret"], lambda: self._market_ms
        )


@contextlib.asynccontextmanager
async def fixed_venue() -> AsyncIterator[FixedVenue]:
    """A venue with one answer, in its own process."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    process.start()
    try:
        yield FixedVenue(*await asyncio.to_thread(ours.recv))
    finally:
        ours.send("stop")
        process.join(ANSWER_WAIT_S)


@contextlib.asynccontextmanager
async def paper_venue() -> AsyncIterator[PaperVenue]:
    """The paper exchange in its own process, after a few seconds of market."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.paper_exchange", "--hold", "--symbols", "BTCUSDT"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        url = await asyncio.wait_for(_url_of(process), ANSWER_WAIT_S)
        yield PaperVenue(url, await _move_market(url))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _url_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    seen = ""
    while line := (await process.stdout.readline()).decode():
        seen += line
        if line.startswith("{") and json.loads(line).get("event") == "listening":
            return f"http://127.0.0.1:{json.loads(line)['port']}"
    raise RuntimeError(f"the paper exchange did not start: {seen}")


async def _move_market(url: str) -> int:
    async with aiohttp.ClientSession(base_url=url) as session, asyncio.timeout(ANSWER_WAIT_S):
        async with session.get("/sim/clock") as answer:
            limit_ns = int((await answer.json())["now_ns"]) + MARKET_MS * NS_PER_MS
        order = {"speed": "1000", "limit_ns": limit_ns}
        async with session.post("/sim/clock", json=order) as answer:
            answer.raise_for_status()
        while True:
            async with session.get("/sim/clock") as answer:
                if (await answer.json())["now_ns"] >= limit_ns:
                    return limit_ns // NS_PER_MS
            await asyncio.sleep(0.01)


async def measure(
    venue: FixedVenue | PaperVenue, orders: int, rounds: int, pause_ms: int
) -> Rounds:
    """Samples in nanoseconds: by client, by round. Each round begins with another client."""
    found: Rounds = {name: [] for name in CLIENTS}
    names = list(CLIENTS)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            client = CLIENTS[name]()
            await client.open(await venue.account())
            try:
                found[name].append(await _one_round(client, orders, pause_ms))
            finally:
                await client.close()
    return found


async def _one_round(client: Any, orders: int, pause_ms: int) -> list[int]:
    samples: list[int] = []
    for number in range(WARM_UP_ORDERS + orders):
        side = "SELL" if number % 2 else "BUY"
        began = time.perf_counter_ns()
        await client.order(f"bench-{number}", side)
        took = time.perf_counter_ns() - began
        if number >= WARM_UP_ORDERS:
            samples.append(took)
        if pause_ms:
            await asyncio.sleep(pause_ms / 1_000)
    return samples


def report(found: Rounds) -> dict[str, dict[str, float]]:
    """p50 and p99 in microseconds, and both over those of the baseline, by client."""
    base = {percent: median_of_rounds(found[BASELINE], percent) for percent in (50, 99)}
    rows: dict[str, dict[str, float]] = {}
    for name, rounds in found.items():
        p50, p99 = median_of_rounds(rounds, 50), median_of_rounds(rounds, 99)
        rows[name] = {
            "p50_us": p50 / 1_000,
            "p99_us": p99 / 1_000,
            "p50_ratio": p50 / base[50],
            "p99_ratio": p99 / base[99],
        }
    return rows


def show(title: str, rows: dict[str, dict[str, float]]) -> None:
    """Print one venue."""
    table = Table(title=title, title_justify="left")
    for heading in ("client", "p50 us", "p99 us", "p50 / python-binance", "p99 / python-binance"):
        table.add_column(heading, justify="left" if heading == "client" else "right")
    for name, row in rows.items():
        table.add_row(
            name,
            f"{row['p50_us']:.0f}",
            f"{row['p99_us']:.0f}",
            f"{row['p50_ratio']:.2f}",
            f"{row['p99_ratio']:.2f}",
        )
    Console(width=100).print(table)


async def _run(options: argparse.Namespace) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = {}
    for title, opened in (
        ("a venue with one answer", fixed_venue),
        ("the paper exchange", paper_venue),
    ):
        async with opened() as venue:
            samples = await measure(venue, options.orders, options.rounds, options.pause_ms)
        found[title] = report(samples)
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=200, help=f"a round; at most {ORDERS_MAX}")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pause-ms", type=int, default=0, help="between orders")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    options.orders = min(options.orders, ORDERS_MAX)
    configure_logging("bench", "error")
    found = uvloop.run(_run(options))
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    for title, rows in found.items():
        show(f"Orders to {title}: {options.rounds} rounds of {options.orders}, in one run", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
