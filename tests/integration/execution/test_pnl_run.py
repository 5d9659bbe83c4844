"""A whole run equals the venue's own lists to the last digit, by day, symbol and strategy."""

from drills.pnl_story import settle, tell_fixed
from drills.pnl_truth import Sums, differences, our_book
from drills.pnl_world import PnlWorld
from libs.common.runtime.broker import Broker
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
