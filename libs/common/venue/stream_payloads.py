"""What the venue's streams say, decoded in one pass by the event type `e`.

Market frames arrive as `{"stream": .., "data": {..}}`, user events bare or in the same envelope.
Replies to SUBSCRIBE and events of a kind we do not read come back as their own types, so a reader
never has to guess. Times are milliseconds (`*_ms`). Fields that appeared in 2026 (`st`, `ps`,
`nq`) are optional, because older recordings lack them.
"""

from decimal import Decimal

import msgspec
from msgspec import field

from libs.common.venue.payloads import ZERO, Payload, PayloadError

Frame = bytes | bytearray | memoryview


class _Event(Payload, frozen=True, kw_only=True, tag_field="e"):
    event_ms: int = field(name="E")


class BookTicker(_Event, frozen=True, kw_only=True, tag="bookTicker"):
    """Best bid and ask changed."""

    symbol: str = field(name="s")
    update_id: int = field(name="u")
    bid_price: Decimal = field(name="b")
    bid_quantity: Decimal = field(name="B")
    ask_price: Decimal = field(name="a")
    ask_quantity: Decimal = field(name="A")
    transaction_ms: int = field(name="T")

    def __post_init__(self) -> None:
        """The generic check, unrolled: this is the most frequent message of all."""
        if not (
            self.bid_price.is_finite()
            and self.ask_price.is_finite()
            and self.bid_quantity.is_finite()
            and self.ask_quantity.is_finite()
        ):
            raise ValueError("a price or quantity is not a finite number")


class TradeEvent(_Event, frozen=True, kw_only=True, tag="trade"):
    """One public trade; `kind` other than MARKET (insurance fund, ADL) is not a market print."""

    symbol: str = field(name="s")
    trade_id: int = field(name="t")
    price: Decimal = field(name="p")
    quantity: Decimal = field(name="q")
    transaction_ms: int = field(name="T")
    is_buyer_maker: bool = field(name="m")
    kind: str = field(name="X", default="MARKET")

    def __post_init__(self) -> None:
        """The generic check, unrolled."""
        if not (self.price.is_finite() and self.quantity.is_finite()):
            raise ValueError("a price or quantity is not a finite number")


class AggTradeEvent(_Event, frozen=True, kw_only=True, tag="aggTrade"):
    """Fills of one taker order at one price within 100 ms."""

    symbol: str = field(name="s")
    agg_trade_id: int = field(name="a")
    price: Decimal = field(name="p")
    quantity: Decimal = field(name="q")
    first_trade_id: int = field(name="f")
    last_trade_id: int = field(name="l")
    transaction_ms: int = field(name="T")
    is_buyer_maker: bool = field(name="m")
    normal_quantity: Decimal | None = field(name="nq", default=None)


class MarkPriceEvent(_Event, frozen=True, kw_only=True, tag="markPriceUpdate"):
    """Mark and index price, and the funding rate due at `next_funding_ms`."""

    symbol: str = field(name="s")
    mark_price: Decimal = field(name="p")
    index_price: Decimal = field(name="i", default=ZERO)
    settle_price: Decimal | None = field(name="P", default=None)
    funding_rate: str = field(name="r", default="")
    next_funding_ms: int = field(name="T", default=0)


class KlineBar(Payload, frozen=True, kw_only=True):
    """The bar of a kline event; `is_closed` is the only sign that it is final."""

    open_ms: int = field(name="t")
    close_ms: int = field(name="T")
    interval: str = field(name="i")
    open: Decimal = field(name="o")
    high: Decimal = field(name="h")
    low: Decimal = field(name="l")
    close: Decimal = field(name="c")
    volume: Decimal = field(name="v")
    quote_volume: Decimal = field(name="q")
    trades: int = field(name="n")
    is_closed: bool = field(name="x")


class KlineEvent(_Event, frozen=True, kw_only=True, tag="kline"):
    """A bar changed; sent only when trades occur."""

    symbol: str = field(name="s")
    bar: KlineBar = field(name="k")


