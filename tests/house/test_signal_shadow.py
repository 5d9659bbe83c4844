"""``services/signal`` must never hide the standard library's ``signal``, which asyncio needs."""

import os
import subprocess
import sys

import pytest

ADVICE = "run from the repository root"


def python(root, *arguments, safe_path=False, folder="services"):
    """Run a real interpreter in a folder, with or without the working directory on its path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    environment.pop("PYTHONPATH", None)
    if safe_path:
        environment["PYTHONSAFEPATH"] = "1"
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=root / folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize("module", ["signal", "asyncio", "subprocess"])
def test_inside_the_services_folder_python_stops_with_advice(root, module):
    result = python(root, "-c", f"import {module}")
    assert result.returncode != 0
    assert ADVICE in result.stderr


def test_with_the_safe_path_the_services_folder_is_harmless(root):
    result = python(root, "-c", "import asyncio, signal; print(signal.SIGTERM)", safe_path=True)
    assert result.returncode == 0, result.stderr


def test_from_the_root_both_signals_can_be_imported(root):
    words = "import signal, services.signal; print(signal.SIGTERM.name, services.signal.__name__)"
    result = python(root, "-c", words, folder=".")
    assert result.stdout.split() == ["SIGTERM", "services.signal"], result.stderr


@pytest.mark.parametrize("target", ["run", "test", "check", "bench"])
def test_every_command_of_the_makefile_runs_with_the_safe_path(root, target):
    # `make check` runs this too: without its variables, the inner make prints what ours would.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    steps = subprocess.run(
        ["make", "-n", target],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    last = steps.stdout.strip().splitlines()[-1]
    assert "PYTHONSAFEPATH=1" in last, last
