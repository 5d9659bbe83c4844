"""Matching: what a taker meets, and when a resting order fills.

A taker meets the source's book and the resting orders of our own accounts, merged by price. At one
price the source's quantity that rested before an order of ours comes first, then the order, then
what is left of the source's level. Of the source's levels nothing is removed, because its next
update would bring them back; what our own orders show is seen by our own takers only, and the
public book and its streams stay the source's. RPI orders are for takers at the venue's own
screens: no order that comes through the API meets them.

A resting order waits its turn: it fills at once when a trade prints through its price, as far as
the opposite side comes to it, and at its price only after the quantity that rested before it has
traded. What one print or one change of the book brings is shared by price and time.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, NamedTuple

from services.paper_exchange.market.book import Book
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.orders import Order
from services.paper_exchange.state.resting_orders import RestingSide
from services.paper_exchange.state.venue_state import VenueState

RPI: Final = "RPI"


class Offer(NamedTuple):
    """A part of what a taker meets: of the source's book, or an order of one of our accounts."""

    price: Decimal
    quantity: Decimal
    maker: Order | None


class Share(NamedTuple):
    """What the market fills of one resting order, at the order's own price."""

    order: Order
    quantity: Decimal


def opposite(side: str) -> str:
    """SELL for BUY and BUY for SELL."""
    return "SELL" if side == "BUY" else "BUY"


def is_no_worse(side: str, price: Decimal, limit: Decimal) -> bool:
    """Whether a taker of `side` with this limit would take this price."""
    return price <= limit if side == "BUY" else price >= limit


def offers(state: VenueState, symbol: str, side: str, limit: Decimal) -> Iterator[Offer]:
    """What a taker meets, best first, no worse than `limit`.

    Prices are found while the taker goes along, so that it may fill and expire what it meets;
    whether a maker is still good for its quantity is for the taker to see.
    """
    own = state.resting[symbol].facing(side)
    levels = state.books[symbol].levels_for_taker(side)
    source = next(levels, None)
    own_price = own.best_price
    while source is not None or own_price is not None:
        if own_price is None or (source is not None and is_no_worse(side, source[0], own_price)):
            assert source is not None
            price = source[0]
        else:
            price = own_price
        if not is_no_worse(side, price, limit):
            return
        at_source = source[1] if source is not None and source[0] == price else ZERO
        if own_price is None:
            yield Offer(price, at_source, None)
        else:
            yield from _queue(own.level_at(price), price, at_source)
            own_price = own.next_price(price)
        if source is not None and source[0] == price:
            source = next(levels, None)


def _queue(makers: list[Order], price: Decimal, at_source: Decimal) -> list[Offer]:
    """One price in its order of time."""
    queue: list[Offer] = []
    passed = ZERO
    for maker in makers:
        if maker.time_in_force == RPI:
            continue
        ahead = min(maker.queue_ahead, at_source) - passed
        if ahead > 0:
            queue.append(Offer(price, ahead, None))
            passed += ahead
        queue.append(Offer(price, maker.leaves, maker))
    if at_source > passed:
        queue.append(Offer(price, at_source - passed, None))
    return queue


class Asker(NamedTuple):
    """Whose position a taker is for."""

    account_id: str
    position_side: str


def fills_at_once(
    state: VenueState, asker: Asker, symbol: str, side: str, quantity: Decimal, limit: Decimal
) -> bool:
    """Whether a taker gets all of its quantity no worse than `limit`.

    What other orders of the same position give before it is lost to one that only reduces; where
    the taker trades with its own position, each fill brings back what the other takes.
    """
    spoken_for: dict[Asker, Decimal] = {}
    for _, offered, maker in offers(state, symbol, side, limit):
        available = offered
        if maker is not None:
            position = Asker(maker.account_id, maker.position_side)
            taken = spoken_for.get(position, ZERO)
            if maker.is_reducing and position != asker:
                account = state.accounts[maker.account_id]
                held = state.reducible(account, symbol, maker.sign, maker.position_side)
                available = max(ZERO, min(offered, held - taken))
            spoken_for[position] = taken + available
        quantity -= available
        if quantity <= 0:
            return True
    return False


