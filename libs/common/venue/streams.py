"""Stream names and routed URLs, and how many may be asked for at once.

Since 2026-04-23 a stream lives on one of three routes; on the wrong one a subscription is
acknowledged and then stays silent for ever. So the route is derived here and nowhere else.
Source: the WebSocket pages of Binance USD-M Futures, late 2026.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from urllib.parse import quote

import msgspec

STREAMS_PER_CONNECTION_MAX = 1_024
MESSAGES_PER_SECOND_MAX = 10
"""Incoming messages the venue takes per connection; pings, pongs and control all count."""

CONNECTION_LIFE_MS_MAX = 24 * 3_600_000
"""The venue ends every connection after 24 hours."""

STREAMS_PER_MESSAGE = 200
"""Our own bound on one SUBSCRIBE, to keep it small."""

SIM_CLOCK = "!clock@sim"
"""Only the paper venue knows it; both market routes carry it."""

USER_EVENTS = (
    "ORDER_TRADE_UPDATE",
    "ACCOUNT_UPDATE",
    "ALGO_UPDATE",
    "ACCOUNT_CONFIG_UPDATE",
    "MARGIN_CALL",
    "listenKeyExpired",
)
"""Asked for by name, because leaving `events` out was found unreliable."""


class Route(StrEnum):
    """Which third of the venue's streams."""

    PUBLIC = "public"
    MARKET = "market"
    PRIVATE = "private"


_PUBLIC_KINDS = ("bookTicker", "depth", "rpiDepth", "trade")


def book_ticker(symbol: str) -> str:
    """Best bid and ask, in real time."""
    return f"{symbol.lower()}@bookTicker"


def trade(symbol: str) -> str:
    """Every trade."""
    return f"{symbol.lower()}@trade"


def agg_trade(symbol: str) -> str:
    """Trades aggregated per taker order, every 100 ms."""
    return f"{symbol.lower()}@aggTrade"


def mark_price(symbol: str) -> str:
    """Mark price, once a second."""
    return f"{symbol.lower()}@markPrice@1s"


def kline(symbol: str, interval: str) -> str:
    """Bars of an interval, every 250 ms while trades occur."""
    return f"{symbol.lower()}@kline_{interval}"


def depth(symbol: str, speed_ms: int = 100) -> str:
    """Changes of the order book every 100, 250 or 500 ms."""
    return f"{symbol.lower()}@depth@{speed_ms}ms"


def route_of(stream: str) -> Route:
    """Return the route a market stream lives on (the simulation clock: public)."""
    if stream == SIM_CLOCK:
        return Route.PUBLIC
    kind = stream.partition("@")[2] if not stream.startswith("!") else stream[1:]
    return Route.PUBLIC if kind.startswith(_PUBLIC_KINDS) else Route.MARKET


def combined_url(base_url: str, route: Route, streams: Sequence[str] = ()) -> str:
    """Return the URL of a combined stream; without names, subscribe after connecting."""
    url = f"{base_url.rstrip('/')}/{route.value}/stream"
    names = "/".join(quote(name, safe="@!_") for name in streams)
    return f"{url}?streams={names}" if names else url


def user_stream_url(base_url: str, listen_key: str, events: Sequence[str] = USER_EVENTS) -> str:
    """Return the URL of a user data stream. It holds the listen key: never log it."""
    query = f"listenKey={quote(listen_key, safe='')}&events={'/'.join(events)}"
    return f"{base_url.rstrip('/')}/{Route.PRIVATE.value}/ws?{query}"


def connections(streams: Iterable[str]) -> list[tuple[Route, tuple[str, ...]]]:
    """Return which streams share a connection: one route each, at most 1024 streams."""
    by_route: dict[Route, list[str]] = {}
    for stream in dict.fromkeys(streams):
        by_route.setdefault(route_of(stream), []).append(stream)
    return [
        (route, batch)
        for route, names in sorted(by_route.items())
        for batch in _batches(names, STREAMS_PER_CONNECTION_MAX)
    ]


def subscriptions(streams: Sequence[str], *, first_id: int = 1) -> list[bytes]:
    """Return the SUBSCRIBE messages for one connection, ids counting up from `first_id`.

    The caller sends at most MESSAGES_PER_SECOND_MAX a second, its other messages included.
    Raises ValueError for more streams than a connection may carry.
    """
    if len(streams) > STREAMS_PER_CONNECTION_MAX:
        raise ValueError(f"{len(streams)} streams: a connection carries at most 1024")
    return [
        control_message("SUBSCRIBE", batch, first_id + number)
        for number, batch in enumerate(_batches(streams, STREAMS_PER_MESSAGE))
    ]


def control_message(method: str, streams: Sequence[str], request_id: int) -> bytes:
    """Return one control message (SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS)."""
    return msgspec.json.encode({"method": method, "params": list(streams), "id": request_id})


def _batches(names: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(names), size):
        yield tuple(names[start : start + size])
