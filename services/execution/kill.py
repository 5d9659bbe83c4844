"""Carries out cancel-all and flatten, and proves them: the venue is asked until nothing is left.

A kill is in the journal before its first request, so that whoever comes after a crash finishes it.
Every step may be done twice: cancels name what is there, exits only reduce and have derived ids.
Protective stops are cancelled last, once nothing is left for them to protect.
"""

import asyncio
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

import msgspec

from libs.common.messages.account import Verb
from libs.common.messages.audit_events import KillProven, PositionObserved, PositionsObserved
from libs.common.messages.journal import OrderRecorded
from libs.common.model.money import ZERO, plain
from libs.common.runtime.clock import NS_PER_MS, Clock, monotonic_ns
from libs.common.runtime.errors import BusError
from libs.common.runtime.log import get_logger
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from libs.common.venue.outcomes import Accepted, describe
from libs.common.venue.payloads import PositionRisk
from services.execution.config import ExecutionConfig
from services.execution.core import Decision
from services.execution.gate import Gate
from services.execution.kill_core import banned, decide_cancels, decide_close, in_doubt, may_close
from services.execution.lookout import Lookout
from services.execution.orders import OrderDesk
from services.execution.state import PendingKill

log = get_logger(__name__)

#: Between two rounds; grows, because asking for all symbols is dear.
ROUND_WAIT_MS = 100
ROUND_WAIT_MS_MAX = 5_000
WATCH_INTERVAL_S = 1.0
REMAINING_LENGTH_MAX = 2_000

Spawn = Callable[[Coroutine[Any, Any, None], str], None]


class Progress(msgspec.Struct):
    """What one kill has met so far.

    Attributes:
        venue_ms: the venue's own time before it was asked what there is: ours may run ahead, and
            what arrives while it answers is not in its lists.
    """

    venue_ms: int = 0
    orders: int = 0
    algo_orders: int = 0
    positions: dict[str, Decimal] = {}
    closed: set[str] = set()
    is_first: bool = True
    remaining: str = "not begun"

    @property
    def is_complete(self) -> bool:
        """Whether nothing was left when the venue was last asked."""
        return not self.remaining


