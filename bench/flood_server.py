"""A venue that sends the same frames to whoever listens, as fast as the sockets take them.

It answers SUBSCRIBE and streams named in the URL alike, and says nothing until told to begin:
``POST /flood/prepare`` makes the frames, ``POST /flood/begin`` sends them on every open socket.
"""

import asyncio
import json
import sys
from typing import Any

import msgspec
import uvloop
from aiohttp import WSMsgType, web

from bench.flood_frames import ROUND_MS, make_flood, symbol_names
from libs.common.runtime.clock import NS_PER_MS, wall_ns

CHUNK_BYTES = 262_144
BUFFER_BYTES_MAX = 1_048_576
LOOK_INTERVAL_S = 0.0005
URL_BYTES_MAX = 65_536


class FloodServer:
    """The sockets that listen, and what they will hear."""

    def __init__(self) -> None:
        self._transports: list[tuple[str, asyncio.WriteTransport]] = []
        self._blobs: dict[str, bytes] = {}
        self._floods: set[asyncio.Task[None]] = set()

    async def prepare(self, request: web.Request) -> web.Response:
        """Make the frames of so many symbols and rounds, up to a time or the present."""
        wish = await request.json()
        symbols = symbol_names(wish["symbols"])
        end_ms = wish.get("end_ms", wall_ns() // NS_PER_MS)
        round_ms = wish.get("round_ms", ROUND_MS)
        flood = make_flood(symbols, wish["rounds"], end_ms, round_ms=round_ms)
        self._blobs = flood.blobs
        return web.json_response(
            {
                "frames": flood.frames,
                "last_update_id": flood.last_update_id,
                "last_mark_ms": flood.last_mark_ms,
            }
        )

    async def begin(self, _: web.Request) -> web.Response:
        """Send everything to every socket; the answer does not wait for that."""
        for route, transport in self._transports:
            task = asyncio.create_task(_flood(transport, self._blobs[route]))
            self._floods.add(task)
            task.add_done_callback(self._floods.discard)
        return web.json_response({"sockets": len(self._transports)})

    async def listen(self, request: web.Request) -> web.StreamResponse:
        """One socket of the route that its path begins with."""
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.json_response({"code": -1, "msg": "this venue only tells"}, status=503)
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        transport = request.transport
        assert transport is not None, "the handshake was answered on it"
        listener = (request.path.split("/")[1], transport)
        self._transports.append(listener)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await socket.send_str(_answer(message.data))
        finally:
            self._transports.remove(listener)
        return socket


def _answer(text: str) -> str:
    request: dict[str, Any] = msgspec.json.decode(text)
    return json.dumps({"result": None, "id": request["id"]})


async def _flood(transport: asyncio.WriteTransport, blob: bytes) -> None:
    view = memoryview(blob)
    for start in range(0, len(view), CHUNK_BYTES):
        transport.write(view[start : start + CHUNK_BYTES])
        while transport.get_write_buffer_size() > BUFFER_BYTES_MAX:
            await asyncio.sleep(LOOK_INTERVAL_S)
        await asyncio.sleep(0)


async def _serve() -> None:
    server = FloodServer()
    app = web.Application()
    app.router.add_post("/flood/prepare", server.prepare)
    app.router.add_post("/flood/begin", server.begin)
    app.router.add_get("/{path:.*}", server.listen)
    runner = web.AppRunner(app, access_log=None, max_line_size=URL_BYTES_MAX)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(json.dumps({"event": "listening", "port": runner.addresses[0][1]}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve())
