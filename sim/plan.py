"""What will go wrong in a schedule, and when: a list made from the seed alone, so it can be shrunk.

Two sorts of fault. A *strike* is armed at its time and hits the next thing it can hit (a request, a
publication, an event). A *blow* happens by itself (a crash, an outage, a halt), either at its time
or, `in_flight`, so many steps after the next order was recorded.
"""

from random import Random
from typing import NamedTuple

from sim.venue import CANNED

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

FAULTS_BEGIN_NS = 1 * NS_PER_S
FAULTS_END_NS = 60 * NS_PER_S
STEPS_IN_FLIGHT_MAX = 40
STEPS_TO_SEND_MAX = 5
"""So many steps the writer of an order makes from its record to its send."""

ORDER_STRIKES = (
    "order_not_sent",
    "order_lost",
    "order_reset",
    "order_late",
    "order_answer_lost",
    "order_answer_reset",
    "order_answer_slow",
    "order_throttled",
    "order_banned",
    "query_lag",
    *CANNED,
)
READ_STRIKES = (
    "read_not_sent",
    "read_lost",
    "read_reset",
    "read_503",
    "read_answer_lost",
    "read_answer_reset",
    "read_answer_slow",
    "read_throttled",
    "read_banned",
)
BUS_STRIKES = (
    "publish_lost",
    "publish_ghost",
    "ack_of_publish_lost",
    "publish_repeated",
    "ack_lost",
    "bus_read_lost",
)
STREAM_STRIKES = (
    "event_dropped",
    "event_repeated",
    "event_delayed",
    "event_reordered",
    "stream_refused",
)
STRIKES = frozenset((*ORDER_STRIKES, *READ_STRIKES, *BUS_STRIKES, *STREAM_STRIKES))

CRASHES = ("crash_execution", "crash_risk", "crash_signal", "crash_reconciler")
BLOWS: tuple[tuple[str, int], ...] = (
    ("crash_execution", 12),
    ("crash_risk", 3),
    ("crash_signal", 2),
    ("crash_reconciler", 2),
    ("stop_execution", 2),
    ("pause_execution", 4),
    ("halt_past_paused_execution", 3),
    ("pause_risk", 1),
    ("broker_down", 2),
    ("broker_full", 1),
    ("cut_execution", 3),
    ("cut_risk", 1),
    ("streams_closed", 2),
    ("streams_stalled", 2),
    ("listen_key_expired", 2),
    ("clock_jump_execution", 2),
    ("clock_jump_risk", 1),
    ("command_halt", 3),
    ("command_reduce", 2),
    ("command_cancel", 1),
    ("command_flatten", 1),
    ("command_reconcile", 1),
    ("command_repeated", 1),
    ("marks_frozen", 2),
    ("deaf_execution", 3),
    ("quotes_frozen", 1),
    ("unvouched_execution", 3),
    ("feed_silent", 2),
    ("feed_doubts", 2),
    ("filters_away", 2),
    ("orders_used_by_others", 2),
    ("flash_crash", 1),
    ("traded_by_hand", 1),
    ("deleveraged", 1),
    ("intent_repeated", 2),
    ("approval_repeated", 2),
    ("approval_forged", 2),
    ("candle_repeated", 1),
)
BEFORE_THE_SEND = frozenset({"halt_past_paused_execution"})
_KINDS = tuple(kind for kind, _ in BLOWS)
_WEIGHTS = tuple(weight for _, weight in BLOWS)

BLOWS_PER_SCHEDULE = (8, 14)
ORDER_STRIKES_PER_SCHEDULE = (5, 11)
READ_STRIKES_PER_SCHEDULE = (2, 6)
BUS_STRIKES_PER_SCHEDULE = (4, 9)
STREAM_STRIKES_PER_SCHEDULE = (2, 6)
TWO_EXECUTORS_PROBABILITY = 0.3
IN_FLIGHT_PROBABILITY = 0.7


class Fault(NamedTuple):
    """One thing that goes wrong.

    Attributes:
        at_ns: when it is armed or happens, on the world's clock.
        in_flight: steps (of the process it hits) after the next order was recorded; 0: at its time.
        span_ns: how long it lasts, where it lasts.
        draw: a number of its own for whatever else it has to choose.
    """

    at_ns: int
    kind: str
    in_flight: int = 0
    span_ns: int = 0
    draw: float = 0.0


class Plan(NamedTuple):
    """A schedule: everything that is decided before it begins."""

    seed: int
    faults: tuple[Fault, ...]
    has_two_executors: bool
    end_ns: int = FAULTS_END_NS


def plan_of(seed: int) -> Plan:
    """The plan of a seed, the same for ever."""
    dice = Random(f"plan-{seed}")  # noqa: S311 - repeatable, not secret
    faults: list[Fault] = []
    for kinds, (low, high) in (
        (ORDER_STRIKES, ORDER_STRIKES_PER_SCHEDULE),
        (READ_STRIKES, READ_STRIKES_PER_SCHEDULE),
        (BUS_STRIKES, BUS_STRIKES_PER_SCHEDULE),
        (STREAM_STRIKES, STREAM_STRIKES_PER_SCHEDULE),
    ):
        faults += [_strike(dice, kinds) for _ in range(dice.randint(low, high))]
    faults += [_blow(dice) for _ in range(dice.randint(*BLOWS_PER_SCHEDULE))]
    faults.sort()
    return Plan(seed, tuple(faults), dice.random() < TWO_EXECUTORS_PROBABILITY)


def _moment(dice: Random) -> int:
    return dice.randrange(FAULTS_BEGIN_NS, FAULTS_END_NS)


def _strike(dice: Random, kinds: tuple[str, ...]) -> Fault:
    return Fault(_moment(dice), dice.choice(kinds))


def _blow(dice: Random) -> Fault:
    kind = dice.choices(_KINDS, _WEIGHTS)[0]
    steps_max = STEPS_TO_SEND_MAX if kind in BEFORE_THE_SEND else STEPS_IN_FLIGHT_MAX
    is_in_flight = kind in BEFORE_THE_SEND or dice.random() < IN_FLIGHT_PROBABILITY
    return Fault(
        at_ns=_moment(dice),
        kind=kind,
        in_flight=dice.randint(1, steps_max) if is_in_flight else 0,
        span_ns=_span(dice),
        draw=dice.random(),
    )


def _span(dice: Random) -> int:
    """From a moment to some seconds, short ones more often."""
    return 200 * NS_PER_MS + int(dice.random() ** 2 * 10 * NS_PER_S)
