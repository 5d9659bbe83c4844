"""Carries the market: sockets into the inbox, inbox onto the bus, questions to REST and back."""

import asyncio
import random
from collections.abc import Sequence

from libs.common.runtime.clock import NS_PER_MS, NS_PER_S, PaperClock, monotonic_ns, wall_ns
from libs.common.runtime.credentials import load_secret, venue_limits
from libs.common.runtime.errors import BusError
from libs.common.runtime.health import Level
from libs.common.runtime.log import get_logger
from libs.common.runtime.service import Context
from libs.common.runtime.venue_client import VenueClient
from libs.common.runtime.venue_transport import VenueCall
from services.feed.backfill import Backfill
from services.feed.backoff import AttemptBudget
from services.feed.binance_stream import MarketStream
from services.feed.config import FeedConfig
from services.feed.connection import Listener
from services.feed.core import FeedCore, Limits
from services.feed.event_times import BEHIND, EventTimes, SocketTime
from services.feed.events import (
    ClockEvent,
    ContractEvent,
    DepthEvent,
    Frame,
    KlineEvent,
    KlineUpdate,
    MarketEvent,
    MarkEvent,
    QuoteEvent,
    RestMark,
    RestQuote,
    TradeEvent,
)
from services.feed.fitness import Fitness
from services.feed.inbox import Inbox, Proof, RefusedTrade, SocketDown, SocketUp, Tick, Unreadable
from services.feed.kline_series import AskKlines, Revised
from services.feed.lease_keeper import LeaseKeeper
from services.feed.plan import SocketPlan, plan_sockets
from services.feed.publisher import Publisher
from services.feed.recorder import Recorder
from services.feed.rest_fallback import RestFallback
from services.feed.self_report import Parts, SelfReport
from services.feed.trade_series import AskTrades

log = get_logger(__name__)

#: Bytes of an unreadable frame that are kept with its dead letter.
FRAME_BYTES_KEPT_MAX = 4_096
_KINDS: dict[type, str] = {
    QuoteEvent: "quote",
    RestQuote: "quote",
    MarkEvent: "mark",
    RestMark: "mark",
    TradeEvent: "trade",
    KlineUpdate: "kline",
    KlineEvent: "kline",
    DepthEvent: "depth",
}


