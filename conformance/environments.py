"""One environment per client, installed from a lock with hashes, made once and used again."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / ".venv-conformance"
LOCKS: Final = Path(__file__).resolve().parent / "locks"
_INSTALL_TIMEOUT_S: Final = 600
_STAMP: Final = "installed-from"


class InstallError(Exception):
    """An environment that could not be made; the text says what pip said."""


def prepare(name: str) -> Path:
    """Make the environment of this lock if it is not there yet, and return its Python.

    `--no-deps`: the lock is the whole truth, also where a client asks for a release of another
    package that an override replaced. Raises `InstallError`.
    """
    lock = LOCKS / f"{name}.lock"
    stamp = f"{sys.version_info[:3]} {hashlib.sha256(lock.read_bytes()).hexdigest()}"
    folder = FOLDER / name
    python, stamped = folder / "bin" / "python", folder / _STAMP
    if stamped.is_file() and stamped.read_text() == stamp:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(folder)])
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*install, "--no-deps", "--require-hashes", "-r", str(lock)])
    stamped.write_text(stamp)
    return python


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(str(error)) from error
    if done.returncode:
        raise InstallError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
