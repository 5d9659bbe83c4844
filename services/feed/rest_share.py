"""What part of the market published lately was told by REST instead of a stream."""

from collections import deque
from collections.abc import Mapping

from libs.common.runtime.clock import NS_PER_MS

KINDS = ("quote", "mark", "candle")


class RestShare:
    """Quotes, marks and candles that REST told, over all published in a sliding window.

    Counters are read now and then; the window begins with the last reading before it.
    """

    def __init__(self, window_ms: int) -> None:
        self._window_ns = window_ms * NS_PER_MS
        self._readings: deque[tuple[int, int, int]] = deque()

    def read(
        self, published: Mapping[str, int], from_rest: Mapping[str, int], now_ns: int
    ) -> float:
        """Take a reading of both counters and return the share, 0 where nothing was published.

        Args:
            published: messages per kind since the start.
            from_rest: those among them that REST told.
            now_ns: wall time that does not jump.
        """
        every = sum(published.get(kind, 0) for kind in KINDS)
        rest = sum(from_rest.get(kind, 0) for kind in KINDS)
        self._readings.append((now_ns, every, rest))
        while len(self._readings) > 2 and self._readings[1][0] <= now_ns - self._window_ns:
            self._readings.popleft()
        _, every_before, rest_before = self._readings[0]
        return (rest - rest_before) / max(1, every - every_before)
