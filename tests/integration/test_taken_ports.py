"""A port that cannot be had is one line that names it and the setting, before anything is done."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.config import SERVICES
from cli.run_plan import free_port
from cli.supervisor import Child, child_environment
from libs.common.runtime.service import EXIT_CONFIG
from tests.integration.test_bad_start import end_of, end_of_all, with_secrets, write_config

DEADLINE_S = 30
STOP_MS = 5_000
#: Of a network for documents: no machine has it.
ADDRESS_OF_NOBODY = "203.0.113.9"


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


async def test_every_service_names_a_taken_port_once_and_asks_nobody_anything(
    taken: int, tmp_path: Path
) -> None:
    """There is no broker either: who asked for it first would wait for it."""
    settings = with_secrets(tmp_path) | {"bus": {"url": f"nats://127.0.0.1:{free_port()}"}}
    for name in SERVICES:
        settings[name] = settings.get(name, {}) | {"http_port": taken}
    config = write_config(tmp_path, settings)
    for name, (code, said) in (await end_of_all(tmp_path, config)).items():
        assert code == EXIT_CONFIG
        (line,) = said
        assert (line["level"], line["event"]) == ("error", "configuration refused")
        assert line["error"] == f"{name}: the HTTP port {taken} is taken; set {name}.http_port"


async def test_an_address_that_this_machine_does_not_have_is_not_called_taken(
    tmp_path: Path,
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("admin alice " + "t" * 32)
    tokens.chmod(0o600)
    config = write_config(
        tmp_path,
        {"http_host": ADDRESS_OF_NOBODY, "http_tokens_file": str(tokens), "feed": {"http_port": 0}},
    )
    code, (line,) = await end_of("feed", tmp_path, config)
    assert code == EXIT_CONFIG
    assert line["error"].startswith(f"feed: cannot listen on {ADDRESS_OF_NOBODY}:0: Cannot assign")
    assert line["error"].endswith("; set http_host or feed.http_port")


async def end_of_venue(folder: Path, *options: str) -> tuple[int, list[str]]:
    """Start a paper exchange that is not meant to live; its exit code and what it said."""
    command = (sys.executable, "-m", "services.paper_exchange", *options)
    child = Child("paper_exchange", command, folder / "venue.log")
    await child.start(child_environment(os.environ))
    try:
        code = await asyncio.wait_for(child.wait(), DEADLINE_S)
    finally:
        await child.stop(STOP_MS)
    return code, child.log_path.read_text().splitlines()


async def test_the_paper_exchange_names_a_taken_port_in_one_line(
    taken: int, tmp_path: Path
) -> None:
    code, said = await end_of_venue(tmp_path, "--port", str(taken))
    assert code == EXIT_CONFIG
    (line,) = said
    assert line == (
        f"paper_exchange: cannot listen on 127.0.0.1:{taken}: Address already in use;"
        " set --host or --port"
    )


async def test_the_paper_exchange_does_not_begin_what_it_could_not_keep(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "state"
    code, said = await end_of_venue(tmp_path, "--port", "0", "--state", str(path))
    assert code == EXIT_CONFIG
    (line,) = said
    assert line == f"paper_exchange: cannot read {path}: Not a directory"
    path = tmp_path / "nowhere" / "state"
    code, said = await end_of_venue(tmp_path, "--port", "0", "--state", str(path))
    assert code == EXIT_CONFIG
    assert said[1:] == [f"paper_exchange: cannot keep {path}: No such file or directory"]
