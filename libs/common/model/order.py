"""Orders: their sides, types and states, and which state may follow which."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from libs.common.model.lifecycle import Ignored, Lifecycle, parse_word


class Side(StrEnum):
    """The side of an order."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    """The order types execution may send to the order endpoint."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"


class TimeInForce(StrEnum):
    """How long a limit order may rest. GTX is post-only, GTD until a date."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTX = "GTX"
    GTD = "GTD"


class OrderStatus(StrEnum):
    """The life of an order, ours and the venue's words in one list.

    RECORDED: journaled, perhaps sent, not answered. UNKNOWN: asked and not answered, or answered
    unreadably; only evidence ends it. NOT_PLACED: evidence says the venue never took it.
    """

    RECORDED = "RECORDED"
    UNKNOWN = "UNKNOWN"
    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    NOT_PLACED = "NOT_PLACED"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing but a late fill can still happen to the order."""
        return self in TERMINAL


class OrderEvent(StrEnum):
    """What can be heard of an order, whoever tells it: an answer, the user stream, or a query.

    LOST: no answer, or none that could be read. REFUSED: the venue would not take it. ABSENT: proof
    that the venue never took it and can no longer. The others are the venue's own words; a change
    of price or quantity is heard as ACCEPTED or PARTLY_FILLED again, an expiry in match as EXPIRED.
    """

    LOST = "LOST"
    REFUSED = "REFUSED"
    ABSENT = "ABSENT"
    ACCEPTED = "ACCEPTED"
    PARTLY_FILLED = "PARTLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


_STALE, _IMPOSSIBLE = Ignored.STALE, Ignored.IMPOSSIBLE
_UNKNOWN, _REJECTED, _NOT_PLACED = (
    OrderStatus.UNKNOWN,
    OrderStatus.REJECTED,
    OrderStatus.NOT_PLACED,
)
_OPEN, _PARTLY, _FILLED = OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED
_CANCELED, _EXPIRED = OrderStatus.CANCELED, OrderStatus.EXPIRED

_ROWS: dict[OrderStatus, tuple[OrderStatus | Ignored, ...]] = {
    # LOST, REFUSED, ABSENT, ACCEPTED, PARTLY_FILLED, FILLED, CANCELED, EXPIRED
    OrderStatus.RECORDED: (
        _UNKNOWN, _REJECTED, _NOT_PLACED, _OPEN, _PARTLY, _FILLED, _CANCELED, _EXPIRED,
    ),
    OrderStatus.UNKNOWN: (
        _UNKNOWN, _REJECTED, _NOT_PLACED, _OPEN, _PARTLY, _FILLED, _CANCELED, _EXPIRED,
    ),
    # The stream may tell of an order whose own answer is lost.
    OrderStatus.OPEN: (
        _STALE, _IMPOSSIBLE, _IMPOSSIBLE, _OPEN, _PARTLY, _FILLED, _CANCELED, _EXPIRED,
    ),
    OrderStatus.PARTIALLY_FILLED: (
        _STALE, _IMPOSSIBLE, _IMPOSSIBLE, _STALE, _PARTLY, _FILLED, _CANCELED, _EXPIRED,
    ),
    OrderStatus.FILLED: (
        _STALE, _IMPOSSIBLE, _IMPOSSIBLE, _STALE, _STALE, _FILLED, _IMPOSSIBLE, _IMPOSSIBLE,
    ),
    # The last fill can be heard after the end: the venue matched it first.
    OrderStatus.CANCELED: (
        _STALE, _IMPOSSIBLE, _IMPOSSIBLE, _STALE, _STALE, _FILLED, _CANCELED, _IMPOSSIBLE,
    ),
    OrderStatus.EXPIRED: (
        _STALE, _IMPOSSIBLE, _IMPOSSIBLE, _STALE, _STALE, _FILLED, _IMPOSSIBLE, _EXPIRED,
    ),
    OrderStatus.REJECTED: (
        _STALE, _REJECTED, _STALE, *(_IMPOSSIBLE,) * 5,
    ),
    OrderStatus.NOT_PLACED: (
        _STALE, _STALE, _NOT_PLACED, *(_IMPOSSIBLE,) * 5,
    ),
}  # fmt: skip

#: state -> event -> the state that follows, or why none does. Every cell is filled.
LIFECYCLE: dict[OrderStatus, dict[OrderEvent, OrderStatus | Ignored]] = {
    status: dict(zip(OrderEvent, row, strict=True)) for status, row in _ROWS.items()
}

#: The state that an event by itself tells; RECORDED is told by nobody but our own journal.
_TELLS: dict[OrderEvent, OrderStatus] = {
    event: status
    for event, status in LIFECYCLE[OrderStatus.RECORDED].items()
    if isinstance(status, OrderStatus)
}
_TOLD_BY: dict[OrderStatus, OrderEvent] = {status: event for event, status in _TELLS.items()}

#: States that nothing but a late last fill can follow.
TERMINAL = frozenset({_FILLED, _CANCELED, _EXPIRED, _REJECTED, _NOT_PLACED})

_ORDERS = Lifecycle(LIFECYCLE, _TOLD_BY)
#: state -> other states that may follow it, read from the table.
TRANSITIONS = _ORDERS.transitions()
#: Whether an order in one state may be told it is in another, and whether that is impossible.
may_follow, contradicts = _ORDERS.may_follow, _ORDERS.contradicts

_VENUE_WORDS = {
    "NEW": OrderStatus.OPEN,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
    "REJECTED": OrderStatus.REJECTED,
}


def parse_venue_status(word: str) -> OrderStatus:
    """Translate the venue's status word.

    Raises:
        ValueError: a word this version does not know; nothing is guessed.
    """
    return parse_word(_VENUE_WORDS, word, "order")


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be asked of the venue: every field that decides what the order does.

    Attributes:
        quantity: base units, already a multiple of the step.
        price: limit price, already a multiple of the tick; ``None`` for a market order.
        good_till_ms: venue time at which a GTD order ends; ``None`` for every other.
    """

    symbol: str
    side: Side
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    time_in_force: TimeInForce | None = None
    reduce_only: bool = False
    good_till_ms: int | None = None
