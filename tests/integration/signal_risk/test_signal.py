"""Signal as a process: every candle once, every intent once, whatever kills it."""

import asyncio
import random
from decimal import Decimal

from libs.common.messages import subjects
from libs.common.messages.account import DeadLetter
from libs.common.messages.codec import decode, encode
from libs.common.messages.intents import ProposedIntent
from libs.common.messages.market import Candle, CandleOrigin
from libs.common.model.ids import candle_id
from libs.common.runtime.config import BusConfig, CommonConfig
from libs.common.runtime.provisioning import RISK_CONSUMER, SIGNAL_CONSUMER, provision
from services.signal.config import SignalConfig, build_series
from services.signal.core import fold

START_NS = 1_723_161_000 * 10**9
SECOND_NS = 10**9
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def candles_of_a_walk(seed, seconds):
    """Closed candles of two symbols, in the order in which feed would publish them."""
    dice = random.Random(seed)
    closes = {"BTCUSDT": Decimal(60_000), "ETHUSDT": Decimal(2_600)}
    for second in range(seconds):
        open_ns = START_NS + second * SECOND_NS
        for symbol in SYMBOLS:
            before = closes[symbol]
            after = closes[symbol] = before + Decimal(dice.randint(-200, 200)).scaleb(-2)
            identity = candle_id(symbol, "1s", open_ns)
            yield Candle(
                message_id=identity,
                causation_id=identity,
                correlation_id=identity,
                ts_event_ns=open_ns + SECOND_NS,
                ts_published_ns=second,
                source="feed",
                symbol=symbol,
                interval="1s",
                open_ns=open_ns,
                close_ns=open_ns + SECOND_NS,
                open=before,
                high=max(before, after),
                low=min(before, after),
                close=after,
                volume=Decimal(1),
                trade_count=1,
                origin=CandleOrigin.TRADES,
            )


def expected_intents(candles):
    """What the pure core derives from the candles without any interruption."""
    series = build_series(CommonConfig(), SignalConfig())
    return {intent.intent_id: intent for c in candles for intent in fold(series, c).intents}


async def publish(world, candles):
    for candle in candles:
        await world.bus.publish_stored(
            subjects.candle(candle.interval, candle.symbol),
            encode(candle),
            message_id=candle.message_id,
        )


async def proposed(world):
    stored = await world.stored(subjects.INTENTS_STREAM, "intent.proposed.")
    return [decode(payload, ProposedIntent) for _, payload in stored]


async def acknowledged(world):
    info = await world.bus.jetstream.consumer_info(subjects.MARKET_STREAM, SIGNAL_CONSUMER)
    return info.ack_floor.stream_seq


async def test_killed_three_times_it_misses_no_candle_and_repeats_no_intent(world, until):
    candles = list(candles_of_a_walk(1, 400))
    expected = expected_intents(candles)
    assert len(expected) > 40

    async def passed(sequence):
        return await acknowledged(world) >= sequence

    publishing = asyncio.create_task(publish(world, candles))
    for kill_at in (150, 350, 600):
        service = await world.run("signal")
        await until(lambda at=kill_at: passed(at), f"candle {kill_at}")
        assert await service.end("kill") != 0
    service = await world.run("signal")
    await publishing
    await until(lambda: passed(len(candles)), "all candles")

    found = await proposed(world)
    assert {message.intent.intent_id: message.intent for message in found} == expected
    assert len(found) == len(expected)
    status = await service.status()
    assert [(own["folded"], own["gaps"]) for own in status["series"]] == [(400, 0)] * 2
    assert all(own["warmed_up"] >= 299 for own in status["series"])
    assert all(own["last_candle"] == candles[-2 + n].message_id
               for n, own in enumerate(status["series"]))  # fmt: skip
    assert await service.end("terminate") == 0


async def test_an_intent_names_its_cause_and_its_end(world, until):
    candles = list(candles_of_a_walk(2, 120))
    causes = {candle.message_id: candle for candle in candles}
    await world.run("signal")
    await publish(world, candles)
    count = len(expected_intents(candles))

    async def all_there():
        found = await proposed(world)
        return found if len(found) == count else None

    for message in await until(all_there, f"{count} intents"):
        intent = message.intent
        cause = causes[message.causation_id]
        assert message.message_id == message.correlation_id == intent.intent_id
        assert intent.candle_id == cause.message_id
        assert intent.reference_price == cause.close
        assert intent.caused_wall_ns == cause.ts_published_ns
        assert intent.expires_at_ns == cause.close_ns + 5 * SECOND_NS


async def test_an_intent_that_the_broker_does_not_take_is_said_again_not_lost(world, until):
    candles = list(candles_of_a_walk(5, 120))
    service = await world.run("signal")
    await service.started()
    jetstream = world.bus.jetstream
    await jetstream.delete_consumer(subjects.INTENTS_STREAM, RISK_CONSUMER)
    config = (await jetstream.stream_info(subjects.INTENTS_STREAM)).config
    config.subjects = ["intent.approved.>"]
    await jetstream.update_stream(config)
    await publish(world, candles)
    await until(lambda: service.event("message not settled"), "signal to be refused")
    await provision(world.bus, "paper", BusConfig())
    expected = expected_intents(candles)

    async def all_there():
        found = await proposed(world)
        return {message.intent.intent_id: message.intent for message in found} == expected

    await until(all_there, "every intent")
    assert [own["repeated"] for own in (await service.status())["series"]] == [0, 0]


async def test_what_is_no_candle_goes_to_the_dead_letters_and_the_rest_goes_on(world, until):
    first, *rest = candles_of_a_walk(3, 10)
    service = await world.run("signal")
    await publish(world, [first])
    subject = subjects.candle("1s", "BTCUSDT")
    absurd = encode(first).replace(b'"close":"', b'"close":"-')
    for n, payload in enumerate((b"{", b"[]", absurd)):
        await world.bus.publish_stored(subject, payload, message_id=f"bad-{n}")
    await publish(world, rest)
    await service.started()

    async def all_folded():
        status = await service.status()
        return [own["folded"] for own in status["series"]] == [10, 10]

    await until(all_folded, "all candles folded")
    letters = [
        decode(payload, DeadLetter) for _, payload in await world.stored(subjects.DEAD_STREAM)
    ]
    assert [letter.source for letter in letters] == ["signal"] * 3
    assert "above zero" in letters[2].reason


async def test_after_a_missing_candle_the_strategies_start_anew_and_say_so(world, until):
    candles = list(candles_of_a_walk(4, 60))
    del candles[60]  # one of BTCUSDT
    service = await world.run("signal")
    await publish(world, candles)
    line = await until(
        lambda: service.event("candles missing, strategies start anew"), "the gap in the log"
    )
    assert (line["symbol"], line["missing_ms"]) == ("BTCUSDT", 1_000)
    expected = expected_intents(candles)

    async def all_there():
        return {message.intent.intent_id for message in await proposed(world)} == set(expected)

    await until(all_there, "the intents of what came before and after the gap")


async def test_a_strategy_that_does_not_exist_stops_the_start_with_advice(world):
    world.tree["signal"]["strategies"] = [{"id": "a", "strategy": "martingale"}]
    service = await world.run("signal")
    assert await service.process.wait() == 2
    await service.reader
    assert "known are rsi_crossover, ema_cross" in service.lines[-1]["error"]
