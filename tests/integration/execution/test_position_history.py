"""Whoever moves a position, the venue, the owner or we, is told as the cause, over real sockets."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from libs.common.messages.journal import FillReceived
from libs.common.model.order import Side
from libs.common.runtime.secret import Secret
from libs.common.runtime.venue_client import VenueClient
from services.paper_exchange.demo_keys import DEMO_READ_KEY, DEMO_READ_SECRET

if TYPE_CHECKING:
    from tests.integration.execution.conftest import World

READER = f"read-{'t' * 24}-token"
ZERO = Decimal(0)


async def pages(world: "World", query: str = "") -> list[dict[str, Any]]:
    """The whole history, two changes at a time."""
    found: list[dict[str, Any]] = []
    before = ""
    while True:
        path = f"/v1/positions/history?limit=2{query}{before}"
        status, page = await world.http("GET", path, token=READER)
        assert status == 200, page
        assert len(page["changes"]) <= 2
        found += page["changes"]
        if page["next_before"] is None:
            return found
        before = f"&before={page['next_before']}"


async def are_all_told(world: "World") -> bool:
    """Of a liquidation the fill and, later, what the insurance fund takes or makes good."""
    told = {(row["cause"], row["quantity"] != "0") for row in await pages(world)}
    return told >= {
        ("fill", True), ("manual", True), ("adl", True), ("liquidation", True),
        ("liquidation", False), ("transfer", False),
    }  # fmt: skip


async def test_fills_hands_and_forced_closings_are_told_apart_and_add_up_to_the_venues_income(
    world: "World",
) -> None:
    entered = await world.approve(Side.BUY)
    await world.wait_for(entered, FillReceived)
    by_venue = {"account_id": "demo", "symbol": "BTCUSDT", "quantity": "0.002"}
    by_hand = {**by_venue, "kind": "manual_order", "side": "SELL"}
    asked = (by_hand, {**by_venue, "kind": "adl"}, {**by_venue, "kind": "liquidation"})
    for body in asked:
        told = await world.sim("POST", "/sim/surprises", body)
        assert "detail" not in told, told

    await world.until(lambda: are_all_told(world), "every cause to be told")
    changes = await pages(world)
    assert [row["journal_number"] for row in changes] == sorted(
        (row["journal_number"] for row in changes), reverse=True
    )
    (strategy_id,) = {row["strategy_id"] for row in changes if row["cause"] == "fill"}
    assert strategy_id == entered.body.intent.strategy_id
    forced = await pages(world, f"&strategy={strategy_id}&cause=adl")
    assert forced == [row for row in changes if row["cause"] == "adl"]
    since_ns = forced[-1]["at_ns"]
    late = await pages(world, f"&since_ns={since_ns}&symbol=BTCUSDT")
    early = await pages(world, f"&until_ns={since_ns}&symbol=BTCUSDT")
    traded = await pages(world, "&symbol=BTCUSDT")
    assert late
    assert early
    assert late + early == traded
    assert {row["symbol"] for row in traded} == {"BTCUSDT"}
    _, held = await world.http("GET", "/v1/positions", token=READER)
    (position,) = held["positions"]
    assert sum(Decimal(row["quantity"]) for row in traded) == Decimal(position["quantity"])
    venue = VenueClient(
        world.venue_url,
        world.clock.now_ns,
        api_key=DEMO_READ_KEY,
        api_secret=Secret(DEMO_READ_SECRET),
    )

    # Every ask for income weighs 30 of the venue's 2,400 a minute, execution's own included.
    income = await venue.income()
    theirs = {
        name: sum((row.income for row in income if row.income_type == name), ZERO)
        for name in ("REALIZED_PNL", "COMMISSION", "INSURANCE_CLEAR")
    }
    await venue.close_connection()
    assert theirs["REALIZED_PNL"]

    async def equal() -> bool:
        status, book = await world.http("GET", "/v1/pnl?days=35", token=READER)
        assert status == 200, book
        ours = dict.fromkeys(theirs, ZERO)
        for row in book["pnl"]:
            ours["REALIZED_PNL"] += Decimal(row["realized_pnl"])
            ours["COMMISSION"] -= Decimal(row["commission"].get("USDT", "0"))
            ours["INSURANCE_CLEAR"] += Decimal(row["liquidation"].get("USDT", "0"))
        return ours == theirs

    await world.until(equal, "our book to equal the venue's income")
    status, told = await world.http("GET", "/v1/figures", token=READER)
    assert status == 200, told
    (figures,) = [row for row in told["figures"] if row["strategy_id"] == strategy_id]
    assert figures["orders"] == 1
    assert figures["calibration_error"] is None


async def test_what_is_no_page_is_refused(world: "World") -> None:
    bad = ("limit=0", "limit=501", "before=0", "before=x", "before=1.x", "symbol=btc%2F")
    for query in (*bad, "strategy=%20", "cause=No", "since_ns=-1", "until_ns=x"):
        status, _ = await world.http("GET", f"/v1/positions/history?{query}", token=READER)
        assert status == 422, query
    assert (await world.http("GET", "/v1/pnl?days=36", token=READER))[0] == 422
    status, _ = await world.http("GET", "/v1/positions/history", token="guessed-" * 4)
    assert status == 401
