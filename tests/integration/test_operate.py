"""The operators' verbs of the command line against a whole run, as a person types them."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from cli.config import SERVICES
from cli.exits import BAD_USAGE, NOT_AVAILABLE, OK, REFUSED
from cli.run_directory import find_run
from cli.run_plan import HOST, free_port
from cli.supervisor import Child, child_environment

DEADLINE_S = 60
STOP_MS = 20_000

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def data(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """A run on ports of its own, armed; gives its data directory."""
    folder = tmp_path_factory.mktemp("operate")
    environment = child_environment(os.environ)
    environment["PORTCULLIS_BUS__URL"] = f"nats://{HOST}:{free_port()}"
    environment["PORTCULLIS_VENUE__REST_URL"] = f"http://{HOST}:{free_port()}"
    for name in SERVICES:
        environment[f"PORTCULLIS_{name.upper()}__HTTP_PORT"] = str(free_port())
    command = (sys.executable, "-m", "cli", "run", "--data-dir", str(folder / "data"))
    run = Child("run", command, folder / "run.log")
    await run.start(environment)
    try:
        async with asyncio.timeout(DEADLINE_S):
            while "armed; Ctrl-C" not in run.log_path.read_text():
                assert run.process_id is not None, run.log_path.read_text()
                await asyncio.sleep(0.05)
        yield folder / "data"
    finally:
        await run.stop(STOP_MS)


async def portcullis(*words: str) -> tuple[int, str]:
    """Type a command; returns its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli",
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=child_environment(os.environ),
    )
    said, _ = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_a_run_is_halted_looked_at_and_resumed_without_naming_url_or_token(
    data: Path,
) -> None:
    here = ("--data-dir", str(data))
    code, said = await portcullis("halt", "--reason", "a drill", *here)
    assert code == OK, said
    assert "trading_state: HALTED" in said
    code, said = await portcullis("guards", *here)
    assert code == OK, said
    assert "HALTED: a drill" in said
    for verb in ("orders", "positions", "budget", "intent"):
        code, said = await portcullis(verb, *here)
        assert code == OK, said
    code, said = await portcullis("unlock", "safe_mode", "--reason", "a drill", *here)
    assert code == OK, said
    code, said = await portcullis("cancel-all", "--reason", "a drill", *here)
    assert (code, "add --yes" in said) == (BAD_USAGE, True), said
    code, said = await portcullis("cancel-all", "--reason", "a drill", "--yes", "--json", *here)
    assert code == OK, said
    assert json.loads(said)["kill"]["is_complete"]
    code, said = await portcullis("flatten", "--reason", "a drill", "--yes", *here)
    assert code == OK, said
    assert "kill.is_complete: yes" in said
    code, said = await portcullis("reconcile", "--reason", "a drill", *here)
    assert code == OK, said
    code, said = await portcullis("reconcile", "--now", *here)
    assert (code, "nothing differs" in said) == (OK, True), said
    code, said = await portcullis("reconcile", "--now", "--json", *here)
    assert (code, json.loads(said)["trigger"]) == (OK, "demand"), said
    code, said = await portcullis("resume", "--reason", "the drill is over", *here)
    assert code == OK, said
    assert "trading_state: ACTIVE" in said


async def test_the_halt_file_is_written_and_removed_by_the_same_verbs(data: Path) -> None:
    here = ("--data-dir", str(data))
    code, said = await portcullis("halt", "--local", "--reason", "smoke", *here)
    assert code == OK, said
    halt_file = find_run(data).path / "halt"
    assert "smoke" in halt_file.read_text()
    async with asyncio.timeout(DEADLINE_S):
        while "smoke" not in (await portcullis("guards", *here))[1]:
            await asyncio.sleep(0.2)
    code, said = await portcullis("resume", "--reason", "too early", *here)
    assert (code, "remove it first" in said) == (REFUSED, True), said
    code, said = await portcullis("resume", "--local", "--reason", "no fire", *here)
    assert code in (OK, REFUSED), said  # refused if the service has not looked again yet
    assert not halt_file.exists()
    async with asyncio.timeout(DEADLINE_S):
        while (await portcullis("resume", "--reason", "no fire", *here))[0] != OK:
            await asyncio.sleep(0.2)


async def test_what_went_wrong_is_told_by_the_exit_code(data: Path, tmp_path: Path) -> None:
    here = ("--data-dir", str(data))
    wrong = tmp_path / "token"
    wrong.write_text("w" * 40)
    code, said = await portcullis("halt", "--reason", "x", "--token-file", str(wrong), *here)
    assert (code, "needs a token" in said) == (REFUSED, True), said
    assert "w" * 40 not in said
    code, said = await portcullis("unlock", "nothing", "--reason", "x", *here)
    assert (code, "there are: cooldown_global" in said) == (BAD_USAGE, True), said
    code, said = await portcullis("guards", "--url", f"http://{HOST}:{free_port()}")
    assert (code, "halt --local" in said) == (NOT_AVAILABLE, True), said
    run = find_run(data)
    token = (run.path / "operator_token").read_text()
    for log in run.path.glob("*.log"):
        assert token not in log.read_text()
