"""Runs a command that dies when the runner does, even when the runner is killed without warning.

    python tether.py RUNNER_PID COMMAND ARGUMENT...

On Linux the kernel ends the command with its parent (prctl PR_SET_PDEATHSIG survives exec), so this
program replaces itself with the command. Elsewhere it stays as the command's parent and looks
whether its own parent has changed. Standard library only: it starts in 20 ms.
"""

import ctypes
import os
import platform
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
LOOK_INTERVAL_S = 0.2


def tether_by_kernel(runner: int) -> None:
    """Ask the kernel to end this process, whatever it becomes, when the runner ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != runner:
        raise SystemExit("the runner is gone")


def watch(command: list[str], runner: int) -> int:
    """Run the command as a child, pass on SIGTERM, end it when the runner is gone."""
    child = os.spawnvp(os.P_NOWAIT, command[0], command)  # noqa: S606
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: os.kill(child, received))
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if os.getppid() != runner:
            os.kill(child, signal.SIGKILL)
        time.sleep(LOOK_INTERVAL_S)


def main() -> None:
    """Become the command, or watch it."""
    runner, command = int(sys.argv[1]), sys.argv[2:]
    if platform.system() == "Linux":
        tether_by_kernel(runner)
        os.execvp(command[0], command)  # noqa: S606 - the runner wrote this command
    code = watch(command, runner)
    raise SystemExit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
