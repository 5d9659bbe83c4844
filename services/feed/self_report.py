"""What the feed says of itself: its health, its metrics, ``/v1/status`` and the market's health."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

from libs.common.messages import subjects
from libs.common.messages.codec import encode
from libs.common.messages.market import MarketHealth
from libs.common.runtime.clock import NS_PER_MS, PaperClock, wall_ns
from libs.common.runtime.errors import BusError
from libs.common.runtime.health import Level
from libs.common.runtime.metrics import MARKET_CONFLATED, MARKET_PUBLISHED, MARKET_RECEIVED
from libs.common.runtime.service import Context
from libs.common.runtime.trace import new_trace_headers
from services.feed.announcements import SOURCE
from services.feed.backfill import Backfill
from services.feed.binance_stream import MarketStream
from services.feed.config import FeedConfig
from services.feed.core import FeedCore
from services.feed.inbox import Inbox
from services.feed.publisher import Publisher
from services.feed.recorder import Recorder


@dataclass(frozen=True)
class Parts:
    """What is reported on; nothing here is changed by reporting."""

    context: Context[FeedConfig]
    core: FeedCore
    inbox: Inbox
    streams: list[MarketStream]
    publisher: Publisher
    backfill: Backfill
    recorder: Recorder | None


class SelfReport:
    """The feed's account of itself, renewed every ``health_interval_ms``.

    Attributes:
        questions_open: questions to REST that wait for their answer.
        unreadable: frames and stored messages nobody could read, since the start.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._counted: dict[str, Counter[str]] = {}
        self.questions_open = 0
        self.unreadable = 0

    async def run(self) -> None:
        """Say how old the data is, twice a second."""
        number = 0
        while True:
            number += 1
            self._set_health()
            self._count_metrics()
            try:
                payload = encode(self._market_health(number))
                await self._parts.context.bus.publish(
                    subjects.MARKET_HEALTH, payload, new_trace_headers()
                )
            except BusError:
                pass  # without a broker there is nobody to hear it; the bus check says so
            await asyncio.sleep(self._parts.context.settings.health_interval_ms / 1_000)

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
            symbols=self._parts.core.health(now_ns, is_connected=self._is_connected),
            received=dict(self._parts.core.received),
            published=dict(self._parts.core.published),
            conflated=dict(self._parts.core.conflated),
        )

    @property
    def _is_connected(self) -> bool:
        return all(stream.is_up for stream in self._parts.streams)

    def _now_ns(self) -> int | None:
        """Market time as the sockets prove it; a guess ahead would age data that is on its way."""
        if not isinstance(self._parts.context.clock, PaperClock):
            return self._parts.context.clock.now_ns()
        proven = self._parts.publisher.proven
        return None if proven is None else proven.now_ns

    def _set_health(self) -> None:
        down = [stream.plan.name for stream in self._parts.streams if not stream.is_up]
        self._parts.context.health.set(
            "sockets",
            Level.FAIL if down else Level.PASS,
            f"down: {', '.join(down)}" if down else "",
        )
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

    def _count_metrics(self) -> None:
        """Bring the metrics up to the counters; per message it would cost more than the message."""
        for name, counts, metric in (
            ("received", self._parts.core.received, MARKET_RECEIVED),
            ("published", self._parts.core.published, MARKET_PUBLISHED),
            ("conflated", self._parts.core.conflated, MARKET_CONFLATED),
        ):
            before = self._counted.get(name, Counter())
            for kind, count in counts.items():
                metric.labels(kind).inc(count - before[kind])
            self._counted[name] = Counter(counts)

    def status(self) -> dict[str, Any]:
        """The body of ``/v1/status``."""
        now_ns = self._now_ns()
        core = self._parts.core
        return {
            "is_connected": self._is_connected,
            "market_time_ns": now_ns,
            "inbox": {"waiting": len(self._parts.inbox), "refused": self._parts.inbox.refused},
            "received": dict(core.received),
            "published": dict(core.published),
            "conflated": dict(core.conflated),
            "refused": dict(core.refused),
            "dropped": dict(self._parts.publisher.dropped),
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
            "symbols": core.health(now_ns, is_connected=self._is_connected),
            "series": core.series_report(),
            "recording": (
                {"lines": self._parts.recorder.lines, "dropped": self._parts.recorder.dropped}
                if self._parts.recorder is not None
                else None
            ),
        }
