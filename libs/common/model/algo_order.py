"""Conditional (algo) orders: kinds, states, and which state may follow which."""

from enum import StrEnum


class AlgoKind(StrEnum):
    """What the order is for: to end a loss, or to take a profit. Both market when triggered."""

    STOP = "STOP"
    TARGET = "TARGET"

    @property
    def venue_type(self) -> str:
        """The venue's order type."""
        return "STOP_MARKET" if self is AlgoKind.STOP else "TAKE_PROFIT_MARKET"


class AlgoStatus(StrEnum):
    """RECORDED: journaled, perhaps sent. UNKNOWN: only evidence ends it. The rest is the venue's.

    FINISHED: triggered, and the order born of it has ended.
    """

    RECORDED = "RECORDED"
    UNKNOWN = "UNKNOWN"
    WORKING = "WORKING"
    TRIGGERING = "TRIGGERING"
    TRIGGERED = "TRIGGERED"
    FINISHED = "FINISHED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    NOT_PLACED = "NOT_PLACED"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can happen to it any more."""
        return not ALGO_TRANSITIONS[self]


_ENDED = frozenset({AlgoStatus.FINISHED, AlgoStatus.EXPIRED, AlgoStatus.REJECTED})
_AFTER_TRIGGER = frozenset({AlgoStatus.TRIGGERED}) | _ENDED
_FROM_VENUE = frozenset({AlgoStatus.WORKING, AlgoStatus.TRIGGERING, AlgoStatus.CANCELED})
_FROM_VENUE |= _AFTER_TRIGGER

#: state -> states that may follow. Staying where one is, is always allowed (facts repeat).
ALGO_TRANSITIONS: dict[AlgoStatus, frozenset[AlgoStatus]] = {
    AlgoStatus.RECORDED: _FROM_VENUE | {AlgoStatus.UNKNOWN, AlgoStatus.NOT_PLACED},
    AlgoStatus.UNKNOWN: _FROM_VENUE | {AlgoStatus.NOT_PLACED},
    AlgoStatus.WORKING: _FROM_VENUE - {AlgoStatus.WORKING},
    AlgoStatus.TRIGGERING: _AFTER_TRIGGER | {AlgoStatus.CANCELED},
    AlgoStatus.TRIGGERED: _ENDED | {AlgoStatus.CANCELED},
    AlgoStatus.FINISHED: frozenset(),
    AlgoStatus.CANCELED: frozenset(),
    AlgoStatus.EXPIRED: frozenset(),
    AlgoStatus.REJECTED: frozenset(),
    AlgoStatus.NOT_PLACED: frozenset(),
}

_VENUE_WORDS = {
    "NEW": AlgoStatus.WORKING,
    "TRIGGERING": AlgoStatus.TRIGGERING,
    "TRIGGERED": AlgoStatus.TRIGGERED,
    "FINISHED": AlgoStatus.FINISHED,
    "CANCELED": AlgoStatus.CANCELED,
    "EXPIRED": AlgoStatus.EXPIRED,
    "REJECTED": AlgoStatus.REJECTED,
}


def algo_may_follow(current: AlgoStatus, update: AlgoStatus) -> bool:
    """Whether an algo order in ``current`` may be told it is in ``update``."""
    return current == update or update in ALGO_TRANSITIONS[current]


def parse_algo_status(word: str) -> AlgoStatus:
    """Translate the venue's algoStatus word.

    Raises:
        ValueError: a word this version does not know; nothing is guessed.
    """
    try:
        return _VENUE_WORDS[word]
    except KeyError:
        raise ValueError(f"unknown venue algo status {word!r}") from None
