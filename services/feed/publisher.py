"""The one task that publishes, in the order things were heard.

One task, because order is a promise: a clock message may only follow everything that precedes its
time, and a candle only the candle before it. A candle is acknowledged by the broker before the next
thing is said. Quotes and marks are published when the clock moves or their interval is over.
"""

import asyncio
from collections.abc import Callable, Iterable

from libs.common.messages import subjects
from libs.common.messages.codec import encode
from libs.common.messages.market import MarketClock
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import NS_PER_MS, PaperClock, monotonic_ns, wall_ns
from libs.common.runtime.errors import BusError, BusUnavailable
from libs.common.runtime.log import get_logger
from libs.common.runtime.trace import new_trace_headers
from services.feed.announcements import (
    candle_message,
    clock_message,
    mark_message,
    quote_message,
    trade_message,
)
from services.feed.config import FeedConfig
from services.feed.core import Effect, FeedCore
from services.feed.events import (
    KlineEvent,
    QuoteEvent,
    RestMark,
    RestQuote,
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


class Publisher:
    """Takes the inbox, asks the core, says what there is to say."""

    def __init__(
        self,
        core: FeedCore,
        inbox: Inbox,
        bus: Bus,
        settings: FeedConfig,
        plans: tuple[SocketPlan, ...],
        *,
        paper_clock: PaperClock | None,
        store_retry_wait_ms: int,
        ask: Callable[[AskTrades | AskKlines | Revised], None],
        complain: Callable[[Unreadable], None],
    ) -> None:
        self._core = core
        self._inbox = inbox
        self._bus = bus
        self._settings = settings
        self._paper_clock = paper_clock
        self._store_retry_wait_ms = store_retry_wait_ms
        self._ask = ask
        self._complain = complain
        self._market_time = MarketTime(tuple(plan.name for plan in plans))
        self._live: dict[str, SocketPlan] = {}
        self._early: dict[str, Proof] = {}
        self._clock_due: ProvenTime | None = None
        self._kept_due_ns = 0
        self._waker: asyncio.TimerHandle | None = None
        self._wakes_at_s = 0.0
        self.dropped: dict[str, int] = {"quote": 0, "mark": 0, "trade": 0}
        self.proven: ProvenTime | None = None

    async def run(self) -> None:
        """Publish until cancelled.

        Raises:
            BusUnavailable: a candle could not be stored for ``store_retry_ms_max``.
        """
        while True:
            if not len(self._inbox):
                await self._inbox.wait()
            for _ in range(BATCH_ITEMS_MAX):
                item = self._inbox.take()
                if item is None:
                    break
                await self._handle(item)
            await self._say_kept()
            await self._say_clock()
            await asyncio.sleep(0)

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
            self._core.refused["trade"] += 1
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
                proof.plan.candle_streams, clock.now_ns, source_ended=clock.source_ended
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
        self.proven = self._clock_due = proven
        if self._paper_clock is not None:
            self._paper_clock.grant(proven.now_ns, proven.speed, proven.limit_ns)

    async def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, CandleReady):
                await self._store(effect)
            else:
                self._ask(effect)

    async def _store(self, ready: CandleReady) -> None:
        """Publish a candle; repeat under the same id until the broker has it."""
        subject = subjects.candle(ready.interval, ready.symbol)
        headers = new_trace_headers()
        give_up_ns = monotonic_ns() + self._settings.store_retry_ms_max * NS_PER_MS
        while True:
            payload = encode(candle_message(ready, wall_ns()))
            try:
                await self._bus.publish_stored(
                    subject, payload, message_id=ready.candle_id, headers=headers
                )
            except BusError as error:
                # Longer than the broker remembers ids, a repeat could be stored twice.
                if monotonic_ns() > give_up_ns:
                    raise BusUnavailable(f"cannot store {ready.candle_id}") from error
                log.warning("candle not stored, again", candle=ready.candle_id, error=str(error))
                await asyncio.sleep(self._store_retry_wait_ms / 1_000)
            else:
                self._core.on_stored(ready)
                return

    async def _say_trade(self, event: TradeEvent) -> None:
        payload = encode(trade_message(event, wall_ns()))
        await self._say("trade", subjects.trade(event.symbol), payload)

    async def _say_kept(self) -> None:
        """Publish the newest quotes and marks, if it is time or the clock is about to move."""
        if not self._core.has_kept:
            return
        now_ns = monotonic_ns()
        is_clock_next = self._clock_due is not None and not self._core.is_healing
        if not is_clock_next and now_ns < self._kept_due_ns:
            self._wake_in(self._kept_due_ns - now_ns)
            return
        self._kept_due_ns = now_ns + self._settings.quote_publish_interval_ms_min * NS_PER_MS
        stamp_ns = wall_ns()
        for event in self._core.take_kept():
            kind = "quote" if isinstance(event, QuoteEvent) else "mark"
            try:
                if isinstance(event, QuoteEvent):
                    subject, message = subjects.quote(event.symbol), quote_message(event, stamp_ns)
                    payload = encode(message)
                else:
                    subject = subjects.mark(event.symbol)
                    payload = encode(mark_message(event, stamp_ns))
            except UnreadableError as error:
                self._core.refused[kind] += 1
                self._complain(Unreadable(f"venue.{kind}.{event.symbol}", b"", str(error)))
                continue
            await self._say(kind, subject, payload, is_rest=isinstance(event, RestQuote | RestMark))

    async def _say(self, kind: str, subject: str, payload: bytes, *, is_rest: bool = False) -> None:
        """Send to whoever listens; without a broker there is nobody, and it is counted."""
        try:
            await self._bus.publish(subject, payload, new_trace_headers())
        except BusUnavailable:
            self.dropped[kind] += 1
        else:
            self._core.published[kind] += 1
            self._core.from_rest[kind] += is_rest

    async def _say_clock(self) -> None:
        """Pass on the time, once nothing that precedes it is left to say."""
        proven = self._clock_due
        if proven is None or self._core.is_healing:
            return
        self._clock_due = None
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
