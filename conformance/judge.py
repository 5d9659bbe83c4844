"""Run one client's driver in its environment, and say of every capability what came of it."""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from conformance.capabilities import CAPABILITIES
from conformance.roster import Client

ROOT: Final = Path(__file__).resolve().parent.parent
DRIVER_TIMEOUT_S: Final = 600
_LAST_WORDS: Final = 15


@dataclass(frozen=True)
class Outcome:
    """One cell of the table; `outcome` is pass, fail, skip or absent."""

    client: str
    capability: str
    outcome: str
    reason: str = ""
    ms: int = 0
    detail: str = ""

    def as_json(self) -> dict[str, Any]:
        """The cell as an object of the JSON report."""
        return asdict(self)


def selected(pattern: str) -> list[str]:
    """The capabilities whose name matches the pattern, in their order."""
    return [name for name in CAPABILITIES if fnmatch.fnmatchcase(name, pattern)]


def judge(
    client: Client, python: Path, url: str, account: Mapping[str, Any], pattern: str = "*"
) -> list[Outcome]:
    """Drive the client through the selected capabilities; one outcome for each, in order."""
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": os.environ.get("HOME", ""),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CONFORMANCE_VENUE": url,
        "CONFORMANCE_ACCOUNT": json.dumps(dict(account)),
    }
    command = [str(python), "-P", str(client.path), "--capability", pattern]
    try:
        done = subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True,
            timeout=DRIVER_TIMEOUT_S,
        )  # fmt: skip
        said, end = done.stdout, f"the driver ended with {done.returncode}"
        complaint = done.stderr
    except subprocess.TimeoutExpired as late:
        said, complaint = _text(late.stdout), _text(late.stderr)
        end = f"the driver was stopped after {DRIVER_TIMEOUT_S} s"
    told = _parse(client, said)
    complaint = "\n".join(complaint.splitlines()[-_LAST_WORDS:])
    return [told.get(name) or _untold(client, name, end, complaint) for name in selected(pattern)]


def _parse(client: Client, said: str) -> dict[str, Outcome]:
    """Read the driver's lines; a client's own chatter on stdout is passed over."""
    told = {}
    for line in said.splitlines():
        if line.startswith('{"capability"'):
            row = json.loads(line)
            told[row["capability"]] = Outcome(client=client.name, **row)
    return told


def _untold(client: Client, name: str, end: str, complaint: str) -> Outcome:
    reason = f"neither checked nor listed as absent, or never reached: {end}"
    return Outcome(client.name, name, "fail", reason, detail=complaint)


def _text(output: str | bytes | None) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""
