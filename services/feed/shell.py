"""Carries the market: sockets into the inbox, inbox onto the bus, questions to REST and back."""

import asyncio
import random

from libs.common.messages import subjects
from libs.common.messages.codec import UndecodableError, decode
from libs.common.messages.market import Candle
from libs.common.runtime.clock import NS_PER_S, PaperClock, monotonic_ns, wall_ns
from libs.common.runtime.credentials import load_secret, venue_limits
from libs.common.runtime.errors import BusError
from libs.common.runtime.health import Level
from libs.common.runtime.log import get_logger
from libs.common.runtime.metrics import FEED_GAPS, FEED_GAPS_FILLED
from libs.common.runtime.service import Context
from libs.common.runtime.venue_client import VenueClient
from services.feed.announcements import bar_of
from services.feed.backfill import Backfill
from services.feed.backoff import AttemptBudget
from services.feed.binance_stream import MarketStream
from services.feed.config import FeedConfig
from services.feed.connection import Listener
from services.feed.core import FeedCore, Limits
from services.feed.events import (
    ClockEvent,
    DepthEvent,
    Frame,
    KlineEvent,
    MarkEvent,
    QuoteEvent,
    TradeEvent,
)
from services.feed.inbox import Inbox, Proof, SocketDown, SocketUp, Tick, Unreadable
from services.feed.kline_series import AskKlines
from services.feed.plan import SocketPlan, plan_sockets
from services.feed.publisher import Publisher
from services.feed.recorder import Recorder
from services.feed.self_report import Parts, SelfReport
from services.feed.trade_series import AskTrades

log = get_logger(__name__)

#: Bytes of an unreadable frame that are kept with its dead letter.
FRAME_BYTES_KEPT_MAX = 4_096