class FeedShell:
    """Everything of the feed that touches the world."""

    def __init__(self, context: Context[FeedConfig], dice: random.Random) -> None:
        common, settings = context.common, context.settings
        self._context = context
        self._settings = settings
        self._inbox = Inbox(settings.inbox_messages_max)
        self._times = EventTimes(settings.ahead_ms_max, settings.behind_ms_max)
        paper_clock = context.clock if isinstance(context.clock, PaperClock) else None
        self._is_paper = paper_clock is not None
        limits = _limits(settings, is_paper=self._is_paper)
        self._core = FeedCore(
            common.symbols, common.candle_intervals, limits, on_kept=self._inbox.wake
        )
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
        budget = AttemptBudget(settings.attempts_max, settings.attempts_window_ms)
        self._streams = [
            MarketStream(
                plan, common.venue.stream_url, settings, budget, dice, self._listener(),
                is_paper=self._is_paper,
            )
            for plan in plans
        ]  # fmt: skip
        self._venue = self._new_venue()
        self._backfill = Backfill(self._venue, settings, dice, context.clock)
        self._lease = LeaseKeeper(context.bus, settings, self._inbox.wake)
        self._fitness = Fitness(context, self._venue, dice, self._recorder)
        self._publisher = Publisher(
            self._core,
            self._inbox,
            context.bus,
            settings,
            plans,
            intervals=common.candle_intervals,
            voice=self._lease,
            paper_clock=paper_clock,
            store_retry_wait_ms=common.bus.redelivery_wait_ms,
            ask=self._ask,
            complain=self._complain,
        )
        self._fitness.depth.may_speak = self._publisher.speaks
        self._fallback = RestFallback(
            self._venue,
            self._backfill,
            self._core,
            self._inbox,
            settings,
            self._streams,
            judge=self._judge_rest,
            candle_ns=self._candle_ns,
        )
        self._report = self._new_report()
        self._letters_minute = 0
        self._letters_left = settings.dead_letters_per_minute_max

    def _listener(self) -> Listener:
        return Listener(
            self._on_frame,
            self._on_unreadable,
            self._on_up,
            self._on_down,
            self._record_frame if self._recorder is not None else None,
            self._judge,
            self._times,
            self._core.quotes.slots,
            self._core.marks.slots,
            self._core.receive_open_bar,
        )

    def _new_venue(self) -> VenueClient:
        common, key_file = self._context.common, self._settings.api_key_file
        key = None if key_file is None else load_secret(common, "feed.api_key_file", key_file)
        return VenueClient(
            common.venue.rest_url,
            self._venue_ns,
            api_key=None if key is None else key.reveal(),
            limits=venue_limits(common),
            on_call=self._on_call,
        )

    def _new_report(self) -> SelfReport:
        return SelfReport(
            Parts(
                context=self._context,
                core=self._core,
                inbox=self._inbox,
                streams=self._streams,
                publisher=self._publisher,
                lease=self._lease,
                backfill=self._backfill,
                recorder=self._recorder,
                times=self._times,
                fallback=self._fallback,
                fitness=self._fitness,
            )
        )

    @property
    def streams(self) -> Sequence[MarketStream]:
        """The sockets, one for each plan; nobody listens before they are run."""
        return self._streams

    async def start(self) -> None:
        """Recover the last candles, and begin to listen and to strive for the lease.

        Raises:
            BusUnavailable: the broker did not answer; starting again is the cure.
        """
        context = self._context
        context.status = self._report.status
        context.health.set("sockets", Level.FAIL, "not subscribed yet")
        context.on_stop.append(self._stop)
        await self._publisher.start()
        context.spawn(self._lease.run(), "lease")
        context.spawn(self._publisher.run(), "publisher")
        context.spawn(self._report.run(), "health-report")
        context.spawn(self._fallback.run(), "rest-fallback")
        if not self._is_paper:
            context.spawn(self.tick(), "tick")
        self._fitness.start()
        for stream in self._streams:
            context.spawn(stream.run(), f"socket-{stream.plan.name}")

    async def _stop(self) -> None:
        await self._lease.leave()
        if self._recorder is not None:
            self._recorder.close()
        await self._venue.close_connection()

    def _on_call(self, call: VenueCall) -> None:
        self._backfill.on_call(call)
        self._fitness.depth.on_call(call)

    def _on_up(self, plan: SocketPlan) -> None:
        self._inbox.put(SocketUp(plan))
        if self._recorder is not None:
            self._recorder.on_reconnected(plan.streams)

    def _on_down(self, plan: SocketPlan) -> None:
        self._inbox.put(SocketDown(plan))
        self._fitness.depth.on_down(plan)

    # -- the reader's side: nothing here waits ---------------------------------------------------

    def _on_frame(self, plan: SocketPlan, frame: Frame) -> bool:
        data = frame.data
        # Types compared: ``isinstance`` with a class of msgspec that does not fit takes long.
        if type(data) is KlineEvent:
            self._core.receive("kline")
            return self._inbox.offer(data)
        if type(data) is TradeEvent:
            self._core.receive("trade")
            return self._inbox.offer(data)
        if type(data) is DepthEvent:
            self._core.receive("depth")
            self._fitness.depth.offer(frame.stream, data)
        elif type(data) is ClockEvent:
            if self._is_paper:
                return self._inbox.offer(Proof(plan, data))
            self._on_unreadable(plan, b"", "a clock frame outside the paper world")
        elif type(data) is ContractEvent:
            self._fitness.reader.hint(data.symbol)
        return True

    def _judge(self, data: MarketEvent, socket: SocketTime) -> bool:
        """Whether an event's time is believed; one that is not is counted and told to its series.

        Market time is what the event's own socket told, in the paper world; elsewhere our clock's.
        """
        now_ms, speed = socket.now_ms, socket.speed
        if not self._is_paper:
            now_ms, speed = self._context.clock.now_ns() // NS_PER_MS, 1
        if now_ms is None:
            return True
        why = self._times.judge(data.event_ms, now_ms, speed=speed)
        if not why and isinstance(data, TradeEvent):
            why = self._times.judge(data.trade_ms, now_ms, speed=speed)
        if not why:
            return True
        self._core.refuse(f"{_KINDS[type(data)]}_{why}")
        if isinstance(data, TradeEvent):
            self._inbox.put_latest(f"refused-{data.symbol}", RefusedTrade(data.symbol))
        elif isinstance(data, KlineEvent) and why == BEHIND:
            for effect in self._core.on_late_kline(data):
                if isinstance(effect, Revised):
                    self._ask(effect)
        return False

    def _judge_rest(self, data: MarketEvent) -> bool:
        now_ms = None if self._is_paper else self._context.clock.now_ns() // NS_PER_MS
        why = self._times.judge_rest(data.event_ms, now_ms)
        if why:
            self._core.refuse(f"{_KINDS[type(data)]}_{why}")
        return not why

    def _candle_ns(self) -> int:
        """How far candles may go where no socket proves it."""
        if self._is_paper:
            return self._times.newest_ms * NS_PER_MS
        lead_ms = self._settings.candle_lead_ms
        return self._times.candle_ns(self._context.clock.now_ns(), lead_ms)

    def _on_unreadable(self, plan: SocketPlan, payload: bytes, reason: str) -> None:
        self._complain(Unreadable(f"venue.{plan.name}", payload[:FRAME_BYTES_KEPT_MAX], reason))

    def _record_frame(self, payload: bytes, frame: Frame) -> None:
        assert self._recorder is not None, "called where there is one"
        self._recorder.write(wall_ns(), payload, frame)

    # -- questions and complaints ----------------------------------------------------------------

    def _ask(self, question: AskTrades | AskKlines | Revised) -> None:
        if isinstance(question, Revised):
            log.warning(
                "a closed candle was told differently; what was published stays",
                symbol=question.symbol,
                interval=question.interval,
                open_ns=question.published.open_ns,
                published=repr(question.published),
                told=repr(question.told),
            )
            return
        self._report.questions_open += 1
        if not (isinstance(question, AskTrades) and question.is_proof):
            log.info("asking REST", question=repr(question))
        self._context.spawn(self._answer(question), f"backfill-{question.symbol}")

    async def _answer(self, question: AskTrades | AskKlines) -> None:
        try:
            answer = await self._backfill.answer(question)
        finally:
            self._report.questions_open -= 1
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

    async def tick(self) -> None:
        """Say our own time to the judge of event times and to the candles, outside paper."""
        while True:
            await asyncio.sleep(self._settings.tick_interval_ms / 1_000)
            self._times.look(self._context.clock.now_ns() // NS_PER_MS)
            if now_ns := self._candle_ns():
                self._inbox.put_latest("tick", Tick(now_ns))

    def _venue_ns(self) -> int:
        """The venue's time, whose minutes its weight is counted in; ours until it is known."""
        clock = self._context.clock
        return clock.now_ns() if clock.is_set else wall_ns()


def _limits(settings: FeedConfig, *, is_paper: bool) -> Limits:
    return Limits(
        candle_close_grace_ms=settings.candle_close_grace_ms,
        kline_overdue_ms=settings.kline_overdue_ms,
        warmup_bars=settings.warmup_bars,
        quote_age_ms_max=settings.quote_age_ms_max,
        mark_age_ms_max=settings.mark_age_ms_max,
        gap_ms_max=settings.gap_ms_max,
        trade_proof_wait_ms=None if is_paper else settings.trade_proof_wait_ms,
    )
