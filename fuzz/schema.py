"""Schemathesis on the OpenAPI of `/sim`, from an environment of its own."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from fuzz.process import ROOT, running_venue
from fuzz.venue import RuleBrokenError

FOLDER: Final = ROOT / ".venv-fuzz"
LOCK: Final = ROOT / "fuzz" / "requirements.lock"
CHECKS: Final = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance"
)
_INSTALL_SECONDS: Final = 600
_RUN_SECONDS: Final = 600


def ask_simulation(seed: int) -> None:
    """Ask everything the document describes; raises `RuleBrokenError` with what was found."""
    tool = _prepare()
    with running_venue(seed) as venue:
        command = [
            str(tool), "run", f"{venue.url}/openapi.json", "--checks", CHECKS, "--seed", str(seed),
            "--max-examples", "60", "--continue-on-failure", "--no-color",
        ]  # fmt: skip
        done = subprocess.run(
            command, cwd=venue.log.parent, capture_output=True, text=True, timeout=_RUN_SECONDS
        )
        sys.stdout.write(done.stdout[-12_000:])
        venue.resident_kib()
        venue.check_log()
        if done.returncode:
            raise RuleBrokenError(f"schemathesis ended with {done.returncode} {done.stderr}")


def _prepare() -> Path:
    """Make the environment of the lock if it is not there yet, and return its tool."""
    stamp = f"{sys.version_info[:3]} {hashlib.sha256(LOCK.read_bytes()).hexdigest()}"
    stamped, tool = FOLDER / "installed-from", FOLDER / "bin" / "schemathesis"
    if stamped.is_file() and stamped.read_text() == stamp:
        return tool
    shutil.rmtree(FOLDER, ignore_errors=True)
    python = FOLDER / "bin" / "python"
    for command in (
        [sys.executable, "-m", "venv", str(FOLDER)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--require-hashes", "-r", str(LOCK)],
    ):  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
        if done.returncode:
            raise RuleBrokenError(f"no environment for schemathesis:\n{done.stderr}")
    stamped.write_text(stamp)
    return tool