class FeedShell:
    """Everything of the feed that touches the world."""

    def __init__(self, context: Context[FeedConfig], dice: random.Random) -> None:
        common, settings = context.common, context.settings
        self._context = context
        self._settings = settings
        self._core = FeedCore(common.symbols, common.candle_intervals, _limits(settings))
        self._inbox = Inbox(settings.inbox_messages_max)
        self._symbols = frozenset(common.symbols)
        paper_clock = context.clock if isinstance(context.clock, PaperClock) else None
        self._is_paper = paper_clock is not None
        plans = plan_sockets(
            common.symbols,
            common.candle_intervals,
            depth_streams=settings.depth_streams,
            streams_per_socket_max=settings.streams_per_socket_max,
            with_clock=self._is_paper,
        )
        self._recorder = (
            Recorder(settings.record_folder, wall_ns(), settings.record_bytes_max)
            if settings.record_folder is not None
            else None
        )
        listener = Listener(
            self._on_frame,
            self._on_unreadable,
            lambda plan: self._inbox.put(SocketUp(plan)),
            lambda plan: self._inbox.put(SocketDown(plan)),
            self._record_frame if self._recorder is not None else None,
        )
        budget = AttemptBudget(settings.attempts_max, settings.attempts_window_ms)
        self._streams = [
            MarketStream(
                plan, common.venue.stream_url, settings, budget, dice, listener,
                is_paper=self._is_paper,
            )
            for plan in plans
        ]  # fmt: skip
        self._venue = VenueClient(
            common.venue.rest_url,
            self._venue_ns,
            api_key=None
            if settings.api_key_file is None
            else load_secret(common, "feed.api_key_file", settings.api_key_file).reveal(),
            limits=venue_limits(common),
            on_call=lambda call: self._backfill.on_call(call),  # noqa: PLW0108 - made below
        )
        self._backfill = Backfill(self._venue, settings, dice, context.clock)
        self._publisher = Publisher(
            self._core,
            self._inbox,
            context.bus,
            settings,
            plans,
            paper_clock=paper_clock,
            store_retry_wait_ms=common.bus.redelivery_wait_ms,
            ask=self._ask,
            complain=self._complain,
        )
        self._report = SelfReport(
            Parts(
                context=context,
                core=self._core,
                inbox=self._inbox,
                streams=self._streams,
                publisher=self._publisher,
                backfill=self._backfill,
                recorder=self._recorder,
            )
        )
        self._letters_minute = 0
        self._letters_left = settings.dead_letters_per_minute_max

    async def start(self) -> None:
        """Recover the last candles and begin to listen.

        Raises:
            BusUnavailable: the broker did not answer; starting again is the cure.
        """
        context = self._context
        context.status = self._report.status
        context.health.set("sockets", Level.FAIL, "not subscribed yet")
        context.on_stop.append(self._stop)
        await self._recover()
        context.spawn(self._publisher.run(), "publisher")
        context.spawn(self._report.run(), "health-report")
        if not self._is_paper:
            context.spawn(self._tick(), "tick")
        for stream in self._streams:
            context.spawn(stream.run(), f"socket-{stream.plan.name}")

    async def _recover(self) -> None:
        """Go on after the last candle of each series that the broker has."""
        for symbol in self._core.symbols:
            for interval in self._context.common.candle_intervals:
                subject = subjects.candle(interval, symbol)
                stored = await self._context.bus.read_last(subjects.MARKET_STREAM, subject)
                if stored is None or stored.data is None:
                    continue
                try:
                    candle = decode(stored.data, Candle)
                except UndecodableError as error:
                    await self._context.dead_letter(subject, stored.data, str(error))
                    continue
                self._core.resume(symbol, interval, bar_of(candle))
                log.info("resuming", symbol=symbol, interval=interval, after=candle.message_id)

    async def _stop(self) -> None:
        if self._recorder is not None:
            self._recorder.close()
        await self._venue.close_connection()

    # -- the reader's side: nothing here waits ---------------------------------------------------

    def _on_frame(self, plan: SocketPlan, frame: Frame) -> bool:
        data = frame.data
        if isinstance(data, ClockEvent):
            if self._is_paper:
                return self._inbox.offer(Proof(plan, data))
            self._on_unreadable(plan, b"", "a clock frame outside the paper world")
            return True
        if not isinstance(data, QuoteEvent | TradeEvent | KlineEvent | MarkEvent | DepthEvent):
            return True
        if data.symbol not in self._symbols:
            self._on_unreadable(plan, b"", f"a symbol nobody asked for: {data.symbol[:40]}")
            return True
        if isinstance(data, QuoteEvent):
            self._core.keep_quote(data)
            self._inbox.wake()
            return True
        if isinstance(data, MarkEvent):
            self._core.keep_mark(data)
            self._inbox.wake()
            return True
        if isinstance(data, DepthEvent):
            self._core.received["depth"] += 1
            return True
        self._core.received["trade" if isinstance(data, TradeEvent) else "kline"] += 1
        if isinstance(data, KlineEvent) and not data.bar.is_closed:
            return True
        return self._inbox.offer(data)

    def _on_unreadable(self, plan: SocketPlan, payload: bytes, reason: str) -> None:
        self._complain(Unreadable(f"venue.{plan.name}", payload[:FRAME_BYTES_KEPT_MAX], reason))

    def _record_frame(self, payload: memoryview, frame: Frame) -> None:
        assert self._recorder is not None, "called where there is one"
        self._recorder.write(wall_ns(), payload, frame)

    # -- questions and complaints ----------------------------------------------------------------

    def _ask(self, question: AskTrades | AskKlines) -> None:
        FEED_GAPS.labels(question.symbol).inc()
        self._report.questions_open += 1
        log.info("asking REST", question=repr(question))
        self._context.spawn(self._answer(question), f"backfill-{question.symbol}")

    async def _answer(self, question: AskTrades | AskKlines) -> None:
        try:
            answer = await self._backfill.answer(question)
        finally:
            self._report.questions_open -= 1
        FEED_GAPS_FILLED.labels(question.symbol).inc()
        self._inbox.put(answer)

    def _complain(self, item: Unreadable) -> None:
        """Count it, and keep a letter of it unless too many came this minute."""
        self._report.unreadable += 1
        minute = monotonic_ns() // (60 * NS_PER_S)
        if minute != self._letters_minute:
            self._letters_minute = minute
            self._letters_left = self._settings.dead_letters_per_minute_max
        if self._letters_left > 0:
            self._letters_left -= 1
            self._context.spawn(self._bury(item), "dead-letter")

    async def _bury(self, item: Unreadable) -> None:
        try:
            await self._context.dead_letter(item.subject, item.payload, item.reason)
        except BusError as error:
            log.warning("dead letter not stored", reason=item.reason, error=str(error))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._settings.tick_interval_ms / 1_000)
            self._inbox.put(Tick(self._context.clock.now_ns()))

    def _venue_ns(self) -> int:
        """The venue's time, whose minutes its weight is counted in; ours until it is known."""
        clock = self._context.clock
        return clock.now_ns() if clock.is_set else wall_ns()


def _limits(settings: FeedConfig) -> Limits:
    return Limits(
        candle_close_grace_ms=settings.candle_close_grace_ms,
        kline_overdue_ms=settings.kline_overdue_ms,
        warmup_bars=settings.warmup_bars,
        quote_age_ms_max=settings.quote_age_ms_max,
        mark_age_ms_max=settings.mark_age_ms_max,
    )
