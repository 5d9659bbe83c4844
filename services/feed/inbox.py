"""What the readers hand to the one task that publishes, in the order it was heard."""

import asyncio
from collections import Counter, deque

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


class RefusedTrade(msgspec.Struct, frozen=True, gc=False):
    """A trade of this symbol was not believed."""

    symbol: str


class RestTime(msgspec.Struct, frozen=True, gc=False):
    """REST says that it is this late; these candle streams are down."""

    now_ns: int
    streams: tuple[tuple[str, str], ...]


class Unreadable(msgspec.Struct, frozen=True, gc=False):
    """A frame nobody can read."""

    subject: str
    payload: bytes
    reason: str


Item = (
    TradeEvent
    | KlineEvent
    | SocketUp
    | SocketDown
    | Proof
    | Tick
    | RefusedTrade
    | RestTime
    | Unreadable
    | Answer
)


class _Place(msgspec.Struct, frozen=True, gc=False):
    """Where the newest item of a name stands in the queue."""

    name: str


_KINDS: dict[type, str] = {TradeEvent: "trade", KlineEvent: "kline", Proof: "clock"}


class Inbox:
    """A queue bounded for what sockets say; our own few words always fit.

    ``refused`` counts what did not fit, by kind.
    """

    def __init__(self, messages_max: int) -> None:
        self._messages_max = messages_max
        self._items: deque[Item | _Place] = deque()
        self._latest: dict[str, Item] = {}
        self._ready = asyncio.Event()
        self.refused: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._items)

    def offer(self, item: Item) -> bool:
        """Take a socket's message, unless the inbox is full."""
        if len(self._items) >= self._messages_max:
            self.refused[_KINDS.get(type(item), "other")] += 1
            return False
        self.put(item)
        return True

    def put(self, item: Item) -> None:
        """Take a word of our own."""
        self._items.append(item)
        self._ready.set()

    def put_latest(self, name: str, item: Item) -> None:
        """Take a word of our own of which only the newest counts: it waits once, however often."""
        if name not in self._latest:
            self._items.append(_Place(name))
        self._latest[name] = item
        self._ready.set()

    def wake(self) -> None:
        """Let the reader of the inbox look, though nothing may be in it."""
        self._ready.set()

    def take(self) -> Item | None:
        """The oldest item, or ``None``."""
        if not self._items:
            return None
        item = self._items.popleft()
        return self._latest.pop(item.name) if isinstance(item, _Place) else item

    async def wait(self) -> None:
        """Return once there is something to look at."""
        await self._ready.wait()
        self._ready.clear()
