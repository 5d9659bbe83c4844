"""Volumes that are full or cannot be written: one reason, and nothing that was accepted is lost."""

import asyncio
import json
import os
import resource
import signal
import sys
import time
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
from tests.integration.patience import patient
from tests.integration.test_run import Running, free_ports, is_alive, wait_until_gone

DEADLINE_S = 90
STOP_MS = 5_000
#: Lets go of root's right to write where the file modes say no, then becomes its arguments.
WITHOUT_ROOTS_RIGHTS = (
    "import ctypes, os, sys\n"
    "for right in (1, 2):\n"
    "    ctypes.CDLL(None).prctl(24, right, 0, 0, 0)\n"
    "os.execvp(sys.argv[1], sys.argv[1:])\n"
)


def fill_up(volume: Path) -> Path:
    """Take all the room there is; returns what to remove again."""
    filler = volume / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            return filler
    raise AssertionError("a volume without end")


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
    settings = patient(nats_server.url)
    bus = await Bus.connect(settings, "test", lambda: None)
    try:
        large = StreamConfig(name="LARGE", subjects=["large"], max_bytes=STORE_BYTES_MAX - 1)
        await bus.jetstream.add_stream(large)
        with pytest.raises(BusUnavailable, match="insufficient storage resources available"):
            await provision(bus, "paper", settings)
    finally:
        await bus.close()


def test_a_run_whose_directory_is_full_keeps_its_services_alive_and_says_what_it_could_not_write(
    small_volume: Path, tmp_path: Path
) -> None:
    run = Running(tmp_path, free_ports(), "--data-dir", str(small_volume))
    run.data_dir = small_volume
    try:
        run.wait_for("armed; Ctrl-C")
        process_ids = run.process_ids()
        fill_up(small_volume)
        for _ in range(2):
            said = run.text.count("signal ended (killed by SIGKILL)")
            os.kill(process_of_signal(run.process.pid), signal.SIGKILL)
            deadline = time.monotonic() + DEADLINE_S
            while run.text.count("signal ended (killed by SIGKILL)") == said:
                assert time.monotonic() < deadline, run.text
                time.sleep(0.05)
            run.wait_for("not written down what runs where: No space left on device")
    finally:
        run.process.send_signal(signal.SIGINT)
        code = run.process.wait(DEADLINE_S)
    assert code == exits.FAILED
    assert "journal not exported: No space left on device" in run.text
    assert "Traceback" not in run.text
    wait_until_gone(process_ids)


def process_of_signal(parent: int) -> int:
    """The process of signal that a run has now, whatever it could write down."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            try:
                words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"services.signal" in words and is_alive(int(child)):
                return int(child)
        time.sleep(0.05)
    raise AssertionError("a run without signal")


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
