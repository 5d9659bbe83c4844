"""Parts that many tests share: a real broker, and recorded market data where a machine has it."""

import json
import os
import signal
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 10
STOP_TIMEOUT_S = 5


@dataclass(frozen=True)
class NatsServer:
    """A running nats-server with JetStream; ``pid`` is there for tests that kill it."""

    url: str
    pid: int


def ports_of(folder: Path, process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait for the file in which the broker names the port it was given; return its URL."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        for path in folder.glob("*.ports"):
            text = path.read_text()
            if text.endswith("}"):
                return str(json.loads(text)["nats"][0])
        time.sleep(0.01)
    raise RuntimeError(f"nats-server did not start: {log.read_text()}")


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """Start the nats-server of the wheel on a free port, stop exactly that process at the end.

    Streams outlive a test: use names or subjects of your own, or delete what you made.
    """
    folder = tmp_path_factory.mktemp("nats")
    config = folder / "nats.conf"
    config.write_text(
        f'listen: "127.0.0.1:-1"\nports_file_dir: "{folder}"\n'
        f'jetstream {{ store_dir: "{folder / "store"}", sync_interval: always }}\n'
        "feature_flags { js_ack_fc_v2: false }\n"
    )
    binary = Path(sysconfig.get_path("scripts")) / "nats-server"
    log = folder / "nats.log"
    with log.open("wb") as sink:
        process = subprocess.Popen([binary, "-c", config], stdout=sink, stderr=sink)
    try:
        yield NatsServer(ports_of(folder, process, log), process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of recorded market data; skip where there is none, and always in CI.

    Tests that use it go further than the repository's own small samples can; none may be the only
    proof of a promise.
    """
    folder = ROOT.parent / "shared" / "data"
    if os.environ.get("CI") or not folder.is_dir():
        pytest.skip("no recorded market data beside this repository")
    return folder
