"""Faults of market streams as sockets meet them, and a venue that starts over."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

DEPTH = "/public/ws/btcusdt@depth@100ms"


@pytest_asyncio.fixture
async def rules(customer: Any) -> AsyncIterator[Any]:
    async def set_rules(*rules: dict[str, object]) -> dict[str, Any]:
        return dict(await customer.sim("POST", "/sim/stream-faults", list(rules)))

    yield set_rules
    await customer.sim("DELETE", "/sim/stream-faults")


async def next_said(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    return dict(json.loads((await socket.receive(timeout=10)).data))


async def test_a_gap_of_pu_is_one_that_a_client_can_see(customer: Any, rules: Any) -> None:
    async with customer.session.ws_connect(customer.url + DEPTH) as socket:
        before = await next_said(socket)
        await rules({"stream": "btcusdt@depth*", "effect": "pu_gap", "nth": 2})
        async with asyncio.timeout(20):  # what was told before the rule is read first
            while (said := await next_said(socket))["pu"] == before["u"]:
                before = said
    found = await customer.sim("GET", "/sim/stream-faults")
    assert found["faults"][0]["struck"] == 1
    assert found["struck"]["pu_gap"] >= 1


async def test_a_socket_is_closed_with_the_code_asked_for(customer: Any, rules: Any) -> None:
    async with customer.session.ws_connect(customer.url + DEPTH) as socket:
        await next_said(socket)
        await rules({"effect": "close", "code": 1012, "reason": "restart"})
        async with asyncio.timeout(10):
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1012)
        assert message.extra == "restart"


async def test_a_socket_is_cut_without_a_word(customer: Any, rules: Any) -> None:
    async with customer.session.ws_connect(customer.url + DEPTH) as socket:
        await next_said(socket)
        await rules({"effect": "close"})
        async with asyncio.timeout(10):
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


async def test_a_stalled_socket_does_not_even_answer(customer: Any, rules: Any) -> None:
    async with customer.session.ws_connect(customer.url + DEPTH) as socket:
        await next_said(socket)
        await rules({"effect": "stall", "scope": "socket"})
        async with asyncio.timeout(10):
            while (await customer.sim("GET", "/sim/stream-faults"))["struck"].get("stall", 0) == 0:
                await asyncio.sleep(0.02)
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "params": [], "id": 1})
        answered = []
        with pytest.raises(asyncio.TimeoutError):
            await take_all(socket, answered)
        assert not any("result" in said for said in answered)
        assert not socket.closed
        await customer.sim("DELETE", "/sim/stream-faults")
        assert (await next_said(socket))["e"] == "depthUpdate"


async def take_all(socket: aiohttp.ClientWebSocketResponse, into: list[dict[str, Any]]) -> None:
    """Take what arrives until there has been nothing for a while; raises `TimeoutError`."""
    while True:
        into.append(json.loads((await socket.receive(timeout=0.6)).data))


async def take_sound(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Take what arrives until something is no JSON; raises `JSONDecodeError`."""
    async with asyncio.timeout(20):
        while True:
            await next_said(socket)


async def test_frames_that_are_no_json_or_half_of_it(customer: Any, rules: Any) -> None:
    async with customer.session.ws_connect(customer.url + DEPTH) as socket:
        await rules(
            {"effect": "half_frame", "nth": 1}, {"effect": "garbage", "nth": 2},
            {"effect": "wrong_symbol", "nth": 3},
        )  # fmt: skip
        with pytest.raises(json.JSONDecodeError):
            await take_sound(socket)  # what was told before the rules
        with pytest.raises(json.JSONDecodeError):
            await next_said(socket)
        assert (await next_said(socket))["s"] == "ETHUSDT"
        assert (await next_said(socket))["s"] == "BTCUSDT"


async def test_starting_over_is_the_same_run_again(launcher: Any) -> None:
    venue = launcher.start("--seed", "5", "--hold")
    async with aiohttp.ClientSession(venue.url) as session:

        async def ask(method: str, path: str, body: object = None) -> dict[str, Any]:
            async with session.request(method, path, json=body) as response:
                assert response.status == 200, await response.text()
                return dict(await response.json())

        async def play() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
            start_ns = (await ask("GET", "/sim/clock"))["now_ns"]
            opened = await ask("POST", "/sim/accounts", {"balance": "5"})
            limit = {"limit_ns": start_ns + 5 * 10**9, "speed": "20"}
            await ask("POST", "/sim/clock", limit)
            async with asyncio.timeout(20):
                while (await ask("GET", "/sim/clock"))["now_ns"] < limit["limit_ns"]:
                    await asyncio.sleep(0.02)
            return (
                opened,
                await ask("GET", "/sim/book?symbol=ETHUSDT"),
                await ask("GET", "/sim/accounts"),
            )

        first = await play()
        await ask("POST", "/sim/faults", [{"endpoint": "*", "effect": "http_502"}])
        async with session.ws_connect("/public/ws/btcusdt@trade") as socket:
            await ask("POST", "/sim/reset")
            async with asyncio.timeout(10):
                while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                    pass
        assert len((await ask("GET", "/sim/accounts"))["accounts"]) == 1
        assert (await ask("GET", "/sim/faults"))["faults"] == []
        assert (await ask("GET", "/sim/stats"))["sockets"] == 0
        assert await play() == first
    assert launcher.stop() == 0


