"""Eight guards kept as Redis keys, one command each: what the journal replaces.

The commands are those of such systems: remember the intent (SET NX EX), safe mode (GET), lock the
symbol (SET NX PX), count the rate (INCR), cooldown (EXISTS), margin, position and kill switch (GET
each). They are sent one after the other, each waiting for its answer: by redis-py, the client such
systems use, where it is installed, and over asyncio's streams with the least that any client can
do, as the floor of the commands themselves.
"""

import asyncio
import importlib
import importlib.util
import shutil
import socket
from pathlib import Path
from typing import Any, Protocol

START_WAIT_S = 10
HOW_TO_INSTALL = "no redis-server on the search path; install it with: apt-get install redis-server"


class RedisMissingError(Exception):
    """There is no redis-server on this machine."""


class RedisProcess:
    """A redis-server of our own, with `appendfsync always` or without an append-only file."""

    def __init__(self, directory: Path, *, is_durable: bool) -> None:
        self._directory = directory
        self._is_durable = is_durable
        self._process: asyncio.subprocess.Process | None = None
        self.port = 0

    async def start(self) -> None:
        """Start it on a free port. Raises RedisMissingError."""
        binary = shutil.which("redis-server")
        if binary is None:
            raise RedisMissingError(HOW_TO_INSTALL)
        self._directory.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        durability = ("yes", "always") if self._is_durable else ("no", "no")
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": durability[0],
            "appendfsync": durability[1],
            "dir": str(self._directory),
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._process = await asyncio.create_subprocess_exec(
            binary, *words, stdout=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(START_WAIT_S):
            while not await _answers(self.port):
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            await self._process.wait()


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


class BareRedis:
    """The least of a client: one command, one answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, *words: str) -> bytes:
        """Send one command and read its answer."""
        parts = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        self._writer.write(f"*{len(words)}\r\n{parts}".encode())
        line = await self._reader.readline()
        if line[:1] != b"$" or line[1:2] == b"-":
            return line
        return line + await self._reader.readexactly(int(line[1:]) + 2)

    async def close(self) -> None:
        """Disconnect."""
        self._writer.close()


class Asker(Protocol):
    """A client of Redis."""

    async def ask(self, *words: str) -> object:
        """Send one command and return its answer in the client's own terms."""

    async def close(self) -> None:
        """Disconnect."""


class RedisPy:
    """redis-py's asyncio client; only where it is installed."""

    def __init__(self, port: int) -> None:
        library: Any = importlib.import_module("redis.asyncio")
        self._client = library.Redis(host="127.0.0.1", port=port)

    async def ask(self, *words: str) -> object:
        """One command."""
        return await self._client.execute_command(*words)

    async def close(self) -> None:
        """Disconnect."""
        await self._client.aclose()


def has_redis_py() -> bool:
    """Whether the library is installed."""
    return importlib.util.find_spec("redis") is not None


class RedisGuards:
    """One connection, on which one decision is eight commands; `prefix` keeps keys apart."""

    def __init__(self, redis: Asker, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix

    async def open(self) -> None:
        """Set what is read."""
        values = {"safe_mode": "0", "margin": "10000", "kill": "0", "position:BTCUSDT": "0.000"}
        for name, value in values.items():
            await self._redis.ask("SET", self._prefix + name, value)

    async def decide(self, number: int) -> None:
        """The eight guards of one intent. Raises RuntimeError when one refuses: nothing may."""
        ask, prefix = self._redis.ask, self._prefix
        fresh = await ask("SET", f"{prefix}intent:{number}", "1", "NX", "EX", "3600")
        await ask("GET", f"{prefix}safe_mode")
        locked = await ask("SET", f"{prefix}lock:{number}", "me", "NX", "PX", "30000")
        rate = await ask("INCR", f"{prefix}rate:{number}")
        cooldown = await ask("EXISTS", f"{prefix}cooldown:BTCUSDT")
        await ask("GET", f"{prefix}margin")
        await ask("GET", f"{prefix}position:BTCUSDT")
        await ask("GET", f"{prefix}kill")
        if (fresh, locked, rate, cooldown) not in _PASSED:
            raise RuntimeError(f"Redis answered otherwise: {(fresh, locked, rate, cooldown)}")

    async def close(self) -> None:
        """Disconnect."""
        await self._redis.close()


_PASSED = ((b"+OK\r\n", b"+OK\r\n", b":1\r\n", b":0\r\n"), (True, True, 1, 0))
"""The answers as bytes of the protocol, and in redis-py's terms."""
