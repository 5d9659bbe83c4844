"""Repairs at a venue that answers as told, journaled through a real broker."""

from decimal import Decimal

from libs.common.messages.account import Command, Verb
from libs.common.messages.audit_events import OrphanCanceled, PositionAdopted
from libs.common.messages.journal import FillReceived, OrderForgotten, OrderUpdated
from libs.common.model.ids import derive_client_algo_id, derive_client_order_id
from libs.common.model.order import OrderStatus
from libs.common.testing.builders import NOW_NS
from services.execution.repair import RepairDesk
from tests.integration.execution import test_order_desk
from tests.integration.execution.test_order_desk import GONE, LAG_MS, NOW_MS, Desk

desk = test_order_desk.desk

POSITION = {
    "symbol": "BTCUSDT", "positionAmt": "0.5", "entryPrice": "60000", "markPrice": "60000",
    "unRealizedProfit": "0",
}  # fmt: skip
TRADE = {
    "symbol": "BTCUSDT", "id": 5, "orderId": 77, "side": "BUY", "price": "60000", "qty": "0.2",
    "quoteQty": "12000", "realizedPnl": "0", "commission": "1", "commissionAsset": "USDT",
    "time": NOW_MS,
}  # fmt: skip


def repairs(desk: Desk) -> RepairDesk:
    return RepairDesk(
        desk.gate, desk.desk, desk.client, desk.figures, desk.clock, lambda work, _: work.close()
    )


def command(verb: Verb, target: str = "") -> Command:
    return Command(
        message_id="m", causation_id="m", correlation_id="m", ts_event_ns=NOW_NS,
        ts_published_ns=1, source="reconciler", account="paper", verb=verb, actor="reconciler",
        reason="they differ", target=target,
    )  # fmt: skip


async def test_a_position_that_its_trades_explain_is_read_and_not_adopted(desk: Desk) -> None:
    desk.venue.answers = {
        "userTrades": (200, [TRADE]),
        "positionRisk": (200, [{**POSITION, "positionAmt": "0.2"}]),
    }
    await repairs(desk).repair(command(Verb.ADOPT, "BTCUSDT"))
    assert len(await desk.journaled(FillReceived)) == 1
    assert await desk.journaled(PositionAdopted) == []
    assert desk.gate.state.position_quantity("BTCUSDT") == Decimal("0.2")


async def test_what_no_trade_explains_is_adopted_as_the_venue_holds_it(desk: Desk) -> None:
    desk.venue.answers = {"userTrades": (200, [TRADE]), "positionRisk": (200, [POSITION])}
    for _ in range(2):
        await repairs(desk).repair(command(Verb.ADOPT, "BTCUSDT"))
    (adopted,) = await desk.journaled(PositionAdopted)
    assert (adopted.symbol, adopted.quantity) == ("BTCUSDT", Decimal("0.5"))
    assert desk.gate.state.positions["BTCUSDT"].entry_price == Decimal(60_000)
    assert adopted.quantity_before == Decimal("0.2")


async def test_an_orphan_of_ours_is_canceled_and_the_answer_is_journaled(desk: Desk) -> None:
    desk.venue.answers = {"algoOrder": (200, {"code": "200"}), "order": (200, {"orderId": 1})}
    stop = derive_client_algo_id("paper", "i", "STOP", 1)
    entry = derive_client_order_id("paper", "i", 1)
    for client_id in (stop, entry):
        await repairs(desk).repair(command(Verb.CANCEL_ORPHAN, f"BTCUSDT:{client_id}"))
    assert desk.venue.paths() == ["algoOrder", "order"]
    canceled = await desk.journaled(OrphanCanceled)
    assert [one.client_id for one in canceled] == [stop, entry]


async def test_an_order_that_is_in_doubt_is_no_orphan(desk: Desk) -> None:
    client_order_id = await desk.leave_in_doubt()
    await repairs(desk).repair(command(Verb.CANCEL_ORPHAN, f"BTCUSDT:{client_order_id}"))
    assert desk.venue.asked == []


async def open_order(desk: Desk) -> str:
    client_order_id = await desk.leave_in_doubt()
    opened = OrderUpdated(
        client_order_id=client_order_id,
        venue_order_id=77,
        status=OrderStatus.OPEN,
        cumulative_quantity=Decimal(0),
    )
    await desk.journal(opened)
    return client_order_id


async def test_an_open_order_the_venue_has_forgotten_is_asked_after_only_until_proven(
    desk: Desk,
) -> None:
    client_order_id = await open_order(desk)
    past_ms = NOW_MS + 5_000 + LAG_MS + 1
    desk.venue.answers = {"order": GONE, "time": (200, {"serverTime": past_ms})}
    await desk.desk.settle_open()
    assert desk.status(client_order_id) is OrderStatus.OPEN  # a late arrival is still possible
    desk.at(9)
    await desk.desk.settle_open()
    assert desk.status(client_order_id) is OrderStatus.CANCELED
    assert len(await desk.journaled(OrderForgotten)) == 1
    desk.venue.asked.clear()
    await desk.desk.settle_open()
    assert desk.venue.asked == []


async def test_a_forgotten_order_that_the_list_still_shows_is_believed_there(desk: Desk) -> None:
    client_order_id = await open_order(desk)
    listed = {
        "symbol": "BTCUSDT", "orderId": 77, "clientOrderId": client_order_id,
        "status": "CANCELED", "side": "BUY", "type": "MARKET", "origQty": "0.02",
        "executedQty": "0",
    }  # fmt: skip
    past_ms = NOW_MS + 5_000 + LAG_MS + 1
    desk.venue.answers = {
        "order": GONE, "time": (200, {"serverTime": past_ms}), "allOrders": (200, [listed]),
    }  # fmt: skip
    desk.at(9)
    await desk.desk.settle_open()
    assert desk.status(client_order_id) is OrderStatus.CANCELED
    assert await desk.journaled(OrderForgotten) == []
