"""Carries stops and targets to the venue, and what becomes of them back into the journal.

Every step is journaled before it is taken, so that whoever comes after a crash goes on from there:
a stop recorded by a process that is gone is in doubt after its lease, one in doubt is asked after,
a cancel on record is sent until the end is known. What is sent runs beside the deciding, so that
one answer that does not come keeps no other entry waiting.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from libs.common.messages.algo_events import (
    AlgoCancelRequested,
    AlgoOrderRecorded,
    AlgoOrderUpdated,
    ProtectionFailed,
)
from libs.common.messages.journal import JournalEvent, OrderCancelRequested, OrderRecorded
from libs.common.model.algo_order import AlgoStatus, algo_contradicts
from libs.common.model.money import ZERO
from libs.common.runtime.clock import NS_PER_MS, Clock
from libs.common.runtime.errors import BusError
from libs.common.runtime.log import get_logger
from libs.common.runtime.metrics import (
    ORDER_CONTRADICTIONS,
    PROTECTION_FAILED,
    STOPS_ACKNOWLEDGED_SECONDS,
)
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from libs.common.venue.outcome_table import Reason as VenueReason
from libs.common.venue.outcomes import Accepted, Rejected, describe
from libs.common.venue.user_payloads import AlgoUpdate
from services.execution.algo_words import algo_parameters, read_algo_answer, read_algo_event
from services.execution.answers import decide_latch
from services.execution.changes import ChangeDesk
from services.execution.config import ExecutionConfig
from services.execution.gate import Gate
from services.execution.kill_core import banned, may_close
from services.execution.lookout import Lookout
from services.execution.orders import OrderDesk
from services.execution.protection import decide_algo_update, decide_protection, entries_to_tend
from services.execution.protection_evidence import Evidence
from services.execution.reports import read_latch
from services.execution.state import PROTECTION, AlgoOrderState

log = get_logger(__name__)


class ProtectionDesk:
    """Tends every entry that is exposed: on each change of what we know, and on each tick."""

    def __init__(
        self,
        gate: Gate,
        venue: VenueClient,
        orders: OrderDesk,
        changes: ChangeDesk,
        lookout: Lookout,
        clock: Clock,
        settings: ExecutionConfig,
    ) -> None:
        self._gate = gate
        self._venue = venue
        self._orders = orders
        self._changes = changes
        self._lookout = lookout
        self._clock = clock
        self._settings = settings
        self._evidence = Evidence(gate, venue, orders, clock, settings, self._journal_update)
        self._changed = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._defect: Exception | None = None
        self._canceled_at_ns: dict[str, int] = {}

    @property
    def is_sending(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._tasks)

    def notice(self) -> None:
        """Something changed: look at once, not only at the next tick."""
        self._changed.set()

    async def run(self) -> None:
        """Tend for ever; what cannot be journaled now is decided again at the next tick.

        What no trying again would heal (a defect, a damaged journal) is raised, whichever of the
        tasks met it.
        """
        try:
            while True:
                await self._wait()
                if self._defect is not None:
                    raise self._defect
                try:
                    await self.tend()
                except BusError as error:
                    log.warning("protection postponed", error=str(error))
        finally:
            for task in self._tasks.values():
                task.cancel()

    async def _wait(self) -> None:
        try:
            await asyncio.wait_for(self._changed.wait(), self._settings.tick_wall_ms / 1000)
        except TimeoutError:
            return
        finally:
            self._changed.clear()

    async def tend(self) -> None:
        """Decide for every entry, and set off what was decided.

        Raises:
            BusError: something could not be journaled; it was not done either.
        """
        await self._doubt_orphans()
        state = self._gate.state
        for client_order_id in entries_to_tend(state):
            order = state.orders[client_order_id]
            decision = await self._gate.transact(
                lambda entry=client_order_id, symbol=order.symbol: decide_protection(  # type: ignore[misc]
                    self._settings,
                    self._gate.state,
                    entry,
                    self._lookout.facts(symbol),
                    self._evidence.unlisted,
                ),
                causation_id=client_order_id,
                correlation_id=order.intent_id,
            )
            for event in decision.events:
                self._perform(event)
        self._send_cancels()
        # Its end wakes us again: begun when there is nothing to do, it would keep us spinning.
        if self._evidence.is_due and not banned(self._gate.state, self._clock.now_ns()):
            self._start("evidence", self._evidence.look_if_due)

    async def hear(self, event: AlgoUpdate) -> None:
        """Journal what the user stream says of one of our stops or targets."""
        update = read_algo_event(event.order)
        if update is not None:
            await self._journal_update(update)

    async def settle_open(self) -> None:
        """Ask after every stop and target believed alive (after a gap in the stream).

        Raises:
            VenueReadError: the venue did not answer.
        """
        await self._evidence.look(self._gate.state.open_algo_orders())

    # -- what was decided ------------------------------------------------------------------------

    def _perform(self, event: JournalEvent) -> None:
        match event:
            case AlgoOrderRecorded():
                self._start(event.client_algo_id, lambda: self._place(event))
            case OrderRecorded():
                # Ours to send from now on: upkeep must not take it for left behind meanwhile.
                self._orders.sending.add(event.client_order_id)
                self._start(event.client_order_id, lambda: self._close(event))
            case ProtectionFailed():
                PROTECTION_FAILED.inc()
                log.error("position not protected, closing it", why=event.why, symbol=event.symbol)
            case AlgoCancelRequested():
                log.info("algo order to be canceled", client_algo_id=event.client_algo_id)
            case OrderCancelRequested():
                log.info("entry to be canceled", client_order_id=event.client_order_id)
            case _:
                raise AssertionError(f"protection does not carry out {event}")

    def _start(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a piece of work beside the others, unless it runs already."""
        if name not in self._tasks:
            task = asyncio.create_task(self._guarded(name, work), name=f"protection-{name}")
            self._tasks[name] = task

    async def _guarded(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (BusError, VenueReadError) as error:  # found in doubt, or asked again, later
            log.warning("protection postponed", what=name, error=str(error))
        except Exception as error:
            self._defect = error
        finally:
            self._tasks.pop(name, None)
        self._changed.set()

    async def _place(self, recorded: AlgoOrderRecorded) -> None:
        """Send a recorded stop or target once, and journal what came of it."""
        client_algo_id = recorded.client_algo_id
        why_not = self._why_not(recorded)
        if why_not:
            await self._journal_update(
                AlgoOrderUpdated(
                    client_algo_id=client_algo_id,
                    status=AlgoStatus.NOT_PLACED,
                    why=f"not sent: {why_not}",
                )
            )
            return
        outcome = await self._venue.place_algo_order(
            algo_parameters(recorded, self._settings.stop_working_type),
            timestamp_ms=recorded.timestamp_ms,
            recv_window_ms=recorded.recv_window_ms,
        )
        log.info("algo order outcome", client_algo_id=client_algo_id, outcome=describe(outcome))
        latch = read_latch(outcome, self._clock.now_ns())
        if latch is not None:
            await self._gate.transact(
                lambda: decide_latch(self._gate.state, latch),
                causation_id=client_algo_id,
                correlation_id=recorded.intent_id,
            )
        await self._journal_update(read_algo_answer(client_algo_id, outcome))
        if isinstance(outcome, Rejected) and outcome.reason is VenueReason.TIMESTAMP:
            await self._venue.sync_time()

    def _why_not(self, recorded: AlgoOrderRecorded) -> str:
        """The last look before a stop leaves; empty if it may go."""
        algo = self._gate.state.algo_orders.get(recorded.client_algo_id)
        if algo is None or algo.status is not AlgoStatus.RECORDED:
            return "it is no longer ours to send"
        if algo.is_spent or algo.cancel_requested:
            return "there is nothing left to protect"
        return banned(self._gate.state, self._clock.now_ns())

    async def _close(self, recorded: OrderRecorded) -> None:
        """Send the order that closes a position; one it does not reduce means that we lag."""
        await self._orders.submit(recorded, may_close)
        order = self._gate.state.orders.get(recorded.client_order_id)
        if order is not None and order.cumulative_quantity == ZERO:
            await self._orders.fetch_fills(recorded.order.symbol)

    async def _doubt_orphans(self) -> None:
        """Stops recorded by a life that ended are in doubt; others' only after their lease."""
        lease_ns = self._settings.order_lease_ms * NS_PER_MS
        now_ns = self._clock.now_ns()
        for algo in self._gate.state.open_algo_orders():
            if algo.status is not AlgoStatus.RECORDED or algo.client_algo_id in self._tasks:
                continue
            is_young = abs(now_ns - algo.recorded_at_ns) < lease_ns
            if algo.writer != self._gate.writer and is_young:
                continue
            await self._journal_update(
                AlgoOrderUpdated(
                    client_algo_id=algo.client_algo_id,
                    status=AlgoStatus.UNKNOWN,
                    why="no outcome was journaled by the process that recorded it",
                )
            )

    # -- cancels ---------------------------------------------------------------------------------

    def _send_cancels(self) -> None:
        """Send every cancel on record, now and then again, until the end of the order is known."""
        state, now_ns = self._gate.state, self._clock.now_ns()
        if banned(state, now_ns):
            return
        for algo in state.open_algo_orders():
            waits = algo.is_in_doubt or algo.status is AlgoStatus.WORKING
            if algo.cancel_requested and waits and self._is_due(algo.client_algo_id, now_ns):
                self._start(f"cancel-{algo.client_algo_id}", self._canceling(algo))
        for order in state.open_orders():
            wished = order.cancel_requested and order.wants_protection
            if wished and self._is_due(order.client_order_id, now_ns):
                client_order_id = order.client_order_id
                self._start(
                    f"cancel-{client_order_id}",
                    lambda name=client_order_id: self._end_entry(name),  # type: ignore[misc]
                )

    def _is_due(self, client_id: str, now_ns: int) -> bool:
        wait_ns = self._settings.query_interval_ms * NS_PER_MS
        known_ns = self._canceled_at_ns.get(client_id)
        if known_ns is not None and abs(now_ns - known_ns) < wait_ns:
            return False
        self._canceled_at_ns = {
            name: at_ns
            for name, at_ns in self._canceled_at_ns.items()
            if name in self._gate.state.algo_orders or name in self._gate.state.orders
        }
        self._canceled_at_ns[client_id] = now_ns
        return True

    def _canceling(self, algo: AlgoOrderState) -> Callable[[], Coroutine[Any, Any, None]]:
        async def cancel() -> None:
            outcome = await self._venue.cancel_algo_order(algo.client_algo_id)
            log.info("cancel", client_algo_id=algo.client_algo_id, outcome=describe(outcome))
            if isinstance(outcome, Accepted):
                await self._journal_update(
                    AlgoOrderUpdated(
                        client_algo_id=algo.client_algo_id,
                        status=AlgoStatus.CANCELED,
                        why="the venue canceled it as asked",
                    )
                )
            elif isinstance(outcome, Rejected) and outcome.reason is VenueReason.NOT_FOUND:
                await self._evidence.look([algo])

        return cancel

    async def _end_entry(self, client_order_id: str) -> None:
        await self._changes.cancel(client_order_id, PROTECTION, "its way out has begun")

    # -- the journal -----------------------------------------------------------------------------

    async def _journal_update(self, update: AlgoOrderUpdated) -> None:
        """Journal what is heard of a stop or target, if it is news; say aloud what cannot be."""
        known = self._gate.state.algo_orders.get(update.client_algo_id)
        if known is not None and algo_contradicts(known.status, update.status):
            ORDER_CONTRADICTIONS.inc()
            log.error("the venue contradicts itself", known=known.status, told=repr(update))
        decision = await self._gate.transact(
            lambda: decide_algo_update(self._gate.state, update),
            causation_id=f"algo-{update.client_algo_id}",
            correlation_id=update.client_algo_id,
        )
        algo = self._gate.state.algo_orders.get(update.client_algo_id)
        if decision.events and algo is not None and update.status is AlgoStatus.WORKING:
            waited_ns = self._clock.now_ns() - algo.recorded_at_ns
            STOPS_ACKNOWLEDGED_SECONDS.observe(waited_ns / 1e9)
