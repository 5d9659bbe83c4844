"""An order without an answer: what is believed, for how long, and what ends it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from libs.common.messages.guard_events import CooldownScope, CooldownStarted
from libs.common.messages.journal import (
    IntentRefusedByGate,
    OrderAnswered,
    OrderBecameUnknown,
    OrderNotPlaced,
    OrderRecorded,
    OrderRejected,
    OrderResigned,
)
from libs.common.model.intent import Purpose
from libs.common.model.order import OrderStatus, OrderType, Side, TimeInForce
from libs.common.model.verdict import Reason
from libs.common.runtime.bus import Bus
from tests.integration.execution.desks import (
    GONE,
    NOW_MS,
    Parameters,
    Replica,
    an_answer,
    running_venue,
    take,
)

LOST = (0, None)
LIMIT: dict[str, Any] = {
    "order_type": OrderType.LIMIT,
    "price": Decimal(60_000),
    "time_in_force": TimeInForce.GTC,
}
#: Seconds after which the venue must refuse a late arrival, and its queries no longer lag.
PROVABLE_S = 5 + 3


@pytest.fixture
async def replica(bus: Bus) -> AsyncIterator[Replica]:
    async with running_venue() as venue:
        replica = Replica(bus, venue)
        await replica.get_ready()
        yield replica
        await replica.close()


async def lose(replica: Replica, **changes: Any) -> str:
    """Send an order whose connection breaks after it left; returns the order's id."""
    replica.venue.answers = {"POST order": LOST, "order": GONE, "allOrders": (200, []),
                             "userTrades": (200, [])}  # fmt: skip
    order = replica.order_of(await replica.hear(replica.an_intent("lost", **changes)))
    assert replica.status(order) is OrderStatus.UNKNOWN
    return order


async def look(replica: Replica, seconds: float) -> None:
    """Ask after it when it is so late, at the venue as with us."""
    replica.at(seconds)
    replica.venue.answers["time"] = (200, {"serverTime": NOW_MS + round(seconds * 1_000)})
    await replica.state_balance()
    await replica.desk.resolve_unknown()


async def test_a_limit_intent_that_still_lives_is_sent_again_under_a_second_attempt(
    replica: Replica,
) -> None:
    first = await lose(replica, **LIMIT)
    await look(replica, PROVABLE_S)
    assert replica.status(first) is OrderStatus.UNKNOWN  # it could just arrive
    replica.venue.answers["POST order"] = take
    await look(replica, PROVABLE_S + 0.001)
    second = first.removesuffix("1") + "2"
    assert (replica.status(first), replica.status(second)) == (
        OrderStatus.NOT_PLACED,
        OrderStatus.FILLED,
    )
    sent = replica.venue.posted
    assert [one["newClientOrderId"] for one in sent] == [first, second]
    assert [int(one["timestamp"]) - NOW_MS for one in sent] == [0, PROVABLE_S * 1_000 + 1]
    # The end of the first and the record of the second are one append: never both, never none.
    (record,) = [
        record
        for record in await replica.records()
        if any(isinstance(event, OrderNotPlaced) for event in record.events)
    ]
    ended, again = record.events
    assert isinstance(ended, OrderNotPlaced)
    assert isinstance(again, OrderRecorded)
    assert (ended.client_order_id, again.client_order_id, again.attempt) == (first, second, 2)
    assert "neither the order nor a trade" in ended.evidence


async def test_a_market_intent_has_died_by_then_and_its_order_is_closed_as_not_placed(
    replica: Replica,
) -> None:
    order = await lose(replica)
    await look(replica, PROVABLE_S + 1)
    assert replica.status(order) is OrderStatus.NOT_PLACED
    assert len(replica.venue.posted) == 1
    *_, last = await replica.events()
    assert isinstance(last, CooldownStarted)
    assert (last.scope, last.symbol) == (CooldownScope.SYMBOL, "BTCUSDT")
    assert last.until_ns == replica.now_ns + 60_000_000_000


async def test_a_second_attempt_that_is_lost_too_is_the_last(replica: Replica) -> None:
    first = await lose(replica, **LIMIT)
    await look(replica, PROVABLE_S + 1)
    second = first.removesuffix("1") + "2"
    assert replica.status(second) is OrderStatus.UNKNOWN
    await look(replica, 2 * PROVABLE_S + 2)
    assert replica.status(second) is OrderStatus.NOT_PLACED
    assert len(replica.venue.posted) == 2


async def test_what_a_halt_or_a_cooldown_forbids_by_then_is_not_sent_again(
    replica: Replica,
) -> None:
    order = await lose(replica, **LIMIT)
    hold = CooldownStarted(
        scope=CooldownScope.GLOBAL, symbol="", until_ns=replica.now_ns + 10**12, cause="test"
    )
    await replica.journal(hold)
    await look(replica, PROVABLE_S + 1)
    assert replica.status(order) is OrderStatus.NOT_PLACED
    assert len(replica.venue.posted) == 1


