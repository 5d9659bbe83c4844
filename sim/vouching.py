"""A feed that vouches for every symbol: what risk must hear before it lets anything in."""

from collections.abc import Iterable

from libs.common.messages.market import MarketHealth, SymbolHealth


def vouch_for(symbols: Iterable[str], now_ns: int) -> MarketHealth:
    """The feed's word that these symbols trade and that their data is fresh at a market time."""
    identity = f"health-{now_ns}"
    return MarketHealth(
        message_id=identity,
        causation_id=identity,
        correlation_id=identity,
        ts_event_ns=now_ns,
        ts_published_ns=now_ns,
        source="feed",
        is_connected=True,
        symbols=tuple(
            SymbolHealth(
                symbol=symbol,
                quote_age_ms=0,
                mark_age_ms=0,
                trade_age_ms=0,
                is_stale=False,
                status="TRADING",
                refusal="",
            )
            for symbol in symbols
        ),
        received={},
        published={},
        conflated={},
    )
