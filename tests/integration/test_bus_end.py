"""The end of a connection whose broker is gone, and of a process that still looks for it."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.config import BusConfig
from tests.integration.patience import patient
from tests.integration.walled_broker import settings_of, walled_broker

WAIT_S = 20
#: Below any wait that these tests are about: 2 s, 20 s and 30 s before there was a limit.
END_MS = 1_500
#: A process that ends with 3 while a thread still works, as one whose broker's name is looked up.
LOOKING_UP = """
import asyncio, time
from libs.common.runtime.process_end import run_to_the_end

async def main():
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 30)
    return 3

run_to_the_end(main())
"""


async def ignore(_: str, __: bytes, ___: dict[str, str]) -> None:
    """Hear nothing."""


async def until_connected(bus: Bus, is_connected: bool) -> None:
    async with asyncio.timeout(WAIT_S):
        while bus.is_connected is not is_connected:
            await asyncio.sleep(0.01)


async def ms_of_closing(bus: Bus) -> float:
    started = time.monotonic()
    await bus.close()
    return (time.monotonic() - started) * 1_000


def kill(broker: Broker, number: signal.Signals) -> None:
    assert broker.process_id is not None
    os.kill(broker.process_id, number)


async def test_a_broker_that_was_killed_is_left_without_an_error(nats_server: Broker) -> None:
    bus = await Bus.connect(BusConfig(url=nats_server.url), "test", lambda: None)
    await until_connected(bus, True)
    kill(nats_server, signal.SIGKILL)
    await until_connected(bus, False)
    await bus.subscribe("later", ignore)  # is pending, and stays so
    with capture_logs() as told:
        assert await ms_of_closing(bus) < END_MS
    assert [line for line in told if line["event"] != "broker disconnected"] == []


async def test_a_broker_that_answers_nothing_is_left_in_time_and_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = walled_broker(tmp_path, monkeypatch)  # TLS has to be closed, too
    await broker.start()
    try:
        settings = settings_of(broker, tmp_path, "feed").model_copy(
            update={"close_timeout_ms": 300}
        )
        bus = await Bus.connect(settings, "feed", lambda: None)
        kill(broker, signal.SIGSTOP)
        with capture_logs() as told:
            assert await ms_of_closing(bus) < END_MS
        assert [(line["event"], line["limit_ms"]) for line in told] == [
            ("broker not left in time", 300)
        ]
    finally:
        kill(broker, signal.SIGCONT)
        await broker.stop()


async def test_what_was_said_last_is_heard_before_a_connection_is_closed(
    nats_server: Broker,
) -> None:
    heard: list[bytes] = []

    async def note(_: str, payload: bytes, __: dict[str, str]) -> None:
        heard.append(payload)

    settings = patient(nats_server.url)
    listener = await Bus.connect(settings, "listener", lambda: None)
    await listener.subscribe("last.words", note)
    await listener.jetstream.account_info()  # the broker knows of the subscription
    speaker = await Bus.connect(settings, "speaker", lambda: None)
    for number in range(100):
        await speaker.publish("last.words", b"%d" % number)
    await speaker.close()
    async with asyncio.timeout(WAIT_S):
        while len(heard) < 100:
            await asyncio.sleep(0.01)
    assert heard == [b"%d" % number for number in range(100)]
    await listener.close()


async def test_a_thread_that_does_not_end_holds_no_process_and_changes_no_exit_code() -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LOOKING_UP, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(WAIT_S):
            told, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode == 3
    assert told.count(b"leaving a thread behind") == 1
