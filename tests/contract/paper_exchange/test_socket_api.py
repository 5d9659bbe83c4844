"""The WebSocket API as strangers meet it: bare aiohttp, and python-binance but for its address."""

import asyncio
import hashlib
import hmac
import time
from base64 import b64encode
from urllib.parse import quote

import pytest
from aiohttp import WSMsgType
from binance import AsyncClient
from binance.exceptions import BinanceAPIException
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from yarl import URL

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


@pytest.mark.parametrize(
    ("message", "request_id", "text"),
    [
        ([], None, "Invalid JSON Request"),
        ({"id": 1, "method": "depth", "params": []}, 1, "'params' in JSON request"),
        ({"id": "x", "method": 5}, "x", "'method' in JSON request"),
        ({"id": "x"}, "x", "'method' in JSON request"),
        ({"method": "depth"}, None, "'id' in JSON request"),
        ({"id": True, "method": "depth"}, None, "'id' in JSON request"),
        ({"id": {}, "method": "depth"}, None, "'id' in JSON request"),
    ],
)
async def test_what_is_no_request_is_refused_with_1135(caller, message, request_id, text):
    answer = await caller.raw(message)
    assert (answer["id"], answer["status"], answer["error"]["code"]) == (request_id, 400, -1135)
    assert text in answer["error"]["msg"]


async def test_the_market_is_asked_without_a_key_and_weighs_as_it_does_over_http(caller):
    async def ask(method, **params):
        return await caller.raw({"id": None, "method": method, "params": params})

    book = await ask("depth", symbol="BTCUSDT", limit=5)
    assert len(book["result"]["bids"]) == 5
    weighed = book["rateLimits"][0]["count"]
    book = await ask("depth", symbol="BTCUSDT", limit=1_000)
    assert book["rateLimits"][0]["count"] - weighed == 20
    assert (await ask("ticker.price", symbol="BTCUSDT"))["result"]["symbol"] == "BTCUSDT"
    assert "lastUpdateId" in (await ask("ticker.book", symbol="BTCUSDT"))["result"]
    assert len((await ask("ticker.price"))["result"]) > 1
    refused = await ask("depth", symbol="NOPE")
    assert (refused["id"], refused["status"], refused["error"]["code"]) == (None, 400, -1121)
    refused = await ask("depth", symbol="BTCUSDT", limit=7)
    assert refused["error"]["code"] == -4021


class Signer:
    """A customer with a private key of its own, which the venue never sees."""

    def __init__(self, account, socket, offset_ms, private) -> None:
        self.account, self.socket, self.offset_ms = account, socket, offset_ms
        self.private, self.kind = private, account["key_type"]

    def sign(self, payload: str) -> str:
        raw = payload.encode()
        if self.kind == "RSA":
            return b64encode(self.private.sign(raw, PKCS1v15(), SHA256())).decode()
        return b64encode(self.private.sign(raw)).decode()

    async def call(self, method, *, signs=True, **params):
        params["timestamp"] = int(time.time() * 1000) + self.offset_ms
        if signs:
            params["apiKey"] = self.account["api_key"]
            payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
            params["signature"] = self.sign(payload)
        await self.socket.send_json({"id": 1, "method": method, "params": params})
        return await self.socket.receive_json()


@pytest.fixture(params=["RSA", "ED25519"])
async def signer(request, customer):
    kind = request.param
    private = (
        rsa.generate_private_key(65_537, 2_048)
        if kind == "RSA"
        else ed25519.Ed25519PrivateKey.generate()
    )
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    wanted = {"key_type": kind, "public_key": pem.decode()}
    account = await customer.sim("POST", "/sim/accounts", wanted)
    async with customer.session.ws_connect(f"{customer.url}/ws-fapi/v1") as socket:
        yield Signer(account, socket, await customer.clock_offset_ms(), private)


