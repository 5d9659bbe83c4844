"""The day of a time zone, by which losses are limited: 23 or 25 hours long where clocks change."""

from datetime import UTC, date, datetime, time, tzinfo
from functools import lru_cache

NS_PER_S = 1_000_000_000


def day_start_ns(zone: tzinfo, at_ns: int) -> int:
    """The first moment of the day that a time belongs to in a zone.

    Where the clocks skip midnight it is the moment at which they do; where they show it twice, the
    first.
    """
    day = datetime.fromtimestamp(at_ns // NS_PER_S, tz=UTC).astimezone(zone).date()
    return _start_of(zone, day)


@lru_cache(maxsize=16)
def _start_of(zone: tzinfo, day: date) -> int:
    midnight = datetime.combine(day, time(0), tzinfo=zone)
    return int(midnight.timestamp()) * NS_PER_S
