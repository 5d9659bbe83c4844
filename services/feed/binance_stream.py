"""One market socket kept up: a control task connects, watches, and replaces it before it must end.

A socket is replaced with overlap: the new one is opened, seen live, and only then the old one is
closed. What both tell is told twice, which harms nothing; what neither tells does not exist.
"""

import asyncio
import random

from libs.common.runtime.clock import NS_PER_MS, NS_PER_S, monotonic_ns
from libs.common.runtime.log import get_logger
from libs.common.runtime.metrics import STREAM_CONNECTED, STREAM_RECONNECTS
from libs.common.runtime.websocket import WebSocketError
from services.feed.backoff import AttemptBudget, Backoff
from services.feed.config import FeedConfig
from services.feed.connection import Connection, Listener
from services.feed.plan import SocketPlan, ages_ms_max
from services.feed.stream_watch import StreamWatch

log = get_logger(__name__)

WATCH_INTERVAL_S = 0.05
#: Part of a socket's life by which its end is drawn earlier, so that sockets do not end together.
LIFE_JITTER = 0.05


class MarketStream:
    """One socket of the plan. ``listener.on_frame`` returns False when it can take no more."""

    def __init__(
        self,
        plan: SocketPlan,
        venue_url: str,
        settings: FeedConfig,
        budget: AttemptBudget,
        dice: random.Random,
        listener: Listener,
        *,
        is_paper: bool,
    ) -> None:
        self.plan = plan
        self._url = f"{venue_url.rstrip('/')}/{plan.route}/stream"
        self._settings = settings
        self._budget = budget
        self._backoff = Backoff(settings.backoff_first_ms, settings.backoff_max_ms, dice)
        self._dice = dice
        self._listener = listener
        self._is_paper = is_paper
        self._ages_ns_max = {
            stream: age_ms * NS_PER_MS for stream, age_ms in ages_ms_max(plan, settings).items()
        }
        self._watch = StreamWatch(self._ages_ns_max)
        self._connection: Connection | None = None
        self._frames_before = self._unreadable_before = 0
        self._ends_ns = self._next_attempt_ns = 0
        self._down_since_ns = self._heard_ns = monotonic_ns()
        # Said from the start: what has no series can neither be down nor increase.
        STREAM_CONNECTED.labels(plan.name).set(0)
        STREAM_RECONNECTS.labels(plan.name)
        self.attempts = 0
        self.replaced = 0
        self.stalls = 0
        self.last_why = ""

    @property
    def is_up(self) -> bool:
        """Whether a connection is subscribed to every stream."""
        return self._connection is not None and self._connection.is_live

    @property
    def frames(self) -> int:
        """Frames of all connections so far."""
        return self._frames_before + (self._connection.frames if self._connection else 0)

    @property
    def unreadable(self) -> int:
        """Unreadable frames of all connections so far."""
        return self._unreadable_before + (self._connection.unreadable if self._connection else 0)

    @property
    def silent_ns(self) -> int:
        """Wall time since the last frame of any connection, or since the start."""
        if self._connection is not None:
            return self._connection.silent_ns()
        return monotonic_ns() - self._heard_ns

    def ages_ns(self) -> dict[str, int]:
        """Per stream, how long ago it was last heard, in market time; wall time while down."""
        down_ns = 0 if self.is_up else self.silent_ns
        return {name: age_ns + down_ns for name, age_ns in self._watch.ages_ns().items()}

    @property
    def stalled(self) -> list[str]:
        """Streams that are silent for longer than they may be."""
        return self._watch.stalled()

    def unserved(self) -> tuple[str, ...]:
        """The streams that have been down for so long that REST has to stand in for them."""
        settings = self._settings
        after_ns = settings.rest_fallback_after_ms * NS_PER_MS
        if not self.is_up:
            is_long = monotonic_ns() - self._down_since_ns > after_ns
            return self.plan.streams if is_long else ()
        if self.silent_ns > settings.quiet_ms_max * NS_PER_MS + after_ns:
            return self.plan.streams  # it was asked whether it lives, and has not answered
        return tuple(self._watch.unheard())

    async def run(self) -> None:
        """Keep the socket up until cancelled."""
        while True:
            opened_ns = monotonic_ns()
            try:
                self._promote(await self._open(proves_time=True))
                self._listener.on_up(self.plan)
                await self._live()
            except WebSocketError as error:
                self.last_why = str(error)
            finally:
                await self._retire(self._connection)
            if monotonic_ns() - opened_ns >= self._settings.stable_ms * NS_PER_MS:
                self._backoff.reset()
            wait_ms = self._backoff.next_ms()
            log.warning(
                "market socket down", socket=self.plan.name, why=self.last_why, wait_ms=wait_ms
            )
            await asyncio.sleep(wait_ms / 1_000)

    async def _open(self, *, proves_time: bool) -> Connection:
        while wait_ns := self._budget.wait_ns(monotonic_ns()):
            log.warning("attempts used up, waiting", socket=self.plan.name, wait_ns=wait_ns)
            await asyncio.sleep(wait_ns / NS_PER_S)
        self.attempts += 1
        STREAM_RECONNECTS.labels(self.plan.name).inc(self.attempts > 1)
        watch = self._watch if proves_time else StreamWatch(self._ages_ns_max)
        connection = Connection(
            self.plan, self._url, self._settings, self._listener, watch, proves_time=proves_time
        )
        await connection.open()
        return connection

    def _promote(self, connection: Connection) -> None:
        """From now on this is the connection that counts."""
        self._connection = connection
        connection.watch = self._watch
        connection.proves_time = True
        self._ends_ns = 0
        self._begin_life(connection)
        STREAM_CONNECTED.labels(self.plan.name).set(1)
        log.info("market socket up", socket=self.plan.name, streams=len(self.plan.streams))

    def _begin_life(self, connection: Connection) -> None:
        """Count its life and its streams' silence from the first time that is known, not from 0."""
        now_ns = self._time_of(connection)
        if not now_ns:
            return  # the paper venue answers a subscription before it says what time it is
        self._watch.begin(now_ns)
        life_ns = self._settings.life_ms_max * NS_PER_MS
        self._ends_ns = now_ns + int(life_ns * (1 - LIFE_JITTER * self._dice.random()))

    async def _retire(self, connection: Connection | None) -> None:
        """Close what counted until now, and say so."""
        if connection is None:
            return
        self._connection = None
        self._forget(connection)
        self._down_since_ns = monotonic_ns()
        STREAM_CONNECTED.labels(self.plan.name).set(0)
        connection.mute()
        self._listener.on_down(self.plan)
        await connection.close()

    def _forget(self, connection: Connection) -> None:
        self._heard_ns = monotonic_ns() - connection.silent_ns()
        self._frames_before += connection.frames
        self._unreadable_before += connection.unreadable

    def _time_of(self, connection: Connection) -> int:
        """The time that lives and silences are counted in: the market's, in the paper world."""
        return connection.told_ns if self._is_paper else monotonic_ns()

    async def _live(self) -> None:
        """Return when the connection is over; replace it as often as it is due."""
        while (connection := self._connection) is not None:
            if connection.over.is_set():
                self.last_why = connection.why
                return
            connection.check()
            why = self._replacement_due(connection)
            if why:
                await self._replace(connection, why)
                continue
            try:
                async with asyncio.timeout(WATCH_INTERVAL_S):
                    await connection.over.wait()
            except TimeoutError:
                continue

    def _replacement_due(self, connection: Connection) -> str:
        now_ns = self._time_of(connection)
        if not self._is_paper:
            self._watch.mark(now_ns)
        if monotonic_ns() < self._next_attempt_ns:
            return ""
        if not connection.first_told_ns and self._is_paper:
            return ""
        if not self._ends_ns:
            self._begin_life(connection)
        if now_ns >= self._ends_ns:
            return "its day is nearly over"
        stalled = [] if connection.source_ended else self._watch.stalled()
        if stalled:
            self.stalls += 1
            self._watch.forgive(stalled)
            return f"nothing heard of {', '.join(stalled[:5])}"
        return ""

    async def _replace(self, old: Connection, why: str) -> None:
        """Open another connection beside this one, and close this one once nothing can be lost."""
        self.last_why = why
        log.info("replacing market socket", socket=self.plan.name, why=why)
        try:
            new = await self._open(proves_time=False)
        except WebSocketError as error:
            self._next_attempt_ns = monotonic_ns() + self._backoff.next_ms() * NS_PER_MS
            log.warning("no replacement yet", socket=self.plan.name, error=str(error))
            return
        try:
            await self._overlap(old, new)
            if old.over.is_set() or new.over.is_set():
                # One of them is gone too early: start from nothing, and let REST fill the hole.
                old.end(new.why)
                return
            self._forget(old)
            old.mute()
            self._promote(new)
            self.replaced += 1
            self._backoff.reset()
        finally:
            await (old if self._connection is new else new).close()

    async def _overlap(self, old: Connection, new: Connection) -> None:
        """Return once the old connection has told everything the new one has not, or at an end."""
        until_ns = monotonic_ns() + self._settings.overlap_ms * NS_PER_MS
        give_up_ns = until_ns + self._settings.silence_ms_max * NS_PER_MS
        while not (old.over.is_set() or new.over.is_set()):
            now_ns = monotonic_ns()
            if self._is_paper:
                if 0 < new.first_told_ns <= old.told_ns:
                    return
                if now_ns > give_up_ns:
                    old.end("it fell silent while it was being replaced")
            elif now_ns > until_ns:
                return
            await asyncio.sleep(WATCH_INTERVAL_S / 10)
