"""The venue that is judged: started on a free port, or one that already runs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

ROOT: Final = Path(__file__).resolve().parent.parent
_STOP_TIMEOUT_S: Final = 10

# Several clients ask from one address within the same minute: five times a person's budget.
WEIGHT_PER_MINUTE: Final = 60_000
SEED: Final = 7


class VenueError(Exception):
    """The venue did not start; the text is what it said."""


@contextlib.contextmanager
def running(url: str | None = None) -> Iterator[str]:
    """Yield the address of a venue; one that was started here is stopped in the end."""
    if url is not None:
        yield url.rstrip("/")
        return
    command = [sys.executable, "-m", "services.paper_exchange", "--port", "0", "--seed", str(SEED)]
    command += ["--limit", f"weight_per_minute_max={WEIGHT_PER_MINUTE}"]
    environment = {**os.environ, "PYTHONSAFEPATH": "", "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=said, text=True, env=environment
        )
        try:
            yield f"http://127.0.0.1:{_wait_for_port(process, said)}"
        finally:
            _stop(process)


def _wait_for_port(process: subprocess.Popen[str], said: Any) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        told = json.loads(line)
        if told["event"] == "listening":
            return int(told["port"])
    said.seek(0)
    raise VenueError(f"the venue ended with {process.wait()}: {said.read()}")


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def open_account(url: str) -> dict[str, Any]:
    """Return a fresh account with a key that may read and trade."""
    with urlopen(Request(f"{url}/sim/accounts", b"{}", method="POST"), timeout=10) as answer:
        account: dict[str, Any] = json.load(answer)
        return account
