"""A whole run as real processes, with a hand on its processes, its venue and its report."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
START_DEADLINE_S = 90
STOP_DEADLINE_S = 60
#: What a run may never show, whatever was killed or lost.
ZEROS = (
    "nonterminal_intents",
    "unapproved_venue_orders",
    "duplicate_venue_orders",
    "discrepancies",
    "fills_missing",
    "fills_unknown_to_venue",
)


class Run:
    """`portcullis run` to the end of its data, in a folder of its own."""

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        self._folder = folder
        self._report = folder / "report.json"
        self._output = folder / "output.txt"
        paths = f"{ROOT}{os.pathsep}{Path(__file__).parent}"
        environment = {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": paths}
        own = ["--data-dir", str(folder), "--until-end", "--report", str(self._report)]
        with self._output.open("wb") as sink:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cli", "run", *own, *arguments],
                stdout=sink, stderr=sink, env=environment, cwd=folder,
            )  # fmt: skip

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def words(self) -> str:
        return self._output.read_text()

    def _entry(self) -> dict:
        for path in (self._folder / "runs").glob("*/run.json"):
            return json.loads(path.read_text())
        return {}

    def process_id(self, service: str) -> int | None:
        """The process of a service as the run tells it; none while it is being restarted."""
        found = (self._entry().get("services", {}).get(service) or {}).get("process_id")
        return found if found is not None and Path(f"/proc/{found}").exists() else None

    def ask_venue(self, path: str, body: object = None) -> object:
        """GET (or POST a body to) a door of the paper exchange."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._entry()['venue_url']}{path}", data)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def market_ns(self) -> int:
        """Market time as the venue tells it; 0 if it does not."""
        try:
            return int(self.ask_venue("/sim/clock")["now_ns"])
        except (OSError, KeyError):
            return 0

    def wait_until_active(self) -> None:
        deadline = time.monotonic() + START_DEADLINE_S
        while "ACTIVE" not in self.words and self.is_alive and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "ACTIVE" in self.words, self.words

    def end(self, deadline_s: float) -> dict:
        """Wait for the end of the data; returns the report."""
        code = self._process.wait(deadline_s)
        assert code == 0, self.words
        return json.loads(self._report.read_text())

    def judge(self, report: dict) -> None:
        """The invariants: from the venue's own ledger and the journal, not from self-reports."""
        for name in ZEROS:
            assert report[name] == 0, (name, self.words)
        assert report["venue_log"]["placements_unrecorded"] == 0
        assert report["journal_verified"] is True
        assert report["realized_pnl"]["ours"] == report["realized_pnl"]["venue"]
        candles = report["candles_detail"]
        assert candles["missing"] == candles["duplicate"] == 0
        assert report["candles"] == candles["published"]

    def stop(self) -> None:
        if self.is_alive:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(STOP_DEADLINE_S)


@pytest.fixture
def start_run(tmp_path):
    """Start a run with more arguments; it is stopped when the test ends."""
    runs = []

    def start(arguments: list[str]) -> Run:
        runs.append(Run(tmp_path, arguments))
        return runs[-1]

    yield start
    for run in runs:
        run.stop()
