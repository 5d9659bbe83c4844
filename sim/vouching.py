"""A feed that vouches for symbols: what must be heard before anything may be entered."""

from collections.abc import Container, Iterable

from libs.common.messages.market import MarketHealth, SymbolHealth
from libs.common.messages.vouching import TRADING, HealthSeen


def vouch_for(
    symbols: Iterable[str], now_ns: int, doubted: Container[str] = frozenset()
) -> MarketHealth:
    """The feed's word at a market time that these symbols trade and that their data is fresh.

    Args:
        doubted: symbols whose data it calls stale instead.
    """
    identity = f"health-{now_ns}"
    return MarketHealth(
        message_id=identity,
        causation_id=identity,
        correlation_id=identity,
        ts_event_ns=now_ns,
        ts_published_ns=now_ns,
        source="feed",
        is_connected=True,
        symbols=tuple(_word(symbol, is_stale=symbol in doubted) for symbol in symbols),
        received={},
        published={},
        conflated={},
    )


def vouched(symbol: str) -> HealthSeen:
    """The same word on one symbol as somebody knows it who heard it just now."""
    return HealthSeen(health=_word(symbol, is_stale=False), silence_ms=0)


def _word(symbol: str, *, is_stale: bool) -> SymbolHealth:
    return SymbolHealth(
        symbol=symbol,
        quote_age_ms=0,
        mark_age_ms=0,
        trade_age_ms=0,
        is_stale=is_stale,
        status=TRADING,
        refusal="",
    )
