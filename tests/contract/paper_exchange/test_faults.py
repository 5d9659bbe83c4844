"""Faults as a client over HTTP and the user stream meets them."""

import asyncio

import aiohttp
import pytest

ORDER = {
    "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
    "quantity": "0.010", "price": "20000.10",
}  # fmt: skip
ENDPOINT = "POST /fapi/v1/order"


@pytest.fixture
async def rules(customer):
    """Sets fault rules; everything is set right again afterwards."""

    async def set_rules(*rules, kind="faults"):
        found = await customer.sim("POST", f"/sim/{kind}", list(rules))
        assert "error" not in found, found

    yield set_rules
    for path in ("faults", "event-faults", "bans"):
        await customer.sim("DELETE", f"/sim/{path}")
    await customer.sim(
        "POST", "/sim/conditions",
        {"query_lag_ms": 0, "algo_query_lag_ms": 0, "clock_offset_ms": 0},
    )  # fmt: skip


async def open_ids(customer):
    found = await customer.call("GET", "/fapi/v1/openOrders")
    return [order["clientOrderId"] for order in found.body]


async def logged(customer, name):
    """The rows of the venue's record about the order of this client id."""
    rows = (await customer.sim("GET", "/sim/log?limit=10000"))["requests"]
    return [row for row in rows if row["client_order_id"] == name]


@pytest.mark.parametrize(
    ("effect", "status", "code"),
    [("http_408", 408, -1007), ("code_1006", 400, -1006), ("code_1007", 400, -1007)],
)
@pytest.mark.parametrize("executes", [True, False])
async def test_what_may_have_happened_is_told_alike_either_way(
    customer, rules, effect, status, code, executes
):
    name = f"{effect}-{executes}"
    await rules({"endpoint": ENDPOINT, "effect": effect, "executes": executes})
    found = await customer.call("POST", "/fapi/v1/order", **ORDER, newClientOrderId=name)
    assert (found.status, found.code) == (status, code)
    assert await open_ids(customer) == ([name] if executes else [])
    (row,) = await logged(customer, name)
    outcome = "accepted" if executes else "not_executed"
    assert (row["outcome"], row["told"]) == (outcome, effect)


@pytest.mark.parametrize("effect", ["http_502", "http_504", "html_body", "truncated_json"])
async def test_a_body_may_be_no_json(customer, rules, effect):
    await rules({"endpoint": ENDPOINT, "effect": effect})
    with pytest.raises((aiohttp.ContentTypeError, ValueError)):
        await customer.call("POST", "/fapi/v1/order", **ORDER, newClientOrderId="done")
    assert await open_ids(customer) == ["done"]


async def test_throttling_lets_protection_through(customer, rules):
    await rules({"endpoint": ENDPOINT, "effect": "http_503_throttled"})
    found = await customer.call("POST", "/fapi/v1/order", **ORDER)
    assert (found.status, found.code) == (503, -1008)
    spared = await customer.call("POST", "/fapi/v1/order", **ORDER, reduceOnly="true")
    assert spared.code == -2022, "judged by the exchange, not by the fault"


@pytest.mark.parametrize(("window_ms", "arrives"), [(60_000, True), (1_500, False)])
async def test_an_order_that_the_matching_engine_gets_late_is_judged_by_its_window(
    customer, rules, window_ms, arrives
):
    name = f"late-{window_ms}"
    await rules({"endpoint": ENDPOINT, "effect": "drop_late_arrival", "delay_ms": 2_500})
    with pytest.raises(aiohttp.ClientConnectionError):
        await customer.call(
            "POST", "/fapi/v1/order", **ORDER, newClientOrderId=name, recvWindow=window_ms
        )
    assert await open_ids(customer) == []
    async with asyncio.timeout(20):
        while not (rows := await logged(customer, name)):
            await asyncio.sleep(0.02)
    assert [(row["code"], row["told"]) for row in rows] == [
        (0 if arrives else -5028, "drop_late_arrival")
    ]
    assert await open_ids(customer) == ([name] if arrives else [])


async def test_a_young_order_is_not_found_for_a_while(customer, rules):
    await customer.sim("POST", "/sim/conditions", {"query_lag_ms": 60_000})
    await customer.call("POST", "/fapi/v1/order", **ORDER, newClientOrderId="young")
    asked = {"symbol": "BTCUSDT", "origClientOrderId": "young"}
    assert (await customer.call("GET", "/fapi/v1/order", **asked)).code == -2013
    assert await open_ids(customer) == ["young"]
    await customer.sim("POST", "/sim/conditions", {"query_lag_ms": 0})
    assert (await customer.call("GET", "/fapi/v1/order", **asked)).status == 200


