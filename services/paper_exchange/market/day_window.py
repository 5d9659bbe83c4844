"""The last 24 hours of one symbol as one candle, summed up once a minute."""

from typing import Final

from services.paper_exchange.market.candles import MINUTE_MS, Candle, Candles

DAY_MS: Final = 86_400_000


class DayWindow:
    """A window over the minutes of ``candles``; it moves by whole minutes."""

    def __init__(self, candles: Candles) -> None:
        self._candles = candles
        self._key = (-1, -1)
        self._closed: Candle | None = None

    def at(self, now_ms: int) -> Candle | None:
        """The 24 hours before ``now_ms``, or as much of them as is known; None without a minute.

        Do not change it.
        """
        start_ms = now_ms - DAY_MS
        first_ms = start_ms - start_ms % MINUTE_MS
        minutes = self._candles.closed("1m")
        key = (first_ms, minutes[-1].open_ms if minutes else -1)
        if key != self._key:
            self._key, self._closed = key, self._sum(first_ms)
        running = self._candles.open_candle("1m")
        if running is None or running.open_ms < first_ms:
            return self._closed
        if self._closed is None:
            return running
        whole = self._closed.copy()
        whole.add_candle(running)
        return whole

    def _sum(self, first_ms: int) -> Candle | None:
        whole: Candle | None = None
        for minute in self._candles.closed("1m"):
            if minute.open_ms < first_ms:
                continue
            if whole is None:
                whole = minute.copy()
            else:
                whole.add_candle(minute)
        return whole
