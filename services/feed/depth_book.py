"""One symbol's order book, kept by the venue's own rules. Pure.

Changes are kept while a snapshot is on its way. The first one applied must span the snapshot's id
(``U <= lastUpdateId <= u``) or follow it directly; every other one must follow the one before
(``pu == u``). Whatever breaks that chain makes the book invalid until it is built anew: in between
it shows nothing, since a book with a hole is a wrong price that looks right.

A snapshot ends somewhere. What lies behind its last level is not known, so nothing is kept there,
and a side that has too few levels left before that edge is built anew as well.
"""

from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from services.feed.events import DepthEvent

Level = tuple[Decimal, Decimal]

#: An id that is not news in an event that is so much younger: the venue counts from new numbers.
REGRESSION_MS = 5_000


class Snapshot(msgspec.Struct, frozen=True):
    """A book as REST tells it.

    Attributes:
        levels_max: how many levels of a side were asked for: so many may mean that there are more.
    """

    update_id: int
    event_ms: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    levels_max: int


class _Side:
    """The levels of one side, best first: bids by their negated price."""

    __slots__ = ("_is_bid", "_keys", "_levels", "_levels_max", "edge")

    def __init__(self, *, is_bid: bool, levels_max: int) -> None:
        self._is_bid = is_bid
        self._levels_max = levels_max
        self._keys: list[Decimal] = []
        self._levels: dict[Decimal, Level] = {}
        self.edge: Decimal | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def load(self, levels: Iterable[Level], levels_told_max: int) -> None:
        self._levels = {self._key(price): (price, quantity) for price, quantity in levels}
        self._keys = sorted(self._levels)
        self.edge = self._keys[-1] if len(self._keys) >= levels_told_max else None
        for key in [key for key, level in self._levels.items() if not level[1]]:
            self._remove(key)
        self._cut()

    def change(self, price: Decimal, quantity: Decimal) -> None:
        key = self._key(price)
        if self.edge is not None and key > self.edge:
            return
        if not quantity:
            if key in self._levels:
                self._remove(key)
            return
        if key not in self._levels:
            insort(self._keys, key)
        self._levels[key] = (price, quantity)
        self._cut()

    def best(self, count: int) -> list[Level]:
        return [self._levels[key] for key in self._keys[:count]]

    def clear(self) -> None:
        self._keys, self._levels, self.edge = [], {}, None

    def _key(self, price: Decimal) -> Decimal:
        # copy_negate: a minus sign would round to the context's precision.
        return price.copy_negate() if self._is_bid else price

    def _remove(self, key: Decimal) -> None:
        del self._levels[key]
        del self._keys[bisect_left(self._keys, key)]

    def _cut(self) -> None:
        while len(self._keys) > self._levels_max:
            del self._levels[self._keys.pop()]
            self.edge = self._keys[-1]


