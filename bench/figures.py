"""What the pipeline benchmark computes: percentiles, the stages of an order's way, the floor.

Pure, so that the figures themselves can be tested.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

#: The hops an order takes from its candle, counted from the code. Signal, risk and execution each
#: hear the one before through a stream; risk's verdict and the gate's decision are each stored,
#: with the broker's acknowledgement, before anything else happens.
CANDLE_TO_ORDER = Counter({"stored hop": 3, "stored publish": 2})
INTENT_TO_ORDER = Counter({"stored hop": 2, "stored publish": 2})
CANDLE_TO_ANSWER = CANDLE_TO_ORDER + Counter({"order over HTTP": 1})


@dataclass
class Stamps:
    """Wall times in nanoseconds on one intent's way; 0 where it never came."""

    candle_ns: int = 0
    proposed_ns: int = 0
    decided_ns: int = 0
    recorded_ns: int = 0
    sent_ns: int = 0
    answered_ns: int = 0


#: Name of a stage, and the stamps between which it lies.
STAGES = {
    "candle to order": ("candle_ns", "sent_ns"),
    "intent to order": ("proposed_ns", "sent_ns"),
    "candle to answer": ("candle_ns", "answered_ns"),
    "  candle -> intent": ("candle_ns", "proposed_ns"),
    "  intent -> verdict": ("proposed_ns", "decided_ns"),
    "  verdict -> gate": ("decided_ns", "recorded_ns"),
    "  gate -> sent": ("recorded_ns", "sent_ns"),
    "  sent -> answer": ("sent_ns", "answered_ns"),
}


@dataclass
class Way:
    """The stamps of every intent, by its id."""

    intents: dict[str, Stamps] = field(default_factory=dict)

    def of(self, intent_id: str) -> Stamps:
        """The stamps of one intent; new ones where it is not known yet."""
        return self.intents.setdefault(intent_id, Stamps())

    def spans_ns(self, stage: str) -> list[int]:
        """How long a stage took, for every intent that passed both ends of it."""
        start, end = STAGES[stage]
        return [
            getattr(stamps, end) - getattr(stamps, start)
            for stamps in self.intents.values()
            if getattr(stamps, start) and getattr(stamps, end)
        ]


def percentile(samples: Sequence[int], percent: int) -> int:
    """The nearest-rank percentile.

    Raises:
        ValueError: there is no sample.
    """
    if not samples:
        raise ValueError("no samples")
    rank = max(1, -(-len(samples) * percent // 100))
    return sorted(samples)[rank - 1]


def median_of_rounds(rounds: Sequence[Sequence[int]], percent: int) -> int:
    """The median over rounds of each round's percentile, so that one bad round decides nothing.

    Raises:
        ValueError: a round has no sample.
    """
    return percentile([percentile(samples, percent) for samples in rounds], 50)


def floor_ns(hops: Mapping[str, int], cost_ns: Mapping[str, int]) -> int:
    """What the hops of a way cost when nothing but the hops happens.

    Raises:
        KeyError: the cost of a hop was not measured.
    """
    return sum(count * cost_ns[name] for name, count in hops.items())


def describe_hops(hops: Mapping[str, int]) -> str:
    """The hops in words: ``3 x stored hop + 2 x stored publish``."""
    return " + ".join(f"{count} x {name}" for name, count in hops.items())
