"""What only a simulation has: its clock, its ledger, its record, its faults, and a clean end."""

import asyncio
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from services.paper_exchange.__main__ import main

ROOT = Path(__file__).resolve().parents[3]
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
ORDER_PATH = "/fapi/v1/order"


async def place(customer, **change):
    return await customer.call("POST", ORDER_PATH, **(ORDER | change))


async def test_the_ledger_sums_to_zero_and_knows_what_the_venue_earned(customer):
    await place(customer)
    found = await customer.sim("GET", "/sim/ledger")
    assert found["simulation"] is True
    assert found["total"] == "0"
    amounts = {name: Decimal(amount) for name, amount in found["accounts"].items()}
    assert sum(amounts.values()) == 0
    assert amounts["fees"] > 0
    wallet = amounts[f"wallet:{customer.account['account_id']}"]
    (balance,) = (await customer.call("GET", "/fapi/v2/balance")).body
    assert Decimal(balance["balance"]) == wallet


async def test_the_record_tells_every_order_request_and_what_became_of_it(customer):
    before = (await customer.sim("GET", "/sim/log"))["received"]
    await place(customer, newClientOrderId="first")
    await place(customer, newClientOrderId="second", quantity="0.0000001")
    await customer.call("DELETE", ORDER_PATH, symbol="BTCUSDT", origClientOrderId="first")
    rows = (await customer.sim("GET", f"/sim/log?after={before}"))["requests"]
    assert [
        (row["method"], row["client_order_id"], row["outcome"], row["code"]) for row in rows
    ] == [
        ("POST", "first", "accepted", 0),
        ("POST", "second", "refused", -1111),
        ("DELETE", "first", "refused", -2011),
    ]
    assert [row["sequence"] for row in rows] == [before + 1, before + 2, before + 3]


@pytest.mark.parametrize(
    ("effect", "executed"),
    [("drop_after_execution", True), ("drop_before_execution", False)],
)
async def test_a_dropped_order_leaves_its_sender_without_an_answer(customer, effect, executed):
    rule = {"endpoint": "POST /fapi/v1/order", "nth": 1, "effect": effect}
    await customer.sim("POST", "/sim/faults", [rule])
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await place(customer, newClientOrderId="lost")
    found = await customer.call("GET", ORDER_PATH, symbol="BTCUSDT", origClientOrderId="lost")
    assert (found.status == 200) is executed
    if not executed:
        assert found.code == -2013
    assert (await place(customer)).status == 200
    (described,) = (await customer.sim("GET", "/sim/faults"))["faults"]
    assert (described["seen"], described["struck"]) == (2, 1)
    assert (await customer.sim("DELETE", "/sim/faults"))["faults"] == []


async def test_an_unknown_503_may_have_executed(customer):
    await customer.sim(
        "POST", "/sim/faults", [{"endpoint": "POST /fapi/v1/order", "effect": "http_503_unknown"}]
    )
    found = await place(customer, newClientOrderId="maybe")
    assert found.status == 503
    assert "Unknown error, please check your request or try again later." in found.body["msg"]
    await customer.sim("DELETE", "/sim/faults")
    order = await customer.call("GET", ORDER_PATH, symbol="BTCUSDT", origClientOrderId="maybe")
    assert order.body["status"] == "FILLED"


