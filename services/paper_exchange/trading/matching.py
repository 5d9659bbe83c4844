"""Matching against the source's book: what a taker gets, and when a resting order fills.

Our orders meet the market the source tells, never one another. A taker eats levels best first, one
fill a level; the liquidity it took is not removed from the book, because the next update of the
source would bring it back. A resting order waits its turn: it fills at once when a trade prints
through its price, as far as the opposite side comes to it, and at its price only after the quantity
that rested there before it has traded.
"""

from __future__ import annotations

from decimal import Decimal

from services.paper_exchange.market.book import Book
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.orders import Match, Order


def opposite(side: str) -> str:
    """SELL for BUY and BUY for SELL."""
    return "SELL" if side == "BUY" else "BUY"


def is_no_worse(side: str, price: Decimal, limit: Decimal) -> bool:
    """Whether a taker of `side` with this limit would take this price."""
    return price <= limit if side == "BUY" else price >= limit


def sweep(book: Book, side: str, quantity: Decimal, limit: Decimal) -> list[Match]:
    """What a taker gets, best level first, up to its quantity and no worse than `limit`."""
    matches: list[Match] = []
    for price, available in book.levels_for_taker(side):
        if quantity <= 0 or not is_no_worse(side, price, limit):
            break
        taken = min(quantity, available)
        matches.append(Match(price, taken))
        quantity -= taken
    return matches


def best_counter_price(book: Book, side: str) -> Decimal | None:
    """The best price a taker of `side` would trade at, None for an empty side."""
    best = book.best_ask if side == "BUY" else book.best_bid
    return None if best is None else best[0]


def would_take(book: Book, side: str, price: Decimal) -> bool:
    """Whether a limit order of this price would trade at once."""
    best = best_counter_price(book, side)
    return best is not None and is_no_worse(side, best, price)


def resting_ahead(book: Book, side: str, price: Decimal) -> Decimal:
    """The quantity resting at exactly this price on the order's own side."""
    for level_price, quantity in book.levels_for_taker(opposite(side)):
        if level_price == price:
            return quantity
        if not is_no_worse(opposite(side), level_price, price):
            break
    return ZERO


def filled_by_trade(
    order: Order, price: Decimal, quantity: Decimal, *, is_buyer_maker: bool
) -> Decimal:
    """The quantity of a resting order that a public trade fills; eats into its queue."""
    if price == order.price:
        if is_buyer_maker != (order.side == "BUY"):
            return ZERO
        reached = quantity - order.queue_ahead
        order.queue_ahead = max(ZERO, -reached)
        return min(order.leaves, max(ZERO, reached))
    went_through = price < order.price if order.side == "BUY" else price > order.price
    return order.leaves if went_through else ZERO


def filled_by_quote(order: Order, book: Book) -> Decimal:
    """The quantity of a resting order that the opposite side, having come to it, fills."""
    if not would_take(book, order.side, order.price):
        return ZERO
    return sum((m.quantity for m in sweep(book, order.side, order.leaves, order.price)), ZERO)
