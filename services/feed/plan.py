"""Which streams go over which socket: one asked for at the wrong door stays silent for ever."""

import re
from collections.abc import Iterator, Sequence

import msgspec

from services.feed.config import FeedConfig
from services.feed.events import DepthEvent, KlineUpdate, MarkEvent, QuoteEvent, TradeEvent
from services.feed.intervals import VENUE_INTERVALS

CLOCK_STREAM = "!clock@sim"
#: Tells that a symbol was listed, halted or taken off; spoken for the whole market, and rarely.
CONTRACT_STREAM = "!contractInfo"
_DIFF_DEPTH = re.compile(r"depth(@[0-9]+ms)?")
PUBLIC, MARKET = "public", "market"
_EVENTS: dict[str, type] = {
    "bookTicker": QuoteEvent,
    "trade": TradeEvent,
    "markPrice": MarkEvent,
    "kline": KlineUpdate,
}


class SocketPlan(msgspec.Struct, frozen=True):
    """One socket.

    Attributes:
        name: door and number, such as ``public-0``.
        streams: the names to subscribe to.
        symbols: whose each stream is, in the order of ``streams``; the clock is nobody's.
        candle_streams: (symbol, ``trade`` or interval) pairs among them that candles come from.
    """

    name: str
    route: str
    streams: tuple[str, ...]
    symbols: tuple[str, ...]
    candle_streams: tuple[tuple[str, str], ...]


def plan_sockets(
    symbols: Sequence[str],
    intervals: Sequence[str],
    *,
    depth_streams: Sequence[str] = (),
    streams_per_socket_max: int,
    with_clock: bool,
) -> tuple[SocketPlan, ...]:
    """Spread everything we listen to over as few sockets as the venue's limits allow."""
    klines = [name for name in intervals if name in VENUE_INTERVALS]
    doors: dict[str, list[tuple[str, str]]] = {
        PUBLIC: [
            (symbol, kind) for symbol in symbols for kind in ("bookTicker", "trade", *depth_streams)
        ],
        MARKET: [
            (symbol, kind)
            for symbol in symbols
            for kind in ("markPrice@1s", *(f"kline_{name}" for name in klines))
        ],
    }
    room = streams_per_socket_max - (1 if with_clock else 0)
    plans = [
        _plan(f"{route}-{number}", route, chunk, with_clock)
        for route, wanted in doors.items()
        for number, chunk in enumerate(_chunks(wanted, max(1, room - (route == MARKET))))
    ]
    return tuple(
        msgspec.structs.replace(plan, streams=(*plan.streams, CONTRACT_STREAM))
        if plan.name == f"{MARKET}-0"
        else plan
        for plan in plans
    )


def is_diff_depth(kind: str) -> bool:
    """Whether a kind of depth stream tells changes, which a book can be kept by."""
    return _DIFF_DEPTH.fullmatch(kind) is not None


def ages_ms_max(plan: SocketPlan, settings: FeedConfig) -> dict[str, int]:
    """How long each market stream of a socket may be silent, in milliseconds of market time."""
    by_kind = {
        "bookTicker": settings.quote_silence_ms_max,
        "trade": settings.trade_silence_ms_max,
        "markPrice": settings.mark_silence_ms_max,
        "kline": settings.kline_silence_ms_max,
    }
    return {
        stream: by_kind.get(kind_of(stream), settings.depth_silence_ms_max)
        for stream in plan.streams
        if stream not in (CLOCK_STREAM, CONTRACT_STREAM)
    }


class Speech(msgspec.Struct, frozen=True, gc=False):
    """What one stream may say: events of this type, symbol and (of candles) interval."""

    event: type
    symbol: str
    interval: str = ""


def speeches(plan: SocketPlan) -> dict[str, Speech]:
    """What each stream of a socket may say; the clock's stream is not among them."""
    found: dict[str, Speech] = {}
    for stream, symbol in zip(plan.streams, plan.symbols, strict=False):
        kind = kind_of(stream)
        interval = stream.rpartition("_")[2] if kind == "kline" else ""
        found[stream] = Speech(_EVENTS.get(kind, DepthEvent), symbol, interval)
    return found


def kind_of(stream: str) -> str:
    """The kind of a stream: ``bookTicker``, ``trade``, ``markPrice``, ``kline`` or a depth."""
    return stream.partition("@")[2].partition("@")[0].partition("_")[0]


def _plan(name: str, route: str, wanted: Sequence[tuple[str, str]], with_clock: bool) -> SocketPlan:
    streams = tuple(f"{symbol.lower()}@{kind}" for symbol, kind in wanted)
    candles = tuple(
        (symbol, kind.removeprefix("kline_"))
        for symbol, kind in wanted
        if kind == "trade" or kind.startswith("kline_")
    )
    told = (*streams, CLOCK_STREAM) if with_clock else streams
    return SocketPlan(name, route, told, tuple(symbol for symbol, _ in wanted), candles)


def _chunks(wanted: Sequence[tuple[str, str]], size: int) -> Iterator[Sequence[tuple[str, str]]]:
    for start in range(0, len(wanted), size):
        yield wanted[start : start + size]
