"""One symbol's order book as the source tells it: depth levels, bounded by the newest quote.

Prices are kept as integers scaled by the symbol's precision in a sorted list per side, quantities
as the text that arrived; both become `Decimal` only for whoever asks, so nothing is ever rounded.

Two feeds describe one book. The quote stream is ahead of the depth stream for the top of the book:
a quote removes every level better than it (nobody stands there any more) and every level it
crosses; a depth update that is older than the quote is applied and then trimmed by it again.
``last_update_id`` counts depth only, so that a client who syncs a local book by the venue's rules
(snapshot, then updates whose range spans its id) loses no level.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Final

Level = Sequence[str]
"""Price and quantity as decimal text; quantity zero removes the level."""

PRICE_KEYS_MAX: Final = 65_536
"""Price texts whose key is remembered per book: most levels come back again and again."""
EARLY_UPDATES_MAX: Final = 1_000
"""Depth updates kept until the first snapshot, which may be older than some of them."""


class _Side:
    """Levels of one side; ``sign`` is +1 for bids and -1 for asks, so the best is always last."""

    __slots__ = ("keys", "quantities", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.quantities: dict[int, str] = {}

    def set_levels(self, levels: Iterable[tuple[int, str]]) -> None:
        """Set or remove levels by key; deleting an absent level is normal.

        Raises ValueError for a quantity that is not plain decimal text. One loop and no calls of
        our own in it: a tape sets seven levels for each message it holds.
        """
        keys, quantities = self.keys, self.quantities
        for key, quantity in levels:
            if quantity[:1] in "0." and quantity.strip("0.") == "":
                if quantities.pop(key, None) is not None:
                    del keys[bisect_left(keys, key)]
                continue
            if not quantity.replace(".", "", 1).isdigit():
                raise ValueError(f"{quantity!r} is not a quantity")
            if key not in quantities:
                insort(keys, key)
            quantities[key] = quantity

    def trim_better_than(self, key: int) -> None:
        """Remove every level better than ``key``."""
        keys = self.keys
        while keys and keys[-1] > key:
            del self.quantities[keys.pop()]

    def clear(self) -> None:
        """Remove all levels."""
        self.keys.clear()
        self.quantities.clear()


class Book:
    """The book and last prices of ``symbol``; ``price_precision`` is its number of decimals."""

    def __init__(self, symbol: str, price_precision: int) -> None:
        self.symbol = symbol
        self.last_price: Decimal | None = None
        self.mark_price: Decimal | None = None
        self.index_price: Decimal | None = None
        self.last_update_id = 0
        self.ts_ns = 0
        self._precision = price_precision
        self._unit = Decimal(1).scaleb(-price_precision)
        self._keys: dict[str, int] = {}
        self._bids = _Side(1)
        self._asks = _Side(-1)
        self._quote_update_id = -1
        self._quote: tuple[int, str, int, str] | None = None
        self._early: deque[tuple[int, Sequence[Level], Sequence[Level]]] | None = deque(
            maxlen=EARLY_UPDATES_MAX
        )

    def apply_snapshot(
        self, last_update_id: int, bids: Iterable[Level], asks: Iterable[Level], ts_ns: int
    ) -> None:
        """Replace all levels, then apply again the updates seen early that are newer."""
        self._bids.clear()
        self._asks.clear()
        self._set_levels(bids, asks)
        self.last_update_id = last_update_id
        self.ts_ns = max(self.ts_ns, ts_ns)
        for update_id, early_bids, early_asks in self._early or ():
            if update_id >= last_update_id:
                self._set_levels(early_bids, early_asks)
                self.last_update_id = update_id
        self._early = None
        if self.last_update_id < self._quote_update_id:
            self._trim_by_quote()

    def apply_depth(
        self, final_update_id: int, bids: Sequence[Level], asks: Sequence[Level], ts_ns: int
    ) -> None:
        """Apply one depth update (absolute quantities); one older than the book changes nothing."""
        self.ts_ns = max(self.ts_ns, ts_ns)
        if final_update_id < self.last_update_id:
            return
        if self._early is not None:
            self._early.append((final_update_id, bids, asks))
        self._set_levels(bids, asks)
        self.last_update_id = final_update_id
        if final_update_id < self._quote_update_id:
            self._trim_by_quote()

    def apply_quote(self, update_id: int, bid: Level, ask: Level, ts_ns: int) -> None:
        """Apply the best bid and ask; levels better than them, or crossed by them, disappear."""
        self.ts_ns = max(self.ts_ns, ts_ns)
        self._quote_update_id = update_id
        self._quote = (self._key(bid[0]), bid[1], self._key(ask[0]), ask[1])
        self._trim_by_quote()

    @property
    def newest_update_id(self) -> int:
        """The highest update id that quotes or depth have told."""
        return max(self.last_update_id, self._quote_update_id)

    @property
    def update_id(self) -> int:
        """The id of the newest change of the best levels, whether depth or a quote told it."""
        return max(self.last_update_id, self._quote_update_id)

    @property
    def best_bid(self) -> tuple[Decimal, Decimal] | None:
        """Price and quantity of the highest bid."""
        return self._best(self._bids)

    @property
    def best_ask(self) -> tuple[Decimal, Decimal] | None:
        """Price and quantity of the lowest ask."""
        return self._best(self._asks)

    @property
    def mid_price(self) -> Decimal | None:
        """The middle between best bid and best ask, exact."""
        if not self._bids.keys or not self._asks.keys:
            return None
        return (self._bids.keys[-1] - self._asks.keys[-1]) * self._unit / 2

    def levels_for_taker(self, side: str) -> Iterator[tuple[Decimal, Decimal]]:
        """Yield (price, quantity), best first, that a ``side`` (BUY or SELL) taker would hit.

        Do not change the book while iterating.
        """
        taken = self._asks if side == "BUY" else self._bids
        for key in reversed(taken.keys):
            yield taken.sign * key * self._unit, Decimal(taken.quantities[key])

    def snapshot(self, limit: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Return up to ``limit`` bids and asks, best first, as decimal text."""
        return self._texts(self._bids, limit), self._texts(self._asks, limit)

    def _best(self, side: _Side) -> tuple[Decimal, Decimal] | None:
        if not side.keys:
            return None
        key = side.keys[-1]
        return side.sign * key * self._unit, Decimal(side.quantities[key])

    def _texts(self, side: _Side, limit: int) -> list[tuple[str, str]]:
        best_first = side.keys[: -limit - 1 : -1]
        return [(f"{side.sign * key * self._unit:f}", side.quantities[key]) for key in best_first]

    def _set_levels(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        known, key_of = self._keys.get, self._key
        self._bids.set_levels([(known(price) or key_of(price), size) for price, size in bids])
        self._asks.set_levels([(-(known(price) or key_of(price)), size) for price, size in asks])

    def _trim_by_quote(self) -> None:
        if self._quote is None:
            return
        bid_key, bid_quantity, ask_key, ask_quantity = self._quote
        self._bids.trim_better_than(bid_key)
        self._asks.trim_better_than(-ask_key)
        if bid_key < ask_key:
            self._bids.set_levels(((bid_key, bid_quantity),))
            self._asks.set_levels(((-ask_key, ask_quantity),))

    def _key(self, price: str) -> int:
        """The price in units of the symbol's precision; raises ValueError for what is no price."""
        key = self._keys.get(price)
        if key is None:
            key = _scaled_to(price, self._precision, self.symbol)
            if len(self._keys) >= PRICE_KEYS_MAX:
                self._keys.clear()
            self._keys[price] = key
        return key


def _scaled_to(price: str, precision: int, symbol: str) -> int:
    whole, _, fraction = price.partition(".")
    missing = precision - len(fraction)
    digits = whole + fraction
    if not digits.isdigit():
        raise ValueError(f"{price!r} is not a price")
    if missing == 0:
        return int(digits)
    if missing > 0:
        return int(digits + "0" * missing)
    if fraction[precision:].strip("0"):
        raise ValueError(f"{symbol}: price {price} has over {precision} decimals")
    return int(digits[:missing])