class KillDesk:
    """Runs every kill that the journal orders, until the venue shows nothing any more."""

    def __init__(
        self,
        gate: Gate,
        orders: OrderDesk,
        venue: VenueClient,
        lookout: Lookout,
        clock: Clock,
        settings: ExecutionConfig,
        spawn: Spawn,
    ) -> None:
        self._gate = gate
        self._orders = orders
        self._venue = venue
        self._lookout = lookout
        self._clock = clock
        self._settings = settings
        self._spawn = spawn
        self._done: dict[str, asyncio.Event] = {}

    @property
    def running(self) -> tuple[str, ...]:
        """The keys of the kills that this process carries out now."""
        return tuple(self._done)

    def begin(self, key: str) -> None:
        """Carry out a kill that is in the journal, unless we are at it already."""
        if key not in self._done:
            self._done[key] = asyncio.Event()
            self._spawn(self._run(key), f"kill-{key}")

    async def wait(self, key: str) -> None:
        """Return once this process has ended a kill; at once if it carries none of that key out."""
        done = self._done.get(key)
        if done is not None:
            await done.wait()

    async def watch(self) -> None:
        """Finish what an earlier life began, and what another replica left lying."""
        for key in tuple(self._gate.state.kills):
            self.begin(key)
        patience_ns = (self._settings.kill_wait_ms + self._settings.order_lease_ms) * NS_PER_MS
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            now_ns = self._clock.now_ns()
            for key, kill in tuple(self._gate.state.kills.items()):
                if now_ns - kill.began_at_ns > patience_ns:
                    self.begin(key)

    async def _run(self, key: str) -> None:
        try:
            await self._carry_out(key)
        finally:
            self._done.pop(key).set()

    async def _carry_out(self, key: str) -> None:
        progress, wait_ms = Progress(), ROUND_WAIT_MS
        deadline_ns = monotonic_ns() + self._settings.kill_wait_ms * NS_PER_MS
        while key in self._gate.state.kills:
            await self._attempt(key, progress)
            is_over = progress.is_complete or monotonic_ns() >= deadline_ns
            if is_over and await self._conclude(key, progress):
                return
            await asyncio.sleep(wait_ms / 1000)
            wait_ms = min(wait_ms * 2, ROUND_WAIT_MS_MAX)

    async def _attempt(self, key: str, progress: Progress) -> None:
        """One round; what goes wrong with the venue or the broker is what remains."""
        kill = self._gate.state.kills[key]
        held = banned(self._gate.state, self._clock.now_ns())
        if held:
            progress.remaining = held
            return
        try:
            await self._gate.catch_up()
            progress.venue_ms = await self._venue_time_ms()
            if kill.verb == Verb.FLATTEN:
                progress.remaining = await self._flatten(key, kill, progress)
            else:
                progress.remaining = await self._cancel_all(kill, progress)
        except VenueReadError as error:
            progress.remaining = f"the venue did not tell: {error}"
        except BusError as error:
            progress.remaining = f"the journal could not be written: {error}"
        progress.is_first = False

    async def _venue_time_ms(self) -> int:
        """The venue's time; 0, before which nothing is proven, where it does not tell."""
        try:
            return await self._venue.server_time()
        except VenueReadError as error:
            log.warning("the venue does not tell its time", error=str(error))
            return 0

    # -- cancel-all ------------------------------------------------------------------------------

    async def _cancel_all(self, kill: PendingKill, progress: Progress) -> str:
        left = [
            *await self._cancel_orders(kill, progress),
            *await self._cancel_algo_orders(kill, progress),
        ]
        return self._remaining(left, "", progress.venue_ms)

    async def _cancel_orders(self, kill: PendingKill, progress: Progress) -> list[str]:
        """Cancel what the venue shows of regular orders, whoever placed them; returns what it did.

        A list that is empty is the proof: it was asked for after the last cancel was answered.
        """
        found = await self._venue.open_orders(kill.target or None)
        progress.orders = max(progress.orders, len(found))
        await self._journal_cancels(kill, tuple(order.client_order_id for order in found))
        left = [f"order {order.client_order_id} of {order.symbol}" for order in found]
        for symbol in sorted({order.symbol for order in found}):
            outcome = await self._venue.cancel_open_orders(symbol)
            if not isinstance(outcome, Accepted):
                left.append(f"canceling orders of {symbol}: {describe(outcome)}")
        return left

    async def _cancel_algo_orders(self, kill: PendingKill, progress: Progress) -> list[str]:
        found = await self._venue.open_algo_orders(kill.target or None)
        progress.algo_orders = max(progress.algo_orders, len(found))
        await self._journal_cancels(kill, tuple(order.client_algo_id for order in found))
        left = [f"algo order {order.client_algo_id} of {order.symbol}" for order in found]
        for symbol in sorted({order.symbol for order in found}):
            outcome = await self._venue.cancel_open_algo_orders(symbol)
            if not isinstance(outcome, Accepted):
                left.append(f"canceling algo orders of {symbol}: {describe(outcome)}")
        return left

    async def _journal_cancels(self, kill: PendingKill, client_ids: tuple[str, ...]) -> None:
        await self._gate.transact(
            lambda: decide_cancels(self._gate.state, kill, client_ids),
            causation_id=kill.verb,
            correlation_id=kill.verb,
        )

    def _remaining(self, left: list[str], symbol: str, venue_ms: int) -> str:
        """What is left, with what may yet appear at the venue; empty if nothing is."""
        doubtful = in_doubt(self._gate.state, venue_ms, self._settings.query_lag_ms, symbol)
        left += [f"{client_id} may still arrive at the venue" for client_id in doubtful]
        return "; ".join(left)[:REMAINING_LENGTH_MAX]

    # -- flatten ---------------------------------------------------------------------------------

    async def _flatten(self, key: str, kill: PendingKill, progress: Progress) -> str:
        left = await self._cancel_orders(kill, progress)
        positions = await self._positions(kill, progress)
        for position in positions:
            left.append(f"{plain(position.quantity)} {position.symbol}")
            await self._close(key, position)
        remaining = self._remaining(left, kill.target, progress.venue_ms)
        if remaining:
            return remaining
        # Only now: there is nothing left to protect. What they may have opened meanwhile, we see.
        left = await self._cancel_algo_orders(kill, progress)
        left += [position.symbol for position in await self._positions(kill, progress)]
        return self._remaining(left, kill.target, progress.venue_ms)

    async def _positions(self, kill: PendingKill, progress: Progress) -> list[PositionRisk]:
        """The positions the venue shows, whoever opened them; journaled where they changed."""
        observed_at_ns = self._clock.now_ns()
        found = [
            position
            for position in await self._venue.position_risk(kill.target or None)
            if position.quantity != ZERO
        ]
        seen = {position.symbol: position.quantity for position in found}
        progress.closed |= set(seen)
        if progress.is_first or seen != progress.positions:
            observed = PositionsObserved(
                positions=tuple(
                    PositionObserved(symbol=symbol, quantity=quantity)
                    for symbol, quantity in sorted(seen.items())
                ),
                observed_at_ns=observed_at_ns,
            )
            await self._gate.transact(
                lambda: Decision(events=(observed,)),
                causation_id=kill.verb,
                correlation_id=kill.verb,
            )
        progress.positions = seen
        return found

    async def _close(self, key: str, position: PositionRisk) -> None:
        symbol = position.symbol
        decision = await self._gate.transact(
            lambda: decide_close(
                self._settings,
                self._gate.state,
                key,
                symbol,
                position.quantity,
                position.mark_price,
                self._lookout.facts(symbol),
            ),
            causation_id=key,
            correlation_id=key,
        )
        for event in decision.events:
            if isinstance(event, OrderRecorded):
                await self._orders.submit(event, may_close)

    # -- the end ---------------------------------------------------------------------------------

    async def _conclude(self, key: str, progress: Progress) -> bool:
        """Journal what came of it; returns whether that could be done."""
        kill = self._gate.state.kills.get(key)
        if kill is None:
            return True
        if progress.is_complete:
            await self._learn(progress)
        proven = KillProven(
            verb=kill.verb,
            orders_canceled=progress.orders,
            algo_orders_canceled=progress.algo_orders,
            positions_closed=tuple(sorted(progress.closed - set(progress.positions))),
            took_ms=(self._clock.now_ns() - kill.began_at_ns) // NS_PER_MS,
            is_complete=progress.is_complete,
            remaining=progress.remaining,
            key=key,
        )
        try:
            await self._gate.transact(
                lambda: Decision(events=(proven,) if key in self._gate.state.kills else ()),
                causation_id=key,
                correlation_id=key,
            )
        except BusError as error:
            log.warning("end of a kill not journaled", key=key, error=str(error))
            return False
        if progress.is_complete:
            log.info("kill proven", verb=kill.verb, took_ms=proven.took_ms)
        else:
            log.error("KILL INCOMPLETE", verb=kill.verb, remaining=progress.remaining)
        return True

    async def _learn(self, progress: Progress) -> None:
        """Bring the journal up to what the kill did to our orders and positions."""
        try:
            await self._orders.settle_open()
            for symbol in sorted(progress.closed):
                await self._orders.fetch_fills(symbol)
        except (VenueReadError, BusError) as error:  # upkeep goes on asking
            log.warning("not all was learned after a kill", error=str(error))