class DepthEvent(_Event, frozen=True, kw_only=True, tag="depthUpdate"):
    """Changed levels as (price, quantity); apply only where `previous_id` continues."""

    symbol: str = field(name="s")
    transaction_ms: int = field(name="T")
    first_id: int = field(name="U")
    last_id: int = field(name="u")
    previous_id: int = field(name="pu")
    bids: tuple[tuple[Decimal, Decimal], ...] = field(name="b")
    asks: tuple[tuple[Decimal, Decimal], ...] = field(name="a")

    def __post_init__(self) -> None:
        """The same check for the levels."""
        for price, quantity in (*self.bids, *self.asks):
            if not (price.is_finite() and quantity.is_finite()):
                raise ValueError("a price or quantity is not a finite number")


class SimClock(_Event, frozen=True, kw_only=True, tag="simClock"):
    """A grant of the paper venue: it is `now_ns`, at `speed`, up to `limit_ns`."""

    now_ns: int = field(name="n")
    speed: Decimal = field(name="v")
    limit_ns: int | None = field(name="l", default=None)
    is_source_ended: bool = field(name="z", default=False)


class ServerShutdown(_Event, frozen=True, kw_only=True, tag="serverShutdown"):
    """The venue is about to close this connection: open another."""


class ControlReply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to SUBSCRIBE and the like; `error` None means that it was taken.

    `result` of LIST_SUBSCRIPTIONS on a private stream names the listen key: never log it.
    """

    request_id: int | str | None
    error: str | None = None
    result: tuple[str, ...] = ()


class Unrecognized(msgspec.Struct, frozen=True, kw_only=True):
    """A frame of a kind that is not read here. `kind` is its event type, when it has one."""

    stream: str
    kind: str


MarketEvent = (
    BookTicker
    | TradeEvent
    | AggTradeEvent
    | MarkPriceEvent
    | KlineEvent
    | DepthEvent
    | SimClock
    | ServerShutdown
)


class _MarketEnvelope(msgspec.Struct):
    data: MarketEvent


class _Head(msgspec.Struct):
    e: str = ""


class _Loose(msgspec.Struct):
    """Whatever a frame may be, to tell why it could not be read the fast way."""

    stream: str = ""
    data: _Head | list[msgspec.Raw] | None = None
    e: str = ""
    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw(b"")
    error: dict[str, int | str | None] | None = None


_BARE: msgspec.json.Decoder[MarketEvent] = msgspec.json.Decoder(MarketEvent)
_MARKET = msgspec.json.Decoder(_MarketEnvelope)
_LOOSE = msgspec.json.Decoder(_Loose)
_NAMES = msgspec.json.Decoder(tuple[str, ...])
_KNOWN_MARKET = frozenset(kind.__struct_config__.tag for kind in MarketEvent.__args__)


def decode_market_frame(frame: Frame) -> MarketEvent | ControlReply | Unrecognized:
    """Read one frame of a market stream, in its envelope or bare (as serverShutdown comes).

    Raises PayloadError for a malformed one.
    """
    try:
        return _MARKET.decode(frame).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = error
    try:
        return _BARE.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return explain(frame, _KNOWN_MARKET, problem)


def explain(
    frame: Frame, known: frozenset[object], error: Exception
) -> ControlReply | Unrecognized:
    """Say what a frame is that is no known event. Raises PayloadError when it is malformed.

    `known` holds the event types that should have been readable.
    """
    try:
        loose = _LOOSE.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise PayloadError(f"a frame of {len(frame)} bytes cannot be read: {error}") from None
    kind = loose.e or (loose.data.e if isinstance(loose.data, _Head) else "")
    if kind in known:
        raise PayloadError(f"a {kind} event cannot be read: {error}")
    if kind or loose.data is not None:
        return Unrecognized(stream=loose.stream, kind=kind)
    if loose.error is not None:
        text = f"{loose.error.get('code')}: {loose.error.get('msg')}"
        return ControlReply(request_id=loose.id, error=text)
    if bytes(loose.result):
        return ControlReply(request_id=loose.id, result=_names(bytes(loose.result)))
    raise PayloadError(f"a frame of {len(frame)} bytes is neither an event nor a reply")


def _names(result: bytes) -> tuple[str, ...]:
    try:
        return _NAMES.decode(result)
    except (msgspec.DecodeError, RecursionError):
        return ()
