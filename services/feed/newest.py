"""The newest word of each symbol, kept until it is published: one that waits is replaced.

What is newer is told by event time. Only where two words have the same time do update ids decide,
and only on one connection: a venue may count anew after a reconnect. REST tells no id, so at the
same time as the stream it is not newer.

A reader keeps nearly every frame here, so a symbol has a ``Slot`` of its own that the reader finds
once and keeps: counting, comparing and keeping are one call.
"""

from collections.abc import Callable, Iterable

from services.feed.events import MarkEvent, QuoteEvent

Kept = QuoteEvent | MarkEvent
#: Older than whatever comes first.
NOTHING = MarkEvent(event_ms=-1, symbol="", mark_price="", index_price="")


class Slot:
    """The newest event of one symbol.

    Attributes:
        symbol: whose it is.
        received: events that came, whatever became of them.
        repeated: events that were not newer than what was known.
    """

    __slots__ = (
        "_before", "_last", "_newest", "_taken", "_waits",
        "received", "repeated", "symbol",
    )  # fmt: skip

    def __init__(self, symbol: str, newest: "Newest") -> None:
        self.symbol = symbol
        self._newest = newest
        self._last: Kept = NOTHING
        self._before: Kept = NOTHING
        self._waits = False
        self.received = self.repeated = self._taken = 0

    @property
    def conflated(self) -> int:
        """Events that were replaced by a newer one before they were taken."""
        return self.received - self.repeated - self._taken - self._waits

    def keep(self, event: Kept) -> None:
        """Keep an event to be taken, if it goes beyond what is known of its symbol."""
        self.received += 1
        last = self._last
        if (
            event.event_ms > last.event_ms
            or (event.event_ms == last.event_ms and event.update_id > last.update_id)
            or self._begins_anew(event)
        ):
            self._last = event
            if not self._waits:
                self._waits = True
                self._newest.wait(self)
        else:
            self.repeated += 1

    def _begins_anew(self, event: Kept) -> bool:
        """Whether a lower number is a newer word: another connection told the one before it."""
        last = self._last
        return (
            last is self._before
            and event.event_ms == last.event_ms
            and event.update_id < last.update_id
            and not event.is_rest
        )

    def begin_epoch(self) -> None:
        """A connection is new: what is known was told by another, whose ids say nothing now."""
        self._before = self._last

    def take(self) -> Kept:
        """Hand out the event that waits."""
        self._waits = False
        self._taken += 1
        return self._last

    def put_back(self) -> None:
        """Let what was taken last wait again; a newer one that came since waits in its place."""
        self._taken -= 1
        if not self._waits:
            self._waits = True
            self._newest.wait(self)


class Newest:
    """The newest events of one kind.

    Args:
        on_first: called when one begins to wait and none did; until they are taken not again.
    """

    def __init__(self, symbols: Iterable[str], on_first: Callable[[], None]) -> None:
        self.slots = {symbol: Slot(symbol, self) for symbol in symbols}
        self._on_first = on_first
        self._waiting: list[Slot] = []

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def received(self) -> int:
        """Events that came."""
        return sum(slot.received for slot in self.slots.values())

    @property
    def conflated(self) -> int:
        """Events that were replaced by a newer one."""
        return sum(slot.conflated for slot in self.slots.values())

    @property
    def repeated(self) -> int:
        """Events that were not newer than what was known."""
        return sum(slot.repeated for slot in self.slots.values())

    def wait(self, slot: Slot) -> None:
        """An event of this slot waits to be taken."""
        self._waiting.append(slot)
        if len(self._waiting) == 1:
            self._on_first()

    def begin_epoch(self) -> None:
        """A connection is new: update ids may start anew, event times go on."""
        for slot in self.slots.values():
            slot.begin_epoch()

    def take(self) -> list[Kept]:
        """Hand out every event that waits."""
        waiting, self._waiting = self._waiting, []
        return [slot.take() for slot in waiting]
