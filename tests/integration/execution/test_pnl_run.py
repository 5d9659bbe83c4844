"""A whole run equals the venue's own lists to the last digit, by day, symbol and strategy."""

from decimal import Decimal
from typing import Any

from drills.pnl_market import PRICES
from drills.pnl_story import settle, tell_fixed
from drills.pnl_truth import Sums, differences, our_book
from drills.pnl_world import PnlWorld
from libs.common.runtime.broker import Broker
from services.execution.history import Wanted
from services.paper_exchange.demo_keys import DEMO_ACCOUNT_ID


async def test_profit_and_loss_equal_the_venues_over_fees_funding_a_liquidation_and_a_restart(
    nats_server: Broker,
) -> None:
    async with PnlWorld(nats_server.url) as world:
        await tell_fixed(world)
        truth, replayed = await settle(world)
        told = our_book(world.state)
        assert differences(told, truth) == []
        assert differences(our_book(replayed), truth) == []
        see_that_everything_happened(world, told)
        await see_that_history_tells_it_all(world, told)


async def history(world: PnlWorld, limit: int, **wanted: Any) -> list[dict[str, Any]]:
    """All pages, newest first, each checked for its length."""
    desk = world.lives[-1][0].admin
    found: list[dict[str, Any]] = []
    before: str | None = ""
    while before is not None:
        page = await desk.history(Wanted(**wanted), before, limit)
        assert len(page["changes"]) <= limit
        found += page["changes"]
        before = page["next_before"]
    return found


async def see_that_history_tells_it_all(world: PnlWorld, told: Sums) -> None:
    """Every change has its cause and its strategy, and their sums are the book's."""
    changes = await history(world, 500)
    assert {row["cause"] for row in changes} == {
        "fill", "manual", "funding", "liquidation", "adl", "transfer",
    }  # fmt: skip
    assert await history(world, 7) == changes
    places = [(row["journal_number"], row["journal_index"]) for row in changes]
    assert places == sorted(set(places), reverse=True)
    for symbol in PRICES:
        moved = sum(Decimal(row["quantity"]) for row in changes if row["symbol"] == symbol)
        assert moved == world.held_at_venue(symbol)
    for strategy_id in ("alpha", "beta", "gamma"):
        mine = await history(world, 50, strategy_id=strategy_id)
        assert mine == [row for row in changes if row["strategy_id"] == strategy_id]
        for kind, cause in (("realized", None), ("funding", "funding")):
            listed = [
                Decimal(row["amount"])
                for row in mine
                if (row["cause"] == cause if cause else "trade_id" in row)
            ]
            booked = [
                amount
                for cell, amount in told.items()
                if (cell.strategy_id, cell.kind) == (strategy_id, kind)
            ]
            assert sum(listed) == sum(booked), (strategy_id, kind)
    middle_ns = changes[len(changes) // 2]["at_ns"]
    late = await history(world, 50, since_ns=middle_ns, symbol="BTCUSDT", cause="fill")
    early = await history(world, 50, until_ns=middle_ns, symbol="BTCUSDT", cause="fill")
    assert late
    assert early
    assert late + early == [
        row for row in changes if (row["symbol"], row["cause"]) == ("BTCUSDT", "fill")
    ]


def see_that_everything_happened(world: PnlWorld, told: Sums) -> None:
    assert {cell.kind for cell in told} == {"realized", "commission", "funding", "liquidation"}
    assert {cell.strategy_id for cell in told} == {"", "alpha", "beta", "gamma"}
    assert len({cell.day for cell in told}) == 2
    funded = [cell for cell in told if cell.kind == "funding"]
    assert {cell.symbol for cell in funded} == {"BTCUSDT", "ETHUSDT"}
    assert len(funded) == 4
    account = world.venue.exchange.accounts[DEMO_ACCOUNT_ID]
    names = [order.client_order_id for order in account.orders.values()]
    for prefix in ("autoclose-", "adl_autoclose"):
        assert any(name.startswith(prefix) for name in names), names
    assert world.venue.event_faults.struck["drop"] == 1
    assert len(world.lives) == 2
