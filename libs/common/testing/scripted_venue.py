"""A raw HTTP server that answers exactly what a test tells it to, broken answers included.

It speaks bytes, not a framework, so that a test can see what left and can reset, stall or cut an
answer the way real networks do.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple


class Heard(NamedTuple):
    """One request as it arrived; header names are lower-case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Heard, asyncio.StreamWriter], Awaitable[None]]


def answer(status: int, body: bytes, **headers: str) -> Answer:
    """Answer with these bytes; header names are spelled with underscores."""

    async def write(heard: Heard, writer: asyncio.StreamWriter) -> None:
        lines = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(f"HTTP/1.1 {status} x\r\n{head}\r\n".encode() + body)

    return write


async def reset(heard: Heard, writer: asyncio.StreamWriter) -> None:
    """Break the connection without a word."""
    writer.transport.abort()


async def stall(heard: Heard, writer: asyncio.StreamWriter) -> None:
    """Say nothing for longer than anyone waits."""
    await asyncio.sleep(30)


def truncate(status: int, body: bytes, missing: int, **headers: str) -> Answer:
    """Promise `missing` more bytes than are sent, then close."""

    async def write(heard: Heard, writer: asyncio.StreamWriter) -> None:
        promised = str(len(body) + missing)
        await answer(status, body, Content_Length=promised, **headers)(heard, writer)
        await writer.drain()
        writer.close()

    return write


class ScriptedVenue:
    """Keeps the bytes it heard; answers from `answers` in turn, then with `default`."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.answers: list[Answer] = []
        self.default = answer(200, b"{}")
        self.tasks: set[asyncio.Task[Any]] = set()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *rest = head.decode().rstrip().split("\r\n")
                headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in rest)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                method, target, _ = first.split(" ")
                self.heard.append(Heard(method, target, headers, body))
                reply = self.answers.pop(0) if self.answers else self.default
                await reply(self.heard[-1], writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def scripted_venue() -> AsyncIterator[ScriptedVenue]:
    """Run a venue on a free port; `url` says where."""
    venue = ScriptedVenue()
    server = await asyncio.start_server(venue.serve, "127.0.0.1", 0)
    venue.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield venue
    finally:
        server.close()
        for task in venue.tasks:
            task.cancel()
        await asyncio.gather(*venue.tasks, return_exceptions=True)
