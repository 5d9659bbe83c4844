"""Candles on their way into the stream: each once, in order, whoever of the replicas stores it.

Series are stored beside one another, each by a task of its own that ends with its last candle, so
that a minute's end costs a few acknowledgements and not one after another of every symbol. Within
a series a candle is sent only when the one before it is stored.

Every candle is appended with the expected last sequence of its subject. That decides between two
replicas that both believe to lead, and for longer than the broker remembers message ids: who loses
reads what was stored and goes on after that.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from nats.js.api import RawStreamMsg

from libs.common.messages import subjects
from libs.common.messages.codec import UndecodableError, decode, encode
from libs.common.messages.market import Candle
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import NS_PER_MS, monotonic_ns, wall_ns
from libs.common.runtime.errors import AppendConflict, BusError, BusUnavailable
from libs.common.runtime.log import get_logger
from libs.common.runtime.trace import new_trace_headers
from services.feed.announcements import bar_of, candle_message
from services.feed.bars import Bar
from services.feed.candle_line import CandleLine
from services.feed.config import FeedConfig
from services.feed.core import FeedCore
from services.feed.inbox import Unreadable
from services.feed.trade_series import CandleReady

log = get_logger(__name__)

#: Readings of the stream under way at once.
READS_MAX = 32
Rejoin = Callable[[str, str], None]
#: Lines that have something to store, each with the end of its last candle.
Backlog = Mapping[CandleLine, int]


class CandleStore:
    """The lines of all series, and the stream they end in."""

    def __init__(
        self,
        core: FeedCore,
        intervals: Iterable[str],
        bus: Bus,
        settings: FeedConfig,
        *,
        retry_wait_ms: int,
        may_speak: Callable[[], bool],
        on_through: Callable[[], None],
        complain: Callable[[Unreadable], None],
    ) -> None:
        self._core = core
        self._bus = bus
        self._settings = settings
        self._retry_wait_ms = retry_wait_ms
        self._may_speak = may_speak
        self._on_through = on_through
        self._complain = complain
        self._lines = {
            (symbol, interval): CandleLine(symbol, interval)
            for symbol in core.symbols
            for interval in intervals
        }
        self._reads = asyncio.Semaphore(READS_MAX)
        self._appends = asyncio.Semaphore(settings.candle_appends_max)
        self._under_way: dict[CandleLine, asyncio.Task[None]] = {}
        self._failure: BaseException | None = None
        self.kept = 0

    @property
    def repeats(self) -> int:
        """Candles released here that another replica had stored."""
        return sum(line.repeats for line in self._lines.values())

    async def recover(self) -> None:
        """Let the core go on after the last stored candle of each series.

        Raises:
            BusUnavailable: the broker did not answer.
        """
        await self._read(self._lines.values())
        for line in self._lines.values():
            if line.stored is not None:
                self._core.resume(line.symbol, line.interval, line.stored)
                line.begin_anew()
                log.info(
                    "resuming", symbol=line.symbol, interval=line.interval,
                    after_ms=line.stored.open_ns // NS_PER_MS,
                )  # fmt: skip

    async def catch_up(self, rejoin: Rejoin) -> None:
        """Learn what others stored, and drop it from what is kept; before a leadership's first.

        Args:
            rejoin: lets the core begin a series anew after its stored candle; called where what it
                released so far may not follow that.

        Raises:
            BusUnavailable: the broker did not answer.
        """
        await self._learn(self._lines.values(), rejoin)

    async def follow(self, rejoin: Rejoin) -> None:
        """The same for those series alone of which we do not know all, while another leads.

        Raises:
            BusUnavailable: the broker did not answer.
        """
        doubtful = [line for line in self._lines.values() if len(line) or not line.is_joined]
        await self._learn(doubtful, rejoin)

    async def _learn(self, lines: Iterable[CandleLine], rejoin: Rejoin) -> None:
        # An answer that is still out must not be taken for that of a candle we learn of meanwhile.
        await self._settle()
        chosen = tuple(lines)
        await self._read(chosen)
        for line in chosen:
            if line.must_join(self._core.next_open_ns(line.symbol, line.interval)):
                log.info("joining what is stored", symbol=line.symbol, interval=line.interval)
                rejoin(line.symbol, line.interval)
        self._count()

    def begin_anew(self, symbol: str, interval: str) -> None:
        """Forget what is kept of a series: its core releases it again."""
        self._lines[symbol, interval].begin_anew()
        self._count()

    def lines_of(self, symbol: str, intervals: Iterable[str]) -> list[CandleLine]:
        """The lines of some series of a symbol."""
        return [self._lines[symbol, interval] for interval in intervals]

    def put(self, ready: CandleReady) -> None:
        """Keep a candle the core has released, and begin to store its series if we may speak.

        Raises:
            BusUnavailable: too many are kept.
        """
        line = self._lines[ready.symbol, ready.interval]
        before = len(line)
        line.keep(ready)
        self.kept += len(line) - before
        self._begin(line)
        if self.kept > self._settings.kept_candles_max:
            raise BusUnavailable("too many candles kept; starting again reads them from REST")

    def drain(self) -> None:
        """Begin to store everything that is kept, as far as we may speak.

        Raises:
            BusUnavailable: one could not be stored for ``store_retry_ms_max``.
        """
        if self._failure is not None:
            raise self._failure
        if self.kept:
            for line in self._lines.values():
                self._begin(line)

    def left_of(self, backlog: Backlog | None) -> Backlog:
        """What of a backlog is still not stored; without one, everything that is kept by now."""
        if backlog is None:
            return {line: line.ends_ns for line in self._lines.values() if len(line)}
        return {line: ends_ns for line, ends_ns in backlog.items() if line.begins_ns < ends_ns}

    async def stop(self) -> None:
        """Send nothing more; what was sent and not answered is read by whoever leads next."""
        for task in self._under_way.values():
            task.cancel()
        await self._settle()

    async def _settle(self) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way.values())

    def _begin(self, line: CandleLine) -> None:
        if len(line) and line not in self._under_way and self._may_speak():
            task = asyncio.create_task(self._drain(line), name=f"store-{line.symbol}")
            self._under_way[line] = task
            task.add_done_callback(lambda done: self._on_done(line, done))

    def _on_done(self, line: CandleLine, task: asyncio.Task[None]) -> None:
        del self._under_way[line]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error
        self._on_through()

    async def _drain(self, line: CandleLine) -> None:
        while (ready := line.head) is not None and self._may_speak():
            async with self._appends:
                await self._store(line, ready)

    async def _store(self, line: CandleLine, ready: CandleReady) -> None:
        """Store the head of a line; return when it is stored, by us or another, or we may not."""
        subject = subjects.candle(ready.interval, ready.symbol)
        headers = new_trace_headers()
        give_up_ns = monotonic_ns() + self._settings.store_retry_ms_max * NS_PER_MS
        while self._may_speak() and line.head is ready:
            try:
                done = await self._bus.publish_stored(
                    subject,
                    encode(candle_message(ready, wall_ns())),
                    message_id=ready.candle_id,
                    expected_last_sequence=line.sequence,
                    headers=headers,
                )
            except AppendConflict:
                await self._yield_to_stored(line)
            except BusError as error:
                if monotonic_ns() > give_up_ns:
                    raise BusUnavailable(f"cannot store {ready.candle_id}") from error
                log.warning("candle not stored, again", candle=ready.candle_id, error=str(error))
                await asyncio.sleep(self._retry_wait_ms / 1_000)
            else:
                # An id the broker remembers of a message that is gone leaves the subject as it was.
                line.on_stored(line.sequence if done.duplicate else done.seq)
                self.kept -= 1
                self._core.on_stored(ready)

    async def _yield_to_stored(self, line: CandleLine) -> None:
        """Another append came first, perhaps our own whose answer was lost: go on after it."""
        before = line.sequence
        try:
            await self._read((line,))
        except BusUnavailable as error:
            log.warning("cannot read what is stored", symbol=line.symbol, error=str(error))
        self._count()
        if line.sequence == before:
            await asyncio.sleep(self._retry_wait_ms / 1_000)

    async def _read(self, lines: Iterable[CandleLine]) -> None:
        await asyncio.gather(*(self._read_one(line) for line in lines))

    async def _read_one(self, line: CandleLine) -> None:
        subject = subjects.candle(line.interval, line.symbol)
        async with self._reads:
            stored = await self._bus.read_last(subjects.MARKET_STREAM, subject)
        if stored is None:
            line.learn(0, None)
            return
        line.learn(stored.seq or 0, self._bar_in(line, subject, stored))
        if line.stored is not None:
            self._core.last_candles[line.symbol, line.interval] = line.stored

    def _bar_in(self, line: CandleLine, subject: str, stored: RawStreamMsg) -> Bar | None:
        try:
            return bar_of(decode(stored.data or b"", Candle))
        except UndecodableError as error:
            if stored.seq != line.sequence:  # else it was said before
                self._complain(Unreadable(subject, stored.data or b"", str(error)))
            return None

    def _count(self) -> None:
        self.kept = sum(len(line) for line in self._lines.values())