async def test_keys_of_either_kind_sign_each_request_and_only_one_kind_logs_on(signer):
    assert signer.account["secret"] == ""
    placed = await signer.call("order.place", **ORDER, newClientOrderId="signed")
    assert (placed["status"], placed["result"]["status"]) == (200, "NEW")
    unsigned = await signer.call("account.status", signs=False)
    assert (unsigned["status"], unsigned["error"]["code"]) == (401, -2014)
    logged_on = await signer.call("session.logon")
    if signer.kind == "RSA":
        assert (logged_on["status"], logged_on["error"]["code"]) == (400, -4056)
        return
    assert list(logged_on["result"]) == [
        "apiKey", "authorizedSince", "connectedSince", "returnRateLimits", "serverTime",
    ]  # fmt: skip
    assert logged_on["result"]["apiKey"] == signer.account["api_key"]
    found = await signer.call(
        "order.status", signs=False, symbol="BTCUSDT", origClientOrderId="signed"
    )
    assert found["result"]["orderId"] == placed["result"]["orderId"]
    started = await signer.call("userDataStream.start", signs=False)
    assert len(started["result"]["listenKey"]) == 64
    stale = {"id": 2, "method": "account.balance", "params": {"timestamp": 1}}
    await signer.socket.send_json(stale)
    assert (await signer.socket.receive_json())["error"]["code"] == -1021
    await signer.socket.send_json(stale | {"params": {}})
    assert (await signer.socket.receive_json())["error"]["code"] == -1102
    status = await signer.call("session.status", signs=False)
    assert status["result"]["authorizedSince"] == logged_on["result"]["authorizedSince"]
    left = await signer.call("session.logout", signs=False)
    assert (left["result"]["apiKey"], left["result"]["authorizedSince"]) == (None, None)
    assert (await signer.call("account.status", signs=False))["error"]["code"] == -2014


async def test_the_same_keys_sign_http_in_query_and_body(signer, customer):
    for where in ("params", "data"):
        stamp = int(time.time() * 1000) + signer.offset_ms
        raw = f"symbol=BTCUSDT&leverage=7&timestamp={stamp}"
        raw += f"&signature={quote(signer.sign(raw), safe='')}"
        url = customer.url + "/fapi/v1/leverage" + (f"?{raw}" if where == "params" else "")
        async with customer.session.post(
            URL(url, encoded=True),
            data=raw.encode() if where == "data" else None,
            headers={"X-MBX-APIKEY": signer.account["api_key"]},
        ) as response:
            assert (response.status, (await response.json())["leverage"]) == (200, 7)


async def test_one_byte_changed_on_the_socket_is_refused_with_1022(signer):
    stamp = int(time.time() * 1000) + signer.offset_ms
    params = ORDER | {"apiKey": signer.account["api_key"], "timestamp": stamp}
    payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
    signature = signer.sign(payload)
    for position in range(0, len(signature), 7):
        other = "A" if signature[position] != "A" else "B"
        wrong = signature[:position] + other + signature[position + 1 :]
        await signer.socket.send_json(
            {"id": 1, "method": "order.place", "params": params | {"signature": wrong}}
        )
        assert (await signer.socket.receive_json())["error"]["code"] == -1022


async def test_a_request_may_leave_its_own_rate_limits_out(caller):
    answer = await caller.call("account.balance", returnRateLimits="false")
    assert list(answer) == ["id", "status", "result"]
    assert "rateLimits" in await caller.call("account.balance")


async def test_who_sends_more_than_five_pongs_a_second_is_sent_away(customer):
    async with customer.session.ws_connect(f"{customer.url}/ws-fapi/v1") as socket:
        for _ in range(5):
            await socket.pong()
        await socket.send_json({"id": 1, "method": "ticker.price"})
        assert (await socket.receive_json())["status"] == 200
    async with customer.session.ws_connect(f"{customer.url}/ws-fapi/v1") as socket:
        for _ in range(6):  # in a row: all of them are to come within the second
            await socket.pong()
        message = await socket.receive(timeout=5)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1008)


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
        {"endpoint": "POST /fapi/v1/order", "effect": "delay", "delay_ms": 2_000, "nth": 1},
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
        # Its read loop waits long for a message; closed under it, it looks whether we are done.
        socket = client.ws_future.ws
        await asyncio.gather(client.ws_future.__aexit__(None, None, None), socket.close())
        await client.close_connection()
