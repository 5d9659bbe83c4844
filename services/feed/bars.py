"""Closed bars from trades: a pure function of the set of trades, whatever order they come in.

A bar belongs to the time its trades were matched at. Its open is the price of its lowest trade id,
its close that of its highest, so that repeats and swaps on the way change nothing.
"""

from decimal import Decimal

import msgspec

from libs.common.messages.market import CandleOrigin
from services.feed.intervals import floor_to

ZERO = Decimal(0)


class Bar(msgspec.Struct, frozen=True, gc=False):
    """One closed bar; times in nanoseconds, prices in quote currency, volume in base units.

    ``last_trade_id`` is the newest trade it or an earlier bar holds; -1 where bars come ready-made.
    """

    open_ns: int
    close_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trade_count: int
    origin: CandleOrigin
    last_trade_id: int = -1


class Print(msgspec.Struct, frozen=True, gc=False):
    """A trade as bars need it, from the stream or from REST."""

    trade_id: int
    trade_ns: int
    price: Decimal
    quantity: Decimal


class _Bucket:
    """The trades of one bar that is not closed yet."""

    __slots__ = ("close", "first_id", "high", "ids", "last_id", "low", "open", "volume")

    def __init__(self, first: Print) -> None:
        self.ids = {first.trade_id}
        self.first_id = self.last_id = first.trade_id
        self.open = self.high = self.low = self.close = first.price
        self.volume = first.quantity

    def add(self, trade: Print) -> bool:
        """Count a trade once; returns whether it was new."""
        if trade.trade_id in self.ids:
            return False
        self.ids.add(trade.trade_id)
        price = trade.price
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        if trade.trade_id > self.last_id:
            self.last_id, self.close = trade.trade_id, price
        elif trade.trade_id < self.first_id:
            self.first_id, self.open = trade.trade_id, price
        self.volume += trade.quantity
        return True


class TradeBars:
    """The bars of one interval of one symbol, released in order without a gap.

    The first bar is the one that starts at the boundary after ``start_after``: the bar running
    when we begin to listen is not whole. Before the first trade there is no price, so no bar.
    """

    def __init__(self, length_ns: int, grace_ns: int) -> None:
        self.length_ns = length_ns
        self._grace_ns = grace_ns
        self._buckets: dict[int, _Bucket] = {}
        self._close: Decimal | None = None
        self._last_trade_id = -1
        self.next_open_ns: int | None = None
        self.trades_held = 0
        self.late = 0
        self.duplicates = 0

    @property
    def has_released(self) -> bool:
        """Whether a bar has been released, by us or by the process before us."""
        return self._close is not None

    def resume(self, close_ns: int, close: Decimal, last_trade_id: int) -> None:
        """Go on after a bar that was published before."""
        self.next_open_ns = close_ns
        self._close = close
        self._last_trade_id = last_trade_id

    def start_after(self, ts_ns: int) -> None:
        """Start with the first bar that begins after a time, unless it has started."""
        if self.next_open_ns is None:
            self.next_open_ns = floor_to(ts_ns, self.length_ns) + self.length_ns

    def forget(self) -> None:
        """Start afresh: nothing is known that a later trade could be joined to."""
        self.next_open_ns = None
        self._buckets.clear()
        self.trades_held = 0

    def restart_after(self, ts_ns: int) -> None:
        """Give up the bars before a time: the trades they need are lost."""
        self._close = None
        self.next_open_ns = max(
            self.next_open_ns or 0, floor_to(ts_ns, self.length_ns) + self.length_ns
        )
        self._drop_before(self.next_open_ns)

    def add(self, trade: Print) -> None:
        """Count a trade in its bar; one for a bar that is released is counted as late instead."""
        self.start_after(trade.trade_ns)
        open_ns = floor_to(trade.trade_ns, self.length_ns)
        assert self.next_open_ns is not None, "started above"
        if open_ns < self.next_open_ns:
            if trade.trade_id <= self._last_trade_id:
                self.duplicates += 1
            elif self.has_released:
                self.late += 1
            return
        bucket = self._buckets.get(open_ns)
        if bucket is None:
            self._buckets[open_ns] = _Bucket(trade)
        elif not bucket.add(trade):
            self.duplicates += 1
            return
        self.trades_held += 1

    def is_due(self, proven_ns: int) -> bool:
        """Whether ``release`` may have something to say."""
        return (
            self.next_open_ns is not None
            and self.next_open_ns + self.length_ns + self._grace_ns <= proven_ns
        )

    def release(self, proven_ns: int, *, with_flat_tail: bool = True) -> list[Bar]:
        """Close every bar whose end and grace lie at or before ``proven_ns``.

        A bar without trades repeats the last close. Without ``with_flat_tail`` none is made after
        the last trade: the world has ended.
        """
        released: list[Bar] = []
        while self.is_due(proven_ns):
            assert self.next_open_ns is not None, "due"
            open_ns = self.next_open_ns
            bucket = self._buckets.pop(open_ns, None)
            if bucket is None and not self._buckets and not with_flat_tail:
                break
            if bucket is None and self._close is None:
                self.next_open_ns = self._first_priced_ns(proven_ns)
                continue
            released.append(self._close_bar(open_ns, bucket))
            self.next_open_ns = open_ns + self.length_ns
        return released

    def _close_bar(self, open_ns: int, bucket: _Bucket | None) -> Bar:
        close_ns = open_ns + self.length_ns
        if bucket is None:
            price = self._close
            assert price is not None, "a flat bar follows another"
            return Bar(
                open_ns, close_ns, price, price, price, price, ZERO, 0, CandleOrigin.TRADES,
                self._last_trade_id,
            )  # fmt: skip
        self.trades_held -= len(bucket.ids)
        self._close = bucket.close
        self._last_trade_id = max(self._last_trade_id, bucket.last_id)
        return Bar(
            open_ns, close_ns, bucket.open, bucket.high, bucket.low, bucket.close, bucket.volume,
            len(bucket.ids), CandleOrigin.TRADES, self._last_trade_id,
        )  # fmt: skip

    def _first_priced_ns(self, proven_ns: int) -> int:
        """The first bar that can have a price: one with a trade, or the first not yet due.

        The latter even where a later bar has a trade: one for it may come within the grace.
        """
        first_open_ns = floor_to(proven_ns - self._grace_ns, self.length_ns)
        return min((first_open_ns, *self._buckets))

    def _drop_before(self, open_ns: int) -> None:
        for key in [key for key in self._buckets if key < open_ns]:
            self.trades_held -= len(self._buckets.pop(key).ids)
