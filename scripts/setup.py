"""Prepare ``.venv`` from the locked requirements, so that a bare Python is all a stranger needs.

Standard library only, and readable by any Python from 3.8 on: the first thing it must be able to do
on an old machine is to say, in words, that the machine's Python is too old.

A stamp in ``.venv`` remembers what was installed (lock files, project metadata, Python, place). It
is written last, so an interrupted install is never mistaken for a finished one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / "portcullis-installed"
IN_PROGRESS = VENV / "portcullis-installing"
LOCK_FILE = "requirements-dev.lock"
VERSION_MIN, VERSION_MAX = (3, 11), (3, 13)
CANDIDATES = ("python3.13", "python3.12", "python3.11", "python3")
PROBE = "import platform, sys; print(platform.python_version(), sys.executable)"
PROBE_TIMEOUT_S = 20


def run_quietly(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command from the root, keeping its words; a command that is not there answers 127."""
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    except OSError as problem:
        return subprocess.CompletedProcess(command, 127, "", str(problem))


class SetupError(Exception):
    """The machine lacks something; the message tells a person what to do about it."""


def probe(command: str) -> tuple[str, str] | None:
    """Ask an interpreter for its version and path; None where it does not run.

    It is run rather than looked up: version managers put names on the PATH that answer
    "command not found" when called.
    """
    try:
        answer = subprocess.run(
            [command, "-I", "-S", "-c", PROBE],
            capture_output=True,
            text=True,
            check=True,
            timeout=PROBE_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version, _, executable = answer.stdout.strip().partition(" ")
    return version, executable


def is_supported(version: str) -> bool:
    """Whether we test with this version of Python."""
    major, minor = version.split(".")[:2]
    return VERSION_MIN <= (int(major), int(minor)) <= VERSION_MAX


def choose_python(wanted: str) -> tuple[str, str]:
    """Return version and path of the Python to build on: ``PYTHON`` if set, else the newest."""
    seen = ""
    for command in (wanted,) if wanted else CANDIDATES:
        found = probe(command)
        if found and is_supported(found[0]):
            return found
        seen = f"{command} here is {found[0]}" if found else seen
    if wanted:
        seen = seen or f"PYTHON={wanted} does not run"
    raise SetupError(
        f"Portcullis needs Python 3.11, 3.12 or 3.13; {seen or 'no python3 runs here'}. "
        "Install one or set PYTHON=python3.12"
    )


def fingerprint(version: str) -> str:
    """What the contents of ``.venv`` depend on; the place too, for scripts name it absolutely."""
    digest = hashlib.sha256(f"{version}\n{platform.machine()}\n{ROOT}\n".encode())
    for name in ("requirements.lock", LOCK_FILE, "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    packages = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
    digest.update(" ".join(packages).encode())
    return digest.hexdigest()


def is_ready(wanted: str) -> bool:
    """Whether ``.venv`` already is what a fresh install would give, without starting a Python.

    Only trustworthy when the interpreter of ``.venv`` itself runs this file, as the Makefile does.
    """
    if Path(sys.executable).parent.resolve() != VENV_PYTHON.parent:
        return False
    if not STAMP.exists() or STAMP.read_text() != fingerprint(platform.python_version()):
        return False
    if not wanted:
        return True
    found = probe(wanted)
    return found is not None and found[0] == platform.python_version()


def reusable_version(wanted: str) -> str | None:
    """Return the version of a usable ``.venv``; None where it must be built anew."""
    birth_record = VENV / "pyvenv.cfg"
    if IN_PROGRESS.exists() or not birth_record.exists():
        return None
    if str(VENV) not in birth_record.read_text():
        return None  # moved or copied here: its scripts would start the Python of the old place
    found = probe(str(VENV_PYTHON))
    if found is None or not is_supported(found[0]):
        return None
    if wanted and found[0] != choose_python(wanted)[0]:
        return None
    if run_quietly([str(VENV_PYTHON), "-I", "-m", "pip", "--version"]).returncode:
        return None
    return found[0]


def build_venv(python: str) -> None:
    """Create ``.venv`` from nothing.

    Raises SetupError with the Debian package's name where the system Python lacks ensurepip.
    """
    if VENV.exists():
        shutil.rmtree(VENV)
    VENV.mkdir()
    IN_PROGRESS.touch()
    made = run_quietly([python, "-m", "venv", str(VENV)])
    if made.returncode == 0:
        return
    words = made.stdout + made.stderr
    shutil.rmtree(VENV)
    if "ensurepip" in words or "No module named venv" in words:
        raise SetupError(
            f"{python} cannot create virtual environments. On Debian and Ubuntu: "
            f"apt install python3-venv (or {Path(python).name}-venv), then try again"
        )
    raise SetupError(f"{python} -m venv failed:\n{words.strip()}")


def pip_install(*arguments: str) -> None:
    """Run pip inside ``.venv``; its own words are shown only when it fails."""
    command = [str(VENV_PYTHON), "-I", "-m", "pip", "install", "--quiet", "--no-input"]
    done = run_quietly([*command, "--disable-pip-version-check", *arguments])
    if done.returncode:
        raise SetupError(
            f"pip could not install the requirements:\n{(done.stdout + done.stderr).strip()}\n"
            "Portcullis needs a network to a Python package index once, for `make setup`"
        )


def install(wanted: str) -> None:
    """Bring ``.venv`` to what the lock files say, reusing it where it is whole."""
    started = time.monotonic()
    version = reusable_version(wanted)
    if version is None:
        version, python = choose_python(wanted)
        say(f"creating .venv with Python {version}")
        build_venv(python)
    IN_PROGRESS.touch()
    STAMP.unlink(missing_ok=True)
    say(f"installing {LOCK_FILE} (the first time takes about a minute)")
    pip_install("--require-hashes", "--no-deps", "-r", LOCK_FILE)
    pip_install("--no-deps", "--no-build-isolation", "-e", ".")
    STAMP.write_text(fingerprint(version))
    IN_PROGRESS.unlink()
    say(f"ready in {time.monotonic() - started:.0f} s")


def say(words: str) -> None:
    """Tell the person at the terminal what is being waited for."""
    print(f"setup: {words}", flush=True)


def main() -> int:
    """Do what is missing; 0 when ``.venv`` is ready, 1 with one clear message when it cannot be."""
    wanted = os.environ.get("PYTHON", "")
    if sys.argv[1:] == ["--is-ready"]:
        return 0 if is_ready(wanted) else 1
    try:
        with Path(__file__).open() as own_file:
            fcntl.flock(own_file, fcntl.LOCK_EX)  # two terminals, one install
            if not (STAMP.exists() and ready_by_venv()):
                install(wanted)
    except SetupError as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nsetup: interrupted; the next `make setup` starts over", file=sys.stderr)
        return 130
    return 0


def ready_by_venv() -> bool:
    """Let the interpreter of ``.venv`` itself say whether it is ready; a broken one cannot."""
    command = [str(VENV_PYTHON), "-I", "-S", str(Path(__file__)), "--is-ready"]
    return run_quietly(command).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
