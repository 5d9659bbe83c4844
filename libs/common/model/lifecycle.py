"""Lifecycles as tables: states by events, every cell filled, and the questions put to them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


class Ignored(StrEnum):
    """Why an event changes nothing.

    STALE: old news, overtaken by what is known already; the venue's messages repeat and overtake
    one another. IMPOSSIBLE: it contradicts what is known, so that somebody is wrong; the order
    stays as it is, and it has to be said aloud.
    """

    STALE = "STALE"
    IMPOSSIBLE = "IMPOSSIBLE"


class Lifecycle(Generic[S, E]):
    """One table: state -> event -> the state that follows, or why none does.

    Args:
        told_by: the event by which a state is told; a state without one is told by nobody.
    """

    def __init__(self, table: Mapping[S, Mapping[E, S | Ignored]], told_by: Mapping[S, E]) -> None:
        self._table = table
        self._told_by = told_by

    def transitions(self) -> dict[S, frozenset[S]]:
        """state -> other states that may follow it."""
        return {
            status: frozenset(
                follows
                for follows in row.values()
                if not isinstance(follows, Ignored) and follows is not status
            )
            for status, row in self._table.items()
        }

    def may_follow(self, current: S, update: S) -> bool:
        """Whether what is in ``current`` may be told it is in ``update``; staying it may."""
        return current is update or not isinstance(self._cell(current, update), Ignored)

    def contradicts(self, current: S, update: S) -> bool:
        """Whether being in ``update`` is impossible for what is known to be in ``current``."""
        return current is not update and self._cell(current, update) is Ignored.IMPOSSIBLE

    def _cell(self, current: S, update: S) -> S | Ignored:
        event = self._told_by.get(update)
        return Ignored.IMPOSSIBLE if event is None else self._table[current][event]


def parse_word(words: Mapping[str, S], word: str, what: str) -> S:
    """Translate a status word of the venue.

    Raises:
        ValueError: a word this version does not know; nothing is guessed.
    """
    try:
        return words[word]
    except KeyError:
        raise ValueError(f"unknown venue {what} status {word!r}") from None
