"""The journal on a real broker: one winner, a verified chain, recovery from a snapshot."""

import asyncio

import pytest

from libs.common.messages import subjects
from libs.common.messages.codec import UndecodableError, encode
from libs.common.messages.journal import JournalRecord, OrderNotPlaced, record_hash
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.errors import AppendConflict, BusUnavailable, JournalBroken
from libs.common.runtime.journal import Journal
from services.execution.config import ExecutionConfig
from services.execution.state import State

ACCOUNT = "paper"


def an_event(text: str) -> OrderNotPlaced:
    return OrderNotPlaced(client_order_id="pc-1", evidence=text)


async def append(journal: Journal, text: str) -> JournalRecord:
    return await journal.append(
        [an_event(text)], causation_id="c", correlation_id="c", ts_event_ns=1
    )


async def read_all(bus: Bus) -> list[JournalRecord]:
    return [record async for record in Journal(bus, ACCOUNT, "h").read_tail()]


async def test_of_two_writers_at_the_same_place_one_wins(bus: Bus) -> None:
    writers = [Journal(bus, ACCOUNT, "h") for _ in range(8)]
    results = await asyncio.gather(
        *(append(writer, str(n)) for n, writer in enumerate(writers)), return_exceptions=True
    )
    assert sum(isinstance(result, JournalRecord) for result in results) == 1
    assert sum(isinstance(result, AppendConflict) for result in results) == 7
    assert len(await read_all(bus)) == 1


async def test_a_reader_arrives_at_the_writer_s_place_and_head(bus: Bus) -> None:
    writer, reader = Journal(bus, ACCOUNT, "h"), Journal(bus, ACCOUNT, "h")
    for n in range(150):
        await append(writer, str(n))
    records = [record async for record in reader.read_tail()]
    assert [record.number for record in records] == list(range(1, 151))
    assert (reader.number, reader.sequence, reader.head_hash) == (
        writer.number,
        writer.sequence,
        writer.head_hash,
    )


async def test_who_needs_only_the_newest_records_begins_late_and_still_checks_the_chain(
    bus: Bus,
) -> None:
    writer, late = Journal(bus, ACCOUNT, "h"), Journal(bus, ACCOUNT, "h")
    whole = Journal(bus, ACCOUNT, "h")
    for n in range(30):
        await append(writer, str(n))
    await late.skip_to_last(10)
    assert [record.number async for record in late.read_tail()] == list(range(21, 31))
    assert late.head_hash == writer.head_hash
    await whole.skip_to_last(30)
    assert [record.number async for record in whole.read_tail()] == list(range(1, 31))


async def test_a_record_that_does_not_continue_the_chain_is_refused_by_sequence(bus: Bus) -> None:
    writer = Journal(bus, ACCOUNT, "h")
    await append(writer, "true")
    forged = JournalRecord(
        account=ACCOUNT,
        number=2,
        prev_hash="0" * 64,
        causation_id="",
        correlation_id="",
        ts_event_ns=1,
        ts_wall_ns=1,
        app_version="",
        config_hash="",
        events=(an_event("forged"),),
    )
    await bus.publish_stored(subjects.journal(ACCOUNT), encode(forged), message_id="forged")
    with pytest.raises(JournalBroken, match="record 1 was altered"):
        await read_all(bus)


async def test_bytes_that_are_no_record_are_refused_by_sequence(bus: Bus) -> None:
    await bus.publish_stored(subjects.journal(ACCOUNT), b'{"number":1}', message_id="garbage")
    with pytest.raises(JournalBroken, match="sequence 1"):
        await read_all(bus)


async def test_the_journal_cannot_be_purged_or_deleted_from(bus: Bus) -> None:
    await append(Journal(bus, ACCOUNT, "h"), "true")
    for attempt in (
        bus.jetstream.purge_stream(subjects.JOURNAL_STREAM),
        bus.jetstream.delete_msg(subjects.JOURNAL_STREAM, 1),
    ):
        with pytest.raises(Exception, match=r"not permitted|denied|delete"):
            await attempt
    assert len(await read_all(bus)) == 1


async def test_a_snapshot_that_matches_the_chain_is_taken_up(bus: Bus) -> None:
    writer = Journal(bus, ACCOUNT, "h")
    for n in range(5):
        await append(writer, str(n))
    await writer.save_snapshot(State(), "1-a")
    await append(writer, "after")
    reader = Journal(bus, ACCOUNT, "h")
    assert await reader.load_snapshot("1-a") == encode(State())
    assert [record.number async for record in reader.read_tail()] == [6]


