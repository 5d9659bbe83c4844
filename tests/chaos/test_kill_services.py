"""Kill every service in turn, three times each, during one whole run, and judge the run.

The invariants are those of the report: they come from the venue's own ledger and the journal, not
from what a service says of itself. On a machine with the recorded tapes beside the repository
those are used; elsewhere a made market of the same length.
"""

import json
import math
import os
import signal
import sys
import time
from pathlib import Path

import pytest

RECORDED = Path(__file__).resolve().parent.parent.parent.parent / "shared" / "data" / "tape"
SERVICES = ("feed", "signal", "risk", "execution", "reconciler")
KILLS_EACH = 3
DEADLINE_S = 900
MARKET_S = 345

pytestmark = pytest.mark.chaos


def tapes(folder: Path) -> list[Path]:
    recorded = sorted(RECORDED.glob("*.gz")) if not os.environ.get("CI") else []
    return recorded or [made_tape(folder / "btcusdt_made.tape")]


def made_tape(path: Path) -> Path:
    with path.open("w") as file:
        for step in range(345 * 5):
            now_ms = 1_723_161_256_000 + step * 200
            price = 61_000 + 60 * math.sin(step / 28) + 15 * math.sin(step / 9)
            bid, ask = f"{price:.1f}", f"{price + 0.1:.1f}"
            common = {"E": now_ms, "T": now_ms, "s": "BTCUSDT"}
            for data in (
                {"e": "bookTicker", "u": step, "b": bid, "B": "5", "a": ask, "A": "5", **common},
                {"e": "trade", "t": step + 1, "p": ask, "q": "0.01", "m": False, **common},
            ):
                message = {"stream": f"btcusdt@{data['e']}", "data": data}
                file.write(f"{now_ms * 1_000_000} {json.dumps(message)}\n")
    return path


def kill_each_in_turn(run) -> int:
    """Kill one service after another, spread over the whole market; returns how many were."""
    kills, killed_last = 0, dict.fromkeys(SERVICES, 0)
    began_ns = run.market_ns()
    turns = SERVICES * KILLS_EACH
    for turn, service in enumerate(turns, 1):
        due_ns = began_ns + turn * MARKET_S * 10**9 // (len(turns) + 1)
        while run.is_alive and run.market_ns() < due_ns:
            time.sleep(0.01)
        while run.is_alive:
            found = run.process_id(service)
            if found is not None and found != killed_last[service]:
                os.kill(found, signal.SIGKILL)
                killed_last[service] = found
                kills += 1
                break
            time.sleep(0.02)
    return kills


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_run_survives_the_death_of_each_service_three_times(start_run, tmp_path):
    arguments = ["--speed", "20"]
    for tape in tapes(tmp_path):
        arguments += ["--tape", str(tape)]
    run = start_run(arguments)
    run.wait_until_active()
    kills = kill_each_in_turn(run)
    report = run.end(DEADLINE_S)
    assert kills == len(SERVICES) * KILLS_EACH, "the run ended before all had been killed"
    assert sum(report["restarts"].values()) >= kills
    assert report["intents"]["by_outcome"].get("FILLED", 0) >= 1
    run.judge(report)
