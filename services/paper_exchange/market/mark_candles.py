"""Candles of what nobody trades at: mark price, index price, and the premium between them.

Built from the readings of each second as they pass, with as many closed candles kept per interval
as trades have.
"""

from collections import deque
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from services.paper_exchange.market.candles import ZERO, Candles, end_of
from services.paper_exchange.sources.event import ClosedBar

PREMIUM_STEP: Final = Decimal("0.00000001")
AVERAGE_READINGS: Final = 30
"""Readings, one a second, over which the moving average of the mark price runs."""


class MarkCandles:
    """The readings of one symbol."""

    def __init__(self) -> None:
        self.mark = Candles()
        self.index = Candles()
        self.premium = Candles()
        self._recent: deque[Decimal] = deque(maxlen=AVERAGE_READINGS)

    def add(self, mark: Decimal, index: Decimal, ts_ms: int) -> None:
        """Take the reading of a second."""
        self.mark.add_price(mark, ts_ms)
        self.index.add_price(index, ts_ms)
        self.premium.add_price(premium_of(mark, index), ts_ms)
        self._recent.append(mark)

    def seed(self, bar: ClosedBar) -> None:
        """Take a candle from before the start: mark and index were where trades were."""
        for candles, close in (
            (self.mark, bar),
            (self.index, bar),
            (self.premium, _level(bar, ZERO)),
        ):
            candles.close_bar(close)
            candles.close_due(end_of(bar.interval, bar.open_ms))

    @property
    def average(self) -> Decimal | None:
        """The moving average of the mark price; None before the first reading."""
        return sum(self._recent, ZERO) / len(self._recent) if self._recent else None


def premium_of(mark: Decimal, index: Decimal) -> Decimal:
    """How far the mark is above the index, as a share of the index."""
    if mark == index or not index:
        return ZERO
    return ((mark - index) / index).quantize(PREMIUM_STEP, rounding=ROUND_HALF_EVEN)


def _level(bar: ClosedBar, price: Decimal) -> ClosedBar:
    return ClosedBar(
        bar.ts_ns, bar.symbol, bar.interval, bar.open_ms, price, price, price, price, ZERO
    )
