"""Run every check of the code itself, side by side, and say one line for each.

``make check`` must stay under half a minute, or people stop typing it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
TIMEOUT_S = 300


class Check(NamedTuple):
    """One command and the name it goes by on the screen."""

    name: str
    command: tuple[str, ...]


class Outcome(NamedTuple):
    """What a check came to; ``words`` are shown only where it failed."""

    check: Check
    passed: bool
    took_s: float
    words: str


FOLDERS = ("libs", "services", "cli", "sim", "bench", "drills", "fuzz", "scripts")
# The clients that drivers drive are installed in environments of their own, out of mypy's sight.
HARNESS = tuple(sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("conformance/*.py")))
TYPED = (*(name for name in FOLDERS if next((ROOT / name).rglob("*.py"), None)), *HARNESS)

# The slowest first: with two cores the total is then little more than the slowest.
CHECKS = (
    Check("types", (str(BIN / "mypy"), *TYPED)),
    Check(
        "house",
        (sys.executable, "-m", "pytest", "tests/house", "-q", "-o", "verbosity_assertions=2"),
    ),
    Check("imports", (str(BIN / "lint-imports"), "--no-logo")),
    Check("lint", (str(BIN / "ruff"), "check", "--quiet", ".")),
    Check("format", (str(BIN / "ruff"), "format", "--check", "--quiet", ".")),
)


def run(check: Check) -> Outcome:
    """Run one check to its end and keep its words."""
    started = time.monotonic()
    # A house test runs lint-imports too, and check runs beside people's editors: colour helps none.
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            check.command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        passed, words = done.returncode == 0, done.stdout + done.stderr
    except (OSError, subprocess.TimeoutExpired) as problem:
        passed, words = False, str(problem)
    return Outcome(check, passed, time.monotonic() - started, words.strip())


def main() -> int:
    """Return 0 only when every check passed."""
    failed = []
    with ThreadPoolExecutor(max_workers=2) as pool:
        for finished in as_completed([pool.submit(run, check) for check in CHECKS]):
            outcome = finished.result()
            verdict = "ok" if outcome.passed else "FAILED"
            print(f"{outcome.check.name:8} {verdict:6} {outcome.took_s:5.1f} s", flush=True)
            if not outcome.passed:
                failed.append(outcome)
    for outcome in failed:
        print(f"\n--- {outcome.check.name}: {' '.join(outcome.check.command)}\n{outcome.words}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
