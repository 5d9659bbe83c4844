"""The broker as it is deployed: its own configuration, the users and certificates of `keys`."""

import json
import re
from pathlib import Path

import pytest

from cli.broker_users import api_prefix
from cli.keys import make_keys
from libs.common.runtime import broker as broker_module
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.config import BusConfig
from tests.integration.patience import PATIENCE_MS

DEPLOYED = Path(__file__).parents[2] / "deploy" / "nats" / "nats-server.conf"
#: What an identity calls itself to the broker, where that is not its name.
CALLED = {"operator": "export"}


def walled_broker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Broker:
    """A broker of `deploy/nats/nats-server.conf`; only its places and ports are this test's."""
    make_keys(folder / "keys", "paper", is_paper=True)
    keys = (folder / "keys" / "broker").as_posix()

    def deployed(store: Path, host: str, port: int) -> str:
        text = DEPLOYED.read_text().replace("/etc/nats/keys", keys)
        text = re.sub(r"^listen: .*$", f'listen: "{host}:{port}"', text, flags=re.MULTILINE)
        text = re.sub(r"^http: .*$", "", text, flags=re.MULTILINE)
        text = text.replace('"/store"', json.dumps(str(store)))
        return f"{text}\nports_file_dir: {json.dumps(str(store.parent))}\n"

    (folder / "broker").mkdir()
    (folder / "broker" / "keys").symlink_to(keys)
    monkeypatch.setattr(broker_module, "broker_config", deployed)
    return Broker(folder / "broker")


def settings_of(broker: Broker, folder: Path, name: str) -> BusConfig:
    """How an identity reaches the broker."""
    own = folder / "keys" / name
    return BusConfig(
        url=broker.url,
        publish_timeout_ms=PATIENCE_MS,
        identity_file=own / "identity",
        tls_ca_file=own / "broker_ca.crt",
        api_prefix=api_prefix(name),
    )


async def connected(broker: Broker, folder: Path, name: str) -> Bus:
    """The connection of a service, as it makes it itself."""
    settings = settings_of(broker, folder, name)
    return await Bus.connect(settings, CALLED.get(name, name), lambda: None)
