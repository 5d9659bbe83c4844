"""Every scenario that ships, played on a running venue until its effect shows."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from services.paper_exchange.__main__ import main
from services.paper_exchange.faults.scenarios import (
    ScenarioError,
    parse_scenario,
    read_scenario,
    shipped_names,
)

SPEED = "10"
WAIT_S = 30.0
ORDER = "/fapi/v1/order"


class Player:
    """Plays scenarios on one venue; each test begins with a fresh run of it."""

    def __init__(self, customer: Any) -> None:
        self.customer = customer
        self.url = customer.url

    async def sim(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        found = await self.customer.sim(method, f"/sim/{path}", body)
        assert found["simulation"] is True
        return dict(found)

    async def start(self, name: str) -> None:
        found = await self.sim("POST", "scenarios", {"name": name})
        assert found["under_way"]["name"] == name

    async def until(self, reached: Callable[[dict[str, Any]], object], path: str = "stats") -> Any:
        """Poll one of /sim's answers until something of it is reached."""
        async with asyncio.timeout(WAIT_S):
            while True:
                found = await self.sim("GET", path)
                value = reached(found)
                if value:
                    return value
                await asyncio.sleep(0.02)

    async def until_step(self, step: int) -> None:
        await self.until(lambda stats: stats["scenario"]["steps_done"] >= step)

    async def price(self) -> Decimal:
        book = await self.sim("GET", "book?symbol=BTCUSDT&limit=1")
        return Decimal(book["bids"][0][0])

    async def buy(self, quantity: str = "0.010", **more: str) -> Any:
        return await self.customer.call(
            "POST", ORDER, symbol="BTCUSDT", side="BUY", quantity=quantity,
            **({"type": "MARKET"} | more),
        )  # fmt: skip


async def listen_for(socket: aiohttp.ClientWebSocketResponse, seconds: float) -> None:
    """Take all that arrives until there has been nothing for so long; raises `TimeoutError`."""
    while True:
        await socket.receive(timeout=seconds)


@pytest.fixture(scope="module")
def fast_venue(request: pytest.FixtureRequest) -> Iterator[Any]:
    start_venue, stop_venue = request.getfixturevalue("venue_starter")
    process, venue = start_venue("--seed", "7", "--speed", SPEED, "--limit", "accounts_max=100")
    yield venue
    stop_venue(process)


@pytest_asyncio.fixture
async def player(fast_venue: Any, make_customer: Any) -> AsyncIterator[Player]:
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{fast_venue.url}/sim/reset") as response:
            assert response.status == 200
        yield Player(await make_customer(session, fast_venue.url))


async def test_in_a_flash_crash_prices_fall_by_a_fifth_and_come_back(player: Player) -> None:
    before = await player.price()
    await player.start("flash-crash")
    lowest = await player.until(
        lambda book: float(Decimal(book["bids"][0][0]) / before) < 0.82,
        "book?symbol=BTCUSDT&limit=1",
    )
    assert lowest
    low = await player.customer.call("GET", "/fapi/v1/ticker/24hr", signed=False, symbol="BTCUSDT")
    assert Decimal(low.body["lowPrice"]) < before * Decimal("0.85")
    await player.until(
        lambda book: float(Decimal(book["bids"][0][0]) / before) > 0.97,
        "book?symbol=BTCUSDT&limit=1",
    )


async def test_in_an_outage_orders_are_answered_503_and_sockets_are_cut(player: Player) -> None:
    url = f"{player.url}/market/stream?streams=btcusdt@markPrice@1s"
    async with player.customer.session.ws_connect(url) as socket:
        await socket.receive(timeout=10)
        await player.start("exchange-outage")
        await player.until_step(2)
        for method, path in (("POST", ORDER), ("GET", ORDER), ("GET", "/fapi/v1/depth")):
            found = await player.customer.call(method, path, signed=False, symbol="BTCUSDT")
            assert (found.status, found.body["msg"]) == (503, "Service Unavailable.")
        assert (await player.sim("GET", "stats"))["trades"] == 0
        async with asyncio.timeout(WAIT_S):
            while (await socket.receive()).type is not aiohttp.WSMsgType.CLOSED:
                pass
    await player.until_step(4)
    assert (await player.buy()).status == 200
    struck = (await player.sim("GET", "stats"))["stream_faults_struck"]
    assert struck["stall"] > 10


async def test_silent_streams_say_nothing_while_their_sockets_live(player: Player) -> None:
    url = f"{player.url}/public/ws/btcusdt@depth@100ms"
    async with player.customer.session.ws_connect(url) as socket:
        await socket.receive(timeout=10)
        await player.start("silent-stream")
        await player.until_step(1)
        with pytest.raises(asyncio.TimeoutError):
            await listen_for(socket, 0.5)
        assert not socket.closed
        await player.until_step(4)
        assert json.loads((await socket.receive(timeout=10)).data)["e"] == "depthUpdate"


async def test_funding_spikes_are_paid_by_whoever_is_long(player: Player) -> None:
    await player.buy("0.100")
    await player.start("funding-spike")
    await player.until_step(3)
    income = await player.customer.call("GET", "/fapi/v1/income", incomeType="FUNDING_FEE")
    paid = [Decimal(row["income"]) for row in income.body]
    assert len(paid) == 2
    assert all(amount < -50 for amount in paid)
    assert (await player.sim("GET", "ledger"))["total"] == "0"


