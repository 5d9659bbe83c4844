"""Candles without gaps: a time in which nothing happened, between two in which something did.

The venue lists such a time as a flat candle at the close before it, without trades and volume. Only
what is asked for is made: between two candles of a short interval may lie years.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from services.paper_exchange.market.candles import INTERVALS_MS, Candle, end_of


def oldest_of(
    candles: Iterable[Candle], interval: str, start_ms: int, end_ms: int | None, limit: int
) -> list[Candle]:
    """Return the first candles that open at or after ``start_ms`` and not after ``end_ms``.

    All times are ms; at most ``limit`` candles, oldest first.
    """
    found: list[Candle] = []
    before: Candle | None = None
    for candle in candles:
        if before is not None:
            missing = _openings(interval, before, candle)
            first = bisect_left(missing, start_ms)
            found += _flat(before, missing[first : first + limit - len(found)])
        if candle.open_ms >= start_ms:
            found.append(candle)
        if len(found) >= limit or (end_ms is not None and candle.open_ms > end_ms):
            break
        before = candle
    return [candle for candle in found[:limit] if end_ms is None or candle.open_ms <= end_ms]


def newest_of(
    candles: Iterable[Candle], interval: str, end_ms: int | None, limit: int
) -> list[Candle]:
    """Return the last candles that open not after ``end_ms``; at most ``limit``, oldest first."""
    found: list[Candle] = []
    after: Candle | None = None
    for candle in reversed(list(candles)):
        if after is not None:
            missing = _openings(interval, candle, after)
            until = len(missing) if end_ms is None else bisect_right(missing, end_ms)
            chosen = missing[max(0, until - (limit - len(found))) : until]
            found += reversed(_flat(candle, chosen))
        if len(found) >= limit:
            break
        if end_ms is None or candle.open_ms <= end_ms:
            found.append(candle)
        after = candle
    return found[:limit][::-1]


def _openings(interval: str, before: Candle, after: Candle) -> Sequence[int]:
    """When the candles that are missing between two open."""
    first_ms = end_of(interval, before.open_ms)
    length_ms = INTERVALS_MS.get(interval)
    if length_ms is not None:
        return range(first_ms, after.open_ms, length_ms)
    months: list[int] = []
    while first_ms < after.open_ms:
        months.append(first_ms)
        first_ms = end_of(interval, first_ms)
    return months


def _flat(before: Candle, openings: Iterable[int]) -> list[Candle]:
    return [Candle(open_ms, before.close) for open_ms in openings]
