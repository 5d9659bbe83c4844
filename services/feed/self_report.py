"""What the feed says of itself: its health, its metrics, ``/v1/status`` and the market's health."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

from libs.common.messages import subjects
from libs.common.messages.codec import encode
from libs.common.messages.market import MarketHealth, SymbolHealth
from libs.common.runtime.clock import NS_PER_MS, NS_PER_S, PaperClock, monotonic_ns, wall_ns
from libs.common.runtime.errors import BusError
from libs.common.runtime.health import Level
from libs.common.runtime.log import get_logger
from libs.common.runtime.metrics import (
    FEED_DROPPED,
    FEED_GAP_ALERTS,
    FEED_GAPS,
    FEED_GAPS_FILLED,
    MARKET_CONFLATED,
    MARKET_PUBLISHED,
    MARKET_RECEIVED,
    REST_SHARE,
    STREAM_AGE,
)
from libs.common.runtime.service import Context
from libs.common.runtime.trace import new_trace_headers
from services.feed.announcements import SOURCE
from services.feed.backfill import Backfill
from services.feed.binance_stream import MarketStream
from services.feed.config import FeedConfig
from services.feed.core import FeedCore
from services.feed.event_times import AHEAD, BEHIND, EventTimes
from services.feed.fitness import Fitness
from services.feed.inbox import Inbox
from services.feed.lease_keeper import LeaseKeeper
from services.feed.plan import kind_of
from services.feed.publisher import Publisher
from services.feed.recorder import Recorder
from services.feed.rest_fallback import RestFallback
from services.feed.rest_share import RestShare

log = get_logger(__name__)


@dataclass(frozen=True)
class Parts:
    """What is reported on; nothing here is changed by reporting."""

    context: Context[FeedConfig]
    core: FeedCore
    inbox: Inbox
    streams: list[MarketStream]
    publisher: Publisher
    lease: LeaseKeeper
    backfill: Backfill
    recorder: Recorder | None
    times: EventTimes
    fallback: RestFallback
    fitness: Fitness


class SelfReport:
    """The feed's account of itself, renewed every ``health_interval_ms``.

    Attributes:
        questions_open: questions to REST that wait for their answer.
        unreadable: frames and stored messages nobody could read, since the start.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._counted: dict[str, Counter[str]] = {}
        self._judged = (0, 0)
        self._grave: frozenset[str] = frozenset()
        self._share = RestShare(parts.context.settings.rest_share_window_ms)
        self.rest_share = 0.0
        # A series born with its first event shows Prometheus no increase, so no alert.
        for symbol in parts.core.symbols:
            FEED_GAP_ALERTS.labels(symbol)
            FEED_GAPS.labels(symbol)
            FEED_GAPS_FILLED.labels(symbol)
        self.questions_open = 0
        self.unreadable = 0

    async def run(self) -> None:
        """Say how old the data is, twice a second."""
        number = 0
        while True:
            number += 1
            self._set_health()
            self._count_metrics()
            if self._parts.publisher.speaks():
                await self._say(self._market_health(number))
            await asyncio.sleep(self._parts.context.settings.health_interval_ms / 1_000)

    async def _say(self, health: MarketHealth) -> None:
        try:
            await self._parts.context.bus.publish(
                subjects.MARKET_HEALTH, encode(health), new_trace_headers()
            )
        except BusError:
            pass  # without a broker there is nobody to hear it; the bus check says so

    def _market_health(self, number: int) -> MarketHealth:
        now_ns = self._now_ns()
        message_id = f"health-{number}-{wall_ns()}"
        return MarketHealth(
            message_id=message_id,
            causation_id=message_id,
            correlation_id=message_id,
            ts_event_ns=now_ns or 0,
            ts_published_ns=wall_ns(),
            source=SOURCE,
            is_connected=self._is_connected,
            symbols=self._symbols(now_ns),
            received=dict(self._parts.core.received),
            published=dict(self._parts.core.published),
            conflated=dict(self._parts.core.conflated),
        )

    def _symbols(self, now_ns: int | None) -> tuple[SymbolHealth, ...]:
        streams = self._parts.streams
        down = {symbol for one in streams if not one.is_up for symbol in one.plan.symbols}
        ages = self._parts.core.health(now_ns, down=down)
        return self._parts.fitness.mark(ages, now_ns)

    @property
    def _is_connected(self) -> bool:
        return all(stream.is_up for stream in self._parts.streams)

    def _now_ns(self) -> int | None:
        """Market time as the sockets prove it; a guess ahead would age data that is on its way.

        While a socket is down all together prove nothing: then what the others told, so that what
        they carry ages.
        """
        if not isinstance(self._parts.context.clock, PaperClock):
            return self._parts.context.clock.now_ns()
        proven = self._parts.publisher.proven
        if proven is None or self._is_connected:
            return None if proven is None else proven.now_ns
        return self._parts.publisher.newest_ns

    def _set_health(self) -> None:
        down = [stream.plan.name for stream in self._parts.streams if not stream.is_up]
        self._parts.context.health.set(
            "sockets",
            Level.FAIL if down else Level.PASS,
            f"down: {', '.join(down)}" if down else "",
        )
        self._parts.context.health.set("lease", *self._role())
        if (recorder := self._parts.recorder) is not None:
            level = Level.WARN if recorder.stopped else Level.PASS
            self._parts.context.health.set("recording", level, recorder.stopped)
        now_ns = self._now_ns()
        ahead = self._parts.core.series_ahead(now_ns) if now_ns is not None else []
        if ahead:
            text = (
                f"stored candles are newer than market time ({', '.join(ahead)}): empty the store"
            )
            self._parts.context.health.set("candles", Level.FAIL, text)
        elif self._parts.core.is_healing:
            failure = self._parts.backfill.last_failure
            text = f"a gap is being filled by REST; {failure}".rstrip("; ")
            self._parts.context.health.set("candles", Level.WARN, text)
        else:
            self._parts.context.health.set("candles", Level.PASS)
        self._set_clock_health()
        if now_ns is not None:
            self._set_gap_health(now_ns)

    def _set_clock_health(self) -> None:
        """Say whether the venue's event times are believed, by what was heard since last time."""
        times = self._parts.times
        believed, refused = self._believed(), times.refused.total()
        before, self._judged = self._judged, (believed, refused)
        health = self._parts.context.health
        if refused == before[1]:
            if believed > before[0]:
                health.set("event times", Level.PASS)
            return
        text = f"the venue's last event was {times.offset_ms / 1_000:+.1f} s off market time"
        is_mixed = believed > before[0]
        health.set("event times", Level.WARN if is_mixed else Level.FAIL, text)

    def _believed(self) -> int:
        """Events of the streams that were believed."""
        return sum(self._parts.core.received.values()) - self._parts.fallback.told

    def _set_gap_health(self, now_ns: int) -> None:
        """Raise the alarm for each symbol whose candles are missing for too long, and end it."""
        grave = frozenset(self._parts.core.grave_gaps(now_ns))
        limit_ms = self._parts.context.settings.gap_ms_max
        for symbol in grave - self._grave:
            text = f"candles are missing, or lost, for more than {limit_ms} ms of market time"
            log.error("candle gap too long, the symbol is stale", symbol=symbol, limit_ms=limit_ms)
            FEED_GAP_ALERTS.labels(symbol).inc()
            self._parts.context.health.set(f"gap {symbol}", Level.FAIL, text)
        for symbol in self._grave - grave:
            log.info("candle gap healed", symbol=symbol)
            self._parts.context.health.set(f"gap {symbol}", Level.PASS)
        self._grave = grave

    def _role(self) -> tuple[Level, str]:
        """A standby is as ready as the leader; that nobody leads is worth a warning."""
        holder = self._parts.lease.holder
        if self._parts.publisher.speaks():
            return Level.PASS, "leader"
        if not holder or holder == self._parts.lease.me:
            return Level.WARN, "standby; nobody leads"
        return Level.PASS, f"standby; {holder} leads"

    def _count_metrics(self) -> None:
        """Bring the metrics up to the counters; per message it would cost more than the message."""
        gaps = self._parts.core.gaps()
        for name, counts, metric in (
            ("received", self._parts.core.received, MARKET_RECEIVED),
            ("published", self._parts.core.published, MARKET_PUBLISHED),
            ("conflated", self._parts.core.conflated, MARKET_CONFLATED),
            ("dropped", self.dropped(), FEED_DROPPED),
            ("gaps", Counter({name: found for name, (found, _) in gaps.items()}), FEED_GAPS),
            ("filled", Counter({name: n for name, (_, n) in gaps.items()}), FEED_GAPS_FILLED),
        ):
            before = self._counted.get(name, Counter())
            for kind, count in counts.items():
                metric.labels(kind).inc(count - before[kind])
            self._counted[name] = Counter(counts)
        core = self._parts.core
        self.rest_share = self._share.read(core.published, core.from_rest, monotonic_ns())
        REST_SHARE.set(self.rest_share)
        for stream in self._parts.streams:
            _measure_ages(stream)

    def dropped(self) -> Counter[str]:
        """What came and was not passed on, by kind; repeats of what was told are not among it.

        Kinds: ``quote``, ``mark``, ``trade``, ``kline``, ``clock`` (inbox full, or broker away);
        ``depth`` (a full queue, or more than a book keeps while it waits for its snapshot); all of
        them but ``clock`` with ``_ahead`` or ``_behind`` (times not believed); ``unreadable``;
        ``recording``.
        """
        found = Counter(self._parts.publisher.dropped)
        found.update(self._parts.inbox.refused)
        for kind, count in self._parts.core.refused.items():
            if kind.endswith((AHEAD, BEHIND)):
                found[kind] += count
        found["depth"] += self._parts.fitness.depth.changes_lost
        found["unreadable"] += self.unreadable
        if self._parts.recorder is not None:
            found["recording"] += self._parts.recorder.dropped
        return found

    def status(self) -> dict[str, Any]:
        """The body of ``/v1/status``."""
        now_ns = self._now_ns()
        core, settings = self._parts.core, self._parts.context.settings
        return {
            "is_connected": self._is_connected,
            "is_leader": self._parts.publisher.speaks(),
            "lease": self._parts.lease.report(),
            "market_time_ns": now_ns,
            "inbox": {
                "waiting": len(self._parts.inbox),
                "waiting_max": settings.inbox_messages_max,
                "refused": self._parts.inbox.refused.total(),
            },
            "trades_held": {"waiting": core.trades_held, "waiting_max": settings.held_trades_max},
            "event_times": {
                "newest_ms": self._parts.times.newest_ms,
                "offset_ms": self._parts.times.offset_ms,
                "believed": self._believed(),
                "refused": dict(self._parts.times.refused),
            },
            "rest_fallback": {
                "share": self.rest_share,
                "from_rest": dict(core.from_rest),
                "rounds": self._parts.fallback.rounds,
                "requests": self._parts.fallback.requests,
                "failures": self._parts.fallback.failures,
                "last_failure": self._parts.fallback.last_failure,
            },
            "received": dict(core.received),
            "published": dict(core.published),
            "conflated": dict(core.conflated),
            "refused": dict(core.refused),
            "dropped": dict(self.dropped()),
            "withheld": dict(self._parts.publisher.withheld),
            "candles": {
                "kept": self._parts.publisher.candles.kept,
                "repeats": self._parts.publisher.candles.repeats,
            },
            "unreadable": self.unreadable,
            "is_healing": core.is_healing,
            "questions_open": self.questions_open,
            "backfill": {
                "requests": self._parts.backfill.requests,
                "failures": self._parts.backfill.failures,
                "last_failure": self._parts.backfill.last_failure,
            },
            "sockets": [
                {
                    "name": stream.plan.name,
                    "is_up": stream.is_up,
                    "streams": len(stream.plan.streams),
                    "attempts": stream.attempts,
                    "frames": stream.frames,
                    "unreadable": stream.unreadable,
                    "silent_ms": stream.silent_ns // NS_PER_MS,
                    "stalled": stream.stalled,
                    "stalls": stream.stalls,
                    "replaced": stream.replaced,
                    "last_why": stream.last_why,
                }
                for stream in self._parts.streams
            ],
            "symbols": self._symbols(now_ns),
            **self._parts.fitness.status(),
            "series": core.series_report(),
            "recording": None if self._parts.recorder is None else self._parts.recorder.status(),
        }


def _measure_ages(stream: MarketStream) -> None:
    """A socket's age, and per kind that of the stream that was silent longest: few labels."""
    STREAM_AGE.labels(stream.plan.name).set(stream.silent_ns / NS_PER_S)
    oldest: dict[str, int] = {}
    for name, age_ns in stream.ages_ns().items():
        kind = kind_of(name)
        oldest[kind] = max(age_ns, oldest.get(kind, 0))
    for kind, age_ns in oldest.items():
        STREAM_AGE.labels(f"{stream.plan.name}/{kind}").set(age_ns / NS_PER_S)
