"""The WebSocket API as strangers meet it: bare aiohttp, and python-binance but for its address."""

import asyncio
import hashlib
import hmac
import time

import pytest
from binance import AsyncClient
from binance.exceptions import BinanceAPIException

ORDER = {
    "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
    "quantity": "0.010", "price": "20000.10",
}  # fmt: skip


class Caller:
    """One socket; parameters are signed sorted by name, as the venue documents."""

    def __init__(self, socket, account, offset_ms) -> None:
        self.socket, self.account, self.offset_ms = socket, account, offset_ms

    async def call(self, method, request_id=1, **params):
        params |= {
            "apiKey": self.account["api_key"],
            "timestamp": int(time.time() * 1000) + self.offset_ms,
        }
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
        secret = self.account["secret"].encode()
        params["signature"] = hmac.new(secret, payload.encode(), hashlib.sha256).hexdigest()
        return await self.raw({"id": request_id, "method": method, "params": params})

    async def raw(self, message):
        await self.socket.send_json(message)
        return await self.socket.receive_json()


@pytest.fixture
async def caller(customer, running_venue):
    url = f"{running_venue.url}/ws-fapi/v1"
    async with customer.session.ws_connect(url) as socket:
        yield Caller(socket, customer.account, await customer.clock_offset_ms())


async def test_an_order_is_placed_asked_for_and_canceled(caller):
    placed = await caller.call("order.place", "abc", **ORDER, newClientOrderId="mine")
    assert list(placed) == ["id", "status", "result", "rateLimits"]
    assert (placed["id"], placed["status"]) == ("abc", 200)
    assert placed["result"]["status"] == "NEW"
    assert "avgPrice" not in placed["result"]
    counts = {(row["rateLimitType"], row["interval"]): row for row in placed["rateLimits"]}
    assert counts["ORDERS", "SECOND"]["limit"] == 300
    assert counts["ORDERS", "MINUTE"]["count"] == 1
    assert counts["REQUEST_WEIGHT", "MINUTE"]["limit"] == 2_400
    found = await caller.call("order.status", symbol="BTCUSDT", origClientOrderId="mine")
    assert found["result"]["avgPrice"] == "0.00"
    assert [row["rateLimitType"] for row in found["rateLimits"]] == ["REQUEST_WEIGHT"]
    canceled = await caller.call("order.cancel", symbol="BTCUSDT", origClientOrderId="mine")
    assert canceled["result"]["status"] == "CANCELED"
    balance = await caller.call("v2/account.balance")
    assert balance["result"][0]["availableBalance"] == "10000.00000000"


async def test_refusals_carry_the_venues_codes(caller):
    refused = await caller.call("order.place", **ORDER | {"quantity": "0.0101"})
    assert (refused["status"], refused["error"]["code"]) == (400, -1111)
    moved = await caller.call("order.place", **ORDER | {"type": "STOP_MARKET"})
    assert moved["error"]["code"] == -4120
    forged = await caller.raw({
        "id": 7, "method": "order.place",
        "params": ORDER | {"apiKey": caller.account["api_key"], "timestamp": 1, "signature": "0"},
    })  # fmt: skip
    assert (forged["id"], forged["error"]["code"]) == (7, -1022)
    unknown = await caller.call("order.frobnicate")
    assert (unknown["status"], unknown["error"]["code"]) == (400, -1020)
    await caller.socket.send_str("{")
    answer = await caller.socket.receive_json()
    assert (answer["id"], answer["error"]["code"]) == (None, -1135)


async def test_a_fault_strikes_it_as_it_strikes_http(caller, customer):
    rules = [
        {"endpoint": "POST /fapi/v1/order", "effect": "http_503_unknown", "nth": 1},
        {"endpoint": "POST /fapi/v1/order", "effect": "drop_after_execution", "nth": 2},
    ]
    await customer.sim("POST", "/sim/faults", rules)
    try:
        told = await caller.call("order.place", **ORDER, newClientOrderId="lost-1")
        assert (told["status"], told["error"]["code"]) == (503, -1000)
        with pytest.raises(TypeError):
            await caller.call("order.place", **ORDER, newClientOrderId="lost-2")
    finally:
        await customer.sim("DELETE", "/sim/faults")
    orders = await customer.call("GET", "/fapi/v1/openOrders", symbol="BTCUSDT")
    assert [order["clientOrderId"] for order in orders.body] == ["lost-1", "lost-2"]


async def test_late_and_garbled_answers_overtake_nobody(caller, customer):
    rules = [
        {"endpoint": "POST /fapi/v1/order", "effect": "delay", "delay_ms": 200, "nth": 1},
        {"endpoint": "POST /fapi/v1/order", "effect": "truncated_json", "nth": 2},
        {"endpoint": "POST /fapi/v1/order", "effect": "html_body", "nth": 3},
    ]
    await customer.sim("POST", "/sim/faults", rules)
    try:
        quick = asyncio.create_task(caller.call("order.place", "slow", **ORDER))
        await asyncio.sleep(0.05)
        await caller.socket.send_json({"id": "fast", "method": "nothing"})
        assert (await quick)["id"] == "fast", "the first answer to come is the second one's"
        assert (await caller.socket.receive_json())["id"] == "slow"
        with pytest.raises(ValueError):
            await caller.call("order.place", **ORDER)
        with pytest.raises(ValueError):
            await caller.call("order.place", **ORDER)
    finally:
        await customer.sim("DELETE", "/sim/faults")
    assert len((await customer.call("GET", "/fapi/v1/openOrders")).body) == 3


async def test_rate_limits_may_be_left_out(customer):
    url = f"{customer.url}/ws-fapi/v1?returnRateLimits=false"
    async with customer.session.ws_connect(url) as socket:
        caller = Caller(socket, customer.account, await customer.clock_offset_ms())
        assert list(await caller.call("account.status")) == ["id", "status", "result"]


async def test_python_binance_trades_over_it(customer, running_venue):
    client = AsyncClient(customer.account["api_key"], customer.account["secret"])
    client.ws_future.TIMEOUT = 0.1  # how long its read loop takes to notice that we are done
    client.ws_future._url = f"{running_venue.url.replace('http', 'ws')}/ws-fapi/v1"
    client.timestamp_offset = await customer.clock_offset_ms()
    try:
        placed = await client.ws_futures_create_order(**ORDER)
        assert placed["status"] == "NEW"
        found = await client.ws_futures_get_order(symbol="BTCUSDT", orderId=placed["orderId"])
        assert found["price"] == "20000.10"
        stop = await client.ws_futures_create_algo_order(
            symbol="BTCUSDT", side="SELL", type="STOP_MARKET", quantity="0.010",
            triggerPrice="20000.10", algoType="CONDITIONAL",
        )  # fmt: skip
        gone = await client.ws_futures_cancel_algo_order(algoId=stop["algoId"])
        assert gone["msg"] == "success"
        canceled = await client.ws_futures_cancel_order(symbol="BTCUSDT", orderId=placed["orderId"])
        assert canceled["status"] == "CANCELED"
        with pytest.raises(BinanceAPIException):
            await client.ws_futures_cancel_order(symbol="BTCUSDT", orderId=placed["orderId"])
    finally:
        await client.ws_future.__aexit__(None, None, None)
        await client.close_connection()