class DepthBook:
    """The book of one symbol.

    Attributes:
        is_valid: it equals the venue's as of ``update_id``, as far as its best levels go.
        update_id, event_ms: of the last change applied.
        counts: what happened since the start: ``rebuilds`` (the first one included), ``pu_breaks``,
            ``repeated`` and ``snapshots_old``, ``buffer_dropped``, ``crossed``, ``ran_out``,
            ``regressions``, ``lost``.
        why: what made it invalid.
    """

    def __init__(self, *, top_levels: int, levels_max: int, buffer_max: int) -> None:
        self._top_levels = top_levels
        self._buffer_max = buffer_max
        self._bids = _Side(is_bid=True, levels_max=levels_max)
        self._asks = _Side(is_bid=False, levels_max=levels_max)
        self._buffer: deque[DepthEvent] = deque()
        self._base_id: int | None = None
        self.is_valid = False
        self.update_id = 0
        self.event_ms = 0
        self.counts: Counter[str] = Counter()
        self.why = "not built yet"

    @property
    def needs_snapshot(self) -> bool:
        """Whether it is worth asking: changes are kept that a snapshot could join."""
        return not self.is_valid and self._base_id is None and bool(self._buffer)

    @property
    def buffered(self) -> int:
        """Changes that wait for a snapshot."""
        return len(self._buffer)

    def top(self) -> tuple[list[Level], list[Level]]:
        """The best bids and asks, best first; nothing while it is invalid."""
        if not self.is_valid:
            return [], []
        return self._bids.best(self._top_levels), self._asks.best(self._top_levels)

    def on_event(self, event: DepthEvent) -> None:
        """Take a change of the stream."""
        if not self.is_valid:
            self._keep(event)
            return
        if event.last_id <= self.update_id:
            if event.event_ms > self.event_ms + REGRESSION_MS:
                self._break("regressions", "the venue counts from new numbers", event)
            else:
                self.counts["repeated"] += 1
        elif event.previous_id != self.update_id:
            why = f"a change is missing: pu {event.previous_id} after u {self.update_id}"
            self._break("pu_breaks", why, event)
        else:
            self._apply(event)
            self._look(event)

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Take an answer of REST; one that nobody waits for changes nothing."""
        if not self.needs_snapshot:
            return
        self._bids.load(snapshot.bids, snapshot.levels_max)
        self._asks.load(snapshot.asks, snapshot.levels_max)
        self._base_id = self.update_id = snapshot.update_id
        self.event_ms = snapshot.event_ms
        waiting, self._buffer = self._buffer, deque()
        for event in waiting:
            self.on_event(event)

    def on_lost(self, why: str) -> None:
        """The stream was interrupted: what came before joins nothing any more."""
        self.counts["lost"] += 1
        self._forget(why)

    def _keep(self, event: DepthEvent) -> None:
        if self._base_id is not None:
            self._join(event, self._base_id)
            return
        if self._buffer:
            last = self._buffer[-1]
            is_old = event.last_id <= last.last_id
            if is_old and event.event_ms <= last.event_ms + REGRESSION_MS:
                self.counts["repeated"] += 1
                return
            if is_old or event.previous_id != last.last_id:
                self.counts["regressions" if is_old else "pu_breaks"] += 1
                self._buffer.clear()
        self._buffer.append(event)
        if len(self._buffer) > self._buffer_max:
            self._buffer.popleft()
            self.counts["buffer_dropped"] += 1

    def _join(self, event: DepthEvent, base_id: int) -> None:
        """Let the first change that concerns a snapshot follow it."""
        if event.last_id < base_id and event.event_ms <= self.event_ms + REGRESSION_MS:
            return
        if event.first_id <= base_id <= event.last_id or event.previous_id == base_id:
            self._base_id = None
            self.is_valid = True
            self.why = ""
            self.counts["rebuilds"] += 1
            self._apply(event)
            self._look(event)
            return
        self._break("snapshots_old", "the snapshot was older than the changes kept", event)

    def _apply(self, event: DepthEvent) -> None:
        for price, quantity in event.bids:
            self._bids.change(price, quantity)
        for price, quantity in event.asks:
            self._asks.change(price, quantity)
        self.update_id = event.last_id
        self.event_ms = event.event_ms

    def _look(self, event: DepthEvent) -> None:
        """Refuse a book that cannot be, or of which too little is known."""
        bids, asks = self._bids.best(1), self._asks.best(1)
        if bids and asks and bids[0][0] >= asks[0][0]:
            self._break("crossed", "its best bid is not below its best ask", event)
            return
        for side in (self._bids, self._asks):
            if side.edge is not None and len(side) < self._top_levels:
                self._break("ran_out", "too few of the levels that were told are left", event)
                return

    def _break(self, what: str, why: str, event: DepthEvent) -> None:
        self.counts[what] += 1
        self._forget(why)
        self._buffer.append(event)

    def _forget(self, why: str) -> None:
        self.is_valid = False
        self.why = why
        self._base_id = None
        self._buffer.clear()
        self._bids.clear()
        self._asks.clear()
