"""The newest word of each symbol, kept until it is published: one that waits is replaced.

What is newer is told by event time. Only where two words have the same time do update ids decide,
and only on one connection: a venue may count anew after a reconnect. REST tells no id, so at the
same time as the stream it is not newer.
"""

from typing import Generic, TypeVar

E = TypeVar("E")


class _Known:
    """What is known of a symbol; one is changed with each word, since making one takes longer."""

    __slots__ = ("epoch", "event_ms", "is_rest", "update_id")

    def __init__(self, event_ms: int, update_id: int, epoch: int, is_rest: bool) -> None:
        self.event_ms = event_ms
        self.update_id = update_id
        self.epoch = epoch
        self.is_rest = is_rest


class Newest(Generic[E]):
    """The newest event of one kind, by symbol."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._kept: dict[str, E] = {}
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._kept)

    def begin_epoch(self) -> None:
        """A connection is new: update ids may start anew, event times go on."""
        self._epoch += 1

    def keep(
        self, symbol: str, event: E, event_ms: int, update_id: int, is_rest: bool
    ) -> bool | None:
        """Keep an event to be taken, if it goes beyond what is known of its symbol.

        Returns:
            Whether it replaced one that waited; ``None`` for one that is not newer.
        """
        known = self._known.get(symbol)
        if known is None:
            self._known[symbol] = _Known(event_ms, update_id, self._epoch, is_rest)
        else:
            if event_ms <= known.event_ms:
                if event_ms < known.event_ms or is_rest:
                    return None
                is_comparable = known.epoch == self._epoch and not known.is_rest
                if update_id == known.update_id or (is_comparable and update_id < known.update_id):
                    return None
            known.event_ms, known.update_id = event_ms, update_id
            known.epoch, known.is_rest = self._epoch, is_rest
        has_replaced = symbol in self._kept
        self._kept[symbol] = event
        return has_replaced

    def take(self) -> list[E]:
        """Hand out every event that waits."""
        taken = list(self._kept.values())
        self._kept.clear()
        return taken

    def put_back(self, symbol: str, event: E) -> None:
        """Keep again what was taken, unless a newer one waits."""
        self._kept.setdefault(symbol, event)