def can_give(state: VenueState, order: Order) -> Decimal:
    """How much of an order may fill now: one that only reduces never more than its position."""
    if not order.is_open:
        return ZERO
    if not order.is_reducing:
        return order.leaves
    account = state.accounts[order.account_id]
    held = state.reducible(account, order.symbol, order.sign, order.position_side)
    return min(order.leaves, held)


def best_counter_price(book: Book, side: str) -> Decimal | None:
    """The best price a taker of `side` would trade at in the source's book, None for none."""
    best = book.best_ask if side == "BUY" else book.best_bid
    return None if best is None else best[0]


def best_offered_price(state: VenueState, symbol: str, side: str) -> Decimal | None:
    """The best price a taker of `side` would trade at with anybody, None for none."""
    at_source = best_counter_price(state.books[symbol], side)
    own = state.resting[symbol].facing(side)
    own_price = own.best_price
    while own_price is not None and all(o.time_in_force == RPI for o in own.level_at(own_price)):
        own_price = own.next_price(own_price)
    if own_price is None or (at_source is not None and is_no_worse(side, at_source, own_price)):
        return at_source
    return own_price


def would_take(state: VenueState, symbol: str, side: str, price: Decimal) -> bool:
    """Whether a limit order of this price would trade at once."""
    best = best_offered_price(state, symbol, side)
    return best is not None and is_no_worse(side, best, price)


def resting_ahead(book: Book, side: str, price: Decimal) -> Decimal:
    """The quantity resting in the source's book at exactly this price on the order's own side."""
    for level_price, quantity in book.levels_for_taker(opposite(side)):
        if level_price == price:
            return quantity
        if not is_no_worse(opposite(side), level_price, price):
            break
    return ZERO


def eat_queue(own: RestingSide, price: Decimal, quantity: Decimal) -> None:
    """The source's quantity at this price traded: who waits behind it comes that much closer."""
    for order in own.level_at(price):
        order.queue_ahead = max(ZERO, order.queue_ahead - quantity)


def shares_of_trade(
    state: VenueState, symbol: str, price: Decimal, quantity: Decimal, *, is_buyer_maker: bool
) -> Iterator[Share]:
    """What a public trade fills of the resting orders; eats into the queue at its price.

    Each share is to be booked before the next is asked for: what one order could not take, because
    a fill before it used up its position, is for the next in line.
    """
    resting = state.resting[symbol]
    for order in [*resting.bids.better_than(price), *resting.asks.better_than(price)]:
        given = can_give(state, order)
        if given > 0:
            yield Share(order, given)
    passed = ZERO
    for order in (resting.bids if is_buyer_maker else resting.asks).level_at(price):
        eaten = min(quantity, max(ZERO, order.queue_ahead - passed))
        passed += eaten
        quantity -= eaten
        order.queue_ahead = max(ZERO, order.queue_ahead - passed)
        given = min(can_give(state, order), quantity)
        if given > 0:
            quantity -= given
            yield Share(order, given)


def shares_of_book(state: VenueState, symbol: str) -> Iterator[Share]:
    """What the opposite side of the source's book, having come to the resting orders, fills.

    Each share is to be booked before the next is asked for.
    """
    resting, book = state.resting[symbol], state.books[symbol]
    for side, own in (("BUY", resting.bids), ("SELL", resting.asks)):
        best, own_price = best_counter_price(book, side), own.best_price
        if best is None or own_price is None or not is_no_worse(side, best, own_price):
            continue
        taken = ZERO
        for order in own.no_worse_than(best):
            able = can_give(state, order)
            if able <= 0:
                continue
            given = min(able, _reach(book, side, order.price, taken + able) - taken)
            if given <= 0:
                break  # and those behind it are reached by less still
            taken += given
            yield Share(order, given)


def _reach(book: Book, side: str, limit: Decimal, enough: Decimal) -> Decimal:
    """The quantity that the book shows a taker up to `limit`; stops counting at `enough`."""
    reached = ZERO
    for price, quantity in book.levels_for_taker(side):
        if reached >= enough or not is_no_worse(side, price, limit):
            break
        reached += quantity
    return reached
