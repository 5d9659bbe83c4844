"""Money over the wire: liquidation as everybody sees it, and the doors that touch money."""

import asyncio
from decimal import Decimal

import aiohttp

from tests.contract.paper_exchange.conftest import Customer, open_account


async def test_a_dictated_funding_rate_shows_where_clients_look(customer):
    found = await customer.sim("POST", "/sim/funding", {"symbol": "BTCUSDT", "rate": "0.0123"})
    told = found["funding"]["BTCUSDT"]
    assert (found["simulation"], told["rate"], told["is_dictated"]) == (True, "0.0123", True)
    premium = await customer.call("GET", "/fapi/v1/premiumIndex", signed=False, symbol="BTCUSDT")
    assert Decimal(premium.body["lastFundingRate"]) == Decimal("0.0123")
    assert premium.body["nextFundingTime"] == told["next_funding_ms"]
    found = await customer.sim("POST", "/sim/funding", {"symbol": "BTCUSDT", "rate": None})
    assert found["funding"]["BTCUSDT"]["is_dictated"] is False
    assert await customer.sim("GET", "/sim/funding") == found
    refused = await customer.sim("POST", "/sim/funding", {"symbol": "NOPE", "rate": "0"})
    assert "symbol" in refused["error"]


async def test_a_withdrawal_goes_as_far_as_nothing_depends_on_it(customer):
    account_id = customer.account["account_id"]
    asked = {"account_id": account_id, "amount": "100.5"}
    found = await customer.sim("POST", "/sim/withdrawals", asked)
    assert Decimal(found["wallet_balance"]) == Decimal("9899.5")
    too_much = await customer.sim("POST", "/sim/withdrawals", asked | {"amount": "9900"})
    assert "may be withdrawn" in too_much["error"]
    stranger = await customer.sim("POST", "/sim/withdrawals", asked | {"account_id": "nobody"})
    assert "account_id" in stranger["error"]
    ledger = await customer.sim("GET", "/sim/ledger")
    assert ledger["total"] == "0"


async def test_commissions_of_an_account_are_what_it_is_told_and_what_it_pays(customer):
    rates = {"maker": "0.0001", "taker": "0.0003", "rpi": "0.00002"}
    asked = {"account_id": customer.account["account_id"], **rates}
    await customer.sim("POST", "/sim/commissions", asked)
    found = await customer.call("GET", "/fapi/v1/commissionRate", symbol="BTCUSDT")
    assert found.body["takerCommissionRate"] == "0.000300"
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
    await customer.call("POST", "/fapi/v1/order", **order)
    fills = (await customer.call("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")).body
    for fill in fills:
        assert Decimal(fill["commission"]) == Decimal(fill["quoteQty"]) * Decimal("0.0003")


async def test_the_risk_of_deleveraging_is_told_for_one_symbol_and_for_all(customer):
    one = await customer.call("GET", "/fapi/v1/symbolAdlRisk", signed=False, symbol="BTCUSDT")
    assert list(one.body) == ["symbol", "adlRisk", "updateTime"]
    assert one.body["adlRisk"] in ("low", "medium", "high")
    every = await customer.call("GET", "/fapi/v1/symbolAdlRisk", signed=False)
    assert "BTCUSDT" in {row["symbol"] for row in every.body}


async def test_a_liquidation_reaches_the_public_stream(launcher):
    venue = launcher.start("--seed", "7", "--speed", "20")
    account = await asyncio.to_thread(open_account, venue.url)
    async with aiohttp.ClientSession() as session:
        customer = Customer(session, venue.url, account)
        asked = {"symbol": "BTCUSDT", "leverage": 100}
        assert (await customer.call("POST", "/fapi/v1/leverage", **asked)).status == 200
        premium = await customer.call(
            "GET", "/fapi/v1/premiumIndex", signed=False, symbol="BTCUSDT"
        )
        quantity = (10_000 * 50 / Decimal(premium.body["markPrice"])).quantize(Decimal("0.001"))
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": quantity}
        assert (await customer.call("POST", "/fapi/v1/order", **order)).status == 200
        url = venue.url.replace("http", "ws", 1) + "/market/ws/!forceOrder@arr"
        async with session.ws_connect(url) as socket:
            await customer.sim("POST", "/sim/scenarios", {"name": "flash-crash"})
            event = await socket.receive_json(timeout=60)
        assert event["e"] == "forceOrder"
        assert (event["o"]["s"], event["o"]["S"]) == ("BTCUSDT", "SELL")
        forced = (await customer.call("GET", "/fapi/v1/forceOrders")).body
        assert {row["clientOrderId"][:10] for row in forced} == {"autoclose-"}