async def test_an_order_that_was_executed_is_found_and_never_sent_again(replica: Replica) -> None:
    order = await lose(replica, **LIMIT)
    replica.venue.answers["order"] = (200, an_answer(order))
    await look(replica, 1)
    assert replica.status(order) is OrderStatus.FILLED
    assert len(replica.venue.posted) == 1


async def test_an_order_that_only_the_list_of_all_orders_shows_is_found_too(
    replica: Replica,
) -> None:
    order = await lose(replica, **LIMIT)
    replica.venue.answers["allOrders"] = (200, [an_answer(order, "EXPIRED")])
    await look(replica, PROVABLE_S + 1)
    assert replica.status(order) is OrderStatus.EXPIRED
    assert len(replica.venue.posted) == 1


TRADE = {
    "symbol": "BTCUSDT", "id": 1, "orderId": 4711, "side": "BUY", "price": "60000",
    "qty": "0.020", "realizedPnl": "0", "commission": "0", "commissionAsset": "USDT",
    "time": NOW_MS, "buyer": True, "maker": False, "quoteQty": "1200", "positionSide": "BOTH",
}  # fmt: skip


async def test_a_trade_of_an_order_nobody_knows_keeps_it_in_doubt(replica: Replica) -> None:
    order = await lose(replica, **LIMIT)
    replica.venue.answers["userTrades"] = (200, [TRADE])
    await look(replica, PROVABLE_S + 60)
    assert replica.status(order) is OrderStatus.UNKNOWN
    assert len(replica.venue.posted) == 1


def behind_the_trade(client_order_id: str) -> Callable[[Parameters], Awaitable[tuple[int, Any]]]:
    """The venue tells whose order 4711 is; by our own id it finds nothing."""

    async def told(asked: Parameters) -> tuple[int, Any]:
        is_asked = asked.get("orderId") == "4711"
        return (200, {**an_answer(client_order_id), "orderId": 4711}) if is_asked else GONE

    return told


async def test_a_trade_of_an_older_order_of_somebody_else_proves_nothing_and_hinders_nothing(
    replica: Replica,
) -> None:
    """Placed before ours, filled since: the list of orders does not show it, and never will."""
    order = await lose(replica)
    replica.venue.answers |= {
        "userTrades": (200, [TRADE]),
        "order": behind_the_trade("web_resting"),
    }
    await look(replica, PROVABLE_S + 1)
    assert replica.status(order) is OrderStatus.NOT_PLACED
    assert len(replica.venue.posted) == 1


async def test_an_order_that_only_its_trade_shows_is_found_too(replica: Replica) -> None:
    order = await lose(replica)
    replica.venue.answers |= {"userTrades": (200, [TRADE]), "order": behind_the_trade(order)}
    await look(replica, PROVABLE_S + 1)
    assert replica.status(order) is OrderStatus.FILLED


async def test_a_venue_that_repeats_a_page_of_trades_for_ever_is_not_asked_for_ever(
    replica: Replica,
) -> None:
    page = [{**TRADE, "id": number + 1, "time": NOW_MS} for number in range(1_000)]
    replica.venue.answers["userTrades"] = (200, page)
    async with asyncio.timeout(20):
        await replica.desk.fetch_fills("BTCUSDT")
    assert replica.venue.paths() == ["userTrades", "order", "userTrades"]


async def test_meanwhile_its_symbol_takes_no_risk_its_margin_is_held_and_exits_may_leave(
    replica: Replica,
) -> None:
    await lose(replica)
    replica.at(2)
    await replica.state_balance()
    assert replica.gate.state.margin_reserved() == 150
    sell = await replica.hear(replica.an_intent("sell", side=Side.SELL))
    memory = replica.gate.state.intents[sell]
    assert memory.reason is Reason.SYMBOL_QUARANTINED
    assert len(replica.venue.posted) == 1
    replica.venue.answers["POST order"] = take
    out = await replica.hear(replica.an_intent("out", side=Side.SELL, purpose=Purpose.EXIT))
    assert replica.status(replica.order_of(out)) is OrderStatus.FILLED
    other = await replica.hear(replica.an_intent("other", symbol="ETHUSDT"))
    assert replica.status(replica.order_of(other)) is OrderStatus.FILLED


