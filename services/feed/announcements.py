"""From what was heard to what is said: events and bars as messages of the bus."""

from decimal import Decimal, InvalidOperation

from libs.common.messages.market import Candle, Mark, MarketClock, Quote, Trade
from services.feed.bars import ZERO, Bar
from services.feed.events import (
    FIGURE_MAX,
    NS_PER_MS,
    MarkEvent,
    QuoteEvent,
    RestQuote,
    TradeEvent,
    UnreadableError,
)
from services.feed.market_time import ProvenTime
from services.feed.trade_series import CandleReady, trade_id_of

SOURCE = "feed"


def quote_message(event: QuoteEvent, wall_ns: int) -> Quote:
    """A quote for the bus.

    Raises:
        UnreadableError: a price or quantity is no number, or cannot be one.
    """
    told = f"rest-{event.event_ms}" if isinstance(event, RestQuote) else str(event.update_id)
    message_id = f"{event.symbol}-q-{told}"
    return Quote(
        message_id=message_id,
        causation_id=message_id,
        correlation_id=message_id,
        ts_event_ns=event.event_ms * NS_PER_MS,
        ts_published_ns=wall_ns,
        source=SOURCE,
        symbol=event.symbol,
        bid_price=_number(event.bid_price, "bid price"),
        bid_quantity=_number(event.bid_quantity, "bid quantity"),
        ask_price=_number(event.ask_price, "ask price"),
        ask_quantity=_number(event.ask_quantity, "ask quantity"),
        update_id=event.update_id,
    )


def mark_message(event: MarkEvent, wall_ns: int) -> Mark:
    """A mark price for the bus.

    Raises:
        UnreadableError: a price or rate is no number, or cannot be one.
    """
    message_id = f"{event.symbol}-m-{event.event_ms}"
    return Mark(
        message_id=message_id,
        causation_id=message_id,
        correlation_id=message_id,
        ts_event_ns=event.event_ms * NS_PER_MS,
        ts_published_ns=wall_ns,
        source=SOURCE,
        symbol=event.symbol,
        mark_price=_number(event.mark_price, "mark price"),
        index_price=_number(event.index_price, "index price"),
        funding_rate=_number(event.funding_rate or "0", "funding rate", is_signed=True),
        next_funding_ns=event.next_funding_ms * NS_PER_MS,
    )


def trade_message(event: TradeEvent, wall_ns: int) -> Trade:
    """A print for the bus."""
    message_id = f"{event.symbol}-t-{event.trade_id}"
    return Trade(
        message_id=message_id,
        causation_id=message_id,
        correlation_id=message_id,
        ts_event_ns=event.trade_ms * NS_PER_MS,
        ts_published_ns=wall_ns,
        source=SOURCE,
        symbol=event.symbol,
        trade_id=event.trade_id,
        price=event.price,
        quantity=event.quantity,
        buyer_is_maker=event.buyer_is_maker,
    )


def candle_message(ready: CandleReady, wall_ns: int) -> Candle:
    """A closed candle for the bus."""
    bar = ready.bar
    return Candle(
        message_id=ready.candle_id,
        causation_id=ready.cause,
        correlation_id=ready.candle_id,
        ts_event_ns=bar.close_ns,
        ts_published_ns=wall_ns,
        source=SOURCE,
        symbol=ready.symbol,
        interval=ready.interval,
        open_ns=bar.open_ns,
        close_ns=bar.close_ns,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        trade_count=bar.trade_count,
        origin=bar.origin,
    )


def bar_of(candle: Candle) -> Bar:
    """The bar inside a candle published before; -1 for the trade id where none is told."""
    trade_id = trade_id_of(candle.causation_id)
    return Bar(
        candle.open_ns, candle.close_ns, candle.open, candle.high, candle.low, candle.close,
        candle.volume, candle.trade_count, candle.origin, -1 if trade_id is None else trade_id,
    )  # fmt: skip


def clock_message(proven: ProvenTime, wall_ns: int) -> MarketClock:
    """The paper world's time for the bus."""
    message_id = f"clock-{proven.now_ns}-{wall_ns}"
    return MarketClock(
        message_id=message_id,
        causation_id=message_id,
        correlation_id=message_id,
        ts_event_ns=proven.now_ns,
        ts_published_ns=wall_ns,
        source=SOURCE,
        now_ns=proven.now_ns,
        speed=proven.speed,
        limit_ns=proven.limit_ns,
        source_ended=proven.source_ended,
    )


def _number(text: str, what: str, *, is_signed: bool = False) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise UnreadableError(f"{what} is not a number") from None
    if (
        not value.is_finite()
        or not -FIGURE_MAX <= value <= FIGURE_MAX
        or (value < ZERO and not is_signed)
    ):
        raise UnreadableError(f"{what} cannot be {text[:40]}")
    return value
