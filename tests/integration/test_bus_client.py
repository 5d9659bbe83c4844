"""The short way of a stored publish, on a real broker: what it promises beyond nats-py's own."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.js.api import StreamConfig

from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.errors import BusUnavailable, PublishUnknown
from tests.integration.patience import patient

WAIT_S = 20
SUBJECT = "short.way"


@pytest.fixture
async def bus(nats_server: Broker) -> AsyncIterator[Bus]:
    one = await Bus.connect(patient(nats_server.url), "test", lambda: None)
    await one.jetstream.add_stream(StreamConfig(name="SHORT", subjects=[SUBJECT]))
    yield one
    await one.close()


@pytest.fixture
async def hurried(bus: Bus, nats_server: Broker) -> AsyncIterator[Bus]:
    """One that soon gives up waiting for an answer, for who knows that none can come."""
    settings = patient(nats_server.url).model_copy(update={"publish_timeout_ms": 500})
    one = await Bus.connect(settings, "hurried", lambda: None)
    yield one
    await one.close()


async def store(bus: Bus, payload: bytes, message_id: str) -> int:
    return (await bus.publish_stored(SUBJECT, payload, message_id=message_id)).seq


async def store_at_last(bus: Bus, payload: bytes, message_id: str) -> int:
    """Store it, however often it has to be tried: under one id it is stored once."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                return await store(bus, payload, message_id)
            except (BusUnavailable, PublishUnknown):
                await asyncio.sleep(0.05)


async def test_many_at_once_get_each_their_own_answer(bus: Bus) -> None:
    stores = (store(bus, b"%d" % n, f"id-{n}") for n in range(200))
    sequences = await asyncio.gather(*stores)
    assert sorted(sequences) == list(range(1, 201))
    for number, sequence in enumerate(sequences):
        stored = await bus.read_message("SHORT", sequence)
        assert stored is not None
        assert stored.data == b"%d" % number


async def test_payload_and_headers_arrive_as_they_were(bus: Bus) -> None:
    payload = b"\r\nHPUB +OK \x00\xff" * 1_000
    acknowledgement = await bus.publish_stored(
        SUBJECT, payload, message_id="a\r\nX-Other: b", headers={"trace": " 1 "}
    )
    stored = await bus.read_message("SHORT", acknowledgement.seq)
    assert stored is not None
    assert stored.data == payload
    assert stored.headers == {"trace": "1", "Nats-Msg-Id": "a  X-Other: b"}


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPUB x 0", "a\tb"])
async def test_a_subject_cannot_break_out_of_its_line(bus: Bus, subject: str) -> None:
    with pytest.raises(ValueError, match="subject"):
        await bus.publish_stored(subject, b"x", message_id="x")


async def hear(bus: Bus, subject: str) -> list[bytes]:
    heard: list[bytes] = []

    async def note(_: str, payload: bytes, __: dict[str, str]) -> None:
        heard.append(payload)

    await bus.subscribe(subject, note)
    return heard


async def until_heard(heard: list[bytes], count: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while len(heard) < count:
            await asyncio.sleep(0.005)


async def test_what_is_said_in_one_turn_of_the_loop_is_heard_once_and_in_order(bus: Bus) -> None:
    heard = await hear(bus, "said.>")  # its SUB waits to be written when the first is said
    for number in range(1_000):
        await bus.publish(f"said.{number % 7}", b"%d" % number)
    await until_heard(heard, 1_000)
    assert heard == [b"%d" % number for number in range(1_000)]


async def test_what_is_stored_never_overtakes_what_was_said_before_it(bus: Bus) -> None:
    heard = await hear(bus, ">")  # the broker's answers, too
    await bus.publish("said.first", b"before")
    await store(bus, b"stored", "id")
    await bus.publish("said.last", b"after")
    async with asyncio.timeout(WAIT_S):
        while b"after" not in heard:
            await asyncio.sleep(0.005)
    ours = [one for one in heard if one in {b"before", b"stored", b"after"}]
    assert ours == [b"before", b"stored", b"after"]


async def test_headers_of_what_is_said_arrive_as_they_were(bus: Bus) -> None:
    headers_heard: list[dict[str, str]] = []

    async def note(_: str, __: bytes, headers: dict[str, str]) -> None:
        headers_heard.append(headers)

    await bus.subscribe("said", note)
    await bus.publish("said", b"x", {"trace": " 1 ", "other": "a\r\nX-Other: b"})
    async with asyncio.timeout(WAIT_S):
        while not headers_heard:
            await asyncio.sleep(0.005)
    assert headers_heard == [{"trace": "1", "other": "a  X-Other: b"}]


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPUB x 0", "a\tb"])
async def test_a_said_subject_cannot_break_out_of_its_line(bus: Bus, subject: str) -> None:
    with pytest.raises(ValueError, match="subject"):
        await bus.publish(subject, b"x")


async def test_a_subject_that_no_stream_stores_is_known_not_to_be_stored(bus: Bus) -> None:
    with pytest.raises(BusUnavailable):
        await bus.publish_stored("nobody.stores.this", b"x", message_id="x")


def is_stopped(process_id: int) -> bool:
    """Whether no thread of a process runs any more (where the kernel tells, that is on Linux)."""
    tasks = Path(f"/proc/{process_id}/task")
    states = [(task / "stat").read_text().rpartition(") ")[2][0] for task in tasks.glob("*")]
    return all(state == "T" for state in states)


async def stop_all_of_it(process_id: int) -> None:
    """Stop a process; a thread of it on another core may run, and answer, for a moment yet."""
    os.kill(process_id, signal.SIGSTOP)
    async with asyncio.timeout(WAIT_S):
        while not is_stopped(process_id):
            await asyncio.sleep(0.005)


async def test_an_answer_that_comes_too_late_is_unknown_and_disturbs_nothing(
    hurried: Bus, nats_server: Broker
) -> None:
    process_id = nats_server.process_id
    assert process_id is not None
    await stop_all_of_it(process_id)
    try:
        with pytest.raises(PublishUnknown):
            await store(hurried, b"late", "late")
    finally:
        os.kill(process_id, signal.SIGCONT)
    assert await store_at_last(hurried, b"after", "after") in (1, 2)


async def test_the_short_way_survives_a_broker_that_restarts(
    hurried: Bus, nats_server: Broker
) -> None:
    assert await store_at_last(hurried, b"before", "before") == 1
    await nats_server.stop()
    with pytest.raises((BusUnavailable, PublishUnknown)):
        await store(hurried, b"meanwhile", "meanwhile")
    await nats_server.start()
    async with asyncio.timeout(WAIT_S):
        while not hurried.is_connected:
            await asyncio.sleep(0.02)
    assert await store_at_last(hurried, b"after", "after") > 1


async def test_giving_up_leaves_nothing_behind(bus: Bus) -> None:
    task = asyncio.create_task(store(bus, b"x", "x"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not bus._client._waiting
    assert await store(bus, b"y", "y") >= 1
