"""The broker as it is deployed, for whoever tests what its walls let through."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.common.runtime.broker import Broker
from libs.common.runtime.provisioning import provision
from tests.integration.walled_broker import connected, settings_of, walled_broker


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
