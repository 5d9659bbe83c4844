"""Ends and changes orders that are open at the venue: decided, journaled, and only then asked for.

A cancel may be asked for again and again, since it can only do once what it does. That the venue
does not know the order (-2011) means that it is not open now, and is a reason to ask why.
"""

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum

import msgspec

from libs.common.messages.journal import (
    OrderCancelRequested,
    OrderModified,
    OrderModifyRequested,
)
from libs.common.model.money import is_reckonable, plain
from libs.common.model.order import OrderRequest, OrderStatus, OrderType
from libs.common.model.trading_state import TradingState
from libs.common.runtime.log import get_logger
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from libs.common.venue.outcome_table import Reason as VenueReason
from libs.common.venue.outcomes import Accepted, Outcome, Rejected, describe
from libs.common.venue.payloads import PayloadError, VenueOrder, decode_payload
from services.execution.core import NOTHING, Decision, Facts
from services.execution.filters import check_percent_price, check_price, check_quantity, quantise
from services.execution.gate import Gate
from services.execution.kill_core import banned
from services.execution.lookout import Lookout
from services.execution.orders import OrderDesk
from services.execution.state import OrderState, State

log = get_logger(__name__)


class Change(StrEnum):
    """What became of a wish to end or change an order.

    DONE: the venue did it, or had done it. ENDED: the order has ended otherwise. REFUSED: it stays
    as it is. UNKNOWN: the venue did not say; ask again.
    """

    DONE = "DONE"
    ENDED = "ENDED"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"


def decide_cancel(state: State, client_order_id: str, actor: str, why: str) -> Decision:
    """Record that an order is to be cancelled, unless it has ended or that is on record."""
    order = state.orders.get(client_order_id)
    if order is None or order.status.is_terminal or order.cancel_requested:
        return NOTHING
    return Decision(
        events=(OrderCancelRequested(client_order_id=client_order_id, actor=actor, why=why),)
    )


def why_not_modify(
    state: State, order: OrderState | None, asked: OrderRequest, facts: Facts
) -> str:
    """Why an order may not be changed to this; empty if it may.

    A change never takes more risk than was approved: no more quantity, no worse price. Where the
    trading state lets no order of this kind through, it lets no change of one through either.
    """
    if order is None or order.status not in (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED):
        return "the order is not open"
    if order.order.order_type is not OrderType.LIMIT or order.cancel_requested:
        return "only a limit order that is meant to stay can be changed"
    if asked.price is None or not (is_reckonable(asked.price) and is_reckonable(asked.quantity)):
        return "price and quantity have to be numbers above zero"
    is_exit, trading = order.reduce_only, state.trading_state
    allowed = trading is TradingState.ACTIVE or (is_exit and trading is TradingState.REDUCING)
    if facts.is_closing or not allowed:
        return f"trading is {trading}"
    if not order.cumulative_quantity < asked.quantity <= order.quantity:
        return f"the quantity has to be above what is filled and at most {plain(order.quantity)}"
    approved = order.intent.price
    sign = asked.side.sign
    if not is_exit and approved is not None and asked.price * sign > approved * sign:
        return f"the price would be worse than the approved {plain(approved)}"
    instrument = state.instruments.get(asked.symbol)
    if instrument is None or facts.mark is None or not facts.mark.is_usable:
        return "the symbol's filters or its mark price are not known"
    for verdict in (
        check_price(asked, instrument),
        check_quantity(asked, instrument),
        check_percent_price(asked, instrument, facts.mark.price),
    ):
        if not verdict.passed:
            return f"{verdict.reason}: {verdict.observed}, {verdict.limit}"
    return banned(state, facts.now_ns)


def quantised(state: State, order: OrderState, quantity: Decimal, price: Decimal) -> OrderRequest:
    """The order as it would be after the change, made to fit the symbol's steps."""
    asked = msgspec.structs.replace(order.order, quantity=quantity, price=price)
    instrument = state.instruments.get(asked.symbol)
    sound = is_reckonable(quantity) and is_reckonable(price)
    return quantise(asked, instrument) if instrument is not None and sound else asked


