"""``make feed-hours``: six hours of market time under random stream faults, judged at signal.

The venue plays candle files at high speed; the feed, the broker and signal are the real ones, and
signal's strategy writes down every candle it is shown. At the end each series that signal folded,
and each that is stored, must equal the venue's klines bar by bar.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import yaml
from rich.console import Console
from rich.table import Table

from cli.supervisor import Child, child_environment
from drills.candle_files import write_candles
from drills.market_rig import MarketRig, differences, elapsed_ms, market_rig
from drills.recording_strategy import read_recording, recording
from drills.weather import SPELL_MS, draw_spell
from libs.common.messages.market import Candle
from libs.common.runtime.clock import NS_PER_MS, NS_PER_S, monotonic_ns
from services.paper_exchange.demo_keys import DEMO_READ_KEY

SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT")
KLINES: Final = ("1m", "5m", "15m")
BUILT: Final = "15s"
"""Built by the feed from trades; the venue has no such bars, but its minutes hold four of them."""
INTERVALS: Final = (*KLINES, BUILT)
MINUTE_NS: Final = 60 * NS_PER_S
LOOK_S: Final = 0.1
END_WAIT_S: Final = 120.0
SPARE_MINUTES: Final = 240
"""Candles behind the end, so that the market still goes on while what was missed is filled."""
SETTINGS: Final[Mapping[str, object]] = {
    "mark_silence_ms_max": 60_000,
    "quote_silence_ms_max": 60_000,
    "trade_silence_ms_max": 120_000,
    "quote_age_ms_max": 120_000,
    "mark_age_ms_max": 120_000,
}
"""Market time: at high speed a minute of it is a fifth of a second."""
STRATEGY: Final = "drills.recording_strategy.RecordingStrategy"


class Count(msgspec.Struct):
    """One series: candles compared, and what is wrong with them."""

    name: str
    stored: int
    shown: int
    wrong: list[str]


async def main(hours: float, speed: int, seed: int) -> int:
    """Run and print; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="portcullis-hours-") as name:
        folder = Path(name)
        key = folder / "read_key"
        await asyncio.to_thread(_write_key, key)
        minutes = int(hours * 60) + SPARE_MINUTES
        files = await asyncio.to_thread(write_candles, folder / "candles", SYMBOLS, minutes, seed)
        source = ("--source", "klines", *(part for one in files for part in ("--path", str(one))))
        async with market_rig(
            folder, symbols=SYMBOLS, intervals=INTERVALS, speed=speed, source=source,
            settings={**SETTINGS, "api_key_file": str(key)},
        ) as rig:  # fmt: skip
            signal = await _start_signal(folder, rig.world.bus_url)
            try:
                began_ns = monotonic_ns()
                struck, market_ns = await _storm(rig, int(hours * 3_600 * NS_PER_S), seed)
                counts, gaps = await _judge(rig, folder, signal)
                took_s = elapsed_ms(began_ns) / 1_000
            finally:
                await signal.stop(5_000)
    return _show(counts, gaps, struck, market_ns, took_s, seed)


def _write_key(path: Path) -> None:
    path.write_text(DEMO_READ_KEY)
    path.chmod(0o600)


async def _start_signal(folder: Path, bus_url: str) -> Child:
    """Signal with the recording strategy on every series."""
    records = folder / "records"
    entries = [
        {"id": f"record-{name}", "strategy": STRATEGY, "interval": name,
         "parameters": {"folder": str(records)}}
        for name in INTERVALS
    ]  # fmt: skip
    config = folder / "signal.yaml"
    tree = {
        "bus": {"url": bus_url},
        "symbols": list(SYMBOLS),
        "candle_intervals": list(INTERVALS),
        "signal": {"http_port": 0, "strategies": entries},
    }

    def write() -> None:
        records.mkdir()
        config.write_text(yaml.safe_dump(tree))

    await asyncio.to_thread(write)
    command = (sys.executable, "-m", "services.signal", "--config", str(config))
    child = Child("signal", command, folder / "signal.log")
    await child.start(child_environment({}))
    if await child.wait_for_event("http listening") is None:
        raise RuntimeError(f"signal did not start: {child.last_words()}")
    return child


async def _storm(rig: MarketRig, market_ns: int, seed: int) -> tuple[dict[str, int], int]:
    """Let spells of faults pass over the feed for so much market time; returns what struck."""
    dice = random.Random(seed)
    began_ns = now_ns = await rig.market_ns()
    next_ns = began_ns
    while now_ns < began_ns + market_ns:
        if now_ns >= next_ns:
            streams, requests = draw_spell(dice, SYMBOLS, KLINES)
            await rig.stream_faults(*streams)
            await rig.world.sim("/sim/faults", requests)
            next_ns += SPELL_MS * NS_PER_MS
            hour = (now_ns - began_ns) / (3_600 * NS_PER_S)
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{hour:5.2f} h of market time ")
        await asyncio.sleep(LOOK_S)
        now_ns = await rig.market_ns()
    await rig.stream_faults()
    await rig.world.sim("/sim/faults", method="DELETE")
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    stats = await rig.world.sim("/sim/stats", method="GET")
    struck = {**stats["stream_faults_struck"], **stats["faults_struck"]}
    return struck, now_ns - began_ns


