"""The resting orders of our own accounts on one symbol, by side, price and time.

A taker asks for the best price and walks from there; a public trade and a change of the book ask
which orders they reach. Nothing here walks over orders that are not reached, so a symbol may hold
the orders of any number of accounts.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from decimal import Decimal

from services.paper_exchange.state.orders import Order

Level = dict[int, Order]
"""The orders of one price in the order of their coming."""


class RestingSide:
    """One side: `sign` is +1 for bids and -1 for asks, so that the best price is always last."""

    __slots__ = ("_keys", "_levels", "_sign")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._keys: list[Decimal] = []
        self._levels: dict[Decimal, Level] = {}

    def __bool__(self) -> bool:
        return bool(self._keys)

    @property
    def best_price(self) -> Decimal | None:
        """The price that a taker would be served at first, None for an empty side."""
        return self._sign * self._keys[-1] if self._keys else None

    def add(self, order: Order) -> None:
        """Put an order behind all others of its price."""
        key = self._sign * order.price
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = {}
            insort(self._keys, key)
        level[order.order_id] = order

    def remove(self, order: Order) -> None:
        """Take an order out; one that does not rest is no matter."""
        key = self._sign * order.price
        level = self._levels.get(key)
        if level is None or level.pop(order.order_id, None) is None or level:
            return
        del self._levels[key]
        del self._keys[bisect_left(self._keys, key)]

    def level_at(self, price: Decimal) -> list[Order]:
        """The orders of one price, first come first."""
        return list(self._levels.get(self._sign * price, {}).values())

    def next_price(self, after: Decimal | None) -> Decimal | None:
        """The best price worse than `after`, or the best of all."""
        end = len(self._keys) if after is None else bisect_left(self._keys, self._sign * after)
        return self._sign * self._keys[end - 1] if end else None

    def better_than(self, price: Decimal) -> list[Order]:
        """The orders of all better prices, best price first, first come first."""
        return list(self._walk(bisect_right(self._keys, self._sign * price)))

    def no_worse_than(self, price: Decimal) -> list[Order]:
        """The orders of this price and all better ones, best price first, first come first."""
        return list(self._walk(bisect_left(self._keys, self._sign * price)))

    def __iter__(self) -> Iterator[Order]:
        return self._walk(0)

    def _walk(self, first: int) -> Iterator[Order]:
        for key in reversed(self._keys[first:]):
            yield from self._levels[key].values()


class RestingOrders:
    """Both sides of one symbol."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = RestingSide(1)
        self.asks = RestingSide(-1)

    def __bool__(self) -> bool:
        return bool(self.bids) or bool(self.asks)

    def __iter__(self) -> Iterator[Order]:
        yield from self.bids
        yield from self.asks

    def side(self, side: str) -> RestingSide:
        """The orders of this side: BUY or SELL."""
        return self.bids if side == "BUY" else self.asks

    def facing(self, side: str) -> RestingSide:
        """The orders that a taker of this side meets."""
        return self.asks if side == "BUY" else self.bids

    def add(self, order: Order) -> None:
        """Put an order at the end of the queue at its price."""
        self.side(order.side).add(order)

    def remove(self, order: Order) -> None:
        """Take an order out; one that does not rest is no matter."""
        self.side(order.side).remove(order)
