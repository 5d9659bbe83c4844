"""The end of a process: once its exit code is known, nothing that cannot be cancelled holds it.

A name lookup is such a thing. It is a call of the C library in a thread; asyncio and uvloop wait
for it when they close the loop, and for a host that has vanished it takes 10 s and more.
"""

import os
import threading
from collections.abc import Coroutine
from typing import Any, NoReturn

import uvloop

from libs.common.runtime.log import get_logger
from libs.common.runtime.trace import shutdown_tracing

log = get_logger(__name__)

#: How long threads may still work once everything has been closed; what they write is written as
#: if the process could be killed at any time.
THREADS_WAIT_MS = 1_000


def run_to_the_end(main: Coroutine[Any, Any, int]) -> NoReturn:
    """Run the whole of a process and end it with the exit code that ``main`` returns."""
    is_closed = threading.Event()

    async def whole() -> int:
        code = await main
        threading.Thread(target=_leave_anyway, args=(code, is_closed), daemon=True).start()
        return code

    code = uvloop.run(whole())
    is_closed.set()
    shutdown_tracing()
    raise SystemExit(code)


def _leave_anyway(code: int, is_closed: threading.Event) -> None:
    if is_closed.wait(THREADS_WAIT_MS / 1000):
        return
    try:
        log.warning("leaving a thread behind, such as a name lookup", limit_ms=THREADS_WAIT_MS)
        shutdown_tracing()
    finally:
        os._exit(code)
