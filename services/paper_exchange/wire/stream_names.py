"""Which stream names exist and through which door of the venue each one flows.

Since 2026-04-23 the venue has three doors; a stream subscribed at the wrong one is acknowledged and
stays silent for ever. That silence is part of what a client must be tested against.
"""

from enum import StrEnum
from typing import Final

SIM_CLOCK_STREAM: Final = "!clock@sim"
"""Ours, not the venue's: the frames that tell the paper world what time it is."""


class Route(StrEnum):
    """The doors; the URLs without a door, retired in 2026, carry the public class only."""

    PUBLIC = "public"
    MARKET = "market"
    PRIVATE = "private"


_NOWHERE: Final[frozenset[Route]] = frozenset()
_PUBLIC: Final = frozenset({Route.PUBLIC})
_MARKET: Final = frozenset({Route.MARKET})
_BOTH: Final = frozenset({Route.PUBLIC, Route.MARKET})
_ROUTES_BY_KIND: Final = {
    "bookTicker": _PUBLIC,
    "depth": _PUBLIC,
    "depth@0ms": _PUBLIC,
    "depth@100ms": _PUBLIC,
    "depth@500ms": _PUBLIC,
    "trade": _BOTH,
    "aggTrade": _MARKET,
    "markPrice": _MARKET,
    "markPrice@1s": _MARKET,
}


def routes_of(stream: str) -> frozenset[Route]:
    """Return the doors through which data of ``stream`` flows; none for a stream we do not have."""
    if stream == SIM_CLOCK_STREAM:
        return _BOTH
    kind = kind_of(stream)
    if kind.startswith("kline_"):
        return _MARKET
    return _ROUTES_BY_KIND.get(kind, _NOWHERE)


def kind_of(stream: str) -> str:
    """Return what a stream carries: its name without the symbol."""
    return stream.partition("@")[2]
