"""Keeps the processes of a run alive: starts them, restarts them with a growing wait, ends them.

Each process has its own session, so Ctrl-C reaches the runner alone, and a tether, so that none
outlives it. What a process says goes to one file in the run's directory.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cli import exits
from cli.config import RunnerConfig
from libs.common.runtime.clock import monotonic_ns

TETHER = Path(__file__).with_name("tether.py")
LOG_LOOK_INTERVAL_S = 0.02
EXIT_BAD_CONFIG = 2
NS_PER_MS = 1_000_000
ROOT = Path(__file__).resolve().parent.parent


def tethered() -> tuple[str, ...]:
    """What to put before a command so that it ends with this process."""
    return (sys.executable, "-I", "-S", str(TETHER), str(os.getpid()))


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of services: their settings come from the run's file and nowhere else.

    The working directory is kept off ``sys.path`` (services/signal must not hide the standard
    library's), so the repository's root is named instead.
    """
    kept = {name: value for name, value in environment.items() if not name.startswith("PORTCULLIS")}
    kept["PYTHONSAFEPATH"] = "1"
    # What the user put there stays: a strategy of theirs is found by its dotted path.
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH"))))
    kept["PYTHONUNBUFFERED"] = "1"
    return kept


#: Downstream: an intent that was approved finds execution still there, and an order its venue.
STOP_ORDER = ("signal", "risk", "execution", "reconciler", "feed", "paper_exchange")


class Child:
    """One process of the run; it may be started again after it ended."""

    def __init__(self, name: str, command: tuple[str, ...], log_path: Path) -> None:
        self.name = name
        self.log_path = log_path
        self.restarts = 0
        self.started_ns = 0
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._log_offset = 0

    @property
    def process_id(self) -> int | None:
        """The process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self, environment: Mapping[str, str]) -> None:
        """Start the process."""
        with self.log_path.open("ab") as sink:
            self._log_offset = sink.tell()
            self._process = await asyncio.create_subprocess_exec(
                *tethered(),
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=dict(environment),
                start_new_session=True,
            )
        self.started_ns = monotonic_ns()

    async def wait(self) -> int:
        """Wait for its end; returns the exit code, negative for a signal."""
        assert self._process is not None, "start() first"
        return await self._process.wait()

    async def stop(self, timeout_ms: int) -> None:
        """Ask it to finish; insist after the timeout."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), timeout_ms / 1000)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def wait_for_event(self, event: str) -> dict[str, Any] | None:
        """The first log line of this start whose event is the given one; ``None`` if it ended."""
        offset, rest = self._log_offset, b""
        while True:
            has_ended = self.process_id is None
            with self.log_path.open("rb") as log:
                log.seek(offset)
                fresh = log.read()
            offset += len(fresh)
            *lines, rest = (rest + fresh).split(b"\n")
            for line in lines:
                if (found := _parse(line)).get("event") == event:
                    return found
            if has_ended:
                return None
            await asyncio.sleep(LOG_LOOK_INTERVAL_S)

    def last_words(self) -> str:
        """The last error it logged since it was started, for a person."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_offset)
            lines = log.read().decode(errors="replace").strip().splitlines()
        for line in reversed(lines):
            parsed = _parse(line.encode())
            if parsed.get("level") in ("error", "critical"):
                return f"{parsed.get('event')}: {parsed.get('error', '')}".rstrip(": ")
        return lines[-1] if lines else "it said nothing"


def _parse(line: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(line)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


class Supervisor:
    """All children of a run. ``say`` is told of restarts; ``failure`` is set when the run must end.

    Args:
        gives_up: end the run when a child never stays healthy (finite runs); else try for ever.
    """

    def __init__(
        self, settings: RunnerConfig, say: Callable[[str], None], *, gives_up: bool
    ) -> None:
        self._settings = settings
        self._say = say
        self._gives_up = gives_up
        self._environment = child_environment(os.environ)
        self._children: list[Child] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._on_change: Callable[[], None] = lambda: None
        self.failure: exits.CommandFailed | None = None
        self.failed = asyncio.Event()

    @property
    def children(self) -> tuple[Child, ...]:
        """Every child, in the order of starting."""
        return tuple(self._children)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back after each start and restart of a child."""
        self._on_change = callback

    async def start(self, child: Child, *, is_vital: bool = False) -> None:
        """Start a child and keep it alive; a vital one ends the run when it ends."""
        await child.start(self._environment)
        self._children.append(child)
        keeper = self._end_run_with(child) if is_vital else self._keep_alive(child)
        self._keepers.append(asyncio.create_task(keeper, name=f"keep-{child.name}"))
        self._tell_change()

    async def stop(self) -> None:
        """End every child, whoever speaks before whoever hears it; none is left."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for child in sorted(self._children, key=lambda one: STOP_ORDER.index(one.name)):
            await child.stop(self._settings.stop_timeout_ms)

    def fail(self, text: str, code: int = exits.FAILED) -> None:
        """End the run with this message."""
        self.failure = self.failure or exits.CommandFailed(text, code)
        self.failed.set()

    async def _end_run_with(self, child: Child) -> None:
        code = await child.wait()
        reason = "the paper world is gone with it" if code <= 0 else child.last_words()
        self.fail(
            f"{child.name} ended ({describe_end(code)}): {reason}; its log: {child.log_path}",
            exits.BAD_USAGE if code == EXIT_BAD_CONFIG else exits.FAILED,
        )

    async def _keep_alive(self, child: Child) -> None:
        in_a_row = 0
        while True:
            code = await child.wait()
            words = f"{child.name} ended ({describe_end(code)})"
            if code > 0:
                words += f": {child.last_words()}"
            if code == EXIT_BAD_CONFIG:
                self.fail(words, exits.BAD_USAGE)
                return
            lived_ms = (monotonic_ns() - child.started_ns) // NS_PER_MS
            in_a_row = 1 if lived_ms >= self._settings.healthy_after_ms else in_a_row + 1
            if self._gives_up and in_a_row > self._settings.restarts_in_a_row_max:
                self.fail(f"{words}; its log: {child.log_path}")
                return
            wait_ms = restart_wait_ms(in_a_row, self._settings)
            self._say(f"{words}; restarting in {wait_ms} ms")
            await asyncio.sleep(wait_ms / 1000)
            await child.start(self._environment)
            child.restarts += 1
            self._tell_change()

    def _tell_change(self) -> None:
        """Have what runs where written down; nobody is left to die because there is no room."""
        try:
            self._on_change()
        except OSError as error:
            self._say(f"not written down what runs where: {error.strerror}")


def restart_wait_ms(deaths_in_a_row: int, settings: RunnerConfig) -> int:
    """The wait before a restart: doubles with each death that was not long after the last."""
    doubled = settings.restart_wait_ms << min(deaths_in_a_row - 1, 30)
    return min(doubled, settings.restart_wait_ms_max)


def describe_end(code: int) -> str:
    """An exit code in words."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
