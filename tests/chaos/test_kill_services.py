"""Kill every service in turn, three times each, during one whole run, and judge the run.

The invariants are those of the report: they come from the venue's own ledger and the journal, not
from what a service says of itself. On a machine with the recorded tapes beside the repository
those are used; elsewhere a made market of the same length.
"""

import json
import math
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
RECORDED = ROOT.parent / "shared" / "data" / "tape"
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


def process_id(data_dir: Path, service: str) -> int | None:
    """The process of a service as the run tells it; none while it is being restarted."""
    for path in (data_dir / "runs").glob("*/run.json"):
        entry = json.loads(path.read_text())["services"].get(service) or {}
        found = entry.get("process_id")
        return found if found is not None and Path(f"/proc/{found}").exists() else None
    return None


def market_ns(data_dir: Path) -> int:
    """Market time as the venue tells it; 0 if it does not."""
    for path in (data_dir / "runs").glob("*/run.json"):
        url = json.loads(path.read_text())["venue_url"]
        try:
            with urllib.request.urlopen(f"{url}/sim/clock", timeout=5) as answer:
                return int(json.load(answer)["now_ns"])
        except OSError:
            return 0
    return 0


def kill_each_in_turn(run: subprocess.Popen[bytes], data_dir: Path) -> int:
    """Kill one service after another, spread over the whole market; returns how many were."""
    kills, killed_last = 0, dict.fromkeys(SERVICES, 0)
    began_ns = market_ns(data_dir)
    turns = SERVICES * KILLS_EACH
    for turn, service in enumerate(turns, 1):
        due_ns = began_ns + turn * MARKET_S * 10**9 // (len(turns) + 1)
        while run.poll() is None and market_ns(data_dir) < due_ns:
            time.sleep(0.01)
        while run.poll() is None:
            found = process_id(data_dir, service)
            if found is not None and found != killed_last[service]:
                os.kill(found, signal.SIGKILL)
                killed_last[service] = found
                kills += 1
                break
            time.sleep(0.02)
    return kills


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_run_survives_the_death_of_each_service_three_times(tmp_path):
    report_path, output = tmp_path / "report.json", tmp_path / "output.txt"
    arguments = ["--speed", "20", "--until-end", "--report", str(report_path)]
    for tape in tapes(tmp_path):
        arguments += ["--tape", str(tape)]
    environment = {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": str(ROOT)}
    with output.open("wb") as sink:
        run = subprocess.Popen(
            [sys.executable, "-m", "cli", "run", "--data-dir", str(tmp_path), *arguments],
            stdout=sink, stderr=sink, env=environment, cwd=tmp_path,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while "ACTIVE" not in output.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        kills = kill_each_in_turn(run, tmp_path)
        code = run.wait(DEADLINE_S)
    finally:
        if run.poll() is None:
            run.send_signal(signal.SIGINT)
            run.wait(60)
    words = output.read_text()
    assert code == 0, words
    report = json.loads(report_path.read_text())
    assert kills == len(SERVICES) * KILLS_EACH, "the run ended before all had been killed"
    assert sum(report["restarts"].values()) >= kills
    assert report["intents"]["by_outcome"].get("FILLED", 0) >= 1
    for name in (
        "nonterminal_intents", "unapproved_venue_orders", "duplicate_venue_orders",
        "discrepancies", "fills_missing", "fills_unknown_to_venue",
    ):  # fmt: skip
        assert report[name] == 0, (name, words)
    assert report["venue_log"]["placements_unrecorded"] == 0
    assert report["journal_verified"] is True
    assert report["realized_pnl"]["ours"] == report["realized_pnl"]["venue"]
    assert report["candles_detail"]["missing"] == report["candles_detail"]["duplicate"] == 0
    assert report["candles"] == report["candles_detail"]["published"]
