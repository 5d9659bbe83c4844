"""Learns whose fills are that only the venue's trade list told: the list does not name the orders.

The stream names them, so this is for words that were lost, and for what was traded while nobody
listened. Without it a liquidation in that time would count as a trade by hand.
"""

import msgspec

from libs.common.messages.journal import FillReceived
from libs.common.runtime.log import get_logger
from libs.common.runtime.venue_client import VenueReadError
from services.execution.reads import Reads
from services.execution.state import State

log = get_logger(__name__)

#: Orders asked after for one page of trades: the newest. An account may have a long past.
ORDERS_ASKED_MAX = 20


async def name_fills(reads: Reads, state: State, fills: list[FillReceived]) -> list[FillReceived]:
    """The fills, each with the client order id of its order where the venue tells it.

    Nothing is asked of fills that were folded already, nor of orders that are known by their venue
    id. What the venue does not answer stays unnamed: that the fill is journaled matters more.
    """
    wanted = {
        (fill.symbol, fill.venue_order_id)
        for fill in fills
        if not fill.client_order_id
        and not state.has_trade(fill.symbol, fill.trade_id)
        and not _is_known(state, fill)
    }
    names: dict[tuple[str, int], str] = {}
    for symbol, order_id in sorted(wanted, key=lambda one: -one[1])[:ORDERS_ASKED_MAX]:
        try:
            found = await reads.query_order_of(symbol, order_id)
        except VenueReadError as error:
            log.warning("fills not named", symbol=symbol, error=str(error))
            break
        if found is not None:
            names[(symbol, order_id)] = found.client_order_id
    return [
        msgspec.structs.replace(fill, client_order_id=name)
        if (name := names.get((fill.symbol, fill.venue_order_id)))
        else fill
        for fill in fills
    ]


def _is_known(state: State, fill: FillReceived) -> bool:
    if state.algo_order_of(fill.symbol, fill.venue_order_id, "") is not None:
        return True
    return any(
        (order.symbol, order.venue_order_id) == (fill.symbol, fill.venue_order_id)
        for order in state.orders.values()
    )
