"""`portcullis run` as a person meets it: real processes, a real broker, the paper venue."""

import gzip
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.run_directory import RunDirectory

ROOT = Path(__file__).resolve().parent.parent.parent
DEADLINE_S = 60
#: A tape takes nine seconds at a speed at which an intent lives for half a second of ours.
TAPE_S_MAX = 180
SERVICES = ("feed", "signal", "risk", "execution", "reconciler")
START_MS = 1_723_161_256_000


def make_tape(path: Path, seconds: int) -> int:
    """Write a market that swings, so that the strategies trade in it; returns its lines."""
    lines = []
    for step in range(seconds * 5):
        now_ms = START_MS + step * 200
        price = 61_000 + 60 * math.sin(step / 28) + 15 * math.sin(step / 9)
        bid, ask = f"{price:.1f}", f"{price + 0.1:.1f}"
        common = {"E": now_ms, "T": now_ms, "s": "BTCUSDT"}
        quote = {"e": "bookTicker", "u": step + 1, "b": bid, "B": "5", "a": ask, "A": "5", **common}
        trade = {"e": "trade", "t": step + 1, "p": ask, "q": "0.01", "m": False, **common}
        for kind, data in (("bookTicker", quote), ("trade", trade)):
            message = {"stream": f"btcusdt@{kind}", "data": data}
            lines.append(f"{now_ms * 1_000_000} {json.dumps(message)}\n")
    path.write_bytes(gzip.compress("".join(lines).encode()))
    return len(lines)


