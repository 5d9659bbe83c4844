"""Risk as a process: one recorded verdict per intent, and strangers kept at the door."""

import asyncio
import json
import re
from decimal import Decimal

import pytest

from libs.common.messages import subjects
from libs.common.messages.account import DeadLetter
from libs.common.messages.codec import decode, encode
from libs.common.messages.intents import (
    ApprovedIntent,
    IntentVerdict,
    ProposedIntent,
    RefusedIntent,
    approval_is_genuine,
)
from libs.common.model.intent import Intent, Purpose
from libs.common.model.order import OrderType, Side
from libs.common.model.trading_state import TradingState
from libs.common.model.verdict import Reason
from libs.common.runtime.config import BusConfig
from libs.common.runtime.provisioning import execution_consumer, provision

NOW_NS = 1_723_161_300 * 10**9
KEY = b"k" * 64


def proposal(world, intent_id, **changes):
    intent = Intent(
        **{
            "intent_id": intent_id,
            "strategy_id": "stranger",
            "parameter_hash": "0",
            "symbol": "BTCUSDT",
            "side": Side.BUY,
            "purpose": Purpose.ENTER,
            "order_type": OrderType.MARKET,
            "reference_price": Decimal(60_000),
            "candle_id": "c-1",
            "created_at_ns": NOW_NS - 10**9,
            "expires_at_ns": NOW_NS + 4 * 10**9,
            **changes,
        }
    )
    return ProposedIntent(**world.envelope(intent_id), intent=intent)


async def propose(world, message, payload=None):
    await world.bus.publish_stored(
        subjects.intent_proposed("BTCUSDT"),
        encode(message) if payload is None else payload,
        message_id=message.message_id,
    )


async def approved(world):
    stored = await world.stored(subjects.INTENTS_STREAM, "intent.approved.")
    return [decode(payload, ApprovedIntent) for _, payload in stored]


async def refused(world):
    stored = await world.stored(subjects.INTENTS_DONE_STREAM, "intent.refused.")
    return [decode(payload, RefusedIntent) for _, payload in stored]


async def verdicts(world):
    stored = await world.stored(subjects.INTENTS_DONE_STREAM, "intent.verdict.")
    return [decode(payload, IntentVerdict) for _, payload in stored]


@pytest.fixture
async def speaking(world):
    """A world in which feed and execution are heard all the time."""
    voice = asyncio.create_task(world.keep_saying())
    yield world
    voice.cancel()


async def informed(service, until):
    """Wait until risk knows the market and the account."""
    await service.started()

    async def knows():
        status = await service.status()
        return len(status["quote_age_ms"]) == 2 and status["trading_state"]

    await until(knows, "risk to hear the market and the account")


async def test_an_approval_is_recorded_signed_and_sized(speaking, until):
    service = await speaking.run("risk")
    await informed(service, until)
    await propose(speaking, proposal(speaking, "good"))
    (message,) = await until(lambda: approved(speaking), "an approval")
    assert approval_is_genuine(KEY, message)
    assert not approval_is_genuine(b"x" * 64, message)
    assert message.message_id == "approved-good"
    assert (message.causation_id, message.correlation_id) == ("good", "good")
    assert message.body.order.quantity == Decimal("0.01666666")
    assert [verdict.approved for verdict in await verdicts(speaking)] == [message]
    status = await service.status()
    assert status["decisions"] == {"APPROVED": 1}
    assert await service.end("terminate") == 0


async def test_a_refusal_carries_the_reason_and_every_verdict(speaking, until):
    speaking.account_changes = {"trading_state": TradingState.HALTED}
    service = await speaking.run("risk")
    await informed(service, until)
    await propose(speaking, proposal(speaking, "halted", symbol="BTCUSDT", side=Side.SELL))
    (message,) = await until(lambda: refused(speaking), "a refusal")
    assert (message.reason, message.message_id) == (Reason.TRADING_HALTED, "refused-risk-halted")
    assert len(message.verdicts) > 10
    assert await approved(speaking) == []


async def test_while_execution_is_silent_everything_is_refused(world, until):
    world.tree["risk"]["limits"] = {"account_silence_ms_max": 300}
    service = await world.run("risk")
    await until(lambda: service.event("started"), "start")
    await world.say_all_is_well()

    async def silent():
        silence_ms = (await service.status())["account_silence_ms"]
        return silence_ms is not None and silence_ms > 300

    await until(silent, "the account to fall silent")
    await propose(world, proposal(world, "late", purpose=Purpose.EXIT))
    (message,) = await until(lambda: refused(world), "a refusal")
    failed = {item.check for item in message.verdicts if not item.passed}
    assert message.reason is Reason.ACCOUNT_STALE
    assert "account_silence" in failed


async def test_a_symbol_that_does_not_trade_is_not_entered_and_the_other_is(speaking, until):
    speaking.health_changes = {"BTCUSDT": {"status": "TRADING_HALT", "refusal": "halted"}}
    service = await speaking.run("risk")
    await informed(service, until)

    async def is_known():
        return "BTCUSDT" in (await service.status())["symbols_refused"]

    await until(is_known, "the halt")
    await propose(speaking, proposal(speaking, "halted"))
    (message,) = await until(lambda: refused(speaking), "a refusal")
    assert message.reason is Reason.FILTER_STATUS
    assert [one.check for one in message.verdicts if not one.passed] == ["symbol_trades"]
    speaking.health_changes = {}

    async def is_over():
        return not (await service.status())["symbols_refused"]

    await until(is_over, "the end of the halt")
    await propose(speaking, proposal(speaking, "trading"))
    assert await until(lambda: approved(speaking), "an approval")


