"""Market data as it crosses the bus: said by feed."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from libs.common.messages.envelope import Envelope


class Quote(Envelope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Best bid and ask. Prices in quote currency, quantities in base units.

    ``update_id`` is the book's; 0 where REST told the quote while its stream was down.
    """

    symbol: str
    bid_price: Decimal
    bid_quantity: Decimal
    ask_price: Decimal
    ask_quantity: Decimal
    update_id: int


class Mark(Envelope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mark and index price in quote currency; funding rate per funding period."""

    symbol: str
    mark_price: Decimal
    index_price: Decimal
    funding_rate: Decimal
    next_funding_ns: int


class Trade(Envelope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One public print."""

    symbol: str
    trade_id: int
    price: Decimal
    quantity: Decimal
    buyer_is_maker: bool


class BookLevel(msgspec.Struct, frozen=True, array_like=True):
    """One price level: price in quote currency, quantity in base units."""

    price: Decimal
    quantity: Decimal


class Depth(Envelope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The best levels of an order book, best first; said apart from the market's clock.

    Attributes:
        update_id: the venue's last change in it.
        is_valid: it equals the venue's as of that change; no level is told while it does not.
    """

    symbol: str
    update_id: int
    is_valid: bool
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]


class CandleOrigin(StrEnum):
    """Where a closed candle came from."""

    STREAM = "STREAM"
    TRADES = "TRADES"
    REST = "REST"


class Candle(Envelope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One closed candle. ``message_id`` is the candle's id: symbol, interval, open time (ms).

    Attributes:
        open_ns: first nanosecond of the bar.
        close_ns: first nanosecond after the bar.
        volume: base units traded; zero for a bar without trades (prices repeat the last close).
    """

    symbol: str
    interval: str
    open_ns: int
    close_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trade_count: int
    origin: CandleOrigin


class MarketClock(Envelope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Market time of the paper world: feed has published all that precedes ``now_ns``.

    Attributes:
        speed: market seconds per wall second, as a decimal.
        limit_ns: market time does not pass this before the next grant; ``None`` for no limit.
        source_ended: the venue's data source has no more market events.
    """

    now_ns: int
    speed: Decimal
    limit_ns: int | None
    source_ended: bool


class SymbolHealth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Age of a symbol's newest data in milliseconds of market time; ``None`` if none came.

    Attributes:
        is_stale: what is needed is too old, missing for long or told by REST, or a socket is down.
        status: the venue's word on the symbol, such as TRADING; or UNKNOWN (not told yet), ABSENT
            (not listed) or UNREADABLE (its rules make no sense).
        refusal: why the symbol takes no new risk; empty where it does. Exits are not concerned.
    """

    symbol: str
    quote_age_ms: int | None
    mark_age_ms: int | None
    trade_age_ms: int | None
    is_stale: bool
    status: str = "UNKNOWN"
    refusal: str = "the venue has not said yet whether it trades"


class MarketHealth(Envelope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """State of the feed: sent at least once a second of wall time.

    Attributes:
        is_connected: every market socket is up and subscribed.
        received: messages received per kind since the feed started.
        published: messages published per kind since the feed started.
        conflated: messages replaced by a newer one of their kind before publication.
    """

    is_connected: bool
    symbols: tuple[SymbolHealth, ...]
    received: dict[str, int]
    published: dict[str, int]
    conflated: dict[str, int]
