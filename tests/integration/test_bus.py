"""The bus on a real broker: nothing buffered, nothing lost, nothing that can kill the reader."""

import asyncio

import pytest

from libs.common.messages import subjects
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus, Delivery
from libs.common.runtime.config import BusConfig
from libs.common.runtime.errors import AppendConflict, BusError, BusUnavailable
from libs.common.runtime.provisioning import (
    APPROVALS_IN_FLIGHT_MAX,
    consumer_configs,
    execution_consumer,
    provision,
    stream_configs,
    wait_until_provisioned,
)

WAIT_S = 20


async def reconnected(bus: Bus) -> None:
    async with asyncio.timeout(WAIT_S):
        while not bus.is_connected:
            await asyncio.sleep(0.02)


async def take(bus: Bus) -> Delivery:
    async with asyncio.timeout(WAIT_S):
        async for delivery in bus.deliveries(subjects.INTENTS_STREAM, "risk"):
            return delivery
    raise AssertionError("unreachable")


async def test_provisioning_twice_changes_nothing(bus: Bus, nats_server: Broker) -> None:
    settings = BusConfig(url=nats_server.url)
    await provision(bus, "paper", settings)
    await wait_until_provisioned(bus, "paper", settings)
    names = {info.config.name for info in await bus.jetstream.streams_info()}
    assert names >= {config.name for config in stream_configs()}
    for stream, consumer in consumer_configs("paper", settings):
        assert consumer.durable_name is not None
        info = await bus.jetstream.consumer_info(stream, consumer.durable_name)
        is_of_approvals = consumer.durable_name == execution_consumer("paper")
        assert info.config.max_ack_pending == (APPROVALS_IN_FLIGHT_MAX if is_of_approvals else 1)


async def test_the_journal_stream_is_kept_for_ever_and_refuses_when_full(bus: Bus) -> None:
    config = (await bus.jetstream.stream_info(subjects.JOURNAL_STREAM)).config
    assert (config.deny_delete, config.deny_purge) == (True, True)
    assert not config.max_age
    assert config.discard == "new"
    assert config.storage == "file"
    assert not config.allow_direct


async def test_the_broker_syncs_always_and_keeps_the_older_ack_subjects(
    nats_server: Broker,
) -> None:
    assert nats_server.process_id is not None
    text = (nats_server.directory / "nats-server.conf").read_text()
    assert "sync_interval: always" in text
    assert "js_ack_fc_v2: false" in text


async def test_a_publish_while_the_broker_is_away_is_refused_and_never_delivered(
    bus: Bus, nats_server: Broker
) -> None:
    await nats_server.kill()
    async with asyncio.timeout(WAIT_S):
        while bus.is_connected:
            await asyncio.sleep(0.02)
    for n in range(3):
        with pytest.raises(BusUnavailable):
            await bus.publish_stored(
                subjects.intent_proposed("BTCUSDT"), b"ghost", message_id=f"ghost-{n}"
            )
    await nats_server.start()
    await reconnected(bus)
    await bus.publish_stored(subjects.intent_proposed("BTCUSDT"), b"real", message_id="real")
    assert (await take(bus)).payload == b"real"


async def test_a_pull_outlives_a_broker_restart(bus: Bus, nats_server: Broker) -> None:
    taking = asyncio.create_task(take(bus))
    await asyncio.sleep(0.1)
    await nats_server.kill()
    await nats_server.start()
    await reconnected(bus)
    await bus.publish_stored(subjects.intent_proposed("BTCUSDT"), b"after", message_id="after")
    delivery = await taking
    assert delivery.payload == b"after"
    await delivery.ack()


async def test_an_unacknowledged_message_comes_again_and_says_so(bus: Bus) -> None:
    await bus.publish_stored(subjects.intent_proposed("BTCUSDT"), b"x", message_id="x")
    first = await take(bus)
    await first.retry_after(10)
    second = await take(bus)
    assert (first.deliveries, second.deliveries) == (1, 2)
    await second.ack()


async def test_the_same_message_id_is_stored_once(bus: Bus) -> None:
    for expected in (False, True):
        acknowledgement = await bus.publish_stored(
            subjects.intent_proposed("BTCUSDT"), b"x", message_id="same"
        )
        assert bool(acknowledgement.duplicate) is expected


async def test_compare_and_set_refuses_the_second_writer(bus: Bus) -> None:
    subject = subjects.intent_verdict("abc")
    await bus.publish_stored(subject, b"1", message_id="1", expected_last_sequence=0)
    with pytest.raises(AppendConflict):
        await bus.publish_stored(subject, b"2", message_id="2", expected_last_sequence=0)


async def test_a_handler_that_raises_does_not_deafen_the_bus(bus: Bus) -> None:
    heard: list[bytes] = []

    async def handler(_: str, payload: bytes, __: dict[str, str]) -> None:
        heard.append(payload)
        raise RuntimeError("a defect")

    await bus.subscribe("market.quote.>", handler)
    async with asyncio.timeout(WAIT_S):
        while len(heard) < 3:
            await bus.publish("market.quote.BTCUSDT", b"1")
            await asyncio.sleep(0.02)
    assert bus.is_connected


async def test_every_message_carries_a_trace_context(bus: Bus) -> None:
    await bus.publish_stored(subjects.intent_proposed("BTCUSDT"), b"x", message_id="x")
    delivery = await take(bus)
    version, trace_id, span_id, _ = delivery.headers["traceparent"].split("-")
    assert (version, len(trace_id), len(span_id)) == ("00", 32, 16)


async def test_no_broker_is_a_clear_refusal_after_a_visible_wait() -> None:
    settings = BusConfig(
        url="nats://127.0.0.1:1", connect_attempts_max=2, connect_wait_ms=10, connect_timeout_ms=500
    )
    with pytest.raises(BusUnavailable, match=r"127\.0\.0\.1:1 after 2 attempts.*bus\.url"):
        await Bus.connect(settings, "test", lambda: None)


async def test_the_password_of_a_broker_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    settings = BusConfig(
        url="nats://me:hunter2@127.0.0.1:1",
        connect_attempts_max=1,
        connect_wait_ms=10,
        connect_timeout_ms=500,
    )
    with pytest.raises(BusUnavailable) as refusal:
        await Bus.connect(settings, "test", lambda: None)
    assert "hunter2" not in str(refusal.value) + capsys.readouterr().out


async def test_a_connection_closed_for_good_is_told_once_and_does_not_spin(
    nats_server: Broker,
) -> None:
    told: list[bool] = []
    settings = BusConfig(url=nats_server.url, rtt_interval_ms=100)
    bus = await Bus.connect(settings, "test", lambda: told.append(True))
    await bus._client.close()  # as the client does by itself after a fatal word of the server
    watchdog = bus._watchdog
    assert watchdog is not None
    await asyncio.wait_for(watchdog, WAIT_S)  # a loop that spins would never come back here
    assert told == [True]
    await bus.close()


async def test_streams_that_nobody_made_are_named_with_the_remedy(nats_server: Broker) -> None:
    settings = BusConfig(url=nats_server.url, provision_wait_ms=100, reconnect_wait_ms=50)
    bus = await Bus.connect(settings, "test", lambda: None)
    try:
        with pytest.raises(BusError, match="portcullis provision"):
            await wait_until_provisioned(bus, "nobody", settings)
    finally:
        await bus.close()
