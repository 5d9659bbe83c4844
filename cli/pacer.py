"""Paces the market of a finite run, so that no intent expires for want of wall time.

The paper exchange lets market time flow up to a limit. The pacer moves that limit from bar to bar,
and moves on once everything said before it has been worked off: the feed has published it, the
strategies have folded it, no intent waits, no order is unanswered. The market never runs faster
than the speed asked for; it only waits. How long it waits is bounded: whatever is not finished by
then is left to the services' own deadlines, and counted.
"""

import asyncio
from dataclasses import dataclass

from nats.errors import Error as NatsError

from cli.ear import Ear
from cli.venue_control import VenueControl
from libs.common.messages import subjects
from libs.common.messages.account import AccountState
from libs.common.model.order import OrderStatus
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import monotonic_ns
from libs.common.runtime.provisioning import SIGNAL_CONSUMER

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
LOOK_INTERVAL_S = 0.004
MARGIN_NS_MAX = NS_PER_S
INTERVAL_HELD_TWICE_NS_MIN = 10 * NS_PER_S
#: Below the ages at which risk and the gate refuse; a held market does not age any further.
STATE_AGE_NS_MAX = 2 * NS_PER_S
BUSY = (OrderStatus.RECORDED, OrderStatus.UNKNOWN)


@dataclass(frozen=True)
class Backlog:
    """What has been said and not been worked off yet.

    Attributes:
        state_age_ns: market time since execution last told how the account stands.
    """

    candles_pending: int
    candles_unacknowledged: int
    intents: int
    orders_unanswered: int
    state_age_ns: int

    @property
    def is_empty(self) -> bool:
        """Whether the market may go on."""
        has_work = (
            self.candles_pending
            or self.candles_unacknowledged
            or self.intents
            or self.orders_unanswered
        )
        return not has_work and self.state_age_ns <= STATE_AGE_NS_MAX


def next_limit_ns(now_ns: int, interval_ns: int) -> int:
    """The next place to hold the market: two fifths of a bar (at most 1 s) after a bar closes.

    Bars of ten seconds and more are also held as long before they close: at a high speed the whole
    bar may have taken milliseconds, and account and marks are to be fresh when its candle comes.
    """
    margin_ns = min(interval_ns * 2 // 5, MARGIN_NS_MAX)
    bar_ns = now_ns - now_ns % interval_ns
    places = [bar_ns + margin_ns, bar_ns + interval_ns + margin_ns]
    if interval_ns >= INTERVAL_HELD_TWICE_NS_MIN:
        places.append(bar_ns + interval_ns - margin_ns)
    return min(place for place in places if place > now_ns)


def read_account(state: AccountState | None, now_ns: int) -> tuple[int, int]:
    """Orders without an answer, and the age of the account's state in nanoseconds."""
    if state is None:
        return 0, now_ns
    unanswered = sum(order.status in BUSY for order in state.orders)
    return unanswered, now_ns - state.ts_event_ns


async def read_backlog(bus: Bus, ear: Ear) -> Backlog | None:
    """Look at the queues in the order in which work flows; ``None`` if the broker is away.

    Work moves forward through them (a stage settles its input only after its output is stored),
    so what is empty when looked at in this order is empty altogether.
    """
    try:
        candles = await bus.jetstream.consumer_info(subjects.MARKET_STREAM, SIGNAL_CONSUMER)
        intents = await bus.jetstream.stream_info(subjects.INTENTS_STREAM)
    except (NatsError, TimeoutError):
        return None
    now_ns = ear.clock.now_ns if ear.clock is not None else 0
    unanswered, state_age_ns = read_account(ear.state, now_ns)
    return Backlog(
        candles_pending=candles.num_pending or 0,
        candles_unacknowledged=candles.num_ack_pending or 0,
        intents=intents.state.messages,
        orders_unanswered=unanswered,
        state_age_ns=state_age_ns,
    )


class Pacer:
    """Moves the venue's limit; counts what it did for the report."""

    def __init__(
        self, venue: VenueControl, bus: Bus, ear: Ear, *, interval_ns: int, hold_ms_max: int
    ) -> None:
        self._venue = venue
        self._bus = bus
        self._ear = ear
        self._interval_ns = interval_ns
        self._hold_ms_max = hold_ms_max
        self.steps = 0
        self.forced = 0
        self.held_ns = 0

    def facts(self) -> dict[str, int]:
        """Steps made, those not waited for to the end, and wall time the market was held."""
        return {
            "steps": self.steps,
            "forced": self.forced,
            "held_ms": self.held_ns // NS_PER_MS,
            "hold_ms_max": self._hold_ms_max,
            "interval_ms": self._interval_ns // NS_PER_MS,
        }

    async def run_to_source_end(self) -> None:
        """Step until the venue's data has ended and everything it caused is worked off."""
        while not await self.step():
            pass

    async def step(self, interval_ns: int | None = None) -> bool:
        """One bar of market time (or another span); true if the venue's source has ended.

        Raises:
            CommandFailed: the venue does not answer.
        """
        before = await self._venue.clock()
        limit_ns = next_limit_ns(before.now_ns, interval_ns or self._interval_ns)
        await self._venue.set_limit(limit_ns)
        self.steps += 1
        flow_ms = int((limit_ns - before.now_ns) / float(before.speed)) // NS_PER_MS
        is_reached = await self._ear.wait_until(
            lambda: self._ear.clock is not None and self._ear.clock.now_ns >= limit_ns,
            flow_ms + self._hold_ms_max,
        )
        started = monotonic_ns()
        if not is_reached:
            await self._wait_for_venue(limit_ns)
        if not (is_reached and await self.wait_until_quiet()):
            self.forced += 1
        self.held_ns += monotonic_ns() - started
        return (await self._venue.clock()).source_ended

    async def wait_until_quiet(self) -> bool:
        """Wait until nothing is left to do; false when ``hold_ms_max`` passed before."""
        end_ns = monotonic_ns() + self._hold_ms_max * NS_PER_MS
        while True:
            backlog = await read_backlog(self._bus, self._ear)
            if backlog is not None and backlog.is_empty:
                return True
            if monotonic_ns() >= end_ns:
                return False
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def _wait_for_venue(self, limit_ns: int) -> None:
        """The feed is away or late: at least let the venue itself get there."""
        while (await self._venue.clock()).now_ns < limit_ns:
            await asyncio.sleep(LOOK_INTERVAL_S)