@pytest.mark.parametrize(
    "reply",
    [
        (200, {"code": 200}),
        (200, []),
        (200, {"orderId": 7, "symbol": "BTCUSDT", "status": "NEW_ADL", "clientOrderId": "x",
               "price": "0", "origQty": "1", "executedQty": "0", "type": "MARKET", "side": "BUY",
               "updateTime": 1}),
        (200, {"orderId": 7, "status": 5}),
        (200, an_answer("pc-somebody-elses-1")),
        (503, {"code": -1000, "msg": "Unknown error, please check your request or try again."}),
        (502, "bad gateway"),
        (408, {"code": -1007, "msg": "Timeout waiting for response from backend server."}),
        (400, {"code": -1006, "msg": "An unexpected response was received."}),
        (400, {"code": -4116, "msg": "ClientOrderId is duplicated."}),
    ],
)  # fmt: skip
async def test_an_answer_that_proves_nothing_leaves_the_order_in_doubt(
    replica: Replica, reply: tuple[int, Any]
) -> None:
    replica.venue.answers = {"POST order": reply, "order": GONE}
    order = replica.order_of(await replica.hear(replica.an_intent("odd")))
    assert replica.status(order) is OrderStatus.UNKNOWN
    kinds = [type(event) for event in (await replica.events())[-2:]]
    assert kinds == [OrderRecorded, OrderBecameUnknown]


async def refuse_old_timestamps(told: Parameters) -> tuple[int, Any]:
    """A venue whose clock is 700 ms ahead and which takes nothing older than 500 ms."""
    if NOW_MS + 700 - int(told["timestamp"]) > 500:
        return 400, {"code": -1021, "msg": "Timestamp for this request is outside of recvWindow."}
    return await take(told)


async def test_a_refused_timestamp_is_set_anew_journaled_and_the_order_sent_once_more(
    replica: Replica,
) -> None:
    ahead = (200, {"serverTime": NOW_MS + 700})
    replica.venue.answers = {"POST order": refuse_old_timestamps, "time": ahead}
    order = replica.order_of(await replica.hear(replica.an_intent("late")))
    assert replica.status(order) is OrderStatus.FILLED
    sent = replica.venue.posted
    assert [int(one["timestamp"]) - NOW_MS for one in sent] == [0, 700]
    assert {one["newClientOrderId"] for one in sent} == {order}
    assert len({one["signature"] for one in sent}) == 2
    recorded, resigned, answered = (await replica.events())[-3:]
    assert isinstance(recorded, OrderRecorded)
    assert isinstance(resigned, OrderResigned)
    assert isinstance(answered, OrderAnswered)
    assert (resigned.timestamp_ms, resigned.offset_ms) == (NOW_MS + 700, 700)
    # From now on the second timestamp bounds how late it may arrive.
    assert replica.gate.state.orders[order].timestamp_ms == NOW_MS + 700


async def test_a_timestamp_that_is_refused_again_is_a_rejection_and_not_a_loop(
    replica: Replica,
) -> None:
    refused = (400, {"code": -1021, "msg": "Timestamp for this request is outside of recvWindow."})
    replica.venue.answers = {"POST order": refused, "time": (200, {"serverTime": NOW_MS})}
    order = replica.order_of(await replica.hear(replica.an_intent("late")))
    assert replica.status(order) is OrderStatus.REJECTED
    assert len(replica.venue.posted) == 2
    (rejected,) = [one for one in await replica.events() if isinstance(one, OrderRejected)]
    assert rejected.code == -1021


async def test_without_the_venue_s_clock_a_refused_timestamp_is_not_tried_again(
    replica: Replica,
) -> None:
    refused = (400, {"code": -1021, "msg": "Timestamp for this request is outside of recvWindow."})
    replica.venue.answers = {"POST order": refused, "time": (502, "no")}
    order = replica.order_of(await replica.hear(replica.an_intent("late")))
    assert replica.status(order) is OrderStatus.REJECTED
    assert len(replica.venue.posted) == 1


async def test_a_halt_between_the_two_sends_keeps_the_second_from_leaving(
    replica: Replica,
) -> None:
    async def halting_clock(_: Parameters) -> tuple[int, Any]:
        replica.lookout.closing.add("a halt on its way")
        return 200, {"serverTime": NOW_MS + 700}

    replica.venue.answers = {"POST order": refuse_old_timestamps, "time": halting_clock}
    order = replica.order_of(await replica.hear(replica.an_intent("late")))
    assert len(replica.venue.posted) == 1
    assert replica.status(order) is OrderStatus.REJECTED


async def test_a_refused_intent_says_all_its_verdicts_and_sends_nothing(replica: Replica) -> None:
    await replica.state_balance("1")
    refused = await replica.hear(replica.an_intent("poor"))
    event = next(one for one in await replica.events() if isinstance(one, IntentRefusedByGate))
    assert event.intent.intent_id == refused
    assert len(event.verdicts) > 20
    assert replica.venue.asked == []
