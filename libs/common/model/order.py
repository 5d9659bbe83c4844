"""Orders: their sides, types and states, and which state may follow which."""

from decimal import Decimal
from enum import StrEnum

import msgspec


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


TERMINAL = frozenset(
    {
        OrderStatus.FILLED,
        OrderStatus.CANCELED,
        OrderStatus.EXPIRED,
        OrderStatus.REJECTED,
        OrderStatus.NOT_PLACED,
    }
)

_FROM_VENUE = frozenset(
    {
        OrderStatus.OPEN,
        OrderStatus.PARTIALLY_FILLED,
        OrderStatus.FILLED,
        OrderStatus.CANCELED,
        OrderStatus.EXPIRED,
    }
)

#: state -> states that may follow. Staying where one is, is always allowed (facts repeat).
TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.RECORDED: _FROM_VENUE
    | {OrderStatus.UNKNOWN, OrderStatus.REJECTED, OrderStatus.NOT_PLACED},
    OrderStatus.UNKNOWN: _FROM_VENUE | {OrderStatus.REJECTED, OrderStatus.NOT_PLACED},
    OrderStatus.OPEN: _FROM_VENUE,
    OrderStatus.PARTIALLY_FILLED: _FROM_VENUE - {OrderStatus.OPEN},
    # The last fill can arrive after the cancel was acknowledged: the venue matched it first.
    OrderStatus.CANCELED: frozenset({OrderStatus.FILLED}),
    OrderStatus.EXPIRED: frozenset({OrderStatus.FILLED}),
    OrderStatus.FILLED: frozenset(),
    OrderStatus.REJECTED: frozenset(),
    OrderStatus.NOT_PLACED: frozenset(),
}

_VENUE_WORDS = {
    "NEW": OrderStatus.OPEN,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
    "REJECTED": OrderStatus.REJECTED,
}


def may_follow(current: OrderStatus, update: OrderStatus) -> bool:
    """Whether an order in ``current`` may be told it is in ``update``."""
    return current == update or update in TRANSITIONS[current]


def parse_venue_status(word: str) -> OrderStatus:
    """Translate the venue's status word.

    Raises:
        ValueError: a word this version does not know; nothing is guessed.
    """
    try:
        return _VENUE_WORDS[word]
    except KeyError:
        raise ValueError(f"unknown venue order status {word!r}") from None


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