async def test_a_snapshot_that_does_not_match_the_chain_is_refused(bus: Bus) -> None:
    writer = Journal(bus, ACCOUNT, "h")
    await append(writer, "true")
    writer.head_hash = record_hash(b"something else")
    await writer.save_snapshot(State(), "1-a")
    reader = Journal(bus, ACCOUNT, "h")
    assert await reader.load_snapshot("1-a") is None
    assert len([record async for record in reader.read_tail()]) == 1


def damage(broker: Broker, words: bytes) -> None:
    """Flip one bit of a stored record, as a failing disk may."""
    (block,) = broker.directory.rglob(f"streams/{subjects.JOURNAL_STREAM}/msgs/*.blk")
    raw = bytearray(block.read_bytes())
    raw[raw.index(words)] ^= 1
    block.write_bytes(raw)


async def reconnected(bus: Bus) -> None:
    async with asyncio.timeout(20):
        while not bus.is_connected:
            await asyncio.sleep(0.02)


async def test_a_flipped_bit_that_makes_the_broker_drop_records_is_noticed(
    bus: Bus, nats_server: Broker
) -> None:
    """After a crash the broker reads its store, and cuts it off in silence at the damage."""
    writer = Journal(bus, ACCOUNT, "h")
    for n in range(20):
        await append(writer, f"evidence {n}")
    await writer.save_head()
    await nats_server.kill()
    damage(nats_server, b"evidence 10")
    await nats_server.start()
    await reconnected(bus)
    assert len(await read_all(bus)) < 20  # what is left looks whole
    with pytest.raises(JournalBroken, match="record 20 was acknowledged at sequence 20"):
        await Journal(bus, ACCOUNT, "h").check_head()


async def test_a_flipped_bit_after_a_clean_end_is_a_missing_record(
    bus: Bus, nats_server: Broker
) -> None:
    writer = Journal(bus, ACCOUNT, "h")
    for n in range(20):
        await append(writer, f"evidence {n}")
    await nats_server.stop()
    damage(nats_server, b"evidence 10")
    await nats_server.start()
    await reconnected(bus)
    with pytest.raises(JournalBroken, match="the message at 11 is missing"):
        await read_all(bus)


async def test_a_journal_that_goes_on_after_its_witness_is_whole(bus: Bus) -> None:
    writer = Journal(bus, ACCOUNT, "h")
    await writer.check_head()  # none was saved yet
    await append(writer, "one")
    await writer.save_head()
    await append(writer, "another")
    await Journal(bus, ACCOUNT, "h").check_head()


async def test_nothing_is_appended_while_the_broker_is_away_nor_later(
    bus: Bus, nats_server: Broker
) -> None:
    writer = Journal(bus, ACCOUNT, "h")
    await append(writer, "before")
    await nats_server.kill()
    async with asyncio.timeout(20):
        while bus.is_connected:
            await asyncio.sleep(0.02)
    with pytest.raises(BusUnavailable):
        await append(writer, "ghost")
    await nats_server.start()
    async with asyncio.timeout(20):
        while not bus.is_connected:
            await asyncio.sleep(0.02)
        while True:
            try:
                await append(writer, "after")
                break
            except BusUnavailable:
                await asyncio.sleep(0.02)
    evidence = [record.events[0].evidence for record in await read_all(bus)]  # type: ignore[union-attr]
    assert evidence == ["before", "after"]


async def test_acknowledged_records_that_vanish_are_noticed(bus: Bus) -> None:
    writer = Journal(bus, ACCOUNT, "h")
    await append(writer, "true")
    writer.sequence += 10
    with pytest.raises(JournalBroken, match="acknowledged records are gone"):
        _ = [record async for record in writer.read_tail()]


def test_limits_of_execution_are_checked_against_each_other() -> None:
    with pytest.raises(ValueError, match="account_refresh_ms"):
        ExecutionConfig(account_refresh_ms=10_000, account_age_ms_max=10_000)


async def test_a_record_that_no_reader_would_take_is_not_written(bus: Bus) -> None:
    journal = Journal(bus, ACCOUNT, "h")
    with pytest.raises(UndecodableError):
        await append(journal, "x" * 1_000_000)
    await append(journal, "short")
    assert len(await read_all(bus)) == 1