async def test_a_delisted_symbol_halts_and_is_settled(player: Player) -> None:
    await player.buy("0.020")
    await player.buy("0.010", type="LIMIT", timeInForce="GTC", price="50000.10")
    await player.start("delisting")
    await player.until(lambda found: found["statuses"]["BTCUSDT"] == "TRADING_HALT", "statuses")
    refused = await player.buy()
    assert refused.status == 400
    assert refused.code < -1000
    halted = await player.price()
    await player.until_step(2)
    assert await player.price() == halted
    await player.until(lambda found: found["statuses"]["BTCUSDT"] == "SETTLING", "statuses")
    me = player.customer.account["account_id"]
    accounts = (await player.sim("GET", "accounts"))["accounts"]
    (mine,) = [account for account in accounts if account["account_id"] == me]
    assert mine["positions"] == []
    assert mine["open_orders"] == 0
    orders = (await player.customer.call("GET", "/fapi/v1/allOrders", symbol="BTCUSDT")).body
    assert [order["status"] for order in orders] == ["FILLED", "CANCELED", "FILLED"]
    assert orders[-1]["clientOrderId"].startswith("settlement_autoclose-")
    assert (await player.sim("GET", "ledger"))["total"] == "0"


async def test_a_cascade_liquidates_one_leverage_after_the_other(player: Player) -> None:
    await player.start("liquidation-cascade")
    await player.until_step(3)
    crowd = await player.sim("GET", "accounts")
    assert sum(bool(account["positions"]) for account in crowd["accounts"]) >= 40
    await player.until_step(8)

    def left(found: dict[str, Any]) -> bool:
        return not any(account["positions"] for account in found["accounts"])

    await player.until(left, "accounts")
    assert (await player.sim("GET", "ledger"))["total"] == "0"


async def test_a_margin_storm_calls_for_margin(player: Player) -> None:
    await player.customer.call("POST", "/fapi/v1/listenKey", signed=False)
    await player.buy("2.700")
    await player.start("margin-storm")
    await player.until_step(11)
    stats = await player.sim("GET", "stats")
    assert stats["scenario_steps"]["crowd"] == 2
    assert stats["scenario_steps"]["price"] == 9
    assert stats["published"]["MARGIN_CALL"] >= 1
    accounts = (await player.sim("GET", "accounts"))["accounts"]
    wallets = [Decimal(one["wallet"]) for one in accounts if one["account_id"].startswith("crowd")]
    assert len(wallets) == 20
    assert min(wallets) < 900
    assert (await player.sim("GET", "ledger"))["total"] == "0"


async def test_ending_a_scenario_ends_what_it_made_happen(player: Player) -> None:
    await player.start("exchange-outage")
    await player.until_step(2)
    found = await player.customer.call("GET", "/fapi/v1/time", signed=False)
    assert found.status == 503
    assert (await player.sim("DELETE", "scenarios"))["under_way"] is None
    assert (await player.buy()).status == 200


def test_every_scenario_that_ships_can_be_read() -> None:
    assert shipped_names() == (
        "delisting", "exchange-outage", "flash-crash", "funding-spike", "liquidation-cascade",
        "margin-storm", "silent-stream",
    )  # fmt: skip
    for name in shipped_names():
        assert read_scenario(name).name == name


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name: a\nabout: b\nsteps: [{at_ms: 0, prise: {}}]", "steps.0.prise"),
        ("name: a\nabout: b\nsteps: [{at_ms: 0, faults: [{endpoint: x}]}]", "endpoint"),
        ("name: a\nabout: b\nsteps: [{at_ms: 0}]", "says what happens"),
        ("name: a\nabout: b\nsteps: [{at_ms: 5, close_sockets: true}, {at_ms: 4}]", "steps"),
        ("name: a\nabout: b\nsteps: []", "steps"),
        ("name: [", "no YAML"),
        ("- 1", "`name`"),
        ("[" * 5000, "no YAML"),
    ],
)
def test_a_scenario_that_cannot_be_used_says_where(text: str, place: str) -> None:
    with pytest.raises(ScenarioError, match=place.replace(".", r"\.")):
        parse_scenario(text)


def test_an_unknown_scenario_ends_the_start_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scenario", "flash-flood"]) == 2
    assert "flash-crash" in capsys.readouterr().err


async def test_a_scenario_of_ones_own_begins_with_the_market(launcher: Any, tmp_path: Any) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nabout: Quotes are lost.\nsteps:\n"
        "  - at_ms: 500\n    stream_faults: [{stream: '*@bookTicker', effect: drop}]\n"
    )
    venue = launcher.start("--speed", SPEED, "--scenario", str(path))
    async with aiohttp.ClientSession(venue.url) as session, asyncio.timeout(WAIT_S):
        done = 0
        while not done:
            async with session.get("/sim/stats") as response:
                done = (await response.json())["scenario"]["steps_done"]
        async with session.get("/sim/stream-faults") as response:
            (rule,) = (await response.json())["faults"]
    assert rule["stream"] == "*@bookTicker"
