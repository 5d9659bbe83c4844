"""Looks for an order that the venue says it does not know wherever else it had to leave a trace."""

from libs.common.venue.payloads import VenueOrder
from services.execution.reads import Reads
from services.execution.state import OrderState, State

#: How far before an order's own timestamp its traces are looked for at the venue.
EVIDENCE_MARGIN_MS = 60_000
#: Orders of others that are remembered, so that each is asked after once.
STRANGERS_MAX = 1_000


class Traces:
    """The second and third evidence: the lists of orders and of trades."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._strangers: set[tuple[str, int]] = set()

    async def find(self, state: State, order: OrderState) -> tuple[VenueOrder | None, bool]:
        """The order, if it left a trace; and whether it is proven that it left none.

        Neither where the venue told of a trade and not (yet) whose it was.

        Raises:
            VenueReadError: the venue did not answer.
        """
        symbol, start_ms = order.symbol, order.timestamp_ms - EVIDENCE_MARGIN_MS
        listed = await self._reads.all_orders(symbol, start_ms=start_ms)
        for candidate in listed:
            if candidate.client_order_id == order.client_order_id:
                return candidate, False
        known = {candidate.order_id for candidate in listed}
        known |= {ours.venue_order_id for ours in state.orders.values() if ours.symbol == symbol}
        trades = await self._reads.user_trades(symbol, start_ms=start_ms)
        for order_id in sorted({trade.order_id for trade in trades} - known):
            if (symbol, order_id) in self._strangers:
                continue
            found = await self._reads.query_order_of(symbol, order_id)
            if found is None:
                return None, False
            if found.client_order_id == order.client_order_id:
                return found, False
            self._remember(symbol, order_id)
        return None, True

    def _remember(self, symbol: str, order_id: int) -> None:
        """Somebody else's, placed long ago and trading now: no list that we ask for shows it."""
        if len(self._strangers) >= STRANGERS_MAX:
            self._strangers.clear()
        self._strangers.add((symbol, order_id))
