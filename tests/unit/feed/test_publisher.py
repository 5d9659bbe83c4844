"""What the publisher says while candles are on their way into the stream."""

import asyncio
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from nats.js.api import PubAck

from libs.common.messages import subjects
from libs.common.messages.codec import decode
from libs.common.messages.market import CandleOrigin, MarketClock
from libs.common.runtime.errors import AppendConflict
from services.feed.bars import Bar
from services.feed.config import FeedConfig
from services.feed.core import FeedCore, Limits
from services.feed.events import ClockEvent, QuoteEvent
from services.feed.inbox import Inbox, Proof, SocketUp
from services.feed.plan import SocketPlan
from services.feed.publisher import Publisher
from services.feed.trade_series import CandleReady

SYMBOLS = tuple(f"COIN{n}USDT" for n in range(6))
MINUTE_NS = 60_000_000_000
ONE = Decimal(1)
PLAN = SocketPlan("market-0", "market", (), (), ())


class SlowBroker:
    """Stores an append when a test says so, and compares its expected sequence then."""

    is_connected = True

    def __init__(self):
        self.waiting, self.said, self.stored, self.last = [], [], [], {}

    async def publish(self, subject, payload, headers=None):
        self.said.append((subject, payload))

    async def publish_stored(
        self, subject, payload, *, message_id, expected_last_sequence, headers
    ):
        answer = asyncio.get_running_loop().create_future()
        self.waiting.append((subject, message_id, expected_last_sequence, answer))
        return await answer

    async def read_last(self, stream, subject):
        return None

    def answer(self):
        subject, message_id, expected, answer = self.waiting.pop(0)
        if self.last.get(subject, 0) != expected:
            answer.set_exception(AppendConflict(subject))
            return
        self.stored.append(message_id)
        self.last[subject] = len(self.stored)
        answer.set_result(PubAck("MARKET", len(self.stored)))

    def clocks(self):
        told = [body for subject, body in self.said if subject == subjects.MARKET_CLOCK]
        return [decode(body, MarketClock).now_ns for body in told]

    def quotes(self):
        return [subject for subject, _ in self.said if subject.startswith("market.quote")]


class Voice:
    holds, term = True, 1


class Scene:
    def __init__(self, publisher, core, inbox, broker, voice):
        self.publisher, self.core, self.inbox = publisher, core, inbox
        self.broker, self.voice = broker, voice

    def release(self, symbol, number):
        bar = Bar(
            number * MINUTE_NS, (number + 1) * MINUTE_NS, ONE, ONE, ONE, ONE, ONE, 1,
            CandleOrigin.STREAM,
        )  # fmt: skip
        self.publisher.candles.put(CandleReady(symbol, "1m", bar, f"{symbol}-{number}"))

    def grant(self, now_ns):
        self.inbox.put(Proof(PLAN, ClockEvent(now_ns, ONE, None, False, {})))

    async def turn(self):
        for _ in range(20):
            await asyncio.sleep(0)

    def sent(self):
        return [subject.rpartition(".")[2] for subject, *_ in self.broker.waiting]


@asynccontextmanager
async def new_scene(**settings):
    core, inbox, broker, voice = (
        FeedCore(SYMBOLS, ("1m",), Limits()),
        Inbox(99),
        SlowBroker(),
        Voice(),
    )
    publisher = Publisher(
        core, inbox, broker, FeedConfig(quote_publish_interval_ms_min=0, **settings), (PLAN,),
        intervals=("1m",), voice=voice, paper_clock=None, store_retry_wait_ms=1,
        ask=lambda _: None, complain=lambda _: None,
    )  # fmt: skip
    running = asyncio.create_task(publisher.run())
    scene = Scene(publisher, core, inbox, broker, voice)
    inbox.put(SocketUp(PLAN))
    await scene.turn()
    try:
        yield scene
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_candles_of_different_series_are_stored_together_up_to_the_limit():
    async with new_scene(candle_appends_max=4) as scene:
        for symbol in SYMBOLS:
            scene.release(symbol, 0)
        await scene.turn()
        assert scene.sent() == list(SYMBOLS[:4])
        scene.broker.answer()
        await scene.turn()
        assert scene.sent() == list(SYMBOLS[1:5])


async def test_a_candle_is_sent_only_after_the_one_before_it_is_stored():
    async with new_scene() as scene:
        for number in range(3):
            scene.release(SYMBOLS[0], number)
        for number in range(3):
            await scene.turn()
            ((_, message_id, expected, _),) = scene.broker.waiting
            assert (message_id, expected) == (f"{SYMBOLS[0]}-1m-{number * 60_000}", number)
            scene.broker.answer()
        await scene.turn()
        assert scene.publisher.candles.kept == 0


async def test_quotes_are_said_while_candles_are_not_acknowledged():
    async with new_scene() as scene:
        scene.release(SYMBOLS[0], 0)
        for number in range(3):
            scene.core.keep(QuoteEvent(1_000 + number, SYMBOLS[1], number, "1", "1", "2", "1"))
            scene.inbox.wake()
            await scene.turn()
        assert scene.sent() == [SYMBOLS[0]]
        assert len(scene.broker.quotes()) == 3


async def test_the_clock_follows_the_candles_before_it_and_waits_for_no_later_one():
    async with new_scene() as scene:
        scene.release(SYMBOLS[0], 0)
        scene.grant(MINUTE_NS)
        await scene.turn()
        scene.release(SYMBOLS[1], 1)
        scene.grant(2 * MINUTE_NS)
        await scene.turn()
        assert scene.broker.clocks() == []
        scene.broker.answer()
        await scene.turn()
        assert scene.broker.clocks() == [MINUTE_NS]
        scene.broker.answer()
        await scene.turn()
        assert scene.broker.clocks() == [MINUTE_NS, 2 * MINUTE_NS]


async def test_the_clock_never_goes_back_when_healing_begins_while_it_waits(monkeypatch):
    is_healing = False
    monkeypatch.setattr(FeedCore, "is_healing", property(lambda _: is_healing))
    async with new_scene() as scene:
        scene.release(SYMBOLS[0], 0)
        for minutes in (1, 2):
            scene.grant(minutes * MINUTE_NS)
            await scene.turn()
        is_healing = True
        for minutes in (3, 4):
            scene.grant(minutes * MINUTE_NS)
            await scene.turn()
        is_healing = False
        scene.broker.answer()
        await scene.turn()
        assert scene.broker.clocks() == [4 * MINUTE_NS]


async def test_without_the_lease_nothing_more_is_sent_and_everything_is_kept():
    async with new_scene(candle_appends_max=2) as scene:
        for symbol in SYMBOLS:
            scene.release(symbol, 0)
            scene.release(symbol, 1)
        await scene.turn()
        scene.voice.holds = False
        for _ in range(2):
            scene.broker.answer()
        await scene.turn()
        assert scene.sent() == []
        assert scene.publisher.candles.kept == 2 * len(SYMBOLS) - 2


async def test_a_store_that_gives_up_ends_the_publisher():
    async with new_scene() as scene:
        scene.release(SYMBOLS[0], 0)
        await scene.turn()
        scene.broker.waiting[0][3].set_exception(ValueError("not to be stored"))
        await scene.turn()
        with pytest.raises(ValueError, match="not to be stored"):
            scene.publisher.candles.drain()
