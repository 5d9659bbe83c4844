"""Fills that only the trade list told get the names of their orders, within bounds."""

import msgspec

from libs.common.messages.journal import OrderAnswered
from libs.common.model.order import OrderStatus
from libs.common.runtime.venue_client import VenueReadError
from libs.common.venue.outcomes import Unknown
from services.execution.answers import decide_fills
from services.execution.fill_names import ORDERS_ASKED_MAX, name_fills
from services.execution.state import State
from tests.unit.execution.test_pnl_book import STRATEGY, a_fill, row_of
from tests.unit.execution.test_state import COID, fold, recorded


class Found(msgspec.Struct):
    client_order_id: str


class Reads:
    """A venue that names its orders, and counts who asks."""

    def __init__(self, name="autoclose-1"):
        self.name = name
        self.asked = []

    async def query_order_of(self, symbol, order_id):
        self.asked.append(order_id)
        if isinstance(self.name, Exception):
            raise self.name
        return None if self.name is None else Found(self.name)


async def test_a_liquidation_that_nobody_heard_of_is_no_trade_by_hand():
    state = fold(State(), recorded(), a_fill(1))
    (told,) = await name_fills(Reads(), state, [a_fill(2, client_order_id="", venue_order_id=9)])
    assert told.client_order_id == "autoclose-1"
    events = decide_fills(state, [told]).events
    assert [event.strategy_id for event in events] == [STRATEGY]
    fold(state, *events)
    assert row_of(state, STRATEGY).fills == 2


async def test_nothing_is_asked_of_fills_that_are_folded_named_or_of_an_order_that_is_known():
    answer = OrderAnswered(
        client_order_id=COID,
        venue_order_id=7,
        status=OrderStatus.OPEN,
        cumulative_quantity=a_fill(1).quantity,
    )
    state = fold(State(), recorded(), answer, a_fill(1, client_order_id="web", venue_order_id=8))
    fills = [
        a_fill(1, client_order_id="", venue_order_id=8),
        a_fill(2, client_order_id="web", venue_order_id=9),
        a_fill(3, client_order_id=""),
    ]
    reads = Reads()
    assert await name_fills(reads, state, fills) == fills
    assert reads.asked == []


async def test_the_newest_orders_of_a_long_past_are_asked_after_once_each():
    fills = [
        a_fill(number, client_order_id="", venue_order_id=100 + number // 2)
        for number in range(1, 200)
    ]
    reads = Reads(None)
    assert await name_fills(reads, State(), fills) == fills
    assert reads.asked == sorted(set(range(100, 200)), reverse=True)[:ORDERS_ASKED_MAX]


async def test_a_venue_that_does_not_answer_is_not_asked_on():
    reads = Reads(VenueReadError("order", Unknown(why="no answer")))
    fills = [a_fill(n, client_order_id="", venue_order_id=n) for n in (1, 2)]
    assert await name_fills(reads, State(), fills) == fills
    assert reads.asked == [2]
