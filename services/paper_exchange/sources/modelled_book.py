"""A modelled order book for sources that know prices only: a ladder of levels one tick apart.

The spread is one tick and the depth grows away from the middle, which is a courtesy to whoever
trades against it: a real book is thinner and wider in a hurry. Only levels that changed are sent,
with unbroken update ids.
"""

from decimal import Decimal
from typing import Final

from services.paper_exchange.market.instruments import Instrument
from services.paper_exchange.sources.event import DepthSnapshot, DepthUpdate, Levels, Quote

LEVELS_PER_SIDE: Final = 20
NS_PER_MS: Final = 1_000_000
_DEPTH_PERCENT: Final = tuple(100 + 35 * level + 20 * (level * 7 % 5) for level in range(20))
"""Quantity of each level in percent of the first, growing with a ripple so that it looks alive."""


class ModelledBook:
    """The ladder of one symbol."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._bids: dict[str, str] = {}
        self._asks: dict[str, str] = {}
        self._update_id = 0
        self._is_stirred = False

    def move(
        self, ts_ns: int, bid_price: Decimal, quantity: Decimal
    ) -> list[DepthSnapshot | DepthUpdate | Quote]:
        """Quote around a new best bid; ``quantity`` stands at the best levels.

        The first call says it with a snapshot, later ones with what changed, or nothing.
        """
        tick = self._instrument.price_tick
        bids = self._ladder(bid_price, -tick, quantity)
        asks = self._ladder(bid_price + tick, tick, quantity)
        self._is_stirred = False
        return self._say(ts_ns, bids, asks)

    def stir(self, ts_ns: int) -> list[DepthSnapshot | DepthUpdate | Quote]:
        """Quote again at the same prices: somebody joins the best levels, or leaves them again.

        Never silent: each call changes both best quantities by one step. `move` comes first.
        """
        change = self._instrument.quantity_step * (-1 if self._is_stirred else 1)
        self._is_stirred = not self._is_stirred
        return self._say(
            ts_ns, self._deepened(self._bids, change), self._deepened(self._asks, change)
        )

    def _say(
        self, ts_ns: int, bids: dict[str, str], asks: dict[str, str]
    ) -> list[DepthSnapshot | DepthUpdate | Quote]:
        is_first = self._update_id == 0
        previous_id = self._update_id
        changed_bids, changed_asks = _changes(self._bids, bids), _changes(self._asks, asks)
        if not changed_bids and not changed_asks:
            return []
        self._bids, self._asks = bids, asks
        self._update_id += len(changed_bids) + len(changed_asks)
        symbol, ts_ms, final_id = self._instrument.symbol, ts_ns // NS_PER_MS, self._update_id
        best_bid, best_ask = next(iter(bids.items())), next(iter(asks.items()))
        quote = Quote(ts_ns, symbol, ts_ms, final_id, *best_bid, *best_ask)
        if is_first:
            snapshot = DepthSnapshot(ts_ns, symbol, ts_ms, final_id, changed_bids, changed_asks)
            return [snapshot, quote]
        return [
            DepthUpdate(
                ts_ns,
                symbol,
                ts_ms,
                previous_id + 1,
                final_id,
                previous_id,
                changed_bids,
                changed_asks,
            ),
            quote,
        ]

    def _deepened(self, levels: dict[str, str], change: Decimal) -> dict[str, str]:
        price, size = next(iter(levels.items()))
        return levels | {price: f"{Decimal(size) + change:.{self._instrument.quantity_precision}f}"}

    def _ladder(self, best: Decimal, towards: Decimal, quantity: Decimal) -> dict[str, str]:
        listed = self._instrument
        levels: dict[str, str] = {}
        price = best
        for percent in _DEPTH_PERCENT:
            if price <= 0:
                break
            steps = max(1, int(quantity * percent / 100 / listed.quantity_step))
            size = steps * listed.quantity_step
            levels[f"{price:.{listed.price_precision}f}"] = f"{size:.{listed.quantity_precision}f}"
            price += towards
        return levels


def _changes(before: dict[str, str], after: dict[str, str]) -> Levels:
    gone = tuple((price, "0") for price in before if price not in after)
    return gone + tuple(level for level in after.items() if before.get(level[0]) != level[1])
