"""A world with a feed in it, and everything a drill of market data asks of it.

Nothing here believes the feed: candles come from the broker and are compared with the venue's
klines, quotes and marks are heard on the bus and compared with the ages that the feed tells.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from bench.feed_world import FeedWorld, feed_world
from drills.book_witness import BookWitness, book_witness
from libs.common.messages import subjects
from libs.common.messages.codec import decode
from libs.common.messages.market import Candle, Depth, Mark, MarketHealth, Quote
from libs.common.runtime.clock import NS_PER_MS, monotonic_ns

SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
WITNESSED: Final = "BTCUSDT"
"""The symbol whose book is heard from the venue, too."""
SPEED: Final = 20
"""Market seconds per wall second: a bar closes every three seconds."""
SILENCE_MS: Final = 800
"""Wall time after which a silent socket is given up."""
STREAM_AGE_MS: Final = 10_000
"""Market time after which a quote or mark counts as stale."""
STREAM_SILENCE_MS: Final = 5_000
"""Market time after which one stream of a socket that speaks is taken for stalled."""
SETTINGS: Final[Mapping[str, object]] = {
    "silence_ms_max": SILENCE_MS,
    "quiet_ms_max": 300,
    "mark_silence_ms_max": STREAM_SILENCE_MS,
    "quote_silence_ms_max": STREAM_SILENCE_MS,
    "quote_age_ms_max": STREAM_AGE_MS,
    "mark_age_ms_max": STREAM_AGE_MS,
    "backoff_first_ms": 50,
    "backoff_max_ms": 500,
    "backfill_wait_first_ms": 50,
    "backfill_wait_max_ms": 500,
    "health_interval_ms": 50,
}
AGE_SLACK_MS: Final = 200
"""Wall time by which a told age may fall short of what is heard here: what was received waits for
the broker to store a candle before it is said, and a message on its way counts there first."""
PRICE_FACTOR_MAX: Final = Decimal("1.5")


class MarketRig:
    """The world, what was heard on its bus, and the lies found in it."""

    def __init__(self, world: FeedWorld, speed: int, witness: BookWitness) -> None:
        self.world = world
        self.witness = witness
        self.speed = speed
        self.age_slack_ms = AGE_SLACK_MS
        self.newest_ns: dict[tuple[str, str], int] = {}
        self.agreed_ns: dict[str, int] = {}
        self.wrong: list[str] = []
        self.told_stale: Counter[str] = Counter()
        self._prices: dict[str, Decimal] = {}

    async def listen(self) -> None:
        """Begin to hear quotes, marks and the feed's word about their ages."""
        bus = self.world.bus
        await bus.subscribe(subjects.quote("*"), self._on_quote)
        await bus.subscribe(subjects.mark("*"), self._on_mark)
        await bus.subscribe(subjects.depth("*"), self._on_depth)
        await bus.subscribe(subjects.MARKET_HEALTH, self._on_health)

    async def _on_quote(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        said = decode(payload, Quote)
        self._hear("quote", said.symbol, said.ts_event_ns, said.bid_price)

    async def _on_mark(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        said = decode(payload, Mark)
        self._hear("mark", said.symbol, said.ts_event_ns, said.mark_price)

    async def _on_depth(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        said = decode(payload, Depth)
        if said.is_valid and said.symbol == WITNESSED and self.witness.agrees(said):
            self.agreed_ns[said.symbol] = said.ts_event_ns

    def _hear(self, kind: str, symbol: str, ts_event_ns: int, price: Decimal) -> None:
        key = kind, symbol
        self.newest_ns[key] = max(ts_event_ns, self.newest_ns.get(key, 0))
        known = self._prices.setdefault(symbol, price)
        if not known / PRICE_FACTOR_MAX < price < known * PRICE_FACTOR_MAX:
            self.wrong.append(f"a {kind} of {symbol} at {price}")

    async def _on_health(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        said = decode(payload, MarketHealth)
        for one in said.symbols:
            if one.is_stale:
                self.told_stale[one.symbol] += 1
            for kind, age_ms in (("quote", one.quote_age_ms), ("mark", one.mark_age_ms)):
                heard_ns = self.newest_ns.get((kind, one.symbol))
                if age_ms is None or heard_ns is None or one.is_stale:
                    continue
                true_ms = (said.ts_event_ns - heard_ns) // NS_PER_MS
                if true_ms > age_ms + self.age_slack_ms * self.speed:
                    self.wrong.append(
                        f"{kind} of {one.symbol} told as {age_ms} ms old, {true_ms} ms in truth"
                    )

    def wall_ms(self, market_ms: float) -> float:
        """So much market time, on a watch."""
        return market_ms / self.speed

    async def stream_faults(self, *rules: Mapping[str, object]) -> None:
        """Put these rules in force in place of all others."""
        if rules:
            await self.world.sim("/sim/stream-faults", list(rules))
        else:
            await self.world.sim("/sim/stream-faults", method="DELETE")

    async def has_struck(self) -> bool:
        """Whether some stream rule in force has struck."""
        told = await self.world.sim("/sim/stream-faults", method="GET")
        return any(rule["struck"] for rule in told["faults"])

    async def market_ns(self) -> int:
        """The venue's market time."""
        told = await self.world.sim("/sim/clock", method="GET")
        return int(told["now_ns"])

    async def until_calm(self) -> None:
        """Return once nothing is wrong: connected, fresh, no question open."""
        await self.world.until(self.is_calm, "the feed is calm")

    async def is_calm(self) -> bool:
        """Whether the feed says that all is well, and what it says is on the bus."""
        return not unrest(await self.world.status())

    async def count_candles(self) -> int:
        """Candles stored so far."""
        return len(await self.world.candles())

    async def losses(self, since: int) -> tuple[str, ...]:
        """Everything stored or said that is not the venue's own, behind so many candles."""
        said, self.wrong = self.wrong, []
        found: list[str] = []
        series: dict[tuple[str, str], list[Candle]] = {}
        for number, candle in enumerate(await self.world.candles()):
            mine = series.setdefault((candle.symbol, candle.interval), [])
            # The last one before is kept, so that a hole between then and now shows, too.
            mine[:] = [candle] if number < since else [*mine, candle]
        for (symbol, interval), candles in series.items():
            first_ms, last_ms = (candles[end].open_ns // NS_PER_MS for end in (0, -1))
            listed = await self.world.klines(symbol, interval, first_ms, last_ms)
            found += differences(f"{symbol} {interval}", candles, listed, is_first_old=since > 0)
        return (*found, *said[:3])


def differences(
    name: str, candles: Sequence[Candle], listed: Sequence[Sequence[Any]], *, is_first_old: bool
) -> list[str]:
    """Bar by bar, where stored candles are not the venue's; an old first one counts by its time."""
    told: list[list[Any]] = [
        [one.open_ns // NS_PER_MS, *map(str, (one.open, one.high, one.low, one.close, one.volume))]
        for one in candles
    ]
    told_ms, listed_ms = [row[0] for row in told], [row[0] for row in listed]
    found = [f"{name}: {ms} is missing" for ms in listed_ms if ms not in told_ms]
    found += [f"{name}: {ms} is none of the venue's" for ms in told_ms if ms not in listed_ms]
    found += [f"{name}: {ms} stored {told_ms.count(ms)} times"
              for ms in sorted(set(told_ms)) if told_ms.count(ms) > 1]  # fmt: skip
    if told_ms != sorted(told_ms):
        found.append(f"{name}: out of order")
    truth = {row[0]: list(row) for row in listed}
    for row in told[1:] if is_first_old else told:
        if row[0] in truth and row != truth[row[0]]:
            found.append(f"{name}: stored {row}, listed {truth[row[0]]}")
    return found


def unrest(status: Mapping[str, Any]) -> list[str]:
    """What is not well by the feed's own word; nothing, once all is."""
    found = [] if status.get("is_connected") else ["not connected"]
    if status["is_healing"]:
        found.append(f"a gap is open, {status['backfill']['last_failure']}".rstrip(", "))
    found += [f"stale: {one}" for one in status["symbols"] if one["is_stale"]]
    found += [f"stalled: {one['stalled']}" for one in status["sockets"] if one["stalled"]]
    return found


def socket_of(status: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What the feed says of one socket."""
    found: dict[str, Any] = next(one for one in status["sockets"] if one["name"] == name)
    return found


@contextlib.asynccontextmanager
async def market_rig(
    folder: Path,
    *,
    symbols: Sequence[str] = SYMBOLS,
    intervals: Sequence[str] = ("1m",),
    speed: int = SPEED,
    source: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    module: str = "services.feed",
    also: Mapping[str, str] | None = None,
) -> AsyncIterator[MarketRig]:
    """The paper exchange at a speed, a broker, and a feed that has stored its first candles."""
    listed = source or ("--symbols", ",".join(symbols), "--source", "generator", "--seed", "7")
    async with (
        feed_world(folder, *listed, "--speed", str(speed)) as world,
        book_witness(world.venue_url, WITNESSED) as witness,
    ):
        rig = MarketRig(world, speed, witness)
        await rig.listen()
        await world.start_feed(
            symbols, intervals, module=module, also=also, **{**SETTINGS, **(settings or {})}
        )
        await world.until_candles(1)
        await rig.until_calm()
        yield rig


def elapsed_ms(since_ns: int) -> float:
    """Wall milliseconds since a reading of the monotonic clock."""
    return (monotonic_ns() - since_ns) / NS_PER_MS
