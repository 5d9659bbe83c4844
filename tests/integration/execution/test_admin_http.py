"""Operating execution over HTTP: who may, what is remembered, what is answered."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from libs.common.messages.audit_events import KillProven, OperatorActed
from libs.common.messages.journal import FillReceived, TradingStateChanged
from libs.common.model.order import Side

if TYPE_CHECKING:
    from tests.integration.execution.conftest import World

READER, OPERATOR, ADMIN = (f"{scope}-{'t' * 24}-token" for scope in ("read", "operate", "admin"))
WHY = {"reason": "a drill"}


async def is_state(world: "World", wanted: str) -> None:
    async def look() -> bool:
        return world.state is not None and world.state.trading_state == wanted

    await world.until(look, f"{wanted} to be told")


async def journaled(world: "World", kind: type) -> list[object]:
    return [
        event
        for record in await world.journal()
        for event in record.events
        if isinstance(event, kind)
    ]


async def test_only_who_may_is_obeyed_and_no_token_is_ever_told(world: "World") -> None:
    before = await journaled(world, TradingStateChanged)
    refused = [
        ("/v1/halt", "", 401, "unauthorized"),
        ("/v1/halt", "guessed-" * 4, 401, "unauthorized"),
        ("/v1/halt", READER, 403, "scope"),
        ("/v1/resume", OPERATOR, 403, "scope"),
        ("/v1/unlock", OPERATOR, 403, "scope"),
    ]
    for path, token, status, kind in refused:
        body = WHY if path != "/v1/unlock" else {**WHY, "guard": "safe_mode"}
        found, problem = await world.http("POST", path, body, token=token)
        assert (found, problem["type"]) == (status, f"urn:portcullis:problem:{kind}"), path
        assert problem["status"] == status
        assert problem["title"]
    found, _ = await world.http("GET", "/v1/guards", token="guessed-" * 4)
    assert found == 401
    for body in ({}, {"reason": ""}, {"reason": "x" * 501}, {**WHY, "symbol": "BTCUSDT"}):
        found, problem = await world.http("POST", "/v1/halt", body, token=OPERATOR)
        assert (found, problem["type"]) == (422, "urn:portcullis:problem:invalid-request"), body
    found, _ = await world.http("POST", "/v1/halt", {"reason": "x" * 70_000}, token=OPERATOR)
    assert found == 413
    found, _ = await world.http("POST", "/v1/unlock", {**WHY, "guard": "no"}, token=ADMIN)
    assert found == 422
    assert await journaled(world, TradingStateChanged) == before
    logs = world.logs()
    for token in (READER, OPERATOR, ADMIN, "guessed-" * 4):
        assert token not in logs


async def test_a_command_is_done_once_per_key_and_answered_alike_for_ever(
    world: "World",
) -> None:
    wish = {**WHY, "actor": "alice"}
    status, first = await world.http("POST", "/v1/halt", wish, token=OPERATOR, key="k-1")
    assert status == 200, first
    assert first["actor"] == "alice (operateer)"
    assert first["trading_state"] == "HALTED"
    await is_state(world, "HALTED")
    status, resumed = await world.http("POST", "/v1/resume", WHY, token=ADMIN, key="k-2")
    assert status == 200, resumed
    assert resumed["trading_state"] == "ACTIVE"
    # The same key again does not halt again, also not in another life.
    assert (await world.http("POST", "/v1/halt", wish, token=OPERATOR, key="k-1")) == (200, first)
    await world.kill("execution")
    await world.restart_execution()
    assert (await world.http("POST", "/v1/halt", wish, token=OPERATOR, key="k-1")) == (200, first)
    status, problem = await world.http(
        "POST", "/v1/halt", {"reason": "another"}, token=OPERATOR, key="k-1"
    )
    assert (status, problem["type"]) == (422, "urn:portcullis:problem:key-reused")
    keys = [event.key for event in await journaled(world, OperatorActed)]  # type: ignore[attr-defined]
    assert keys == ["k-1", "k-2"]
    status, guards = await world.http("GET", "/v1/guards")
    assert status == 200
    assert guards["guards"][0]["observed"].startswith("ACTIVE")


async def test_what_is_read_tells_the_whole_story_of_an_intent(world: "World") -> None:
    entered = await world.approve(Side.BUY)
    await world.wait_for(entered, FillReceived)
    intent_id = entered.body.intent.intent_id
    status, story = await world.http("GET", f"/v1/intents/{intent_id}")
    assert status == 200
    kinds = [event["event"] for event in story["events"]]
    assert kinds[0] == "OrderRecorded"
    assert {"OrderAnswered", "FillReceived"} <= set(kinds)
    numbers = [event["journal_number"] for event in story["events"]]
    assert numbers == sorted(numbers)
    recorded = story["events"][0]
    assert recorded["verdicts"][0]["check"] == "consistency"
    assert "mac" not in str(story)
    assert (await world.http("GET", "/v1/intents/never-heard-of"))[0] == 404
    status, positions = await world.http("GET", "/v1/positions")
    assert status == 200
    (held,) = positions["positions"]
    assert held["symbol"] == "BTCUSDT"
    assert held["mark_price"] is not None
    status, guards = await world.http("GET", "/v1/guards")
    (rate,) = [row for row in guards["guards"] if row["guard"] == "rate_symbol"]
    assert rate["active"] == (rate["remaining_s"] > 0)  # on a slow machine it is over by now
    assert rate["remaining_s"] <= 30
    status, budget = await world.http("GET", "/v1/budget")
    assert status == 200
    assert budget["windows"]
    for path in ("orders", "algo-orders", "intents"):
        assert (await world.http("GET", f"/v1/{path}"))[0] == 200
    # And the way out, over the same door.
    status, answer = await world.http("POST", "/v1/flatten", WHY, token=OPERATOR, key="out")
    assert status == 200, answer
    assert answer["kill"]["positions_closed"] == ["BTCUSDT"]
    assert answer["trading_state"] == "REDUCING"
    again = await world.http("POST", "/v1/flatten", WHY, token=OPERATOR, key="out")
    assert again == (200, answer)
    assert len(await journaled(world, KillProven)) == 1


async def test_a_kill_that_cannot_end_says_what_is_left(world: "World") -> None:
    entered = await world.approve(Side.BUY)
    await world.wait_for(entered, FillReceived)
    fault = [{"endpoint": "POST /fapi/v1/order", "effect": "http_503_unavailable"}]
    await world.sim("POST", "/sim/faults", fault)
    status, problem = await world.http("POST", "/v1/flatten", WHY, token=OPERATOR, key="stuck")
    assert (status, problem["type"]) == (504, "urn:portcullis:problem:kill-incomplete")
    assert "BTCUSDT" in problem["detail"]

    async def warns() -> bool:
        _, ready = await world.http("GET", "/readyz")
        told = ready["checks"]["operators"]
        return told["status"] == "warn" and "left behind" in told["output"]

    await world.until(warns, "readiness to warn of what is left behind")
    await world.sim("DELETE", "/sim/faults")
    status, answer = await world.http("POST", "/v1/flatten", WHY, token=OPERATOR)
    assert status == 200, answer


async def test_the_halt_file_halts_while_the_broker_is_away_and_is_journaled_when_it_is_back(
    world: "World",
) -> None:
    await world.broker.stop()
    (world.directory / "halt").write_text("smoke in the machine room")

    async def shut() -> bool:
        _, ready = await world.http("GET", "/readyz")
        return "halt file" in ready["checks"]["operators"]["output"]

    await world.until(shut, "the gate to shut")
    status, answer = await world.http("POST", "/v1/halt", WHY, token=OPERATOR)
    assert status == 202, answer
    status, _ = await world.http("POST", "/v1/resume", WHY, token=ADMIN)
    assert status == 503
    await world.broker.start()

    async def told() -> bool:
        if not world.bus.is_connected:
            return False
        reasons = [event.reason for event in await journaled(world, TradingStateChanged)]  # type: ignore[attr-defined]
        return "smoke in the machine room" in reasons or "a drill" in reasons

    await world.until(told, "the halt to be journaled")
    await is_state(world, "HALTED")
    status, problem = await world.http("POST", "/v1/resume", WHY, token=ADMIN)
    assert (status, problem["type"]) == (409, "urn:portcullis:problem:refused")
    (world.directory / "halt").unlink()
    async with asyncio.timeout(40):
        while (await world.http("POST", "/v1/resume", WHY, token=ADMIN))[0] != 200:
            await asyncio.sleep(0.1)
    await is_state(world, "ACTIVE")


@pytest.mark.parametrize("door", ["/v1/nothing", "/v1/halt"])
async def test_a_door_that_is_not_there_is_told_as_a_problem(world: "World", door: str) -> None:
    status, problem = await world.http("GET", door)
    assert status in (404, 405)
    assert problem["type"].startswith("urn:portcullis:problem:")