async def test_the_venues_clock_can_be_wrong(customer, rules):
    before_ms = await customer.clock_offset_ms()
    await customer.sim("POST", "/sim/conditions", {"clock_offset_ms": 90_000})
    assert await customer.clock_offset_ms() - before_ms > 80_000
    assert (await customer.call("GET", "/fapi/v3/balance")).status == 200
    await customer.sim("POST", "/sim/conditions", {"clock_offset_ms": -90_000})
    assert (await customer.call("GET", "/fapi/v3/balance")).status == 200


async def test_a_ban_turns_everything_of_an_address_away(customer, rules):
    ban = await customer.sim("POST", "/sim/bans", {"for_ms": 60_000})
    found = await customer.call("GET", "/fapi/v1/ping", signed=False)
    assert (found.status, found.code) == (418, -1003)
    assert f"banned until {ban['banned_until_ms']}." in found.body["msg"]
    assert 0 < int(found.headers["Retry-After"]) <= 60
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await customer.session.ws_connect(customer.url + "/ws-fapi/v1")
    await customer.sim("DELETE", "/sim/bans")
    assert (await customer.call("GET", "/fapi/v1/ping", signed=False)).status == 200


async def test_user_events_are_lost_doubled_and_silenced_and_counted(customer, rules):
    listen_key = (await customer.call("POST", "/fapi/v1/listenKey")).body["listenKey"]
    url = f"{customer.url}/private/ws?listenKey={listen_key}&events=ORDER_TRADE_UPDATE"
    account_id = customer.account["account_id"]

    async def befall(action):
        await customer.sim("POST", "/sim/user-stream", {"account_id": account_id, "action": action})

    async with customer.session.ws_connect(url) as socket:
        await rules(
            {"event": "ORDER_TRADE_UPDATE", "effect": "drop", "nth": 1},
            {"event": "ORDER_TRADE_UPDATE", "effect": "duplicate", "nth": 2},
            kind="event-faults",
        )
        for name in ("lost", "twice"):
            await customer.call("POST", "/fapi/v1/order", **ORDER, newClientOrderId=name)
        said = [(await socket.receive_json())["o"]["c"] for _ in range(2)]
        assert said == ["twice", "twice"]
        await befall("stall")
        await customer.call("POST", "/fapi/v1/order", **ORDER, newClientOrderId="silent")
        await befall("resume")
        await customer.call("POST", "/fapi/v1/order", **ORDER, newClientOrderId="heard")
        assert (await socket.receive_json())["o"]["c"] == "heard"
        await befall("close")
        assert (await socket.receive()).type in (
            aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR,
        )  # fmt: skip
    stats = await customer.sim("GET", "/sim/stats")
    assert stats["event_faults_struck"] == {"drop": 1, "duplicate": 1, "stall": 1}


async def test_an_expired_listen_key_says_so_and_is_gone(customer):
    listen_key = (await customer.call("POST", "/fapi/v1/listenKey")).body["listenKey"]
    url = f"{customer.url}/private/ws?listenKey={listen_key}"
    async with customer.session.ws_connect(url) as socket:
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
        await socket.receive_json()
        body = {"account_id": customer.account["account_id"], "action": "expire"}
        await customer.sim("POST", "/sim/user-stream", body)
        assert (await socket.receive_json())["e"] == "listenKeyExpired"
    assert (await customer.call("PUT", "/fapi/v1/listenKey")).code == -1125


async def test_a_liquidation_and_the_owners_hand_reach_the_account(customer):
    script = {"account_id": customer.account["account_id"], "symbol": "ETHUSDT"}
    manual = await customer.sim(
        "POST", "/sim/surprises",
        script | {"kind": "manual_order", "side": "BUY", "quantity": "0.500"},
    )  # fmt: skip
    assert manual["client_order_id"].startswith("web_")
    (position,) = (await customer.call("GET", "/fapi/v3/positionRisk")).body
    assert position["positionAmt"] == "0.500"
    closed = await customer.sim("POST", "/sim/surprises", script | {"kind": "liquidation"})
    assert closed["client_order_id"].startswith("autoclose-")
    assert (await customer.call("GET", "/fapi/v3/positionRisk")).body == []
    again = await customer.sim("POST", "/sim/surprises", script | {"kind": "adl"})
    assert "-2022" in again["error"]
    assert (await customer.sim("GET", "/sim/ledger"))["total"] == "0"


async def test_what_a_script_leaves_without_margin_is_liquidated_at_once(customer):
    account_id = customer.account["account_id"]
    script = {"account_id": account_id, "symbol": "ETHUSDT"}
    order = {"kind": "manual_order", "side": "BUY", "quantity": "4.000"}
    await customer.sim("POST", "/sim/surprises", script | order)
    ruin = {"kind": "adl", "quantity": "3.999", "price": "1.00"}
    await customer.sim("POST", "/sim/surprises", script | ruin)
    accounts = (await customer.sim("GET", "/sim/accounts"))["accounts"]
    (account,) = [one for one in accounts if one["account_id"] == account_id]
    assert (account["positions"], account["wallet"]) == ([], "0")
