"""Keeps the order books that are subscribed, and says their best levels.

A reader hands changes over and goes on; one task applies them, another asks REST for snapshots.
Books never hold up candles: their queue is their own, and what does not fit into it is seen as a
hole and healed by a snapshot. Which levels are said is the newest; what lies between is replaced.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from libs.common.messages import subjects
from libs.common.messages.codec import encode
from libs.common.messages.market import BookLevel, Depth
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import NS_PER_MS, NS_PER_S, Clock, monotonic_ns, wall_ns
from libs.common.runtime.errors import BusError
from libs.common.runtime.log import get_logger
from libs.common.runtime.metrics import DEPTH_PU_BREAKS, DEPTH_REBUILDS
from libs.common.runtime.trace import new_trace_headers
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from libs.common.runtime.venue_transport import VenueCall
from services.feed.announcements import SOURCE
from services.feed.backfill import WEIGHT_HEADER
from services.feed.backoff import Backoff
from services.feed.config import FeedConfig
from services.feed.depth_book import DepthBook, Snapshot
from services.feed.events import DepthEvent
from services.feed.plan import SocketPlan, is_diff_depth
from services.feed.recorder import Recorder
from services.feed.weight import WeightGate

log = get_logger(__name__)

#: Changes applied before everybody else gets a turn.
BATCH_EVENTS_MAX = 64
SNAPSHOT_WEIGHTS = ((50, 2), (100, 5), (500, 10), (1_000, 20))
"""Levels asked for at most, and what the venue takes for it."""
LOOK_INTERVAL_S = 0.05


class DepthDesk:
    """The books of our symbols; empty where no depth stream is subscribed.

    ``dropped`` counts changes that found the queue full; ``published`` what was said.
    """

    def __init__(
        self,
        symbols: Iterable[str],
        venue: VenueClient,
        bus: Bus,
        clock: Clock,
        settings: FeedConfig,
        dice: random.Random,
        recorder: Recorder | None = None,
    ) -> None:
        self.kind = next((one for one in settings.depth_streams if is_diff_depth(one)), None)
        wanted = tuple(symbols) if self.kind is not None else ()
        self.books = {
            symbol: DepthBook(
                top_levels=settings.depth_levels_published,
                levels_max=settings.depth_levels_max,
                buffer_max=settings.depth_buffer_events_max,
            )
            for symbol in wanted
        }
        self._venue = venue
        self._bus = bus
        self._clock = clock
        self._settings = settings
        self._recorder = recorder
        self._gate = WeightGate(settings.depth_weight_per_minute_max)
        self._weight = next(
            weight for limit, weight in SNAPSHOT_WEIGHTS if settings.depth_snapshot_levels <= limit
        )
        self._backoffs = {
            symbol: Backoff(settings.backfill_wait_first_ms, settings.backfill_wait_max_ms, dice)
            for symbol in wanted
        }
        self._not_before_ns = dict.fromkeys(wanted, 0)
        self._built_ns = dict.fromkeys(wanted, 0)
        self._counted = {symbol: Counter[str]() for symbol in wanted}
        self._queue: deque[DepthEvent | str] = deque()
        self._ready = asyncio.Event()
        self._dirty: set[str] = set()
        self._said_valid: set[str] = set()
        self.may_speak: Callable[[], bool] = bool  # nobody, until somebody is told who may
        self._due_ns = 0
        self.dropped = self.published = self.requests = self.failures = 0
        self.last_failure = ""

    @property
    def changes_lost(self) -> int:
        """Changes that no book will see: the queue was full, or a book kept as many as it may."""
        return self.dropped + sum(book.counts["buffer_dropped"] for book in self.books.values())

    # -- the reader's side: nothing here waits ---------------------------------------------------

    def offer(self, stream: str, event: DepthEvent) -> None:
        """Take a change of a depth stream; one of another kind than our books' is passed over."""
        if stream.partition("@")[2] != self.kind:
            return
        if len(self._queue) >= self._settings.depth_queue_events_max:
            self.dropped += 1  # the next change does not follow, and the book is built anew
            return
        self._queue.append(event)
        self._ready.set()

    def on_down(self, plan: SocketPlan) -> None:
        """A socket is gone, and with it the books of its streams."""
        streams = set(plan.streams)
        self._queue.extend(
            symbol for symbol in self.books if f"{symbol.lower()}@{self.kind}" in streams
        )
        self._ready.set()

    def on_call(self, call: VenueCall) -> None:
        """Learn from an answer how much weight the address has used."""
        used = call.outcome.headers.get(WEIGHT_HEADER, "")
        if used.isdecimal():
            self._gate.hear(int(used), self._now_ms())

    # -- applying and saying ---------------------------------------------------------------------

    async def run(self) -> None:
        """Apply what was heard and say what came of it, until cancelled."""
        while True:
            await self._wait()
            for _ in range(min(BATCH_EVENTS_MAX, len(self._queue))):
                self._take(self._queue.popleft())
            now_ns = monotonic_ns()
            if now_ns >= self._due_ns:
                said, self._dirty = self._dirty, set()
                if said:
                    interval_ms = self._settings.depth_publish_interval_ms_min
                    self._due_ns = now_ns + interval_ms * NS_PER_MS
            else:
                # That a book is not to be trusted any more is said at once.
                said = {one for one in self._said_valid if not self.books[one].is_valid}
                self._dirty -= said
            for symbol in said:
                await self._say(symbol)
            await asyncio.sleep(0)

    async def _wait(self) -> None:
        if self._queue:
            return
        self._ready.clear()
        left_s = max(0, self._due_ns - monotonic_ns()) / NS_PER_S
        try:
            async with asyncio.timeout(left_s if self._dirty else None):
                await self._ready.wait()
        except TimeoutError:
            return

    def _take(self, item: DepthEvent | str) -> None:
        symbol = item if isinstance(item, str) else item.symbol
        book = self.books[symbol]
        if isinstance(item, str):
            book.on_lost("its socket is down")
        else:
            book.on_event(item)
        self._note(symbol, book)

    def _note(self, symbol: str, book: DepthBook) -> None:
        self._dirty.add(symbol)
        before, now = self._counted[symbol], book.counts
        for name, metric in (("rebuilds", DEPTH_REBUILDS), ("pu_breaks", DEPTH_PU_BREAKS)):
            if now[name] > before[name]:
                metric.labels(symbol).inc(now[name] - before[name])
        if now["rebuilds"] > before["rebuilds"]:
            self._built_ns[symbol] = monotonic_ns()
        if symbol in self._said_valid and not book.is_valid:
            log.warning("order book broken", symbol=symbol, why=book.why)
        self._counted[symbol] = now.copy()

    async def _say(self, symbol: str) -> None:
        """Say the best levels, or once that there are none to be trusted."""
        book = self.books[symbol]
        if not book.is_valid and symbol not in self._said_valid:
            return
        if not self.may_speak():
            if book.is_valid:
                self._said_valid.add(symbol)  # by whoever leads: should it break, we say so
            return
        payload = encode(depth_message(symbol, book, wall_ns()))
        try:
            await self._bus.publish(subjects.depth(symbol), payload, new_trace_headers())
        except BusError:
            self._dirty.add(symbol)  # without a broker nobody listens; the newest is said later
            return
        self.published += 1
        (self._said_valid.add if book.is_valid else self._said_valid.discard)(symbol)

    # -- asking ----------------------------------------------------------------------------------

    async def rebuild(self) -> None:
        """Ask for snapshots, one at a time, as books need them; until cancelled."""
        while True:
            symbol = self._needy()
            if symbol is None or not self._gate.allows(self._weight, self._now_ms()):
                await asyncio.sleep(LOOK_INTERVAL_S)
                continue
            backoff = self._backoffs[symbol]
            built_ns, self._built_ns[symbol] = self._built_ns[symbol], 0
            stable_ns = self._settings.stable_ms * NS_PER_MS
            if built_ns and monotonic_ns() - built_ns >= stable_ns:
                backoff.reset()  # it lived for a while: this is a new misfortune
            await self._ask(symbol)
            self._not_before_ns[symbol] = monotonic_ns() + backoff.next_ms() * NS_PER_MS

    def _needy(self) -> str | None:
        now_ns = monotonic_ns()
        needy = [
            symbol
            for symbol, book in self.books.items()
            if book.needs_snapshot and self._not_before_ns[symbol] <= now_ns
        ]
        # Whoever waits longest comes first, so that a book that keeps breaking starves no other.
        return min(needy, key=lambda symbol: self._not_before_ns[symbol], default=None)

    async def _ask(self, symbol: str) -> None:
        self.requests += 1
        limit = self._settings.depth_snapshot_levels
        try:
            told = await self._venue.depth(symbol, limit=limit)
        except VenueReadError as error:
            self.failures += 1
            self.last_failure = str(error)
            log.warning("order book not read", symbol=symbol, error=str(error))
            return
        self.last_failure = ""
        if self._recorder is not None:
            self._recorder.write_snapshot(wall_ns(), symbol, msgspec.json.encode(told))
        book = self.books[symbol]
        book.on_snapshot(
            Snapshot(
                told.last_update_id,
                told.event_ms,
                [(level.price, level.quantity) for level in told.bids],
                [(level.price, level.quantity) for level in told.asks],
                limit,
            )
        )
        self._note(symbol, book)
        self._ready.set()

    def _now_ms(self) -> int:
        return self._clock.now_ns() // NS_PER_MS if self._clock.is_set else 0

    def status(self) -> dict[str, Any] | None:
        """A part of ``/v1/status``; ``None`` where no book is kept."""
        if not self.books:
            return None
        return {
            "waiting": len(self._queue),
            "dropped": self.dropped,
            "published": self.published,
            "requests": self.requests,
            "failures": self.failures,
            "last_failure": self.last_failure,
            "books": {
                symbol: {
                    "is_valid": book.is_valid,
                    "update_id": book.update_id,
                    "buffered": book.buffered,
                    "why": book.why,
                    **book.counts,
                }
                for symbol, book in self.books.items()
            },
        }


def depth_message(symbol: str, book: DepthBook, wall_ns: int) -> Depth:
    """The best levels of a book for the bus; none, and the word invalid, while it is."""
    bids, asks = book.top()
    suffix = "" if book.is_valid else "-invalid"
    message_id = f"{symbol}-d-{book.update_id}{suffix}"
    return Depth(
        message_id=message_id,
        causation_id=message_id,
        correlation_id=message_id,
        ts_event_ns=book.event_ms * NS_PER_MS,
        ts_published_ns=wall_ns,
        source=SOURCE,
        symbol=symbol,
        update_id=book.update_id,
        is_valid=book.is_valid,
        bids=tuple(BookLevel(*level) for level in bids),
        asks=tuple(BookLevel(*level) for level in asks),
    )
