"""How long an order's way takes, and how much of that is the bare hops.

    python -m bench.pipeline [--seconds 25] [--speed 10] [--rounds 2] [--report FILE]

Runs the whole house (`portcullis run`, every process of it) on a market of its own making, twice:
at a steady speed, for the times from candle to order, and as fast as it goes, for messages a
second. Bare hops are measured on a broker with the same configuration: on an idle machine before
and after the steady run, and beside it, where processor and disk are shared as they are for the
orders. The floor of a way is the sum of the hops it takes. What an order's way costs above the
floor beside the run is our code; above the idle floor, our code and the load of the house. Needs
nothing but this repository, and about a minute.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvloop
import yaml

from bench.hops import HopMeter
from bench.listener import Listener
from bench.market_tape import write_tapes
from bench.table import Measured, as_report, show
from libs.common.runtime.broker import Broker

FLAT_OUT_SPEED = "1000000"
FLAT_OUT_MARKET_S = 60
HOP_SAMPLES = 15
START_WAIT_S = 30
RUN_WAIT_S = 150
STOP_WAIT_S = 20
ROOT = Path(__file__).resolve().parent.parent

#: A wish at every turn of the market; limits that do not stand in its way.
CONFIG: dict[str, Any] = {
    "signal": {
        "strategies": [
            {
                "id": "turn",
                "strategy": "ema_cross",
                "parameters": {"fast_period": 1, "slow_period": 2, "pause_bars": 1},
            }
        ]
    },
    "execution": {
        "lock_ms": 1_000,
        "rate_symbol_orders_max": 1_000,
        "rate_symbol_window_ms": 1_000,
        "rate_global_orders_max": 1_000,
        "rate_global_window_ms": 1_000,
    },
}


async def run_pipeline(folder: Path, tapes: list[Path], speed: str) -> tuple[Listener, Any]:
    """One whole run over the tapes; returns what was heard meanwhile, and the run's report.

    Raises:
        RuntimeError: the run failed, or broke an invariant.
    """
    arguments, report, log = _prepare(folder, tapes, speed)
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli", *arguments,
            stdout=sink, stderr=sink, cwd=ROOT, env=_environment(),
        )  # fmt: skip
    listener = Listener(folder / "data")
    listening = asyncio.create_task(listener.listen())
    try:
        code = await asyncio.wait_for(process.wait(), RUN_WAIT_S)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await _end(process)
    if code:
        raise RuntimeError(f"the run failed:\n{log.read_text()[-2_000:]}")
    return listener, json.loads(report.read_text())


def _prepare(folder: Path, tapes: list[Path], speed: str) -> tuple[list[str], Path, Path]:
    """Write the configuration; returns the command line, and the paths of report and log."""
    folder.mkdir()
    config, report = folder / "config.yaml", folder / "report.json"
    config.write_text(yaml.safe_dump(CONFIG))
    arguments = ["run", "--until-end", "--speed", speed, "--config", str(config)]
    arguments += ["--report", str(report), "--data-dir", str(folder / "data")]
    for tape in tapes:
        arguments += ["--tape", str(tape)]
    return arguments, report, folder / "run.log"


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask a process of ours to finish, then insist."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), STOP_WAIT_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}


@contextlib.asynccontextmanager
async def paper_exchange(folder: Path) -> AsyncIterator[str]:
    """A paper exchange of our own; yields its URL."""
    log = folder / "paper_exchange.log"
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.paper_exchange", "--port", "0",
            "--source", "generator", "--hold",
            stdout=sink, stderr=sink, cwd=ROOT, env=_environment(),
        )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{await _listening_port(log)}"
    finally:
        await _end(process)


async def _listening_port(log: Path) -> int:
    async with asyncio.timeout(START_WAIT_S):
        while (port := _find_port(log)) is None:
            await asyncio.sleep(0.05)
    return port


def _find_port(log: Path) -> int | None:
    for line in log.read_text().splitlines():
        if '"listening"' in line:
            return int(json.loads(line)["port"])
    return None


async def measure(folder: Path, seconds: int, speed: int, rounds: int) -> Measured:
    """Idle hops, a steady run with hops beside it, idle hops, a flat-out run."""
    steady_tapes = write_tapes(_made(folder / "steady-tapes"), seconds * speed)
    fast_tapes = write_tapes(_made(folder / "fast-tapes"), FLAT_OUT_MARKET_S)
    async with hop_meter(folder) as meter:
        idle = [await meter.round(HOP_SAMPLES) for _ in range(rounds)]
        is_over = asyncio.Event()
        beside = asyncio.create_task(meter.rounds_until(is_over))
        try:
            steady, report = await run_pipeline(folder / "steady", steady_tapes, str(speed))
        finally:
            is_over.set()
            hops_beside = await beside
        idle += [await meter.round(HOP_SAMPLES) for _ in range(rounds)]
    fast, _ = await run_pipeline(folder / "fast", fast_tapes, FLAT_OUT_SPEED)
    return Measured(
        idle=idle, beside=hops_beside, way=steady.way, speed=speed,
        steady=steady.usage, fast=fast.usage, run_report=report,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def hop_meter(folder: Path) -> AsyncIterator[HopMeter]:
    """A meter with a broker and a held paper exchange of its own."""
    broker = Broker(folder / "broker")
    try:
        broker_url = await broker.start()
        async with paper_exchange(folder) as venue_url:
            meter = HopMeter(broker_url, venue_url)
            try:
                await meter.start()
                yield meter
            finally:
                meter.stop()
    finally:
        await broker.stop()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.pipeline", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seconds", type=int, default=25, help="wall time of the steady run")
    parser.add_argument("--speed", type=int, default=10, help="market seconds per wall second")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of idle hops, twice")
    parser.add_argument("--report", type=Path, help="write the figures as JSON")
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="portcullis-bench-") as folder:
        measured = uvloop.run(measure(Path(folder), wish.seconds, wish.speed, wish.rounds))
    show(measured)
    if wish.report is not None:
        wish.report.write_text(json.dumps(as_report(measured), indent=2) + "\n")


if __name__ == "__main__":
    main()