def environment(**settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTCULLIS")}
    return {**kept, **settings, "PYTHONSAFEPATH": "1", "PYTHONPATH": str(ROOT)}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cli", *arguments]


def free_ports() -> dict[str, str]:
    """Settings that move everything to ports of its own."""
    sockets = [socket.socket() for _ in range(7)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    settings = {
        f"PORTCULLIS_{name.upper()}__HTTP_PORT": str(port)
        for name, port in zip(SERVICES, ports, strict=False)
    }
    settings["PORTCULLIS_BUS__URL"] = f"nats://127.0.0.1:{ports[5]}"
    settings["PORTCULLIS_VENUE__REST_URL"] = f"http://127.0.0.1:{ports[6]}"
    return settings


class Running:
    """A run under way in a process of its own."""

    def __init__(self, data_dir: Path, settings: dict[str, str], *arguments: str) -> None:
        self.data_dir = data_dir
        self.output = data_dir / "output.txt"
        with self.output.open("wb") as sink:
            self.process = subprocess.Popen(
                command("run", "--data-dir", str(data_dir), *arguments),
                stdout=sink,
                stderr=sink,
                env=environment(**settings),
                cwd=data_dir,
            )

    @property
    def text(self) -> str:
        return self.output.read_text()

    def wait_for(self, words: str, *, after: int = 0) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while words not in self.text[after:]:
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.05)

    def directory(self) -> RunDirectory:
        (path,) = (self.data_dir / "runs").iterdir()
        return RunDirectory(path)

    def process_ids(self) -> dict[str, int]:
        """Every process of the run, the broker too, by name."""
        facts = self.directory().read_facts()
        found = {name: entry["process_id"] for name, entry in facts["services"].items()}
        broker = next(self.directory().broker.glob("nats-server_*.ports"))
        return {**found, "broker": int(broker.stem.rsplit("_", 1)[1])}


def is_alive(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until_gone(process_ids: dict[str, int]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while left := {name: one for name, one in process_ids.items() if is_alive(one)}:
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.05)


@pytest.fixture
def start(tmp_path) -> Iterator:
    """Start runs; whatever a failed test leaves behind is ended by its id."""
    started: list[Running] = []

    def begin(*arguments: str, **settings: str) -> Running:
        started.append(Running(tmp_path, {**free_ports(), **settings}, *arguments))
        return started[-1]

    yield begin
    for run in started:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGINT)
            run.process.wait(DEADLINE_S)


def test_a_finite_run_accounts_for_everything_and_exits_0(tmp_path, start):
    tape, report_path = tmp_path / "btcusdt_test.gz", tmp_path / "report.json"
    lines = make_tape(tape, seconds=90)
    run = start(
        "--tape", str(tape), "--speed", "10", "--until-end", "--report", str(report_path)
    )  # fmt: skip
    assert run.process.wait(TAPE_S_MAX) == 0, run.text
    report = json.loads(report_path.read_text())
    assert report["market_messages"] == lines
    assert report["market_accounting"]["unaccounted"] == {"quote": 0, "trade": 0}
    assert report["candles"] == report["candles_detail"]["distinct"] >= 88
    assert report["intents"]["by_outcome"].get("FILLED", 0) >= 1, run.text
    assert report["venue_orders"] >= 1
    assert report["realized_pnl"]["ours"] == report["realized_pnl"]["venue"]
    for name in (
        "nonterminal_intents", "unapproved_venue_orders", "duplicate_venue_orders",
        "discrepancies", "dead_letters",
    ):  # fmt: skip
        assert report[name] == 0, (name, run.text)
    assert report["journal_verified"] is True
    assert sum(report["intents"]["by_outcome"].values()) == report["intents"]["total"]
    verified = subprocess.run(
        command("journal", "verify", str(run.directory().journal)),
        env=environment(), capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip
    assert verified.returncode == 0, verified.stdout


def test_ctrl_c_leaves_no_process_behind_and_keeps_the_journal(start):
    run = start()
    run.wait_for("armed; Ctrl-C")
    process_ids = run.process_ids()
    assert set(process_ids) == {*SERVICES, "paper_exchange", "broker"}
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(DEADLINE_S) == 0, run.text
    wait_until_gone(process_ids)
    assert run.directory().journal.stat().st_size > 0


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux ends the children at once")
def test_a_killed_runner_takes_its_processes_with_it(start):
    run = start()
    run.wait_for("armed; Ctrl-C")
    process_ids = run.process_ids()
    run.process.kill()
    run.process.wait(DEADLINE_S)
    wait_until_gone(process_ids)


def test_a_killed_service_is_restarted_and_trading_arms_again(start):
    run = start()
    run.wait_for("armed; Ctrl-C")
    old = run.process_ids()["execution"]
    os.kill(old, signal.SIGKILL)
    run.wait_for("execution ended (killed by SIGKILL)")
    before = len(run.text)
    deadline = time.monotonic() + DEADLINE_S
    while run.process_ids()["execution"] in (old, None):
        assert time.monotonic() < deadline, run.text
        time.sleep(0.05)
    run.wait_for("reconciled clean", after=before)
    run.wait_for("ACTIVE; balance", after=before)


def test_when_the_venue_dies_the_run_ends_and_says_so(start):
    run = start()
    run.wait_for("armed; Ctrl-C")
    process_ids = run.process_ids()
    os.kill(process_ids["paper_exchange"], signal.SIGKILL)
    assert run.process.wait(DEADLINE_S) == 1
    assert "paper_exchange ended (killed by SIGKILL)" in run.text
    wait_until_gone(process_ids)


def test_a_taken_port_is_named_and_nothing_is_left_running(tmp_path):
    settings = free_ports()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", int(settings["PORTCULLIS_RISK__HTTP_PORT"])))
        holder.listen()
        done = subprocess.run(
            command("run", "--data-dir", str(tmp_path)),
            env=environment(**settings), capture_output=True, text=True, timeout=DEADLINE_S,
        )  # fmt: skip
    assert done.returncode == 3
    assert settings["PORTCULLIS_RISK__HTTP_PORT"] in done.stderr
    assert "risk.http_port" in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("runner: {sped: 2}\n", "runner.sped"),
        ("feed: {warmup_bars: many}\n", "feed.warmup_bars"),
        ("symbols: [\n", "not YAML"),
    ],
)
def test_a_wrong_configuration_is_refused_before_anything_starts(tmp_path, text, words):
    config = tmp_path / "config.yaml"
    config.write_text(text)
    done = subprocess.run(
        command("run", "--data-dir", str(tmp_path), "--config", str(config)),
        env=environment(), capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "runs").exists()


def test_an_unreadable_line_of_a_tape_ends_the_run_with_its_number(tmp_path, start):
    tape = tmp_path / "btcusdt_test.gz"
    make_tape(tape, seconds=5)
    lines = gzip.decompress(tape.read_bytes()).splitlines(keepends=True)
    lines[20] = b"1723161256000000000 {not json\n"
    tape.write_bytes(gzip.compress(b"".join(lines)))
    run = start("--tape", str(tape), "--speed", "20", "--until-end")
    assert run.process.wait(DEADLINE_S) == 2
    assert "line 21" in run.text


def test_help_is_quick():
    took_s = []
    for _ in range(3):  # the best of three: a busy machine says nothing of our imports
        started = time.monotonic()
        subprocess.run(
            command("--help"),
            env=environment(), capture_output=True, timeout=DEADLINE_S, check=True,
        )  # fmt: skip
        took_s.append(time.monotonic() - started)
    # 0.12 s on an idle machine; what this guards is that no verb's imports creep in.
    assert min(took_s) < 3
