"""What the readers hand to the one task that publishes, in the order it was heard."""

import asyncio
from collections import deque

import msgspec

from services.feed.core import Answer
from services.feed.events import ClockEvent, KlineEvent, TradeEvent
from services.feed.plan import SocketPlan


class SocketUp(msgspec.Struct, frozen=True):
    """A socket is subscribed."""

    plan: SocketPlan


class SocketDown(msgspec.Struct, frozen=True):
    """A socket is gone; everything it told is in the inbox before this."""

    plan: SocketPlan


class Proof(msgspec.Struct, frozen=True, gc=False):
    """A socket of the paper venue says how far it has told."""

    plan: SocketPlan
    clock: ClockEvent


class Tick(msgspec.Struct, frozen=True, gc=False):
    """Our own clock, where the venue sends none."""

    now_ns: int


class Unreadable(msgspec.Struct, frozen=True, gc=False):
    """A frame nobody can read."""

    subject: str
    payload: bytes
    reason: str


Item = TradeEvent | KlineEvent | SocketUp | SocketDown | Proof | Tick | Unreadable | Answer


class Inbox:
    """A queue bounded for what sockets say; our own few words always fit."""

    def __init__(self, messages_max: int) -> None:
        self._messages_max = messages_max
        self._items: deque[Item] = deque()
        self._ready = asyncio.Event()
        self.refused = 0

    def __len__(self) -> int:
        return len(self._items)

    def offer(self, item: Item) -> bool:
        """Take a socket's message, unless the inbox is full."""
        if len(self._items) >= self._messages_max:
            self.refused += 1
            return False
        self.put(item)
        return True

    def put(self, item: Item) -> None:
        """Take a word of our own."""
        self._items.append(item)
        self._ready.set()

    def wake(self) -> None:
        """Let the reader of the inbox look, though nothing may be in it."""
        self._ready.set()

    def take(self) -> Item | None:
        """The oldest item, or ``None``."""
        return self._items.popleft() if self._items else None

    async def wait(self) -> None:
        """Return once there is something to look at."""
        await self._ready.wait()
        self._ready.clear()
