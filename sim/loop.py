"""A minimal event loop in virtual time whose ready callbacks run in a seeded random order.

Nothing waits: when nobody is ready, time jumps to the next timer. Every callback belongs to the
*life* (one run of one process) whose context it was made in, so a life can be killed between any
two steps: its callbacks are dropped on the spot and nothing it had planned happens any more. Each
step takes `STEP_NS`, so that whoever only yields cannot stop the clock.
"""

import asyncio
import heapq
from asyncio import events
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

NS_PER_S = 1_000_000_000
STEP_NS = 1_000
STEPS_MAX = 60_000
"""No healthy schedule comes near it: somebody is spinning."""


class SpinningError(Exception):
    """The world does not come to rest between two moments."""


class Life:
    """One run of one process, from its start to its end.

    `offset_ns` is how far its wall clock is ahead of the world's. A `fuse` of n burns down with
    each step and calls `on_fuse` before the nth: that is how a fault finds its place between two.
    """

    __slots__ = ("fuse", "held", "is_dead", "is_paused", "name", "number", "offset_ns", "on_fuse")

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.is_dead = False
        self.is_paused = False
        self.held: list[Handle] = []
        self.fuse = 0
        self.on_fuse: Callable[[], None] | None = None
        self.offset_ns = 0

    @property
    def key(self) -> str:
        """Its name among all lives of the world."""
        return f"{self.name}-{self.number}"


LIFE: ContextVar[Life | None] = ContextVar("life", default=None)


class Handle:
    """A callback to come."""

    __slots__ = ("args", "callback", "context", "life", "when_ns")

    def __init__(
        self,
        callback: Callable[..., object] | None,
        args: tuple[Any, ...],
        context: Context | None,
        life: Life | None,
        when_ns: int,
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.life = life
        self.when_ns = when_ns

    def cancel(self) -> None:
        """It will not be called."""
        self.callback = None
        self.args = ()

    def when(self) -> float:
        """Its time on the loop's clock, in seconds."""
        return self.when_ns / NS_PER_S


class VirtualLoop(asyncio.AbstractEventLoop):
    """The loop of one simulated world; `steps` counts the callbacks it has run."""

    def __init__(self, dice: Random) -> None:
        self._draw = dice.random
        self._ready: list[Handle] = []
        self._timers: list[tuple[int, int, Handle]] = []
        self._planned = 0
        self._is_running = False
        self._is_closed = False
        self.now_ns = 0
        self.steps = 0
        self.steps_max = STEPS_MAX
        self.complaints: list[str] = []

    # -- planning --------------------------------------------------------------------------------

    def call_soon(  # type: ignore[override]  # the handle is our own, leaner one
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        """Run a callback at this moment of virtual time, in no particular order."""
        if context is None:
            context = copy_context()
        life = context.get(LIFE)
        handle = Handle(callback, args, context, life, self.now_ns)
        if not self._is_closed and (life is None or not life.is_dead):
            self._ready.append(handle)
        return handle

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Handle:
        """Run a callback at a time of `time()`."""
        if context is None:
            context = copy_context()
        handle = Handle(callback, args, context, context.get(LIFE), int(when * NS_PER_S))
        self._plan(handle)
        return handle

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Handle:
        """Run a callback after a delay in seconds."""
        if context is None:
            context = copy_context()
        when_ns = self.now_ns + int(max(0.0, delay) * NS_PER_S)
        handle = Handle(callback, args, context, context.get(LIFE), when_ns)
        self._plan(handle)
        return handle

    def after(self, delay_ns: int, callback: Callable[..., object], *args: Any) -> Handle:
        """Let the world itself (network, broker, venue, fate) do something later."""
        handle = Handle(callback, args, None, None, self.now_ns + delay_ns)
        self._plan(handle)
        return handle

    def _plan(self, handle: Handle) -> None:
        life = handle.life
        if self._is_closed or (life is not None and life.is_dead):
            return
        self._planned += 1
        heapq.heappush(self._timers, (handle.when_ns, self._planned, handle))

    # -- running ---------------------------------------------------------------------------------

    def run(self, until_ns: int, is_over: Callable[[], bool] | None = None) -> None:
        """Run until a time, or until `is_over` (asked whenever time jumps) says so.

        Raises whatever a callback raises: in this house nothing may.
        """
        previous = events._get_running_loop()  # noqa: SLF001 - there is no public way
        events._set_running_loop(self)  # noqa: SLF001
        self._is_running = True
        try:
            self._run(until_ns, is_over)
        finally:
            self._is_running = False
            events._set_running_loop(previous)  # noqa: SLF001

    def _run(self, until_ns: int, is_over: Callable[[], bool] | None) -> None:
        ready, timers, draw, pop = self._ready, self._timers, self._draw, heapq.heappop
        while True:
            now_ns = self.now_ns
            if self.steps > self.steps_max:
                raise SpinningError(f"{self.steps} steps at {now_ns / NS_PER_S:.3f} s")
            if not ready:
                if not timers or timers[0][0] >= until_ns or (is_over is not None and is_over()):
                    return
                now_ns = max(now_ns, timers[0][0])
                self.now_ns = now_ns
            while timers and timers[0][0] <= now_ns:
                ready.append(pop(timers)[2])
            index = int(draw() * len(ready))
            last = ready.pop()
            if index < len(ready):
                handle, ready[index] = ready[index], last
            else:
                handle = last
            callback = handle.callback
            if callback is None:
                continue
            life = handle.life
            if life is None:
                self.now_ns = now_ns + STEP_NS
                self.steps += 1
                callback(*handle.args)
                continue
            if life.fuse and self._burn(life):
                ready.append(handle)  # it has changed what becomes of this step: choose anew
                continue
            if life.is_dead:
                continue
            if life.is_paused:
                life.held.append(handle)
                continue
            self.now_ns = now_ns + STEP_NS
            self.steps += 1
            handle.context.run(callback, *handle.args)  # type: ignore[union-attr]

    def _burn(self, life: Life) -> bool:
        life.fuse -= 1
        if life.fuse or life.on_fuse is None:
            return False
        life.on_fuse()
        return True

    def resume(self, life: Life) -> None:
        """Let a paused life go on where it stood."""
        life.is_paused = False
        self._ready.extend(life.held)
        life.held.clear()

    def start(self, life: Life, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Begin a life with a coroutine as its first task."""
        context = copy_context()
        context.run(LIFE.set, life)
        return asyncio.Task(work, loop=self, context=context, name=life.name)

    # -- what asyncio asks of a loop -------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds since the beginning."""
        return self.now_ns / NS_PER_S

    def create_future(self) -> "asyncio.Future[Any]":
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: object = None, context: Context | None = None
    ) -> "asyncio.Task[T]":
        """A task in the life of whoever makes it."""
        return asyncio.Task(
            coro, loop=self, name=None if name is None else str(name), context=context
        )

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """Whether `run` is under way."""
        return self._is_running

    def is_closed(self) -> bool:
        """Whether the world has ended."""
        return self._is_closed

    def close(self) -> None:
        """Drop all that was planned; nothing can be planned any more."""
        self._is_closed = True
        self._ready.clear()
        self._timers.clear()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what asyncio complains of; what a killed life leaves behind is no complaint."""
        error = context.get("exception")
        if error is not None:
            self.complaints.append(f"{context.get('message')}: {error!r}")
