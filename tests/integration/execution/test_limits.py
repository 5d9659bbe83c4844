"""Limits of risk set while it runs, over HTTP and the CLI: real services, broker and venue."""

import asyncio
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml

from cli.supervisor import Child, child_environment
from libs.common.messages.journal import IntentRefusedByGate, OrderAnswered
from libs.common.messages.limit_events import RiskLimitsSet
from libs.common.model.risk_limits import RiskLimits
from libs.common.model.verdict import Reason

if TYPE_CHECKING:
    from tests.integration.execution.conftest import World

READER, OPERATOR, ADMIN = (f"{scope}-{'t' * 24}-token" for scope in ("read", "operate", "admin"))
PROBLEM = "urn:portcullis:problem:"


class Risks:
    """Replicas of risk beside the services of a world."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.config = world.directory / "config.yaml"

    def configure(self, **limits: object) -> None:
        """What risk reads at its next start."""
        tree = yaml.safe_load(self.config.read_text())
        tree["risk"] = {"http_port": 0, "limits": {"symbols_allowed": ["BTCUSDT"], **limits}}
        self.config.write_text(yaml.safe_dump(tree))

    async def start(self, alias: str) -> None:
        await self.world.start_service("risk", alias)

        async def is_heard() -> bool:
            return (await self.ask(alias, "GET"))[0] == 200

        await self.world.until(is_heard, f"{alias} to hear the account")

    async def url(self, alias: str) -> str:
        listening = await self.world.children[alias].wait_for_event("http listening")
        assert listening is not None
        return f"http://127.0.0.1:{listening['port']}"

    async def ask(
        self, alias: str, method: str, body: object = None, token: str = READER, key: str = ""
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} | ({"Idempotency-Key": key} if key else {})
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                method, f"{await self.url(alias)}/v1/limits", json=body, headers=headers
            ) as answer,
        ):
            return answer.status, json.loads(await answer.read())

    async def set(self, alias: str, token: str = OPERATOR, key: str = "", **limits: object) -> Any:
        body = {"reason": "a drill", "actor": "alice", **limits}
        return await self.ask(alias, "POST", body, token, key)

    async def in_force(self, alias: str) -> dict[str, Any]:
        _, body = await self.ask(alias, "GET")
        return {row["name"]: row["in_force"] for row in body["limits"]}

    async def journaled(self) -> list[RiskLimitsSet]:
        return [
            event
            for record in await self.world.journal()
            for event in record.events
            if isinstance(event, RiskLimitsSet)
        ]


@pytest.fixture
async def risks(world: "World") -> Risks:
    made = Risks(world)
    made.configure(order_notional_max=2_000, positions_max=4)
    await made.start("risk")
    return made


async def run_cli(directory: Path, *words: str) -> tuple[int, str]:
    child = Child("cli", (sys.executable, "-m", "cli", *words), directory / "cli.out")
    await child.start(child_environment({}))
    code = await child.wait()
    return code, (directory / "cli.out").read_text()


async def test_limits_are_set_within_the_configuration_and_hold_everywhere_and_for_ever(
    world: "World", risks: Risks
) -> None:
    await risks.start("risk-2")
    before = await world.approve()  # approved before anything was changed, and done
    await world.wait_for(before, OrderAnswered)
    status, answer = await risks.set("risk", key="k1", order_notional_max="900")
    assert status == 200, answer
    assert (answer["change"], answer["actor"]) == (1, "alice (operateer)")
    assert (await risks.in_force("risk"))["order_notional_max"] == "900"

    async def both_agree() -> bool:
        return await risks.in_force("risk") == await risks.in_force("risk-2")

    await world.until(both_agree, "the other replica to hear of it")
    (event,) = await risks.journaled()
    assert (event.before, event.after) == (
        RiskLimits(),
        RiskLimits(order_notional_max=Decimal(900)),
    )
    assert event.file.order_notional_max == Decimal(2_000)
    assert (event.reason, len(event.risk_config_hash)) == ("a drill", 12)
    # An approval that was given under the old limits is worth nothing from the record on.
    stale = await world.approve()
    refused = await world.wait_for(stale, IntentRefusedByGate)
    assert isinstance(refused, IntentRefusedByGate)
    assert refused.reason is Reason.LIMITS_CHANGED
    assert await world.placements(stale) == []

    await no_refusal_changes_anything(risks)
    assert (await risks.set("risk", ADMIN, order_notional_max="1500", positions_max=2))[0] == 200
    _, running = await world.http("GET", "/v1/config", token=READER)
    assert {record.config_hash for record in await world.journal()} == {running["config_hash"]}
    code, shown = await by_command_line(risks)
    assert code == 0
    assert "1500" in shown

    # A new life of each keeps to the tighter of the journal and the file.
    await world.kill("execution")
    await world.kill("risk")
    await world.restart_execution()
    risks.configure(order_notional_max=1_000, positions_max=4)
    await risks.start("risk")
    force = await risks.in_force("risk")
    assert (force["order_notional_max"], force["positions_max"]) == ("1000", 1)
    status, _ = await risks.set("risk", ADMIN, order_notional_max=None, positions_max=None)
    assert status == 200
    assert (await risks.in_force("risk"))["positions_max"] == 4


async def test_two_who_change_limits_at_once_are_both_answered_and_may_ask_again(
    risks: Risks,
) -> None:
    await risks.start("risk-2")
    for _ in range(2):  # the second time it is done already
        answers = await asyncio.gather(
            risks.set("risk", key="a", order_notional_max="900"),
            risks.set("risk-2", key="b", positions_max=2),
        )
        assert [status for status, _ in answers] == [200, 200], answers
    assert sorted(event.key for event in await risks.journaled()) == ["a", "b"]


async def no_refusal_changes_anything(risks: Risks) -> None:
    made = await risks.journaled()
    for token, limits, status, kind in (
        (READER, {"positions_max": 1}, 403, "scope"),
        (OPERATOR, {"order_notional_max": "1000"}, 403, "scope"),
        (OPERATOR, {"order_notional_max": None}, 403, "scope"),
        (ADMIN, {"order_notional_max": "2000.01"}, 422, "beyond-configuration"),
        (ADMIN, {"symbols_allowed": ["BTCUSDT", "ETHUSDT"]}, 422, "beyond-configuration"),
        (ADMIN, {"order_notional_max": "0"}, 422, "invalid-request"),
        (ADMIN, {"order_notional_max": "NaN"}, 422, "invalid-request"),
        (ADMIN, {"order_notional_max": 1_000}, 422, "invalid-request"),
        (ADMIN, {"leverage": 3}, 422, "invalid-request"),
        (ADMIN, {}, 422, "invalid-request"),
    ):
        found, problem = await risks.set("risk", token, **limits)
        assert (found, problem["type"]) == (status, PROBLEM + kind), (limits, problem)
    status, again = await risks.set("risk", key="k1", order_notional_max="900")
    assert (status, again["change"]) == (200, 1)
    assert await risks.journaled() == made


async def by_command_line(risks: Risks) -> tuple[int, str]:
    directory = risks.world.directory
    token = directory / "operator_token"
    token.write_text(OPERATOR)
    where = ("--url", await risks.url("risk-2"), "--token-file", str(token))
    code, said = await run_cli(
        directory, "limits", "set", "positions_max=3", "--reason", "more", *where
    )
    assert code == 6, said  # three is looser than two, and the token may only tighten
    assert "needs a token of scope admin" in said
    code, said = await run_cli(
        directory, "limits", "set", "positions_max=1", "--reason", "less", *where
    )
    assert code == 0, said
    return await run_cli(directory, "limits", "show", *where)