class ChangeDesk:
    """Cancels and changes orders of ours, and learns from the venue what came of it."""

    def __init__(self, gate: Gate, venue: VenueClient, orders: OrderDesk, lookout: Lookout) -> None:
        self._gate = gate
        self._venue = venue
        self._orders = orders
        self._lookout = lookout

    async def cancel(self, client_order_id: str, actor: str, why: str) -> Change:
        """Cancel an order: journal who wants it, ask the venue, journal what it says.

        Raises:
            BusError: it could not be journaled; nothing was sent, or its outcome is asked later.
        """
        await self._transact(
            lambda: decide_cancel(self._gate.state, client_order_id, actor, why), client_order_id
        )
        order = self._gate.state.orders.get(client_order_id)
        if order is None or order.status.is_terminal:
            return Change.ENDED
        outcome = await self._venue.cancel_order(order.symbol, client_order_id)
        log.info("cancel", client_order_id=client_order_id, outcome=describe(outcome))
        if isinstance(outcome, Accepted) and await self._learn(outcome):
            return Change.DONE
        return await self._ask(order, is_gone=_is_not_found(outcome))

    async def modify(
        self, client_order_id: str, quantity: Decimal, price: Decimal, actor: str, why: str
    ) -> Change:
        """Change quantity and price of an open limit order, within what was approved.

        Raises:
            BusError: it could not be journaled; nothing was sent, or its outcome is not on record.
        """
        order = self._gate.state.orders.get(client_order_id)
        if order is None:
            return Change.REFUSED
        asked = quantised(self._gate.state, order, quantity, price)
        decision = await self._transact(
            lambda: self._decide_modify(client_order_id, asked, actor, why), client_order_id
        )
        if not decision.events or asked.price is None:
            return Change.REFUSED
        outcome = await self._venue.modify_order(
            {
                "symbol": asked.symbol,
                "side": asked.side.value,
                "origClientOrderId": client_order_id,
                "quantity": plain(asked.quantity),
                "price": plain(asked.price),
                # without it the venue holds an exit to the least notional of a new order
                "reduceOnly": "true" if order.reduce_only else None,
            }
        )
        log.info("modify", client_order_id=client_order_id, outcome=describe(outcome))
        if isinstance(outcome, Accepted):
            await self._journal_modified(client_order_id, asked.quantity, asked.price)
            await self._learn(outcome)
            return Change.DONE
        if isinstance(outcome, Rejected) and not _is_not_found(outcome):
            return Change.REFUSED
        return await self._ask(order, is_gone=False)

    def _decide_modify(
        self, client_order_id: str, asked: OrderRequest, actor: str, why: str
    ) -> Decision:
        state = self._gate.state
        order = state.orders.get(client_order_id)
        refusal = why_not_modify(state, order, asked, self._lookout.facts(asked.symbol))
        if refusal or asked.price is None:
            log.info("not modified", client_order_id=client_order_id, why=refusal)
            return NOTHING
        requested = OrderModifyRequested(
            client_order_id=client_order_id,
            quantity=asked.quantity,
            price=asked.price,
            actor=actor,
            why=why,
        )
        return Decision(events=(requested,))

    async def _journal_modified(
        self, client_order_id: str, quantity: Decimal, price: Decimal
    ) -> None:
        modified = OrderModified(client_order_id=client_order_id, quantity=quantity, price=price)
        await self._transact(lambda: Decision(events=(modified,)), client_order_id)

    async def _learn(self, outcome: Accepted) -> bool:
        """Journal the state of the order that an answer tells; false if it tells none."""
        try:
            found = decode_payload(outcome.body, VenueOrder)
        except PayloadError:
            return False
        await self._orders.update(found)
        return True

    async def _ask(self, order: OrderState, *, is_gone: bool) -> Change:
        """The answer did not say how the order stands, so the venue is asked."""
        try:
            found = await self._venue.query_order(order.symbol, order.client_order_id)
        except VenueReadError as error:
            log.warning("order not asked after", error=str(error))
            return Change.UNKNOWN
        if found is None:
            return Change.UNKNOWN
        if found.quantity != order.quantity or found.price != order.order.price:
            await self._learn_terms(order, found)
        await self._orders.update(found)
        if order.status.is_terminal:
            return Change.ENDED
        return Change.UNKNOWN if is_gone else Change.REFUSED

    async def _learn_terms(self, order: OrderState, found: VenueOrder) -> None:
        if order.order.order_type is OrderType.LIMIT:
            await self._journal_modified(order.client_order_id, found.quantity, found.price)

    async def _transact(self, decide: Callable[[], Decision], client_order_id: str) -> Decision:
        return await self._gate.transact(
            decide, causation_id=client_order_id, correlation_id=client_order_id
        )


def _is_not_found(outcome: Outcome) -> bool:
    return isinstance(outcome, Rejected) and outcome.reason is VenueReason.NOT_FOUND
