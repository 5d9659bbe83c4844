"""The feed as it is, with a watch on its readers' callback and, on request, a listener that raises.

    DRILL_TIMES=FILE [DRILL_RAISE_EVERY=50] python -m drills.timed_feed

At its end it writes how long each call took to the file, as nanoseconds in JSON.
"""

from __future__ import annotations

import functools
import os
from array import array
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import Any, ParamSpec, TypeVar

import msgspec

from libs.common.runtime.service import run_service
from libs.common.runtime.websocket import OnClose, OnFrame, Socket, connect
from services.feed import connection
from services.feed.__main__ import start
from services.feed.config import FeedConfig
from services.feed.connection import Listener
from services.feed.newest import Slot

P = ParamSpec("P")
T = TypeVar("T")


class InjectedError(RuntimeError):
    """What the listener raises on request."""


class Watch:
    """The times of every callback, and the listener that raises now and then."""

    def __init__(self, raise_every: int) -> None:
        self._raise_every = raise_every
        self._heard = 0
        self.raised = 0
        self.times_ns = array("q")

    async def connect(
        self, url: str, on_frame: OnFrame, on_close: OnClose, **options: Any
    ) -> Socket:
        """Connect, and time whatever the reader calls."""

        def timed(payload: bytes) -> None:
            began_ns = perf_counter_ns()
            try:
                on_frame(payload)
            finally:
                self.times_ns.append(perf_counter_ns() - began_ns)

        return await connect(url, timed, on_close, **options)

    def raising(self, hear: Callable[P, T]) -> Callable[P, T]:
        """What the reader calls, raising instead of each so many events."""

        @functools.wraps(hear)
        def heard(*arguments: P.args, **named: P.kwargs) -> T:
            self._heard += 1
            if self._raise_every and self._heard % self._raise_every == 0:
                self.raised += 1
                raise InjectedError("injected")
            return hear(*arguments, **named)

        return heard


def main() -> None:
    """Run the feed until it is ended, then write."""
    watch = Watch(int(os.environ.get("DRILL_RAISE_EVERY", "0")))
    made = Listener.__init__

    def watched(self: Listener, on_frame: Callable[..., bool], *others: Any, **more: Any) -> None:
        made(self, watch.raising(on_frame), *others, **more)

    setattr(connection, "connect", watch.connect)  # noqa: B010 - types forbid to replace a function
    setattr(Listener, "__init__", watched)  # noqa: B010
    setattr(Slot, "keep", watch.raising(Slot.keep))  # noqa: B010
    try:
        run_service("feed", FeedConfig, start)
    finally:
        said = {"times_ns": list(watch.times_ns), "raised": watch.raised}
        Path(os.environ["DRILL_TIMES"]).write_bytes(msgspec.json.encode(said))


if __name__ == "__main__":
    main()
