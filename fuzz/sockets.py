"""Bytes on the sockets of a running venue: noise, half of HTTP, half of WebSocket, sudden ends.

The venue must stay up, go on answering, tell of no fault of its own, and not grow.
"""

import asyncio
import os
import struct
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final
from urllib.request import urlopen

import msgspec

from fuzz.process import RunningVenue, running_venue
from fuzz.values import NAMES, ODD_WORDS
from fuzz.venue import RuleBrokenError
from services.paper_exchange.core import ENDPOINTS
from services.paper_exchange.doors.socket_requests import METHODS
from services.paper_exchange.market.reports import MARKET_ENDPOINTS, MARKET_METHODS

WORKERS: Final = 8
GROWTH_KIB_MAX: Final = 65_536
"""How much memory the venue may gain after the first quarter of the time."""
_READ_SECONDS: Final = 0.05
_WS_PATHS: Final = (
    b"/ws-fapi/v1", b"/public/ws", b"/market/stream?streams=btcusdt@aggTrade", b"/private/ws/x",
    b"/ws/btcusdt@depth", b"/public/stream?streams=" + b"btcusdt@depth/" * 200,
)  # fmt: skip
_OPENING: Final = (
    b"GET %b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_CONTROLS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "nothing")


def throw_bytes(seed: int, seconds: int) -> None:
    """Throw bytes for so long, and judge the venue; raises `RuleBrokenError`."""
    with running_venue(seed) as venue:
        thrower = _Thrower(venue, seed)
        asyncio.run(thrower.run(seconds))
        with urlopen(f"{venue.url}/fapi/v1/time", timeout=5) as answer:
            if answer.status != 200:
                raise RuleBrokenError(f"after it all the venue answers {answer.status}")
        venue.check_log()
        thrown = ", ".join(f"{kind} x {count}" for kind, count in thrower.thrown.items())
        sys.stdout.write(
            f"{seconds} s: {thrown}; memory {thrower.base_kib // 1_024} MiB, "
            f"then {venue.resident_kib() // 1_024} MiB; it still answers\n"
        )


class _Thrower:
    """Workers that each open a socket, throw something and go on."""

    def __init__(self, venue: RunningVenue, seed: int) -> None:
        self._venue = venue
        self._seed = seed
        self.thrown: Counter[str] = Counter()
        self.base_kib = 0

    async def run(self, seconds: int) -> None:
        """Throw for so long, looking at the venue's memory all the while."""
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for number in range(WORKERS):
                dice = Random(self._seed * WORKERS + number)
                group.create_task(self._throw(dice, end))
            group.create_task(self._watch(seconds, end))

    async def _watch(self, seconds: int, end: float) -> None:
        await asyncio.sleep(seconds / 4)
        self.base_kib = self._venue.resident_kib()
        while time.monotonic() < end:
            grown = self._venue.resident_kib() - self.base_kib
            if grown > GROWTH_KIB_MAX:
                raise RuleBrokenError(f"the venue grew by {grown} KiB")
            await asyncio.sleep(0.25)

    async def _throw(self, dice: Random, end: float) -> None:
        kinds: dict[str, Callable[[Random], Awaitable[None]]] = {
            "noise": self._noise,
            "HTTP": self._http,
            "WebSocket": self._websocket,
        }
        while time.monotonic() < end:
            kind = dice.choice(list(kinds))
            self.thrown[kind] += 1
            try:
                await kinds[kind](dice)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass  # the venue may hang up on us
            if self._venue.process.poll() is not None:
                raise RuleBrokenError(f"the venue ended with {self._venue.process.returncode}")

    async def _noise(self, dice: Random) -> None:
        await self._send([dice.randbytes(dice.choice((1, 50, 5_000, 200_000)))])

    async def _http(self, dice: Random) -> None:
        method, path = dice.choice([*ENDPOINTS, *MARKET_ENDPOINTS])
        pairs = "&".join(
            f"{dice.choice(NAMES)}={dice.choice(ODD_WORDS)}" for _ in range(dice.randrange(8))
        )
        raw = pairs.encode("utf-8", "surrogatepass")
        body = dice.randbytes(dice.choice((0, 10, 1_000, 100_000)))
        length = dice.choice((len(body), len(body), 0, 10**9, -1))
        head = f"{method} {path}?".encode() + raw.replace(b"\n", b"")
        headers = f"\r\nHost: x\r\nX-MBX-APIKEY: {dice.choice(ODD_WORDS)[:90]}\r\n".encode(
            "utf-8", "surrogatepass"
        )
        request = b"%b HTTP/1.1%bContent-Length: %d\r\n\r\n%b" % (head, headers, length, body)
        if dice.random() < 0.3:
            at = dice.randrange(len(request))
            request = request[:at] + dice.randbytes(3) + request[at + 3 :]
        if dice.random() < 0.2:
            request = request[: dice.randrange(len(request))]
        await self._send([request])

    async def _websocket(self, dice: Random) -> None:
        frames = [_frame(dice, _payload(dice)) for _ in range(dice.randint(1, 12))]
        if dice.random() < 0.3:
            frames.append(dice.randbytes(dice.randint(1, 200)))
        await self._send([_OPENING % dice.choice(_WS_PATHS), *frames])

    async def _send(self, parts: list[bytes]) -> None:
        """Send, read a little of what comes back, and leave: politely or not."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._venue.port)
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
                try:
                    async with asyncio.timeout(_READ_SECONDS):
                        await reader.read(65_536)
                except TimeoutError:
                    pass
        finally:
            writer.transport.abort()


def _payload(dice: Random) -> bytes:
    """A control message or a request, whole or not."""
    methods = [*METHODS, *MARKET_METHODS, "session.logon", "session.status", *_CONTROLS]
    words = [word.replace("\ud7ff", "") for word in ODD_WORDS]
    params: object = {dice.choice(NAMES): dice.choice(words) for _ in range(dice.randrange(6))}
    if dice.random() < 0.5:
        params = [dice.choice([*words, "btcusdt@depth"]) for _ in range(dice.randrange(4))]
    raw = msgspec.json.encode({"id": 1, "method": dice.choice(methods), "params": params})
    kind = dice.random()
    if kind < 0.2:
        return raw[: dice.randrange(len(raw))]
    if kind < 0.3:
        return b"[" * 5_000 + raw
    if kind < 0.4:
        return dice.randbytes(dice.choice((1, 100, 70_000)))
    return raw


def _frame(dice: Random, payload: bytes) -> bytes:
    """A frame as a client sends it; its bits and its length are wrong now and then."""
    opcode = dice.choice((1, 1, 1, 1, 1, 2, 0, 8, 9, 10, 3, 15))
    if opcode >= 8:
        payload = payload[:125]
    first = dice.choice((0x80, 0x80, 0x80, 0x80, 0x00, 0xC0, 0xF0)) | opcode
    mask = os.urandom(4) if dice.random() < 0.95 else b""
    length = len(payload) if dice.random() < 0.9 else dice.choice((0, 2**16, 2**62))
    masked = 0x80 if mask else 0
    if length < 126:
        head = struct.pack("!BB", first, masked | length)
    elif length < 2**16:
        head = struct.pack("!BBH", first, masked | 126, length)
    else:
        head = struct.pack("!BBQ", first, masked | 127, length)
    if mask:
        times = len(payload) // 4 + 1
        payload = bytes(a ^ b for a, b in zip(payload, mask * times, strict=False))
    return head + mask + payload
