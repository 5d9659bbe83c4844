"""The broker's volume is full: nothing leaves, it says why, and all goes on once there is room."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.common.messages.journal import FillReceived
from libs.common.model.order import Side
from tests.integration.execution.conftest import World
from tests.integration.execution.test_journal_trouble import (
    http_port,
    orders_at_the_venue,
    readiness,
)
from tests.integration.test_full_volumes import fill_up


@pytest.fixture
async def world(small_volume: Path, tmp_path: Path) -> AsyncIterator[World]:
    """A world whose broker has a volume of its own."""
    (tmp_path / "world" / "broker").mkdir(parents=True)
    (tmp_path / "world" / "broker" / "jetstream").symlink_to(small_volume)
    world = World(tmp_path / "world")
    try:
        await world.start()
        yield world
    finally:
        await world.stop()


async def test_on_a_full_volume_nothing_leaves_and_the_order_that_waited_goes_once_there_is_room(
    world: World, small_volume: Path
) -> None:
    port = await http_port(world)
    execution = world.children["execution"].process_id
    assert execution is not None
    before = await orders_at_the_venue(world)
    os.kill(execution, signal.SIGSTOP)
    waiting = await world.approve(Side.BUY, life_ms=600_000)
    filler = fill_up(small_volume)
    os.kill(execution, signal.SIGCONT)

    async def says_why() -> bool:
        status, body = await readiness(port)
        told = body["checks"]["journal"]["output"]
        return (
            status == 503
            and "nothing can be appended, so nothing is sent" in told
            and "make room and restart it" in told
        )

    await world.until(says_why, "readiness to fail with what to do about it")
    assert await orders_at_the_venue(world) == before

    # The server stores nothing more until it is started anew, whatever room there is.
    filler.unlink()
    await world.broker.stop()
    await world.broker.start()

    async def is_ready() -> bool:
        return (await readiness(port))[0] == 200

    await world.until(is_ready, "readiness to recover")
    await world.wait_for(waiting, FillReceived)
    assert len(await world.placements(waiting)) == 1
    assert "no space left on device" in (world.directory / "broker" / "nats-server.log").read_text()
    for name, child in world.children.items():
        assert child.process_id is not None, f"{name} ended: {child.last_words()}"
        log = child.log_path.read_text()
        assert "Traceback" not in log, name
        assert log.count("\n") < 400, f"{name} spins: {log[-2_000:]}"
