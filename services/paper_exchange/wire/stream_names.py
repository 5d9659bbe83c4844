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

DEPTH_SPEEDS: Final = ("", "@100ms", "@250ms", "@500ms")
"""How often changes of the book are pushed; without a word it is every 250 ms."""
PARTIAL_LEVELS: Final = (5, 10, 20)
"""How many levels a partial book may have."""

_ROUTES_BY_KIND: Final = {
    "bookTicker": _PUBLIC,
    "!bookTicker": _PUBLIC,
    "depth@0ms": _PUBLIC,
    **{f"depth{speed}": _PUBLIC for speed in DEPTH_SPEEDS},
    **{f"depth{levels}{speed}": _PUBLIC for levels in PARTIAL_LEVELS for speed in DEPTH_SPEEDS},
    "rpiDepth@500ms": _PUBLIC,
    "trade": _BOTH,
    "aggTrade": _MARKET,
    "markPrice": _MARKET,
    "markPrice@1s": _MARKET,
    "miniTicker": _MARKET,
    "ticker": _MARKET,
    "forceOrder": _MARKET,
    "compositeIndex": _MARKET,
    "assetIndex": _MARKET,
    "!markPrice@arr": _MARKET,
    "!markPrice@arr@1s": _MARKET,
    "!miniTicker@arr": _MARKET,
    "!ticker@arr": _MARKET,
    "!forceOrder@arr": _MARKET,
    "!assetIndex@arr": _MARKET,
    "!contractInfo": _MARKET,
    "tradingSession": _MARKET,
    SIM_CLOCK_STREAM: _BOTH,
}
_CANDLE_KINDS: Final = ("kline_", "continuousKline_")


def routes_of(stream: str) -> frozenset[Route]:
    """Return the doors through which data of ``stream`` flows; none for a stream we do not have."""
    kind = kind_of(stream)
    if kind.startswith(_CANDLE_KINDS):
        return _MARKET
    return _ROUTES_BY_KIND.get(kind, _NOWHERE)


def kind_of(stream: str) -> str:
    """Return what a stream carries: its name without the symbol, all of one of all symbols."""
    kind = stream.partition("@")[2]
    return stream if not kind or stream[0] == "!" else kind