def broken(message, **changes):
    """The intent with raw JSON values put in."""
    tree = json.loads(encode(message))
    tree["intent"].update(changes)
    return json.dumps(tree).encode()


async def test_what_strangers_say_wrongly_ends_in_the_dead_letters_with_the_reason(speaking, until):
    good = proposal(speaking, "stranger")
    said = {
        b"{not json": "Invalid JSON",
        b"\xff\xfe\x00": "Invalid JSON",
        broken(good, leverage=20): "intent.leverage: Extra inputs",
        broken(good, quantity=0.001): "not float",
        broken(good, quantity="NaN"): "intent.quantity: Value error, must be plain digits",
        broken(good, reference_price=float("nan")): "intent.reference_price",
        broken(good, quantity="-1"): "intent.quantity: Value error, must be plain digits",
        broken(good, side="LONG"): "Input should be 'BUY' or 'SELL'",
        broken(good, strategy_id="x" * 200_000): "more than the 65536 of an intent",
        broken(good, symbol="ETHUSDT"): "belongs on intent.proposed.ETHUSDT",
    }
    service = await speaking.run("risk")
    await informed(service, until)
    for n, payload in enumerate(said):
        await propose(speaking, proposal(speaking, f"bad-{n}"), payload)
    await propose(speaking, good)
    await until(lambda: approved(speaking), "the good intent after the bad ones")

    letters = [
        decode(payload, DeadLetter) for _, payload in await speaking.stored(subjects.DEAD_STREAM)
    ]
    assert len(letters) == len(said)
    for letter, words in zip(letters, said.values(), strict=True):
        assert words in letter.reason
        assert letter.source == "risk"
        assert len(letter.payload) < 12_000
    assert await speaking.stored(subjects.INTENTS_STREAM, "intent.proposed.") == []
    assert service.process.returncode is None


async def test_an_entry_that_an_earlier_life_approved_is_not_approved_a_second_time(
    speaking, until
):
    service = await speaking.run("risk")
    await informed(service, until)
    await propose(speaking, proposal(speaking, "first"))
    await until(lambda: approved(speaking), "an approval")
    await service.end("kill")

    service = await speaking.run("risk")  # execution has not taken the first one yet
    await informed(service, until)
    await propose(speaking, proposal(speaking, "second"))
    (message,) = await until(lambda: refused(speaking), "a refusal")
    assert message.reason is Reason.POSITION_DUPLICATE
    assert len(await approved(speaking)) == 1


async def lose_approvals(world):
    """Make the broker refuse approvals, so that risk stands between its record and its word."""
    jetstream = world.bus.jetstream
    await jetstream.delete_consumer(subjects.INTENTS_STREAM, execution_consumer("paper"))
    config = (await jetstream.stream_info(subjects.INTENTS_STREAM)).config
    config.subjects = ["intent.proposed.>"]
    await jetstream.update_stream(config)


async def test_killed_between_record_and_word_it_follows_the_record(speaking, until):
    service = await speaking.run("risk")
    await informed(service, until)
    await lose_approvals(speaking)
    await propose(speaking, proposal(speaking, "torn"))
    await until(lambda: service.event("message not settled"), "risk to be refused by the broker")
    (recorded,) = await verdicts(speaking)
    assert recorded.approved is not None
    assert await service.end("kill") != 0

    # Decided again, it would be refused now. It must not be decided again.
    speaking.account_changes = {"trading_state": TradingState.HALTED}
    await provision(speaking.bus, "paper", BusConfig())
    service = await speaking.run("risk")
    assert await until(lambda: approved(speaking), "the approval") == [recorded.approved]
    assert await verdicts(speaking) == [recorded]
    assert await refused(speaking) == []
    assert (await service.status())["verdicts_followed"] == 1


async def test_killed_again_and_again_every_intent_has_one_verdict_and_one_word(speaking, until):
    count = 60
    for n in range(count):
        side = Side.BUY if n % 2 else Side.SELL
        expires_at_ns = NOW_NS + (4 * 10**9 if n % 3 else 0)
        message = proposal(speaking, f"intent-{n}", side=side, expires_at_ns=expires_at_ns)
        await propose(speaking, message)
    for at_least in (10, 25, 40):
        service = await speaking.run("risk")

        async def enough(least=at_least):
            return len(await verdicts(speaking)) >= least

        await until(enough, f"{at_least} verdicts")
        await service.end("kill")
    await speaking.run("risk")

    async def all_told():
        return len(await approved(speaking)) + len(await refused(speaking)) == count

    await until(all_told, "a word on every intent")
    recorded = {verdict.intent_id: verdict for verdict in await verdicts(speaking)}
    assert len(await verdicts(speaking)) == len(recorded) == count
    for said in await approved(speaking):
        assert recorded[said.body.intent.intent_id].approved == said
    for said in await refused(speaking):
        assert recorded[said.intent_id].refused == said


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (None, "approval_key_file is not set"),
        ("missing.key", "approval_key_file cannot be read"),
        ("short.key", "approval_key_file in .* is malformed"),
    ],
)
async def test_without_a_sound_approval_key_it_does_not_start(world, file, words):
    short = world.folder / "short.key"
    short.write_text("tooshort")
    short.chmod(0o600)
    world.tree["approval_key_file"] = file and str(world.folder / file)
    service = await world.run("risk")
    assert await asyncio.wait_for(service.process.wait(), 20) == 2
    await service.reader
    lines = json.dumps([line.get("error", "") for line in service.lines])
    assert re.search(words, lines)
    assert "tooshort" not in lines