BAD_BODIES = [
    b"", b"{", b"null", b"[]", b"[1]", b'"x"', b"\xff\xfe", b"NaN", b"[" * 3000, b'{"x":1}',
    b'[{"effect":"drop","stream":"*","colour":1}]', b'{"speed":"NaN"}', b'{"speed":1e400}',
    b'{"speed":"1e-999999"}', b'{"limit_ns":1' + b"0" * 60 + b"}", b'{"balance":"Infinity"}',
    b'{"balance":1' + b"0" * 4000 + b"}", b'{"clock_offset_ms":1e99}', b'{"for_ms":true}',
    b'[{"endpoint":"POST /x","probability":NaN}]', b'[{"endpoint":"POST /x","seed":1e30}]',
    b'{"account_id":"\\ud800"}', b'{"name":"../../etc/passwd"}', b'{"symbol":"\\u0000"}',
    b"x" * 70_000,
]  # fmt: skip
EMPTY_IS_ENOUGH = {"/sim/accounts", "/sim/reset"}
POSTS = [
    "accounts", "clock", "conditions", "bans", "user-stream", "surprises", "statuses", "scenarios",
    "faults", "event-faults", "stream-faults", "funding", "withdrawals", "commissions",
]  # fmt: skip


@pytest.mark.parametrize("door", POSTS)
async def test_what_is_not_understood_is_refused_in_words(customer: Any, door: str) -> None:
    path = f"/sim/{door}"
    for body in BAD_BODIES:
        async with customer.session.post(customer.url + path, data=body) as response:
            found = await response.json()
            assert found["simulation"] is True
            fits = body in (b"[]", b"") and response.status == 200
            assert fits or (response.status, "error" in found) == (400, True), (body[:40], found)
    async with customer.session.post(f"{customer.url}{path}?x=1", data=b"{}") as response:
        assert response.status == 400
        assert "x" in (await response.json())["error"]


@pytest.mark.parametrize(
    "path",
    [
        "log?after=-1", "log?after=x", "log?limit=99999999999999999999", "log?colour=1",
        "book", "book?symbol=NONE", "book?symbol=BTCUSDT&limit=0", "book?symbol=BTCUSDT&symbol=X",
        "stats?x=1", "clock?x=1", "ledger?x=", "accounts?x=1", "scenarios?x=1",
    ],
)  # fmt: skip
async def test_a_query_that_is_not_understood_is_refused(customer: Any, path: str) -> None:
    async with customer.session.get(f"{customer.url}/sim/{path}") as response:
        found = await response.json()
        assert (response.status, found["simulation"]) == (400, True)
        assert found["error"]


@pytest.mark.parametrize(
    ("rule", "status", "said"),
    [
        ({"effect": "http_503_unavailable"}, 503, b'{"msg":"Service Unavailable."}'),
        ({"effect": "refuse", "code": -1121}, 400, b'"code":-1121'),
        ({"effect": "http_403"}, 403, b"403 Forbidden"),
        ({"effect": "truncated_json"}, 200, b'{"lastUpdateId":'),
        ({"effect": "delay", "delay_ms": 50}, 200, b'"asks":'),
        ({"effect": "late_arrival", "delay_ms": 50}, 200, b'"asks":'),
    ],
)
async def test_market_data_goes_wrong_as_orders_do(
    customer: Any, rule: dict[str, object], status: int, said: bytes
) -> None:
    struck = {"endpoint": "GET /fapi/v1/depth", "symbol": "BTCUSDT", **rule}
    await customer.sim("POST", "/sim/faults", [struck])
    try:
        url = f"{customer.url}/fapi/v1/depth?symbol="
        async with customer.session.get(url + "BTCUSDT") as response:
            body = await response.read()
            assert (response.status, said in body) == (status, True), body
        async with customer.session.get(url + "ETHUSDT") as response:
            assert response.status == 200
    finally:
        await customer.sim("DELETE", "/sim/faults")


async def test_market_data_may_get_no_answer(customer: Any) -> None:
    rule = {"endpoint": "GET /fapi/v1/depth", "effect": "drop_before_execution"}
    await customer.sim("POST", "/sim/faults", [rule])
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await customer.session.get(f"{customer.url}/fapi/v1/depth?symbol=BTCUSDT")
    await customer.sim("DELETE", "/sim/faults")
