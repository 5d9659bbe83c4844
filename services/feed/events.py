"""What the venue's market streams say, as frozen structs read straight from the wire.

Quotes stay text until one is published: most are replaced by a newer one before that, and a
decimal nobody reads is work for nothing. Fields we do not use are ignored, because the venue adds
fields without notice. Times are milliseconds since 1970.
"""

from decimal import Decimal
from typing import Protocol, final

import msgspec
from msgspec import field

NS_PER_MS = 1_000_000
ZERO = Decimal(0)
#: Trades by insurance fund and auto-deleveraging are no market prints.
MARKET_EXECUTION = "MARKET"
#: No price, quantity or volume lies beyond. What does is finite, and yet adding it up or writing it
#: out may fail; it would end every replica at the same moment, since all of them hear it.
FIGURE_MIN, FIGURE_MAX = Decimal("1E-18"), Decimal("1E+18")


class Barlike(Protocol):
    """A bar, whoever tells it."""

    @property
    def open(self) -> Decimal:
        """Price in quote currency, as the next three."""

    @property
    def high(self) -> Decimal:
        """The highest."""

    @property
    def low(self) -> Decimal:
        """The lowest."""

    @property
    def close(self) -> Decimal:
        """The last."""

    @property
    def volume(self) -> Decimal:
        """Base units traded."""


class UnreadableError(ValueError):
    """A frame is not what its stream should say; the text says why."""


class QuoteEvent(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="bookTicker"):
    """Best bid and ask, still as text."""

    event_ms: int = field(name="E")
    symbol: str = field(name="s")
    update_id: int = field(name="u")
    bid_price: str = field(name="b")
    bid_quantity: str = field(name="B")
    ask_price: str = field(name="a")
    ask_quantity: str = field(name="A")

    @property
    def is_rest(self) -> bool:
        """Whether REST told it."""
        return False


class MarkEvent(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="markPriceUpdate"):
    """Mark price, index price and funding, still as text."""

    event_ms: int = field(name="E")
    symbol: str = field(name="s")
    mark_price: str = field(name="p")
    index_price: str = field(name="i")
    funding_rate: str = field(name="r", default="")
    next_funding_ms: int = field(name="T", default=0)

    @property
    def is_rest(self) -> bool:
        """Whether REST told it."""
        return False

    @property
    def update_id(self) -> int:
        """The venue gives marks no number."""
        return 0


class RestQuote(QuoteEvent, frozen=True, gc=False, tag_field="e", tag="restQuote"):
    """A quote that REST told; its time is REST's, and it has no update id (0)."""

    @property
    def is_rest(self) -> bool:
        """Whether REST told it."""
        return True


class RestMark(MarkEvent, frozen=True, gc=False, tag_field="e", tag="restMark"):
    """A mark price that REST told; its time is REST's."""

    @property
    def is_rest(self) -> bool:
        """Whether REST told it."""
        return True


class TradeEvent(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="trade"):
    """One print; ``trade_ms`` is when it was matched, ``event_ms`` when it was told."""

    event_ms: int = field(name="E")
    trade_ms: int = field(name="T")
    symbol: str = field(name="s")
    trade_id: int = field(name="t")
    price: Decimal = field(name="p")
    quantity: Decimal = field(name="q")
    buyer_is_maker: bool = field(name="m")
    execution: str = field(name="X", default=MARKET_EXECUTION)

    @property
    def is_market_print(self) -> bool:
        """Whether it counts in candles."""
        return self.execution == MARKET_EXECUTION and self.quantity > ZERO


class KlineHead(msgspec.Struct, frozen=True, gc=False):
    """What is read of a bar that may still be open; ``is_closed`` is the only mark of a final one.

    Nobody uses the figures of an open bar, and reading them takes longer than all else of it.
    """

    interval: str = field(name="i")
    is_closed: bool = field(name="x")


class KlineUpdate(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="kline"):
    """A bar as it stands: that of a ``KlineEvent``, or an open one."""

    event_ms: int = field(name="E")
    symbol: str = field(name="s")
    bar: KlineHead = field(name="k")


class KlineBody(KlineHead, frozen=True, gc=False):
    """A closed bar."""

    open_ms: int = field(name="t")
    open: Decimal = field(name="o")
    high: Decimal = field(name="h")
    low: Decimal = field(name="l")
    close: Decimal = field(name="c")
    volume: Decimal = field(name="v")
    trade_count: int = field(name="n")


class KlineEvent(KlineUpdate, frozen=True, gc=False, tag_field="e", tag="kline"):
    """A bar that is closed, with its figures."""

    bar: KlineBody = field(name="k")


class DepthEvent(msgspec.Struct, frozen=True, tag_field="e", tag="depthUpdate"):
    """An order book change: updates ``first_id`` to ``last_id``, after ``previous_id``.

    Levels are price and the quantity that stands there now; zero takes the level away.
    """

    event_ms: int = field(name="E")
    symbol: str = field(name="s")
    first_id: int = field(name="U")
    last_id: int = field(name="u")
    previous_id: int = field(name="pu")
    bids: tuple[tuple[Decimal, Decimal], ...] = field(name="b")
    asks: tuple[tuple[Decimal, Decimal], ...] = field(name="a")


