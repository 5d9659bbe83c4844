"""A running venue for the fuzzers: started on a free port, watched, and stopped again."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from fuzz.venue import RuleBrokenError

ROOT: Final = Path(__file__).resolve().parent.parent
_STOP_SECONDS: Final = 10
_UNLIMITED: Final = ("--limit", "weight_per_minute_max=1000000000000")


class RunningVenue(NamedTuple):
    """A venue process: where it listens, and what it has written so far."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """Where it answers HTTP."""
        return f"http://127.0.0.1:{self.port}"

    def resident_kib(self) -> int:
        """Its resident memory; raises `RuleBrokenError` where it has ended."""
        if self.process.poll() is not None:
            raise RuleBrokenError(f"the venue ended with {self.process.returncode}")
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def check_log(self) -> None:
        """Raise `RuleBrokenError` where the venue told of a fault of its own."""
        for line in self.log.read_text().splitlines():
            is_answered_400 = "aiohttp.http_exceptions" in line
            if ('"level":"error"' in line or "Traceback" in line) and not is_answered_400:
                raise RuleBrokenError(f"the venue told: {line[:2_000]}")


@contextmanager
def running_venue(seed: int) -> Iterator[RunningVenue]:
    """A venue on a port of its own, with no limit on request weight."""
    command = [sys.executable, "-m", "services.paper_exchange", "--seed", str(seed), *_UNLIMITED]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        try:
            yield RunningVenue(_port_told(process, log), process, log)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _port_told(process: subprocess.Popen[bytes], log: Path) -> int:
    """Wait for the line that names the port."""
    while process.poll() is None:
        first, newline, _ = log.read_text().partition("\n")
        if newline:
            return int(json.loads(first)["port"])
        time.sleep(0.05)
    raise RuleBrokenError(f"the venue did not start: {log.read_text()}")
