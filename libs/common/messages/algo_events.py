"""Events in the life of a conditional (algo) order: the stops and targets that protect entries."""

from decimal import Decimal

from libs.common.messages.event import Event
from libs.common.model.algo_order import AlgoKind, AlgoStatus
from libs.common.model.order import Side


class AlgoOrderRecorded(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """A stop or target was decided and may now be sent.

    Attributes:
        intent_id: the entry it protects.
        quantity: base units to close when triggered (reduce-only).
        timestamp_ms: the venue timestamp it is signed with; bounds a late arrival.
        writer: the process that recorded it.
    """

    client_algo_id: str
    intent_id: str
    kind: AlgoKind
    symbol: str
    side: Side
    quantity: Decimal
    trigger_price: Decimal
    attempt: int
    timestamp_ms: int
    recv_window_ms: int
    writer: str


class AlgoOrderUpdated(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """What became of it: the venue's word, a missing answer, or proof that it was not placed.

    Attributes:
        algo_id: the venue's id; 0 while not known.
        venue_order_id: the order it became when triggered; 0 before.
        why: the refusal, the missing answer or the evidence, in words.
    """

    client_algo_id: str
    status: AlgoStatus
    algo_id: int = 0
    venue_order_id: int = 0
    code: int = 0
    why: str = ""


class AlgoCancelRequested(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """A stop or target is to be cancelled: its sibling ended, or the position did."""

    client_algo_id: str
    actor: str
    why: str


class ProtectionFailed(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """An entry's stop was not acknowledged within its grace time: the position is to be closed."""

    intent_id: str
    symbol: str
    why: str
