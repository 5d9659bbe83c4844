"""Whether a replayed tape arrives whole: at its own pace, faster, and as fast as it can.

    python -m bench.tape_replay --path btcusdt.gz --path ethusdt.gz [--speed 20 ...] [--json]

For each speed a venue replays the tapes to a subscriber of everything they hold. Judged: each depth
stream's continuity (`pu` is the previous `u`), messages received beside lines of the tape, and the
book at the end beside the tape read independently. Once more as fast as it can with nobody
listening: how many messages a second go into the book. Exit code 1 where anything is lost.
"""

import argparse
import asyncio
import contextlib
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import picows
import uvloop
from rich.console import Console
from rich.table import Table

from bench.tape_reading import Reading, read_tape
from bench.venue_load import Venue, running_venue
from libs.common.runtime.clock import monotonic_ns

UNBOUNDED = "1000000"
SPEEDS = ("1", "20", UNBOUNDED)
STREAMS = ("depth@0ms", "depth@100ms", "depth", "depth@500ms", "bookTicker", "trade")
KINDS = {"bookTicker": "quote", "trade": "trade"}
APPLIED = ("snapshot", "depth", "quote", "trade")
POLL_S = 0.02
QUIET_S = 1.0
DEPTH_LIMIT = 1_000
LEVELS_MIN = 100


class _Said(msgspec.Struct, gc=False):
    e: str
    s: str
    u: int = 0
    pu: int = 0


class _Message(msgspec.Struct, gc=False):
    stream: str
    data: _Said


_decode = msgspec.json.Decoder(_Message).decode


@dataclass
class Heard:
    """What a subscriber received."""

    kinds: Counter[str] = field(default_factory=Counter)
    breaks: Counter[str] = field(default_factory=Counter)
    last: dict[str, int] = field(default_factory=dict)
    frames: int = 0


