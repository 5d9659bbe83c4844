"""Where a strategy believes it stands, and how it gets from one side of the market to the other."""

from libs.common.model.intent import Purpose
from libs.common.model.order import Side
from services.signal.strategies.contract import Wish


class Stance:
    """Turns a direction into wishes: out of the wrong side first, into the right one later.

    Between two wishes at least ``pause_bars`` candles pass, so that one order has ended before the
    next is asked for. A direction that comes up meanwhile is remembered; a newer one replaces it.
    """

    def __init__(self, pause_bars: int) -> None:
        self.held: Side | None = None
        self._wanted: Side | None = None
        self._pause_bars = pause_bars
        self._bars_since_wish = pause_bars

    def step(self, turned_to: Side | None) -> tuple[Wish, ...]:
        """One candle has passed; ``turned_to`` is the direction it turned the strategy to."""
        self._bars_since_wish += 1
        if turned_to is not None:
            self._wanted = turned_to
        wanted = self._wanted
        if wanted is None or wanted is self.held or self._bars_since_wish <= self._pause_bars:
            return ()
        self._bars_since_wish = 0
        if self.held is None:
            self.held = wanted
            return (Wish(purpose=Purpose.ENTER, side=wanted),)
        self.held = None
        return (Wish(purpose=Purpose.EXIT, side=wanted),)
