"""The market's messages in the venue's shapes of late 2026: key order, ``st``, ``ps`` and ``nq``.

``st`` is 1 for USD-M contracts; ``ps`` is the pair; ``nq`` is the quantity without retail price
improvement orders, which this venue does not have, so it equals the quantity.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from services.paper_exchange.market.book import Book
from services.paper_exchange.market.instruments import Instrument
from services.paper_exchange.sources.event import DepthUpdate, Quote, Trade
from services.paper_exchange.wire.decimal_text import at_least

USD_MARGINED: Final = 1
NS_PER_MS: Final = 1_000_000

Payload = dict[str, object]


class AggregateTrade(msgspec.Struct):
    """Trades of one taker at one price within 100 ms, counted as one."""

    symbol: str
    aggregate_id: int
    price: Decimal
    quantity: Decimal
    first_trade_id: int
    last_trade_id: int
    transaction_ms: int
    is_buyer_maker: bool


def depth_update(event: DepthUpdate) -> Payload:
    """Return a depthUpdate as the source gave it."""
    return {
        "e": "depthUpdate",
        "E": event.ts_ns // NS_PER_MS,
        "T": event.transaction_ms,
        "s": event.symbol,
        "ps": event.symbol,
        "U": event.first_update_id,
        "u": event.final_update_id,
        "pu": event.previous_update_id,
        "b": event.bids,
        "a": event.asks,
        "st": USD_MARGINED,
    }


def merged_depth(updates: Sequence[DepthUpdate], ts_ns: int) -> Payload:
    """Return consecutive updates as one: the last quantity of each level, the outer update ids."""
    first, last = updates[0], updates[-1]
    return depth_update(
        DepthUpdate(
            ts_ns,
            last.symbol,
            last.transaction_ms,
            first.first_update_id,
            last.final_update_id,
            first.previous_update_id,
            tuple(dict(level for update in updates for level in update.bids).items()),
            tuple(dict(level for update in updates for level in update.asks).items()),
        )
    )


def partial_depth(updates: Sequence[DepthUpdate], book: Book, levels: int, ts_ns: int) -> Payload:
    """Return the best ``levels`` of each side, with the update ids of what has changed."""
    first, last = updates[0], updates[-1]
    bids, asks = book.snapshot(levels)
    return depth_update(
        DepthUpdate(
            ts_ns,
            last.symbol,
            last.transaction_ms,
            first.first_update_id,
            last.final_update_id,
            first.previous_update_id,
            tuple(bids),
            tuple(asks),
        )
    )


def best_of_book(book: Book, bid: tuple[str, str], ask: tuple[str, str], ts_ns: int) -> Payload:
    """Return a bookTicker of what the book shows now."""
    return book_ticker(
        Quote(ts_ns, book.symbol, book.ts_ns // NS_PER_MS, book.update_id, *bid, *ask)
    )


def book_ticker(event: Quote) -> Payload:
    """Return a bookTicker in the key order since 2026."""
    return {
        "e": "bookTicker",
        "u": event.update_id,
        "E": event.ts_ns // NS_PER_MS,
        "T": event.transaction_ms,
        "s": event.symbol,
        "ps": event.symbol,
        "b": event.bid_price,
        "B": event.bid_quantity,
        "a": event.ask_price,
        "A": event.ask_quantity,
        "st": USD_MARGINED,
    }


def trade(event: Trade, instrument: Instrument) -> Payload:
    """Return one trade."""
    return {
        "e": "trade",
        "E": event.ts_ns // NS_PER_MS,
        "T": event.transaction_ms,
        "s": event.symbol,
        "t": event.trade_id,
        "p": at_least(event.price, instrument.price_precision),
        "q": at_least(event.quantity, instrument.quantity_precision),
        "X": event.execution,
        "m": event.is_buyer_maker,
        "st": USD_MARGINED,
    }


def aggregate_trade(aggregate: AggregateTrade, instrument: Instrument, ts_ns: int) -> Payload:
    """Return one aggTrade, announced at ``ts_ns``."""
    quantity = at_least(aggregate.quantity, instrument.quantity_precision)
    return {
        "e": "aggTrade",
        "E": ts_ns // NS_PER_MS,
        "s": aggregate.symbol,
        "a": aggregate.aggregate_id,
        "p": at_least(aggregate.price, instrument.price_precision),
        "q": quantity,
        "nq": quantity,
        "f": aggregate.first_trade_id,
        "l": aggregate.last_trade_id,
        "T": aggregate.transaction_ms,
        "m": aggregate.is_buyer_maker,
        "st": USD_MARGINED,
    }


def mark_price_update(
    book: Book, average: Decimal, rate: Decimal, next_funding_ms: int, ts_ns: int
) -> Payload:
    """Return a markPriceUpdate; the book must have a mark price, whose moving average is told."""
    assert book.mark_price is not None, "a mark price is published once there is one"
    mark_text = price_text(book.mark_price)
    index_price = book.mark_price if book.index_price is None else book.index_price
    return {
        "e": "markPriceUpdate",
        "E": ts_ns // NS_PER_MS,
        "s": book.symbol,
        "p": mark_text,
        "ap": price_text(average),
        "P": mark_text,
        "i": price_text(index_price),
        "r": price_text(rate),
        "T": next_funding_ms,
        "st": USD_MARGINED,
    }


def contract_info(instrument: Instrument, ts_ns: int) -> Payload:
    """Return a contractInfo: what can be done with a symbol has changed."""
    return {
        "e": "contractInfo",
        "E": ts_ns // NS_PER_MS,
        "s": instrument.symbol,
        "ps": instrument.symbol,
        "ct": instrument.contract_type,
        "dt": instrument.delivery_date_ms,
        "ot": instrument.onboard_date_ms,
        "cs": instrument.status,
        "st": USD_MARGINED,
    }


def price_text(price: Decimal) -> str:
    """Return a mark price, index price or rate with the venue's eight decimals."""
    return f"{price:.8f}"


def median_of_three(values: Iterable[Decimal]) -> Decimal:
    """Return the middle one of three prices."""
    return sorted(values)[1]