class Ear(picows.WSListener):
    """Follows the continuity of every depth stream."""

    heard: Heard

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Judge one message."""
        if frame.msg_type != picows.WSMsgType.TEXT:
            return
        message, heard = _decode(frame.get_payload_as_memoryview()), self.heard
        heard.frames += 1
        stream, said = message.stream, message.data
        kind = stream.partition("@")[2]
        heard.kinds[KINDS.get(kind, kind)] += 1
        if said.e == "depthUpdate":
            if heard.last.get(stream, said.pu) != said.pu:
                heard.breaks[kind] += 1
            heard.last[stream] = said.u


@contextlib.asynccontextmanager
async def subscriber(venue: Venue, symbols: list[str]) -> AsyncIterator[Heard]:
    """Listen to everything that a tape holds."""
    names = "/".join(f"{symbol.lower()}@{kind}" for symbol in symbols for kind in STREAMS)
    url = f"ws://{venue.host}:{venue.port}/public/stream?streams={names}"
    transport, ear = await picows.ws_connect(Ear, url)
    heard = Heard()
    ear.heard = heard  # type: ignore[attr-defined]
    try:
        yield heard
    finally:
        transport.disconnect()


async def replay(
    paths: list[Path], readings: list[Reading], speed: str, *, is_heard: bool
) -> dict[str, Any]:
    """Replay all tapes at one speed; what came of it."""
    options = [f"--path={path}" for path in paths]
    async with (
        running_venue("--source", "tape", *options, "--hold") as venue,
        aiohttp.ClientSession(venue.url) as session,
    ):
        symbols = [reading.symbol for reading in readings]
        listening = subscriber(venue, symbols) if is_heard else contextlib.nullcontext(Heard())
        async with listening as heard:
            began_ns = monotonic_ns()
            async with session.post("/sim/clock", json={"speed": speed, "limit_ns": None}) as told:
                told.raise_for_status()
            stats = await _until_ended(session)
            took_s = (monotonic_ns() - began_ns) / 1e9
            await _until_quiet(heard)
            lines = sum(reading.all_lines for reading in readings)
            return {
                "speed": speed,
                "is_heard": is_heard,
                "seconds": took_s,
                "lines": lines,
                "applied": sum(
                    stats["applied"].get(k, 0) for k in ("snapshot", "depth", "quote", "trade")
                ),
                "per_s": lines / took_s,
                "lost": {} if not is_heard else _lost(readings, heard),
                "breaks": dict(heard.breaks),
                "heard": heard.frames,
                "wrong_levels": {
                    reading.symbol: await _wrong_levels(session, reading) for reading in readings
                },
                "slow_disconnects": stats["slow_disconnects"],
            }


async def _until_ended(session: aiohttp.ClientSession) -> dict[str, Any]:
    while True:
        async with session.get("/sim/stats") as answer:
            stats: dict[str, Any] = await answer.json()
        if stats["source_ended"]:
            return stats
        await asyncio.sleep(POLL_S)


async def _until_quiet(heard: Heard) -> None:
    """Wait until what was still on its way has arrived: marks need a second, these streams none."""
    before = -1
    while before != heard.frames:
        before = heard.frames
        await asyncio.sleep(QUIET_S)


def _lost(readings: list[Reading], heard: Heard) -> dict[str, int]:
    """Lines of the tape that the subscriber did not hear, by kind; negative for too many."""
    wanted: Counter[str] = Counter()
    for reading in readings:
        wanted.update(reading.lines)
    names = {"depth": "depth@0ms", "quote": "quote", "trade": "trade"}
    return {kind: wanted[kind] - heard.kinds[name] for kind, name in names.items()}


async def _wrong_levels(session: aiohttp.ClientSession, reading: Reading) -> int:
    """Levels behind the last quote that are not as the tape says; the quote itself counts too."""
    async with session.get(
        "/fapi/v1/depth", params={"symbol": reading.symbol, "limit": str(DEPTH_LIMIT)}
    ) as answer:
        body = await answer.json()
    bids, asks = (
        {Decimal(price): Decimal(quantity) for price, quantity in body[side]}
        for side in ("bids", "asks")
    )
    wanted_bids, wanted_asks = reading.behind_quote()
    assert min(len(bids), len(asks)) > LEVELS_MIN, "a book too thin to judge"
    wrong = int((max(bids), min(asks)) != reading.quote)
    for told, wanted, farthest in (
        (bids, wanted_bids, min(bids)),
        (asks, wanted_asks, max(asks)),
    ):
        top = max(told) if told is bids else min(told)
        for price in told.keys() | wanted.keys():
            is_shown = farthest <= price if told is bids else price <= farthest
            if is_shown and price != top and told.get(price) != wanted.get(price):
                wrong += 1
    return wrong


def show(rows: list[dict[str, Any]]) -> None:
    """Print a table."""
    table = Table(title="Tapes replayed", title_justify="left")
    for heading in (
        "speed", "subscriber", "seconds", "messages", "into the book", "per s", "heard",
        "not heard", "pu breaks", "wrong levels",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            "as fast as it can" if row["speed"] == UNBOUNDED else f"{row['speed']}x",
            "yes" if row["is_heard"] else "no", f"{row['seconds']:.2f}", f"{row['lines']:,}",
            f"{row['applied']:,}", f"{row['per_s']:,.0f}", f"{row['heard']:,}",
            str(sum(abs(count) for count in row["lost"].values())),
            str(sum(row["breaks"].values())), str(sum(row["wrong_levels"].values())),
        )  # fmt: skip
    Console(width=130).print(table)


def is_whole(row: dict[str, Any]) -> bool:
    """Whether nothing was lost, broken or wrong."""
    is_continuous = not any(row["breaks"].values()) and not any(row["lost"].values())
    return (
        is_continuous and row["lines"] == row["applied"] and not any(row["wrong_levels"].values())
    )


async def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """All speeds, and the fastest once more with nobody listening."""
    readings = [read_tape(path) for path in options.path]
    rows = [
        await replay(options.path, readings, speed, is_heard=True)
        for speed in options.speed or SPEEDS
    ]
    rows.append(await replay(options.path, readings, UNBOUNDED, is_heard=False))
    return rows


def main() -> int:
    """Replay, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", type=Path, action="append", required=True)
    parser.add_argument("--speed", action="append", help=f"market seconds a second; {SPEEDS}")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    rows = uvloop.run(measure(options))
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        show(rows)
    return int(not all(is_whole(row) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
