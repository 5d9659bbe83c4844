"""Where a run keeps what it leaves behind, and what becomes of old runs.

``<data_dir>/runs/<UTC stamp>/`` holds the run's configuration, keys, logs, the broker's store with
the journal, the audit trail, and at the end the exported journal and the report. Policy for old
ones: beyond the newest ``runs_kept_max``, a run whose journal has been exported shrinks to its
small files; a run whose journal has not been exported (it was killed) is never touched.
"""

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cli import exits

RUN_FILE = "run.json"
JOURNAL_FILE = "journal.jsonl"
BROKER_FOLDER = "broker"
TOKEN_FILE = "operator_token"  # noqa: S105 - the file's name
HALT_FILE = "halt"
AUDIT_FOLDER = "audit"
PRIVATE_FOLDER_MODE = 0o700
PRIVATE_FILE_MODE = 0o600
SAME_SECOND_MAX = 100
NS_PER_S = 1_000_000_000


class RunDirectory:
    """One run's directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def broker(self) -> Path:
        """The broker's store, with the journal."""
        return self.path / BROKER_FOLDER

    @property
    def journal(self) -> Path:
        """The exported journal; there is one after the run ended in good order."""
        return self.path / JOURNAL_FILE

    @property
    def audit(self) -> Path:
        """The audit trail, one file a day."""
        return self.path / AUDIT_FOLDER

    def log(self, name: str) -> Path:
        """The log of a process."""
        return self.path / f"{name}.log"

    def write_private(self, name: str, text: str) -> Path:
        """Write a file that nobody else may read; returns its absolute path."""
        path = (self.path / name).resolve()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE_MODE)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        return path

    def write_facts(self, facts: dict[str, Any]) -> None:
        """Replace `run.json`, which says where everything is, in one step."""
        draft = self.path / f"{RUN_FILE}.new"
        draft.write_text(json.dumps(facts, indent=2) + "\n")
        draft.replace(self.path / RUN_FILE)

    def read_facts(self) -> dict[str, Any]:
        """What `run.json` says; empty if there is none."""
        try:
            facts = json.loads((self.path / RUN_FILE).read_text())
        except (OSError, ValueError):
            return {}
        return facts if isinstance(facts, dict) else {}


def create_run_directory(data_dir: Path, wall_ns: int) -> RunDirectory:
    """Make a new directory named for the time.

    Raises:
        CommandFailed: it cannot be made.
    """
    stamp = datetime.fromtimestamp(wall_ns // NS_PER_S, tz=UTC).strftime("%Y%m%dT%H%M%SZ")
    runs = data_dir / "runs"
    try:
        runs.mkdir(parents=True, exist_ok=True)
        for number in range(1, SAME_SECOND_MAX):
            path = runs / (stamp if number == 1 else f"{stamp}-{number}")
            try:
                path.mkdir(mode=PRIVATE_FOLDER_MODE)
            except FileExistsError:
                continue
            return RunDirectory(path.resolve())
    except OSError as error:
        raise exits.CommandFailed(f"cannot make a directory in {runs}: {error.strerror}") from error
    raise exits.CommandFailed(f"too many runs in one second in {runs}")


def find_run(data_dir: Path) -> RunDirectory:
    """The run in a directory: itself a run, or the newest of those kept there.

    Raises:
        CommandFailed: there is none.
    """
    if (data_dir / BROKER_FOLDER).is_dir():
        return RunDirectory(data_dir.resolve())
    runs = [path for path in _runs(data_dir) if (path / BROKER_FOLDER).is_dir()]
    if not runs:
        raise exits.CommandFailed(f"no run with a journal in {data_dir}", exits.BAD_USAGE)
    return RunDirectory(runs[-1].resolve())


def shrink_old_runs(data_dir: Path, runs_kept_max: int) -> None:
    """Apply the policy above."""
    for path in _runs(data_dir)[:-runs_kept_max]:
        if (path / JOURNAL_FILE).is_file() and not _is_running(RunDirectory(path)):
            shutil.rmtree(path / BROKER_FOLDER, ignore_errors=True)
            for log in path.glob("*.log"):
                log.unlink()


def _runs(data_dir: Path) -> list[Path]:
    return sorted(path for path in (data_dir / "runs").glob("*Z*") if path.is_dir())


def _is_running(run: RunDirectory) -> bool:
    return run.read_facts().get("ended") is not True
