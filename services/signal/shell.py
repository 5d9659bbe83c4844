"""Carries candles in and intents out: warm up from the stream, then one candle at a time.

An intent is stored before its candle is acknowledged. If we die in between, the candle comes
again, the same intent with the same id is derived from it, and the broker drops the repeat.
"""

import asyncio
from typing import Any

from nats.errors import Error as NatsError
from nats.js.errors import APIError

from libs.common.messages import subjects
from libs.common.messages.codec import UndecodableError, decode, encode
from libs.common.messages.intents import ProposedIntent
from libs.common.messages.market import Candle
from libs.common.model.intent import Intent
from libs.common.runtime.bus import Delivery
from libs.common.runtime.clock import wall_ns
from libs.common.runtime.errors import BusUnavailable
from libs.common.runtime.health import Level
from libs.common.runtime.log import get_logger
from libs.common.runtime.metrics import CANDLES_FOLDED, INTENTS_PROPOSED
from libs.common.runtime.provisioning import SIGNAL_CONSUMER, wait_until_provisioned
from libs.common.runtime.service import Context
from services.signal.config import SignalConfig, build_series
from services.signal.core import Fate, Folded, Series, fault_of, fold

log = get_logger(__name__)


def read_candle(payload: bytes) -> Candle:
    """A candle that can be true.

    Raises:
        UndecodableError: it is none, or its figures contradict one another.
    """
    candle = decode(payload, Candle)
    if fault := fault_of(candle):
        raise UndecodableError(f"not a candle: {fault}")
    return candle


class SignalShell:
    """The service's one worker."""

    def __init__(self, context: Context[SignalConfig]) -> None:
        self._context = context
        self._series = build_series(context.common, context.settings)
        self._intents_proposed = 0
        self._not_ours = 0
        self._warmed_up: dict[tuple[str, str], int] = {}
        #: What the candle under way led to: its redelivery must say it again, not fold it again.
        self._under_way: tuple[str, tuple[Intent, ...]] = ("", ())

    async def start(self) -> None:
        """Warm up, then consume.

        Raises:
            BusUnavailable: the streams are not there, or the broker does not answer.
        """
        context = self._context
        context.status = self.status
        context.health.set("warm-up", Level.FAIL, "replaying stored candles")
        await wait_until_provisioned(context.bus, context.common.account, context.common.bus)
        await self._warm_up()
        context.health.set("warm-up", Level.PASS)
        context.spawn(
            context.consume(subjects.MARKET_STREAM, SIGNAL_CONSUMER, self._on_delivery), "candles"
        )

    async def _warm_up(self) -> None:
        """Fold what was acknowledged before, without proposing anything."""
        floor = await self._ack_floor()
        stored = await self._read_back(floor)
        for candle in stored:
            if self._fold(candle).fate in (Fate.FOLDED, Fate.AFTER_GAP):
                key = candle.symbol, candle.interval
                self._warmed_up[key] = self._warmed_up.get(key, 0) + 1
        log.info("warmed up", candles=len(stored), up_to_sequence=floor)

    async def _ack_floor(self) -> int:
        try:
            info = await self._context.bus.jetstream.consumer_info(
                subjects.MARKET_STREAM, SIGNAL_CONSUMER
            )
        except (NatsError, APIError, TimeoutError) as error:
            raise BusUnavailable(f"no word of consumer {SIGNAL_CONSUMER}: {error!r}") from error
        return info.ack_floor.stream_seq if info.ack_floor is not None else 0

    async def _read_back(self, floor: int) -> list[Candle]:
        """Stored candles up to a stream sequence: ``warmup_bars`` of each series, oldest first."""
        settings = self._context.settings
        wanted = dict.fromkeys(self._series, settings.warmup_bars)
        lowest = max(0, floor - settings.warmup_messages_max)
        found: list[Candle] = []
        while floor > lowest and any(left > 0 for left in wanted.values()):
            start = max(lowest, floor - settings.warmup_batch)
            batch = await asyncio.gather(
                *(
                    self._context.bus.read_message(subjects.MARKET_STREAM, sequence)
                    for sequence in range(floor, start, -1)
                )
            )
            payloads = [stored.data for stored in batch if stored is not None and stored.data]
            if not payloads:
                break  # older than the stream keeps
            for candle in self._readable(payloads):
                key = candle.symbol, candle.interval
                if wanted.get(key, 0) > 0:
                    wanted[key] -= 1
                    found.append(candle)
            floor = start
        found.reverse()
        return found

    def _readable(self, payloads: list[bytes]) -> list[Candle]:
        candles = []
        for payload in payloads:
            try:
                candles.append(read_candle(payload))
            except UndecodableError as error:  # it became a dead letter when it was delivered
                log.warning("stored candle unreadable", error=str(error))
        return candles

    async def _on_delivery(self, delivery: Delivery) -> None:
        candle = read_candle(delivery.payload)
        if self._under_way[0] != candle.message_id:
            self._under_way = candle.message_id, self._fold(candle).intents
        for intent in self._under_way[1]:
            await self._propose(intent, candle)
        self._under_way = "", ()

    def _fold(self, candle: Candle) -> Folded:
        folded = fold(self._series, candle)
        if folded.fate is Fate.NOT_OURS:
            self._not_ours += 1
        elif folded.fate is not Fate.REPEATED:
            CANDLES_FOLDED.labels(candle.symbol).inc()
        if folded.fate is Fate.AFTER_GAP:
            log.error(
                "candles missing, strategies start anew",
                symbol=candle.symbol,
                interval=candle.interval,
                before=candle.message_id,
                missing_ms=folded.gap_ns // 1_000_000,
            )
        return folded

    async def _propose(self, intent: Intent, candle: Candle) -> None:
        message = ProposedIntent(
            message_id=intent.intent_id,
            causation_id=candle.message_id,
            correlation_id=intent.intent_id,
            ts_event_ns=intent.created_at_ns,
            ts_published_ns=wall_ns(),
            source=self._context.name,
            intent=intent,
        )
        await self._context.bus.publish_stored(
            subjects.intent_proposed(intent.symbol), encode(message), message_id=intent.intent_id
        )
        self._intents_proposed += 1
        INTENTS_PROPOSED.labels(intent.strategy_id).inc()
        log.info(
            "intent proposed",
            intent_id=intent.intent_id,
            strategy=intent.strategy_id,
            symbol=intent.symbol,
            purpose=intent.purpose,
            side=intent.side,
            candle_id=intent.candle_id,
        )

    def status(self) -> dict[str, Any]:
        """The body of /v1/status: counts since the start of this process."""
        return {
            "intents_proposed": self._intents_proposed,
            "candles_not_ours": self._not_ours,
            "series": [
                {
                    "symbol": key[0],
                    "interval": key[1],
                    "warmed_up": self._warmed_up.get(key, 0),
                    **_series_status(series),
                }
                for key, series in self._series.items()
            ],
        }


def _series_status(series: Series) -> dict[str, Any]:
    """``folded`` counts distinct candles, those of the warm-up included."""
    return {
        "folded": series.folded,
        "repeated": series.repeated,
        "gaps": series.gaps,
        "first_candle": series.first.message_id if series.first else None,
        "last_candle": series.last.message_id if series.last else None,
        "strategies": [
            {"id": run.strategy_id, "parameter_hash": run.parameter_hash} for run in series.runs
        ],
    }


async def start(context: Context[SignalConfig]) -> None:
    """Plug signal into its process."""
    await SignalShell(context).start()
