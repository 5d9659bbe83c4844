"""Where the venue listens."""

from __future__ import annotations

import os

from aiohttp import web


async def take_address(site: web.TCPSite, host: str, port: int) -> None:
    """Listen; raises `OSError` with a sentence that says where, why not, and what to set."""
    try:
        await site.start()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        told = f"cannot listen on {host}:{port}: {why}; set --host or --port"
        raise OSError(told) from error
