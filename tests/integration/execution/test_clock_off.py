"""Our clock is far off the venue's: nothing is entered, readiness says so, and it heals."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from libs.common.messages.account import Verb
from libs.common.messages.journal import FillReceived, IntentRefusedByGate
from libs.common.model.order import Side
from libs.common.runtime.clock import SystemClock
from tests.integration.execution import conftest
from tests.integration.execution.conftest import World
from tests.integration.execution.test_journal_trouble import (
    http_port,
    orders_at_the_venue,
    readiness,
)

OFF_MS = 5_000


class MachineTimeWorld(World):
    """The same processes as on a test network: time is the machine's, and measured."""

    def _write_config(self) -> None:
        super()._write_config()
        path = self.directory / "config.yaml"
        config = yaml.safe_load(path.read_text())
        config["mode"] = "testnet"
        config["execution"] |= {"clock_check_ms": 1_000}
        path.write_text(yaml.safe_dump(config))

    async def _is_trading(self) -> bool:
        """Outside of paper a person has to resume."""
        state = self.state
        if state is not None and state.armed and state.trading_state == "HALTED":
            await self.command(Verb.RESUME)
        return await super()._is_trading()


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(conftest, "SPEED", 1)
    world = MachineTimeWorld(tmp_path)
    world.clock = SystemClock()
    try:
        await world.start()
        yield world
    finally:
        await world.stop()


async def test_a_clock_that_jumps_unarms_says_so_and_arms_again_when_it_is_right(
    world: World,
) -> None:
    port = await http_port(world)
    await world.sim("POST", "/sim/conditions", {"clock_offset_ms": OFF_MS})

    async def told() -> str:
        return str((await readiness(port))[1]["checks"]["trading"]["output"])

    async def says_it_is_off() -> bool:
        return "clock: " in await told() and "ms off the venue's" in await told()

    await world.until(says_it_is_off, "readiness to tell of the clock")
    refused = await world.approve(Side.BUY)
    await world.wait_for(refused, IntentRefusedByGate)
    assert await orders_at_the_venue(world) == 0
    await world.sim("POST", "/sim/conditions", {"clock_offset_ms": 0})

    async def is_armed() -> bool:
        return "not armed" not in await told() and "clock" not in await told()

    await world.until(is_armed, "the gate to arm again")
    entered = await world.approve(Side.BUY)
    await world.wait_for(entered, FillReceived)
    assert await orders_at_the_venue(world) == 1
