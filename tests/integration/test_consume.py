"""What a consumer does with a message that breaks its handler: a restart, but not for ever."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from libs.common.messages import subjects
from libs.common.model.settings import ServiceConfig
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus, Delivery
from libs.common.runtime.config import BusConfig, CommonConfig
from libs.common.runtime.provisioning import RISK_CONSUMER, execution_consumer, provision
from libs.common.runtime.service import Context
from tests.integration.patience import patient

WAIT_S = 60


@pytest.fixture
async def context(nats_server: Broker) -> AsyncIterator[Context[ServiceConfig]]:
    settings = BusConfig(url=nats_server.url, ack_wait_ms=3_000, deliveries_max=3)
    bus = await Bus.connect(patient(nats_server.url), "test", lambda: None)
    await provision(bus, "paper", settings)
    yield Context("test", CommonConfig(bus=settings), ServiceConfig(), "hash", bus)
    await bus.close()


async def test_a_message_that_always_breaks_its_handler_ends_in_the_dead_letters(
    context: Context[ServiceConfig],
) -> None:
    for body in (b"poison", b"sound"):
        await context.bus.publish_stored(
            subjects.intent_proposed("BTCUSDT"), body, message_id=body.decode()
        )
    heard: list[bytes] = []

    async def handle(delivery: Delivery) -> None:
        heard.append(delivery.payload)
        if delivery.payload == b"poison":
            raise ZeroDivisionError

    async with asyncio.timeout(WAIT_S):
        for _ in range(3):  # each of these ends a process, and the supervisor starts the next
            with pytest.raises(ZeroDivisionError):
                await context.consume(subjects.INTENTS_STREAM, RISK_CONSUMER, handle)
        last_life = asyncio.create_task(
            context.consume(subjects.INTENTS_STREAM, RISK_CONSUMER, handle)
        )
        while b"sound" not in heard:
            await asyncio.sleep(0.02)
    last_life.cancel()
    assert heard == [b"poison"] * 3 + [b"sound"]
    letter = await context.bus.read_last(subjects.DEAD_STREAM, subjects.dead("test"))
    assert letter is not None
    assert b"ZeroDivisionError" in (letter.data or b"")


async def test_an_approval_that_is_slow_to_be_answered_keeps_no_other_waiting(
    context: Context[ServiceConfig],
) -> None:
    """An exit must not grow old behind an entry that the venue does not answer."""
    for body in (b"slow", b"next", b"third"):
        await context.bus.publish_stored(
            subjects.intent_approved("paper", "BTCUSDT"), body, message_id=body.decode()
        )
    heard: list[bytes] = []
    answered = asyncio.Event()

    async def handle(delivery: Delivery) -> None:
        heard.append(delivery.payload)
        if delivery.payload == b"slow" and delivery.deliveries == 1:
            await answered.wait()

    consuming = asyncio.create_task(
        context.consume(
            subjects.INTENTS_STREAM, execution_consumer("paper"), handle, in_flight_max=16
        )
    )
    async with asyncio.timeout(WAIT_S):
        while b"third" not in heard:
            await asyncio.sleep(0.01)
    # None of them had to wait until the first was delivered once more, and settled by that.
    assert heard == [b"slow", b"next", b"third"]
    answered.set()
    consuming.cancel()
