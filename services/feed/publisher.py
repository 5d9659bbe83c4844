"""The one task that publishes, in the order things were heard.

One task, because order is a promise: a clock message may only follow everything that precedes its
time, and a candle only the candle before it. Candles are stored beside that (``candle_store``): the
clock waits until those before it are acknowledged by the broker, quotes, marks and trades do not.
Quotes and marks are published when the clock moves or their interval is over.

Of several replicas one speaks, the holder of the lease. The others hear and reckon the same and
keep their candles, so that they can go on at any moment.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from libs.common.messages import subjects
from libs.common.messages.codec import decode, encode
from libs.common.messages.market import MarketClock
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import NS_PER_MS, PaperClock, monotonic_ns, wall_ns
from libs.common.runtime.errors import BusUnavailable
from libs.common.runtime.log import get_logger
from libs.common.runtime.trace import new_trace_headers
from services.feed.announcements import (
    clock_message,
    mark_message,
    quote_message,
    trade_message,
)
from services.feed.candle_store import Backlog, CandleStore
from services.feed.config import FeedConfig
from services.feed.core import Effect, FeedCore
from services.feed.events import (
    KlineEvent,
    MarkEvent,
    QuoteEvent,
    TradeEvent,
    UnreadableError,
)
from services.feed.inbox import (
    Inbox,
    Item,
    Proof,
    RefusedTrade,
    RestTime,
    SocketDown,
    SocketUp,
    Tick,
    Unreadable,
)
from services.feed.kline_series import AskKlines, KlinesAnswer, Revised
from services.feed.market_time import MarketTime, ProvenTime
from services.feed.plan import SocketPlan
from services.feed.trade_series import AskTrades, CandleReady, TradesAnswer

log = get_logger(__name__)

#: Items handled before quotes, clock and everybody else get their turn.
BATCH_ITEMS_MAX = 256


class Voice(Protocol):
    """Whether this replica is the one that speaks."""

    @property
    def holds(self) -> bool:
        """At this moment; ask again after everything that waits."""

    @property
    def term(self) -> int:
        """Changes whenever another replica may have spoken in between."""


class Publisher:
    """Takes the inbox, asks the core, says what there is to say.

    Attributes:
        dropped: what could not be said because the broker was away, by kind.
        withheld: what was not said because another replica speaks, by kind.
    """

    def __init__(
        self,
        core: FeedCore,
        inbox: Inbox,
        bus: Bus,
        settings: FeedConfig,
        plans: tuple[SocketPlan, ...],
        *,
        intervals: Iterable[str],
        voice: Voice,
        paper_clock: PaperClock | None,
        store_retry_wait_ms: int,
        ask: Callable[[AskTrades | AskKlines | Revised], None],
        complain: Callable[[Unreadable], None],
    ) -> None:
        self._core = core
        self._inbox = inbox
        self._bus = bus
        self._settings = settings
        self._voice = voice
        self._paper_clock = paper_clock
        self._retry_wait_ms = store_retry_wait_ms
        self._ask = ask
        self._complain = complain
        self._market_time = MarketTime(tuple(plan.name for plan in plans))
        self._live: dict[str, SocketPlan] = {}
        self._early: dict[str, Proof] = {}
        self._clock_due: ProvenTime | None = None
        self._clock_later: ProvenTime | None = None
        self._clock_waits_for: Backlog | None = None
        self._kept_due_ns = 0
        self._follow_due_ns = 0
        self._clock_heard_ns = self._said_until_ns = 0
        self._term = 0
        self._waker: asyncio.TimerHandle | None = None
        self._wakes_at_s = 0.0
        self.candles = CandleStore(
            core, intervals, bus, settings,
            retry_wait_ms=store_retry_wait_ms, may_speak=self.speaks,
            on_through=inbox.wake, complain=complain,
        )  # fmt: skip
        self.dropped: dict[str, int] = {"quote": 0, "mark": 0, "trade": 0}
        self.withheld: dict[str, int] = {"quote": 0, "mark": 0, "trade": 0}
        self.proven: ProvenTime | None = None

    @property
    def newest_ns(self) -> int:
        """Market time by whichever socket told it last: it goes on while another one is down."""
        return max(self._market_time.newest_ns, 0 if self.proven is None else self.proven.now_ns)

    def speaks(self) -> bool:
        """Whether we lead, now, and have learned what was said before us."""
        return self._voice.holds and self._voice.term == self._term

    async def start(self) -> None:
        """Recover what is stored, and listen to the clock of whoever leads.

        Raises:
            BusUnavailable: the broker did not answer.
        """
        await self.candles.recover()
        if self._paper_clock is not None:
            await self._bus.subscribe(subjects.MARKET_CLOCK, self._hear_clock)

    async def run(self) -> None:
        """Publish until cancelled.

        Raises:
            BusUnavailable: a candle could not be stored for ``store_retry_ms_max``.
        """
        try:
            while True:
                if not len(self._inbox):
                    await self._inbox.wait()
                await self._change_role()
                for _ in range(BATCH_ITEMS_MAX):
                    item = self._inbox.take()
                    if item is None:
                        break
                    await self._handle(item)
                self.candles.drain()
                await self._say_kept()
                await self._say_clock()
                await asyncio.sleep(0)
        finally:
            await self.candles.stop()

    # -- leading and following -------------------------------------------------------------------

    async def _change_role(self) -> None:
        """Begin to lead where the lease is newly ours; else follow what the leader stores."""
        is_new = self._voice.holds and self._voice.term != self._term
        now_ns = monotonic_ns()
        if not is_new and (
            self.speaks() or now_ns < self._follow_due_ns or not self._bus.is_connected
        ):
            return
        self._follow_due_ns = now_ns + self._settings.follow_interval_ms * NS_PER_MS
        term = self._voice.term
        try:
            if not is_new:
                await self.candles.follow(self._rejoin)
                return
            await self.candles.catch_up(self._rejoin)
        except BusUnavailable as error:
            log.warning("cannot read which candles are stored", error=str(error))
            if is_new:
                self._wake_in(self._retry_wait_ms * NS_PER_MS)
            return
        self._term = term
        self._said_until_ns = self._clock_heard_ns

    def _rejoin(self, symbol: str, interval: str) -> None:
        """Begin a series anew after what another replica stored of it."""
        siblings = self._core.siblings(symbol, interval)
        kind = interval if (symbol, interval) in self._core.klines else "trade"
        stored = {
            line.interval: line.stored
            for line in self.candles.lines_of(symbol, siblings)
            if line.stored is not None
        }
        is_live = any((symbol, kind) in plan.candle_streams for plan in self._live.values())
        for name in siblings:
            self.candles.begin_anew(symbol, name)
        for effect in self._core.begin_anew(symbol, interval, stored, is_live=is_live):
            if not isinstance(effect, CandleReady):
                self._ask(effect)

    def _was_said(self, event_ms: int) -> bool:
        """Whether the leader before us told what happened then: its clock had passed it."""
        return (event_ms + 1) * NS_PER_MS <= self._said_until_ns

    async def _hear_clock(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        """Note how far the leader has told; what we say later never goes back behind it."""
        self._clock_heard_ns = max(self._clock_heard_ns, decode(payload, MarketClock).now_ns)

    # -- the inbox -------------------------------------------------------------------------------

    async def _handle(self, item: Item) -> None:
        core = self._core
        if isinstance(item, TradeEvent):
            await self._trade(item)
        elif isinstance(item, KlineEvent):
            await self._perform(core.on_kline(item))
        elif isinstance(item, Proof):
            await self._prove(item)
        elif isinstance(item, Tick):
            for plan in tuple(self._live.values()):
                await self._perform(core.on_time(plan.candle_streams, item.now_ns))
        elif isinstance(item, SocketUp):
            await self._up(item.plan)
        elif isinstance(item, SocketDown):
            self._down(item.plan)
        elif isinstance(item, TradesAnswer | KlinesAnswer):
            await self._perform(core.on_answer(item))
        elif isinstance(item, RefusedTrade):
            await self._perform(core.on_refused_trade(item.symbol))
        elif isinstance(item, RestTime):
            down = [stream for stream in item.streams if not self._is_told(stream)]
            await self._perform(core.on_rest_time(down, item.now_ns))
        else:
            self._complain(item)

    async def _trade(self, event: TradeEvent) -> None:
        if self._core.is_repeated(event):
            return
        if event.is_market_print:
            await self._say_trade(event)
        else:
            self._core.refuse("trade")
        await self._perform(self._core.on_trade(event))
        if self._core.trades_held > self._settings.held_trades_max:
            raise BusUnavailable("too many trades held; starting again reads them from REST")

    def _down(self, plan: SocketPlan) -> None:
        self._live.pop(plan.name, None)
        self._early.pop(plan.name, None)
        self._market_time.forget(plan.name)
        self._core.on_disconnected(plan.candle_streams)

    def _is_told(self, stream: tuple[str, str]) -> bool:
        return any(stream in plan.candle_streams for plan in self._live.values())

    async def _up(self, plan: SocketPlan) -> None:
        self._live[plan.name] = plan
        await self._perform(self._core.on_connected(plan.candle_streams))
        early = self._early.pop(plan.name, None)
        if early is not None:
            await self._prove(early)

    async def _prove(self, proof: Proof) -> None:
        clock = proof.clock
        await self._perform(
            self._core.on_time(
                proof.plan.candle_streams,
                clock.now_ns,
                newest_trades=clock.newest_trades,
                source_ended=clock.source_ended,
            )
        )
        if proof.plan.name not in self._live:
            # Said between our request and its last answer: what was missed is not asked for yet.
            self._early[proof.plan.name] = proof
            return
        self._market_time.hear(proof.plan.name, clock)
        proven = self._market_time.proven()
        if proven is None:
            return
        self.proven = proven
        if self._clock_waits_for is None:
            self._clock_due, self._clock_later = proven, None
        else:
            self._clock_later = proven  # else one would never be said while candles come
        if self._paper_clock is not None:
            self._paper_clock.grant(proven.now_ns, proven.speed, proven.limit_ns)

    async def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, CandleReady):
                self.candles.put(effect)
            else:
                self._ask(effect)

    async def _say_trade(self, event: TradeEvent) -> None:
        if not self.speaks() or self._was_said(event.event_ms):
            self.withheld["trade"] += 1
            return
        payload = encode(trade_message(event, wall_ns()))
        await self._say("trade", subjects.trade(event.symbol), payload)

    async def _say_kept(self) -> None:
        """Publish the newest quotes and marks, if it is time or the clock is about to move."""
        if not (self._core.has_kept and self.speaks()):
            return
        now_ns = monotonic_ns()
        if not self._is_clock_next() and now_ns < self._kept_due_ns:
            self._wake_in(self._kept_due_ns - now_ns)
            return
        self._kept_due_ns = now_ns + self._settings.quote_publish_interval_ms_min * NS_PER_MS
        stamp_ns = wall_ns()
        taken = self._core.take_kept()
        for index, event in enumerate(taken):
            if not self.speaks():
                self._core.put_back(taken[index:])
                return
            await self._say_event(event, stamp_ns)

    async def _say_event(self, event: QuoteEvent | MarkEvent, stamp_ns: int) -> None:
        kind = "quote" if isinstance(event, QuoteEvent) else "mark"
        if self._was_said(event.event_ms):
            self.withheld[kind] += 1
            return
        try:
            if isinstance(event, QuoteEvent):
                subject, message = subjects.quote(event.symbol), quote_message(event, stamp_ns)
                payload = encode(message)
            else:
                subject = subjects.mark(event.symbol)
                payload = encode(mark_message(event, stamp_ns))
        except UnreadableError as error:
            self._core.refuse(kind)
            self._complain(Unreadable(f"venue.{kind}.{event.symbol}", b"", str(error)))
            return
        if await self._say(kind, subject, payload):
            self._core.from_rest[kind] += event.is_rest
            self._core.on_said(event)

    async def _say(self, kind: str, subject: str, payload: bytes) -> bool:
        """Send to whoever listens; without a broker there is nobody, and it is counted."""
        if not self.speaks():  # encoding may have taken the last of our time
            self.withheld[kind] += 1
            return False
        try:
            await self._bus.publish(subject, payload, new_trace_headers())
        except BusUnavailable:
            self.dropped[kind] += 1
            return False
        self._core.published[kind] += 1
        return True

    def _is_clock_next(self) -> bool:
        """Whether every candle that precedes the clock is stored."""
        if self._clock_due is None:
            return False
        if self._core.is_healing:
            self._clock_waits_for = None  # what heals is released later, and precedes it too
            return False
        self._clock_waits_for = self.candles.left_of(self._clock_waits_for)
        return not self._clock_waits_for

    async def _say_clock(self) -> None:
        """Pass on the time, once nothing that precedes it is left to say."""
        proven = self._clock_due
        if proven is None or not self._is_clock_next() or not self.speaks():
            return
        self._clock_due, self._clock_later, self._clock_waits_for = self._clock_later, None, None
        if self._clock_due is not None:
            self._inbox.wake()
        if proven.now_ns < self._clock_heard_ns:
            return  # a leader before us, or we, told more; our sockets will have told it soon
        message: MarketClock = clock_message(proven, wall_ns())
        try:
            await self._bus.publish(subjects.MARKET_CLOCK, encode(message), new_trace_headers())
        except BusUnavailable:
            return  # the next frame comes within a quarter of a second
        self._core.published["clock"] += 1

    def _wake_in(self, wait_ns: int) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        if self._waker is None or self._waker.cancelled() or self._wakes_at_s < now_s:
            # Remembered here: uvloop's handle of a wait that is over does not know its time.
            self._wakes_at_s = now_s + wait_ns / 1e9
            self._waker = loop.call_at(self._wakes_at_s, self._inbox.wake)