async def _judge(rig: MarketRig, folder: Path, signal: Child) -> tuple[list[Count], int]:
    """Wait until all is told, stop the feed, and compare what signal folded and what is stored."""
    await rig.world.until(rig.is_calm, "the feed is calm again", END_WAIT_S)
    end_ns = await rig.market_ns()

    async def are_all_told() -> bool:
        newest: dict[tuple[str, str], int] = {}
        for one in await rig.world.candles():
            newest[one.symbol, one.interval] = one.close_ns
        return len(newest) == len(SYMBOLS) * len(INTERVALS) and all(
            newest[symbol, "1m"] > end_ns and newest[symbol, BUILT] > end_ns for symbol in SYMBOLS
        )

    await rig.world.until(are_all_told, "every series is told beyond the storm", END_WAIT_S)
    await rig.world.end_feed()
    stored: dict[tuple[str, str], list[Candle]] = {}
    for one in await rig.world.candles():
        stored.setdefault((one.symbol, one.interval), []).append(one)
    gaps = await _until_folded(rig, signal, {key: len(found) for key, found in stored.items()})
    counts = []
    for (symbol, interval), candles in sorted(stored.items()):
        path = recording(folder / "records", symbol, interval)
        shown = await asyncio.to_thread(read_recording, path)
        wrong = await _wrong(rig, symbol, interval, candles)
        wrong += await _wrong(rig, symbol, interval, shown)
        first = [one.message_id for one in candles][len(candles) - len(shown) :]
        if [one.message_id for one in shown] != first:
            wrong.append("what signal folded is not what is stored")
        counts.append(Count(f"{symbol} {interval}", len(candles), len(shown), wrong))
    return counts, gaps


async def _until_folded(rig: MarketRig, signal: Child, wanted: dict[tuple[str, str], int]) -> int:
    """Return the gaps that signal saw, once it has folded everything stored."""
    told = await signal.wait_for_event("http listening")
    if told is None:
        raise RuntimeError(f"signal ended: {signal.last_words()}")
    url = f"http://127.0.0.1:{told['port']}/v1/status"

    async def is_done() -> list[dict[str, Any]]:
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            series: list[dict[str, Any]] = (await answer.json())["series"]
        done = all(
            one["folded"] + one["repeated"] >= wanted[one["symbol"], one["interval"]]
            for one in series
        )
        return series if done else []

    series = await rig.world.until(is_done, "signal has folded all that is stored", END_WAIT_S)
    return sum(one["gaps"] + one["repeated"] for one in series)


async def _wrong(
    rig: MarketRig, symbol: str, interval: str, candles: Sequence[Candle]
) -> list[str]:
    """Where candles are not the venue's."""
    name = f"{symbol} {interval}"
    if not candles:
        return [f"{name}: no candle at all"]
    if interval == BUILT:
        return await _wrong_built(rig, name, symbol, candles)
    first_ms, last_ms = (candles[end].open_ns // NS_PER_MS for end in (0, -1))
    listed = await rig.world.klines(symbol, interval, first_ms, last_ms)
    return differences(name, candles, listed, is_first_old=False)


async def _wrong_built(
    rig: MarketRig, name: str, symbol: str, candles: Sequence[Candle]
) -> list[str]:
    """Bars built from trades: without a hole, and each whole minute of them is the venue's."""
    found = [
        f"{name}: a hole or a repeat before {after.open_ns // NS_PER_MS}"
        for before, after in itertools.pairwise(candles)
        if after.open_ns != before.close_ns
    ]
    minutes: dict[int, list[Candle]] = {}
    for one in candles:
        minutes.setdefault(one.open_ns - one.open_ns % MINUTE_NS, []).append(one)
    whole = {ns: bars for ns, bars in minutes.items() if len(bars) == 4}
    if not whole:
        return [*found, f"{name}: no whole minute"]
    first_ms, last_ms = min(whole) // NS_PER_MS, max(whole) // NS_PER_MS
    listed = await rig.world.klines(symbol, "1m", first_ms, last_ms)
    truth = {row[0]: list(map(str, row[1:6])) for row in listed}
    for ns, bars in whole.items():
        traded = [bar for bar in bars if bar.trade_count]
        theirs = truth.get(ns // NS_PER_MS)
        if not traded:
            if theirs is None or Decimal(theirs[-1]):
                found.append(f"{name}: minute {ns // NS_PER_MS} without a trade, not {theirs}")
            continue
        ours = (
            traded[0].open, max(bar.high for bar in traded), min(bar.low for bar in traded),
            traded[-1].close, sum(bar.volume for bar in traded),
        )  # fmt: skip
        if [str(one) for one in ours] != theirs:
            found.append(f"{name}: minute {ns // NS_PER_MS} is {ours}, not the venue's "
                         f"{theirs}")  # fmt: skip
    return found


def _show(
    counts: Sequence[Count], gaps: int, struck: dict[str, int], market_ns: int, took_s: float,
    seed: int,
) -> int:  # fmt: skip
    console = Console(width=120)
    hours = market_ns / (3_600 * NS_PER_S)
    table = Table(title=f"{hours:.2f} hours of market time in {took_s:.0f} s, seed {seed}")
    table.add_column("series")
    for heading in ("stored", "folded by signal", "not the venue's"):
        table.add_column(heading, justify="right")
    for one in counts:
        table.add_row(one.name, str(one.stored), str(one.shown), str(len(one.wrong)))
    console.print(table)
    faults = ", ".join(f"{count:,} {name}" for name, count in sorted(struck.items()))
    console.print(f"faults that struck: {faults}", soft_wrap=True)
    console.print(f"gaps and repeats that signal saw: {gaps}")
    for one in counts:
        for wrong in one.wrong[:3]:
            console.print(f"[bold red]FAIL[/] {wrong}", soft_wrap=True)
    return 1 if gaps or any(one.wrong for one in counts) else 0
