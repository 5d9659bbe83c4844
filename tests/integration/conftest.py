"""A patient hand on a broker, and the broker as it is deployed with what its walls let through."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.provisioning import provision
from tests.integration.patience import patient
from tests.integration.walled_broker import connected, settings_of, walled_broker


@pytest.fixture
async def bus(nats_server: Broker) -> AsyncIterator[Bus]:
    """A connection of the test's own, with every stream of account "paper" made."""
    settings = patient(nats_server.url)
    bus = await Bus.connect(settings, "test", lambda: None)
    await provision(bus, "paper", settings)
    yield bus
    await bus.close()


@pytest.fixture
async def walled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Broker]:
    """The deployed broker, with its streams made."""
    broker = walled_broker(tmp_path, monkeypatch)
    await broker.start()
    try:
        bus = await connected(broker, tmp_path, "provision")
        await provision(bus, "paper", settings_of(broker, tmp_path, "provision"))
        await bus.close()
        yield broker
    finally:
        await broker.stop()
