"""A bare aiohttp server that reads a body and says always the same: the floor of the venue's doors.

The venue stands on aiohttp too, so what it needs beyond this is its own work.
"""

import asyncio
from multiprocessing.connection import Connection

import uvloop
from aiohttp import web

from bench.fixed_venue import ACK


def serve(pipe: Connection) -> None:
    """Serve until the pipe says anything; the port goes into it first."""
    uvloop.run(_serve(pipe))


async def _serve(pipe: Connection) -> None:
    app = web.Application()
    app.add_routes([web.post("/fapi/v1/order", _answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pipe.send(runner.addresses[0][1])
    await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
    await runner.cleanup()


async def _answer(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=ACK, content_type="application/json")