async def test_a_delayed_answer_comes_late_but_the_order_was_taken_at_once(customer):
    rule = {"endpoint": "POST /fapi/v1/order", "nth": 1, "effect": {"delay_ms": 4_000}}
    await customer.sim("POST", "/sim/faults", [rule])
    waiting = asyncio.create_task(place(customer, newClientOrderId="late"))
    deadline = asyncio.get_running_loop().time() + 3.5
    status = 0
    while status != 200 and asyncio.get_running_loop().time() < deadline:
        found = await customer.call("GET", ORDER_PATH, symbol="BTCUSDT", origClientOrderId="late")
        status = found.status
    assert status == 200
    assert not waiting.done()
    assert (await waiting).status == 200
    await customer.sim("DELETE", "/sim/faults")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/sim/faults", [{"endpoint": "order", "effect": "delay", "delay_ms": 5}]),
        ("/sim/faults", [{"endpoint": "POST /x", "effect": "melt"}]),
        ("/sim/faults", [{"endpoint": "POST /x", "effect": "delay"}]),
        ("/sim/faults", {"endpoint": "POST /x"}),
        ("/sim/accounts", {"balance": "-1"}),
        ("/sim/accounts", {"balance": "NaN"}),
        ("/sim/accounts", {"key_type": "RSA"}),
        ("/sim/accounts", {"permissions": ["WITHDRAW"]}),
        ("/sim/accounts", {"color": "red"}),
        ("/sim/clock", {"speed": "0"}),
        ("/sim/clock", {"speed": "fast"}),
        ("/sim/clock", {"limit_ns": "soon"}),
    ],
)
async def test_what_the_simulation_cannot_do_is_refused_with_a_reason(customer, path, body):
    found = await customer.sim("POST", path, body)
    assert found["simulation"] is True
    assert found["error"]


async def test_probes_metrics_and_status_are_served(customer):
    for path in ("/livez", "/readyz", "/startupz", "/healthz", "/v1/status"):
        async with customer.session.get(customer.url + path) as response:
            assert response.status == 200, path
            assert (await response.json())["service"] == "paper_exchange"
    async with customer.session.get(customer.url + "/metrics") as response:
        assert "venue_accounts" in await response.text()


async def test_an_unknown_path_is_not_found(customer):
    async with customer.session.get(customer.url + "/fapi/v9/order") as response:
        assert response.status == 404


async def test_a_held_venue_moves_only_by_grants_and_ends_cleanly(launcher):
    venue = launcher.start("--hold", "--speed", "1000")
    async with aiohttp.ClientSession() as session:
        url = f"{venue.url}/sim/clock"
        start = await (await session.get(url)).json()
        assert start["limit_ns"] == start["now_ns"]
        assert (await (await session.get(url)).json())["now_ns"] == start["now_ns"]
        limit_ns = start["now_ns"] + 60_000_000_000
        await session.post(url, json={"limit_ns": limit_ns})
        deadline = asyncio.get_running_loop().time() + 60
        now_ns = 0
        while now_ns < limit_ns and asyncio.get_running_loop().time() < deadline:
            now_ns = (await (await session.get(url)).json())["now_ns"]
        assert now_ns == limit_ns
    assert await asyncio.to_thread(launcher.stop) == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--source", "tape"], "--source tape needs at least one --path FILE"),
        (["--source", "tape", "--path", "/does/not/exist.gz"], "/does/not/exist.gz"),
        (["--path", "x.gz"], "the generator reads no file"),
        (["--symbols", "NOPEUSDT"], "'NOPEUSDT' is not listed"),
        (["--speed", "0"], "--speed"),
        (["--port", "70000"], "--port"),
        (["--nonsense"], "unrecognized arguments"),
    ],
)
def test_options_that_cannot_work_end_with_one_line_and_code_2(options, text, capsys):
    try:
        code = main(options)
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    said = capsys.readouterr().err
    assert text in said.splitlines()[-1]
    assert "Traceback" not in said


def test_a_process_with_a_tape_that_is_none_ends_with_code_2(tmp_path):
    path = tmp_path / "btcusdt_bad.gz"
    path.write_bytes(b"this is not gzip")
    ended = subprocess.run(
        [sys.executable, "-m", "services.paper_exchange", "--source", "tape", "--path", path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 2
    assert str(path) in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


async def test_the_same_seed_gives_the_same_keys(launcher):
    found = []
    for _ in range(2):
        venue = launcher.start("--seed", "11")
        async with aiohttp.ClientSession() as session:
            account = await (await session.post(f"{venue.url}/sim/accounts")).json()
        found.append((account["api_key"], account["secret"]))
    assert found[0] == found[1]
