"""Volumes that are full or cannot be written: one reason, and nothing that was accepted is lost."""

import asyncio
import json
import os
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from nats.js.api import StreamConfig

from cli import exits
from cli.run_directory import create_run_directory
from cli.supervisor import Child, child_environment
from libs.common.runtime.broker import STORE_BYTES_MAX, Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.config import BusConfig
from libs.common.runtime.errors import BusUnavailable
from libs.common.runtime.provisioning import bucket_configs, provision, stream_configs
from services.paper_exchange.demo_keys import DEMO_TRADE_KEY

DEADLINE_S = 30
STOP_MS = 5_000
#: Lets go of root's right to write where the file modes say no, then becomes its arguments.
WITHOUT_ROOTS_RIGHTS = (
    "import ctypes, os, sys\n"
    "for right in (1, 2):\n"
    "    ctypes.CDLL(None).prctl(24, right, 0, 0, 0)\n"
    "os.execvp(sys.argv[1], sys.argv[1:])\n"
)


async def test_a_broker_whose_store_cannot_be_written_says_so_and_does_not_start(
    tmp_path: Path,
) -> None:
    (tmp_path / "broker" / "jetstream").mkdir(parents=True)
    (tmp_path / "broker" / "jetstream").chmod(0o555)
    launcher = (sys.executable, "-I", "-S", "-c", WITHOUT_ROOTS_RIGHTS)
    broker = Broker(tmp_path / "broker", launcher=launcher)
    with pytest.raises(BusUnavailable) as refused:
        await broker.start()
    assert "nats-server did not start: " in str(refused.value)
    assert "permission denied" in str(refused.value)


def test_a_run_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(exits.CommandFailed) as refused:
        create_run_directory(tmp_path / "file" / "data", 0)
    assert str(refused.value) == (
        f"cannot make a directory in {tmp_path}/file/data/runs: Not a directory"
    )


def test_all_streams_fit_into_what_our_broker_may_take() -> None:
    taken = sum(stream.max_bytes or 0 for stream in stream_configs())
    taken += sum(bucket.max_bytes or 0 for bucket in bucket_configs(BusConfig()))
    assert taken <= STORE_BYTES_MAX


async def test_a_broker_that_may_not_take_as_much_says_so_when_streams_are_made(
    nats_server: Broker,
) -> None:
    settings = BusConfig(url=nats_server.url)
    bus = await Bus.connect(settings, "test", lambda: None)
    try:
        large = StreamConfig(name="LARGE", subjects=["large"], max_bytes=STORE_BYTES_MAX - 1)
        await bus.jetstream.add_stream(large)
        with pytest.raises(BusUnavailable, match="insufficient storage resources available"):
            await provision(bus, "paper", settings)
    finally:
        await bus.close()


# -- what the paper exchange keeps -----------------------------------------------------------------


@asynccontextmanager
async def keeping_venue(folder: Path) -> AsyncIterator[tuple[Child, str]]:
    options = ("--port", "0", "--symbols", "BTCUSDT", "--state", str(folder / "state"))
    command = (sys.executable, "-m", "services.paper_exchange", *options)
    child = Child("paper_exchange", command, folder / "venue.log")
    await child.start(child_environment(os.environ))
    try:
        listening = await child.wait_for_event("listening")
        assert listening is not None, child.last_words()
        yield child, f"http://127.0.0.1:{listening['port']}/fapi/v1/listenKey"
    finally:
        await child.stop(STOP_MS)


async def ask(method: str, url: str) -> tuple[int, dict[str, object]]:
    headers = {"X-MBX-APIKEY": DEMO_TRADE_KEY}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, url) as answer,
    ):
        return answer.status, json.loads(await answer.read())


async def test_a_venue_that_cannot_keep_a_change_tells_nobody_of_it_and_ends(
    tmp_path: Path,
) -> None:
    async with keeping_venue(tmp_path) as (child, url):
        status, first = await ask("POST", url)
        assert status == 200
        size = (tmp_path / "state").stat().st_size
        assert child.process_id is not None
        # As on a full volume: no file may be longer than half of what has to be written.
        resource.prlimit(child.process_id, resource.RLIMIT_FSIZE, (size // 2,) * 2)
        status, unknown = await ask("DELETE", url)
        assert status == 503, unknown
        assert await asyncio.wait_for(child.wait(), DEADLINE_S) == exits.BAD_USAGE
        lines = child.log_path.read_text().splitlines()
        assert lines[-1] == f"paper_exchange: cannot keep {tmp_path / 'state'}: File too large"
        assert not [line for line in lines if "Traceback" in line or "request_failed" in line]
    async with keeping_venue(tmp_path) as (_, url):
        assert await ask("POST", url) == (200, first), "the key was never taken back"
