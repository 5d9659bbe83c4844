"""Carries out what the reconciler (or a person) asks for so that both sides agree again.

None of it trades: a position or the terms of an order are adopted, never traded away; only an order
that carries an id of ours is cancelled; settings are asserted as at every start. What is not done,
because the venue did not answer or an order is in flight, the next comparison asks for again.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from libs.common.messages.account import Command, Verb
from libs.common.messages.audit_events import OrphanCanceled, PositionAdopted
from libs.common.messages.journal import JournalEvent, OrderModified
from libs.common.model.money import ZERO
from libs.common.model.order import OrderType
from libs.common.model.position import Position
from libs.common.runtime.clock import Clock
from libs.common.runtime.errors import BusError
from libs.common.runtime.log import get_logger
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from libs.common.venue.outcomes import describe
from libs.common.venue.payloads import VenueOrder
from services.execution.core import NOTHING, Decision
from services.execution.figures import Figures
from services.execution.gate import Gate
from services.execution.kill_core import banned
from services.execution.orders import OrderDesk
from services.execution.state import State

log = get_logger(__name__)

#: Repairs under way and waiting; what does not fit the next comparison asks for again.
REPAIRS_WAITING_MAX = 100
#: How client ids of conditional orders begin.
ALGO_PREFIX = "pa-"


def may_adopt(state: State, symbol: str) -> bool:
    """Whether nothing in flight could change the symbol's position while it is being adopted."""
    return not any(
        order.symbol == symbol and (order.is_in_doubt or not order.is_settled)
        for order in state.orders.values()
    )


def decide_adoption(state: State, adopted: PositionAdopted, known: list[int]) -> Decision:
    """Record a position as the venue holds it, unless it is so already or a trade came meanwhile.

    Args:
        known: the trade ids of the symbol that were known when the venue was asked.
    """
    held = state.positions.get(adopted.symbol) or Position(symbol=adopted.symbol)
    is_news = held.quantity != adopted.quantity
    if is_news and may_adopt(state, adopted.symbol) and _trades(state, adopted.symbol) == known:
        told = msgspec.structs.replace(adopted, quantity_before=held.quantity)
        return Decision(events=(told,))
    return NOTHING


def decide_terms(state: State, found: VenueOrder) -> Decision:
    """Record price and quantity of an open limit order as the venue has them, unless known so."""
    order = state.orders.get(found.client_order_id)
    if order is None or order.status.is_terminal or order.order.order_type is not OrderType.LIMIT:
        return NOTHING
    if (found.quantity, found.price) == (order.quantity, order.order.price):
        return NOTHING
    changed = OrderModified(
        client_order_id=found.client_order_id, quantity=found.quantity, price=found.price
    )
    return Decision(events=(changed,))


def is_orphan(state: State, client_id: str) -> bool:
    """Whether an order at the venue is one that we do not count on any more, or never knew."""
    order, algo = state.orders.get(client_id), state.algo_orders.get(client_id)
    is_alive = (order is not None and not order.status.is_terminal) or (
        algo is not None and not algo.status.is_terminal
    )
    return not is_alive


def _trades(state: State, symbol: str) -> list[int]:
    seen = state.trades.get(symbol)
    return list(seen.ids) if seen is not None else []


class RepairDesk:
    """Does one repair at a time, beside everything else."""

    def __init__(
        self,
        gate: Gate,
        orders: OrderDesk,
        venue: VenueClient,
        figures: Figures,
        clock: Clock,
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
    ) -> None:
        self._gate = gate
        self._orders = orders
        self._venue = venue
        self._figures = figures
        self._clock = clock
        self._spawn = spawn
        self._turn = asyncio.Lock()
        self._waiting: set[tuple[str, str]] = set()

    def begin(self, command: Command) -> None:
        """Set off what a command that is on record asks for, unless the same is to be done anyway.

        A comparison asks again while a slow repair lasts; repairs must not pile up behind it.
        """
        what = (command.verb, command.target)
        if what not in self._waiting and len(self._waiting) < REPAIRS_WAITING_MAX:
            self._waiting.add(what)
            self._spawn(self._do(command), f"repair-{command.message_id}")

    async def _do(self, command: Command) -> None:
        try:
            async with self._turn:
                await self.repair(command)
        except (BusError, VenueReadError) as error:
            log.warning("repair not done", what=command.verb, error=str(error))
        finally:
            self._waiting.discard((command.verb, command.target))

    async def repair(self, command: Command) -> None:
        """Do it.

        Raises:
            VenueReadError: the venue did not answer.
            BusError: it could not be journaled.
        """
        match command.verb:
            case Verb.ADOPT:
                await self._adopt(command)
            case Verb.CANCEL_ORPHAN:
                await self._cancel_orphan(command)
            case Verb.ASSERT_SETTINGS:
                await self._figures.assert_settings()

    async def _adopt(self, command: Command) -> None:
        """First read the trades: they explain most differences, and keep the profit exact."""
        symbol, _, client_order_id = command.target.partition(":")
        if client_order_id:
            await self._adopt_order(command, symbol, client_order_id)
            return
        await self._orders.fetch_fills(symbol)
        known = _trades(self._gate.state, symbol)
        asked_at_ns = self._clock.now_ns()
        rows = [one for one in await self._venue.position_risk() if one.symbol == symbol]
        await self._orders.fetch_fills(symbol)
        adopted = PositionAdopted(
            symbol=symbol,
            quantity=sum((one.quantity for one in rows), ZERO),
            entry_price=next((one.entry_price for one in rows if one.quantity), ZERO),
            actor=command.actor,
            why=command.reason,
            observed_at_ns=asked_at_ns,
        )
        decision = await self._journal(
            command, lambda: decide_adoption(self._gate.state, adopted, known)
        )
        if decision.events:
            log.warning("position adopted", symbol=symbol, quantity=str(adopted.quantity))

    async def _adopt_order(self, command: Command, symbol: str, client_order_id: str) -> None:
        """What was changed by hand counts from now on; what it fills is protected as before."""
        found = await self._venue.query_order(symbol, client_order_id)
        if found is None:
            return
        decision = await self._journal(command, lambda: decide_terms(self._gate.state, found))
        if decision.events:
            log.warning("order adopted as changed", client_order_id=client_order_id)
        await self._orders.update(found)

    async def _cancel_orphan(self, command: Command) -> None:
        symbol, _, client_id = command.target.partition(":")
        await self._gate.catch_up()
        state = self._gate.state
        if not is_orphan(state, client_id) or banned(state, self._clock.now_ns()):
            return
        if client_id.startswith(ALGO_PREFIX):
            outcome = await self._venue.cancel_algo_order(client_id)
        else:
            outcome = await self._venue.cancel_order(symbol, client_id)
        told = describe(outcome)
        log.warning("orphan to be canceled", client_id=client_id, outcome=told)
        event: JournalEvent = OrphanCanceled(client_id=client_id, symbol=symbol, outcome=told)
        await self._journal(command, lambda: Decision(events=(event,)))

    async def _journal(self, command: Command, decide: Callable[[], Decision]) -> Decision:
        return await self._gate.transact(
            decide, causation_id=command.message_id, correlation_id=command.correlation_id
        )