@final
class ContractEvent(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="contractInfo"):
    """Something about a symbol has changed: a hint to read what."""

    event_ms: int = field(name="E")
    symbol: str = field(name="s")


@final
class ClockEvent(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="simClock"):
    """A grant of the paper venue: its data up to ``now_ns`` was sent on this socket before.

    ``newest_trades`` names each symbol's newest trade by then, so that one kept back shows.
    """

    now_ns: int = field(name="n")
    speed: Decimal = field(name="v")
    limit_ns: int | None = field(name="l")
    source_ended: bool = field(name="z")
    newest_trades: dict[str, int] = field(name="t")


@final
class ShutdownEvent(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="serverShutdown"):
    """The venue is about to close the connection."""


MarketEvent = QuoteEvent | MarkEvent | TradeEvent | KlineUpdate | DepthEvent


class Frame(msgspec.Struct, frozen=True, gc=False):
    """A combined-stream message, or the answer to a request of ours (then ``id`` is set).

    ``result`` is the list of our subscriptions where we asked for it.
    """

    stream: str = ""
    data: MarketEvent | ContractEvent | ClockEvent | ShutdownEvent | None = None
    result: tuple[str, ...] | None = None
    id: int | None = None
    error: dict[str, int | str] | None = None


class _ClosedKlineFrame(msgspec.Struct, gc=False):
    """A frame of which is known that it tells a closed bar."""

    data: KlineEvent


decode_frame = msgspec.json.Decoder(Frame).decode
_decode_closed_kline = msgspec.json.Decoder(_ClosedKlineFrame).decode
#: What decoders raise.
DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_frame(payload: bytes) -> Frame:
    """Read one frame, and refuse what cannot be.

    Raises:
        UnreadableError: no JSON, an unknown event, a missing or mistyped field, a number that is
            not finite or makes no sense where it stands.
    """
    try:
        return whole_frame(decode_frame(payload), payload)
    except DECODE_ERRORS as error:
        raise UnreadableError(str(error)) from error


def whole_frame(frame: Frame, payload: bytes) -> Frame:
    """Check what ``decode_frame`` read, and read the rest of it; quotes and marks need neither.

    Raises:
        UnreadableError: a number that is not finite or makes no sense where it stands.
        msgspec.DecodeError: a missing or mistyped field of a closed bar.
    """
    data = frame.data
    if type(data) is KlineUpdate:
        return _read_bar(frame, payload) if data.bar.is_closed else frame
    if data is None:
        if frame.id is None and frame.error is None:
            raise UnreadableError("neither data nor an answer to a request")
    elif type(data) is TradeEvent:
        check_trade(data)
    elif type(data) is DepthEvent:
        check_levels(data)
    elif isinstance(data, ClockEvent) and not (data.speed.is_finite() and data.speed > ZERO):
        raise UnreadableError("a clock that does not go")
    return frame


def _read_bar(frame: Frame, payload: bytes) -> Frame:
    event = _decode_closed_kline(payload).data
    check_bar(event.bar)
    if event.bar.trade_count < 0:
        raise UnreadableError("a bar with a negative count")
    return msgspec.structs.replace(frame, data=event)


def check_trade(trade: TradeEvent) -> None:
    """Refuse a trade whose numbers cannot be.

    Raises:
        UnreadableError: saying which rule it breaks.
    """
    if not (trade.price.is_finite() and trade.quantity.is_finite()):
        raise UnreadableError("a trade with a number that is not finite")
    if not (FIGURE_MIN <= trade.price <= FIGURE_MAX and ZERO <= trade.quantity <= FIGURE_MAX):
        raise UnreadableError("a trade with a price or quantity that cannot be")


def check_levels(event: DepthEvent) -> None:
    """Refuse an order book change that no book can hold.

    Raises:
        UnreadableError: saying which rule it breaks.
    """
    if event.first_id > event.last_id:
        raise UnreadableError("an order book change whose ids run backwards")
    for levels in (event.bids, event.asks):
        for price, quantity in levels:
            if not (price.is_finite() and quantity.is_finite()):
                raise UnreadableError("a price level with a number that is not finite")
            if not (FIGURE_MIN <= price <= FIGURE_MAX and ZERO <= quantity <= FIGURE_MAX):
                raise UnreadableError("a price level that cannot be")


def check_bar(bar: Barlike) -> None:
    """Refuse a bar whose numbers do not make one.

    Raises:
        UnreadableError: saying which rule it breaks.
    """
    first, high, low, last = bar.open, bar.high, bar.low, bar.close
    # Written out: bars that are still open come many times a second and are checked as well.
    if not (
        first.is_finite()
        and high.is_finite()
        and low.is_finite()
        and last.is_finite()
        and bar.volume.is_finite()
    ):
        raise UnreadableError("a bar with a number that is not finite")
    if not (FIGURE_MIN <= low <= first <= high <= FIGURE_MAX and low <= last <= high):
        raise UnreadableError("a bar whose prices contradict one another, or cannot be")
    if not ZERO <= bar.volume <= FIGURE_MAX:
        raise UnreadableError("a bar with a volume that cannot be")
