"""What feeds said of symbols, and whether it lets anybody enter. Pure.

Risk and execution both listen to ``market.health`` and must read it alike: an entry needs a feed
that vouches for its symbol and has done so lately.
"""

import msgspec

from libs.common.messages.market import MarketHealth, SymbolHealth
from libs.common.model.verdict import Reason

NS_PER_MS = 1_000_000
#: An older word of the feed counts again after so long without a newer one: its clock was set.
HEALTH_REIGN_NS = 5_000_000_000
#: What a feed said of a symbol that it does not name any more is forgotten after so long.
HEALTH_KEPT_NS = 600_000_000_000
#: The venue's word for a symbol that takes orders.
TRADING = "TRADING"
UNKNOWN = "unknown"


class HealthSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The newest word on a symbol.

    Attributes:
        silence_ms: monotonic time since it was heard.
    """

    health: SymbolHealth
    silence_ms: int


class _Word(msgspec.Struct, frozen=True):
    """What a feed said of a symbol: as of which market time, and when we heard it (monotonic)."""

    health: SymbolHealth
    event_ns: int
    heard_ns: int


class FeedWords:
    """The newest word on each symbol."""

    def __init__(self) -> None:
        self._words: dict[str, _Word] = {}

    def hear(self, told: MarketHealth, heard_ns: int) -> None:
        """Take what a feed says of its symbols; each symbol's newest word counts.

        Feeds of other symbols may speak as well. A feed that slept may say on waking what is long
        over: older than the last word, it counts only once that one has gone unrepeated for long.
        """
        for one in told.symbols:
            known = self._words.get(one.symbol)
            if (
                known is None
                or told.ts_event_ns >= known.event_ns
                or heard_ns - known.heard_ns > HEALTH_REIGN_NS
            ):
                self._words[one.symbol] = _Word(one, told.ts_event_ns, heard_ns)
        over = [
            name for name, word in self._words.items() if heard_ns - word.heard_ns > HEALTH_KEPT_NS
        ]
        for symbol in over:
            del self._words[symbol]

    def seen(self, symbol: str, now_ns: int) -> HealthSeen | None:
        """The newest word on a symbol, by the clock that stamped ``hear``; ``None``: none came."""
        word = self._words.get(symbol)
        if word is None:
            return None
        silence_ms = (now_ns - word.heard_ns) // NS_PER_MS
        return HealthSeen(health=word.health, silence_ms=silence_ms)

    def refusals(self) -> dict[str, str]:
        """Why the newest word lets nobody enter, by symbol, however long ago it was said."""
        return {
            symbol: found
            for symbol, word in self._words.items()
            if (found := _unfitness(word.health))
        }


def limit_text(silence_ms_max: int) -> str:
    """What has to hold of a symbol that is entered, for a verdict."""
    return f"fresh and TRADING, heard within {silence_ms_max} ms"


def judge_health(seen: HealthSeen | None, silence_ms_max: int) -> tuple[Reason | None, str]:
    """Why a symbol may not be entered (``None``: it may), and what was found.

    Args:
        silence_ms_max: what was heard longer ago (monotonic) vouches for nothing any more.
    """
    if seen is None:
        return Reason.INPUT_STALE, UNKNOWN
    if not 0 <= seen.silence_ms <= silence_ms_max:
        return Reason.INPUT_STALE, f"{seen.silence_ms} ms ago"
    health = seen.health
    if health.status != TRADING:
        return Reason.FILTER_STATUS, f"{health.status}: {health.refusal}"
    unfitness = _unfitness(health)
    return (Reason.INPUT_STALE, unfitness) if unfitness else (None, TRADING)


def _unfitness(health: SymbolHealth) -> str:
    return health.refusal or ("its data is stale" if health.is_stale else "")
