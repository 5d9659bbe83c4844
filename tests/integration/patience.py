"""The test's own hand on the bus: on a busy machine it may have to wait, and that is no failure."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from libs.common.runtime.config import BusConfig
from libs.common.runtime.errors import BusUnavailable

PATIENCE_MS = 20_000


def patient(url: str) -> BusConfig:
    """Settings for a bus by which a test watches services that have settings of their own."""
    return BusConfig(
        url=url,
        connect_timeout_ms=10_000,
        publish_timeout_ms=PATIENCE_MS,
        # A round trip that takes longer costs the connection, and what was said on it.
        rtt_timeout_ms=5_000,
        pings_outstanding_max=10,
    )


async def keep_saying(say: Callable[[], Awaitable[None]], pause_s: float) -> None:
    """Say it again and again until canceled; nobody hears what is said while the broker is away."""
    while True:
        with contextlib.suppress(BusUnavailable):
            await say()
        await asyncio.sleep(pause_s)
