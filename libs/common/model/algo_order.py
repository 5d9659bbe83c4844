"""Conditional (algo) orders: kinds, states, and which state may follow which."""

from enum import StrEnum

from libs.common.model.lifecycle import Ignored, Lifecycle, parse_word


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

    @property
    def has_triggered(self) -> bool:
        """Whether its price was reached and the venue made an order of it."""
        return self in (AlgoStatus.TRIGGERING, AlgoStatus.TRIGGERED, AlgoStatus.FINISHED)


class AlgoEvent(StrEnum):
    """What can be heard of a conditional order: no answer, proof of absence, or the venue's word.

    REFUSED is both the answer to the request and the matching engine's word after the trigger.
    """

    LOST = "LOST"
    ABSENT = "ABSENT"
    ACCEPTED = "ACCEPTED"
    TRIGGERING = "TRIGGERING"
    TRIGGERED = "TRIGGERED"
    FINISHED = "FINISHED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REFUSED = "REFUSED"


_STALE, _IMPOSSIBLE = Ignored.STALE, Ignored.IMPOSSIBLE
_UNKNOWN, _WORKING = AlgoStatus.UNKNOWN, AlgoStatus.WORKING
_TRIGGERING, _TRIGGERED = AlgoStatus.TRIGGERING, AlgoStatus.TRIGGERED
_FINISHED, _CANCELED = AlgoStatus.FINISHED, AlgoStatus.CANCELED
_EXPIRED, _REJECTED, _NOT_PLACED = AlgoStatus.EXPIRED, AlgoStatus.REJECTED, AlgoStatus.NOT_PLACED
_BEGINNING = (
    _UNKNOWN, _NOT_PLACED, _WORKING, _TRIGGERING, _TRIGGERED, _FINISHED, _CANCELED, _EXPIRED,
    _REJECTED,
)  # fmt: skip


def _ended(own: AlgoStatus) -> tuple[AlgoStatus | Ignored, ...]:
    """What was said before the end comes late and is old; another end contradicts this one."""
    ends = (_FINISHED, _CANCELED, _EXPIRED, _REJECTED)
    return (
        _STALE,
        _IMPOSSIBLE,
        *(_STALE,) * 3,
        *(own if end is own else _IMPOSSIBLE for end in ends),
    )


_ROWS: dict[AlgoStatus, tuple[AlgoStatus | Ignored, ...]] = {
    # LOST, ABSENT, ACCEPTED, TRIGGERING, TRIGGERED, FINISHED, CANCELED, EXPIRED, REFUSED
    AlgoStatus.RECORDED: _BEGINNING,
    AlgoStatus.UNKNOWN: _BEGINNING,
    AlgoStatus.WORKING: (
        _STALE, _IMPOSSIBLE, _WORKING, _TRIGGERING, _TRIGGERED, _FINISHED, _CANCELED, _EXPIRED,
        _REJECTED,
    ),
    AlgoStatus.TRIGGERING: (
        _STALE, _IMPOSSIBLE, _STALE, _TRIGGERING, _TRIGGERED, _FINISHED, _CANCELED, _EXPIRED,
        _REJECTED,
    ),
    AlgoStatus.TRIGGERED: (
        _STALE, _IMPOSSIBLE, _STALE, _STALE, _TRIGGERED, _FINISHED, _CANCELED, _EXPIRED, _REJECTED,
    ),
    AlgoStatus.FINISHED: _ended(_FINISHED),
    AlgoStatus.CANCELED: _ended(_CANCELED),
    AlgoStatus.EXPIRED: _ended(_EXPIRED),
    AlgoStatus.REJECTED: _ended(_REJECTED),
    AlgoStatus.NOT_PLACED: (_STALE, _NOT_PLACED, *(_IMPOSSIBLE,) * 7),
}  # fmt: skip

#: state -> event -> the state that follows, or why none does. Every cell is filled.
ALGO_LIFECYCLE: dict[AlgoStatus, dict[AlgoEvent, AlgoStatus | Ignored]] = {
    status: dict(zip(AlgoEvent, row, strict=True)) for status, row in _ROWS.items()
}
_TOLD_BY: dict[AlgoStatus, AlgoEvent] = dict(zip(_BEGINNING, AlgoEvent, strict=True))

_ALGO_ORDERS = Lifecycle(ALGO_LIFECYCLE, _TOLD_BY)
#: state -> other states that may follow it, read from the table.
ALGO_TRANSITIONS = _ALGO_ORDERS.transitions()
#: Whether an algo order in one state may be told it is in another, and whether it is impossible.
algo_may_follow, algo_contradicts = _ALGO_ORDERS.may_follow, _ALGO_ORDERS.contradicts

_VENUE_WORDS = {
    "NEW": AlgoStatus.WORKING,
    "TRIGGERING": AlgoStatus.TRIGGERING,
    "TRIGGERED": AlgoStatus.TRIGGERED,
    "FINISHED": AlgoStatus.FINISHED,
    "CANCELED": AlgoStatus.CANCELED,
    "EXPIRED": AlgoStatus.EXPIRED,
    "REJECTED": AlgoStatus.REJECTED,
}


def parse_algo_status(word: str) -> AlgoStatus:
    """Translate the venue's algoStatus word.

    Raises:
        ValueError: a word this version does not know; nothing is guessed.
    """
    return parse_word(_VENUE_WORDS, word, "algo")
