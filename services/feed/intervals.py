"""Candle intervals: their lengths, and which of them the venue's kline streams carry."""

import re

NS_PER_S = 1_000_000_000
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_NAME = re.compile(r"([1-9]\d?)([smhd])")
#: Kline intervals of USD-M Futures whose bars start at multiples of their length. It has no
#: seconds; weeks and months start elsewhere and no strategy here asks for them.
VENUE_INTERVALS = frozenset(
    ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")
)


def interval_ns(interval: str) -> int:
    """The length of an interval in nanoseconds.

    Raises:
        ValueError: it is not like 1s, 5m, 4h or 1d, or does not divide a day.
    """
    match = _NAME.fullmatch(interval)
    if match is None:
        raise ValueError(f"candle interval {interval!r} is not like 1s, 5m, 4h or 1d")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if 86_400 % seconds:
        raise ValueError(f"candle interval {interval!r} does not divide a day")
    return seconds * NS_PER_S


def floor_to(ts_ns: int, length_ns: int) -> int:
    """The start of the bar that holds a time."""
    return ts_ns - ts_ns % length_ns
