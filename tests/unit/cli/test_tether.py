"""What is tethered dies with whoever tethered it, however that one dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli import tether

DEADLINE_S = 20
RUNNER = """
import os, subprocess, sys
tether, how, sleeper = sys.argv[1:]
enter = "main()" if how == "kernel" else "raise SystemExit(watch(sys.argv[2:], int(sys.argv[1])))"
code = f"import sys; sys.path.insert(0, {os.path.dirname(tether)!r}); from tether import *; {enter}"
python = [sys.executable, "-c"]
subprocess.Popen([*python, code, str(os.getpid()), *python, sleeper]).wait()
"""
SLEEPER = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"


def is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process_id}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.parametrize("how", ["kernel", "watch"])
def test_the_command_ends_when_its_runner_is_killed(how):
    if how == "kernel" and sys.platform != "linux":
        pytest.skip("the kernel of Linux does it")
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, tether.__file__, how, SLEEPER],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert runner.stdout is not None
    sleeper = int(runner.stdout.readline())
    assert is_alive(sleeper)
    runner.send_signal(signal.SIGKILL)
    runner.wait(DEADLINE_S)
    runner.stdout.close()
    deadline = time.monotonic() + DEADLINE_S
    while is_alive(sleeper):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_watched_command_keeps_its_exit_code():
    code = (
        "import os, sys; from cli.tether import watch; sys.exit(watch(sys.argv[1:], os.getppid()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, sys.executable, "-c", "raise SystemExit(7)"],
        cwd=Path(tether.__file__).parent.parent, timeout=DEADLINE_S,
    )  # fmt: skip
    assert done.returncode == 7
