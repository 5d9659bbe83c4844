"""The user stream against the paper exchange's faults: nothing is missed or counted twice."""

from decimal import Decimal
from typing import TYPE_CHECKING

from libs.common.messages import subjects
from libs.common.messages.journal import FillReceived, OrderAnswered
from libs.common.model.order import Side
from services.paper_exchange.demo_keys import DEMO_ACCOUNT_ID

if TYPE_CHECKING:
    from tests.integration.execution.conftest import World


async def times_up(world: "World") -> int:
    log = (world.directory / "execution.log").read_text()
    return log.count('"event":"user stream up"')


async def befall(world: "World", action: str) -> None:
    """Let something befall the stream, and wait until it is up again and trading armed."""
    before = await times_up(world)
    answer = await world.sim(
        "POST", "/sim/user-stream", {"account_id": DEMO_ACCOUNT_ID, "action": action}
    )
    assert "error" not in answer, answer

    async def is_back() -> bool:
        state = world.state
        return await times_up(world) > before and state is not None and state.armed

    await world.until(is_back, f"the stream to be back after {action}")


async def fills(world: "World") -> list[FillReceived]:
    return [
        event
        for record in await world.journal()
        for event in record.events
        if isinstance(event, FillReceived)
    ]


async def test_an_expired_key_and_a_closed_socket_are_replaced_and_trading_arms_again(
    world: "World",
) -> None:
    await befall(world, "expire")
    await befall(world, "close")
    entered = await world.approve(Side.BUY)
    await world.wait_for(entered, FillReceived)
    log = (world.directory / "execution.log").read_text()
    assert "the listen key expired" in log
    assert "listenKey=" not in log


async def test_events_told_twice_late_and_out_of_order_change_nothing(world: "World") -> None:
    rules = [
        {"event": "*", "effect": "duplicate", "probability": 0.5, "seed": 1},
        {"event": "ORDER_TRADE_UPDATE", "effect": "reorder", "probability": 0.5, "seed": 2},
        {"event": "ACCOUNT_UPDATE", "effect": "delay", "delay_ms": 500, "seed": 3},
    ]
    answer = await world.sim("POST", "/sim/event-faults", rules)
    assert "error" not in answer, answer
    entered = await world.approve(Side.BUY)
    await world.wait_for(entered, FillReceived)
    seen = [(fill.symbol, fill.trade_id) for fill in await fills(world)]
    assert len(seen) == len(set(seen)) > 0


async def test_fills_that_the_stream_never_told_are_found_by_asking(world: "World") -> None:
    answer = await world.sim("POST", "/sim/event-faults", [{"event": "*", "effect": "drop"}])
    assert "error" not in answer, answer
    entered = await world.approve(Side.BUY)
    answered = await world.wait_for(entered, OrderAnswered)
    assert isinstance(answered, OrderAnswered)

    async def all_found() -> bool:
        return sum(fill.quantity for fill in await fills(world)) == answered.cumulative_quantity

    await world.until(all_found, "the fills to be found")


async def test_a_gap_that_only_a_report_shows_is_closed_by_rest(world: "World") -> None:
    answer = await world.sim("POST", "/sim/event-faults", [{"event": "*", "effect": "drop"}])
    assert "error" not in answer, answer
    by_hand = {"account_id": DEMO_ACCOUNT_ID, "symbol": "BTCUSDT", "kind": "manual_order"}
    answer = await world.sim(
        "POST", "/sim/surprises", {**by_hand, "side": "BUY", "quantity": "0.010"}
    )
    assert "error" not in answer, answer
    await world.bus.publish(subjects.reconcile_request("paper"), b"{}")

    async def is_known() -> bool:
        return sum(fill.quantity for fill in await fills(world)) == Decimal("0.010")

    await world.until(is_known, "the fill of an order nobody told us of")
