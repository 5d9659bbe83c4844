"""The frames of the feed benchmark: quotes, marks and candles of many symbols, as the venue's own.

Each symbol's payloads are made once by the paper exchange's builders; a flood repeats them with
new update ids and event times, so that nothing in it can be told from a repeat and skipped. Times
go up to now, because a reader may refuse times that cannot be.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from services.paper_exchange.market import candle_payloads, payloads
from services.paper_exchange.market.book import Book
from services.paper_exchange.market.candles import MINUTE_MS, Candle
from services.paper_exchange.market.instruments import INSTRUMENTS
from services.paper_exchange.sources.event import Quote

NS_PER_MS = 1_000_000
#: Of one symbol in a round. A liquid symbol's real second has more quotes still.
QUOTES, BARS, MARKS = 16, 3, 1
FRAMES_PER_ROUND = QUOTES + BARS + MARKS
#: Market time between two rounds.
ROUND_MS = 10
PUBLIC, MARKET = "public", "market"
#: Stand-ins for what differs between two rounds: thirteen digits each, as what replaces them.
_EVENT_MS, _UPDATE_ID = 1_111_111_111_111, 2_222_222_222_222
_FIRST_UPDATE_ID = 5_123_107_839_020
_MODEL = INSTRUMENTS["SOLUSDT"]


class Flood(msgspec.Struct, frozen=True):
    """What to send on each route, framed, and how to know its end.

    Attributes:
        blobs: bytes by route.
        frames: how many frames both routes have together.
        last_update_id: of the last quote, which is the first symbol's.
        last_mark_ms: event time of the last mark, which is the first symbol's.
    """

    blobs: dict[str, bytes]
    frames: int
    last_update_id: int
    last_mark_ms: int


def symbol_names(count: int) -> list[str]:
    """So many symbols; the first bear names of the paper exchange."""
    return [*INSTRUMENTS, *(f"COIN{number:03}USDT" for number in range(count))][:count]


def stream_names(symbols: Sequence[str]) -> dict[str, list[str]]:
    """What to subscribe to on each route."""
    lower = [symbol.lower() for symbol in symbols]
    return {
        PUBLIC: [f"{name}@bookTicker" for name in lower],
        MARKET: [f"{name}@{kind}" for name in lower for kind in ("markPrice@1s", "kline_1m")],
    }


def make_flood(
    symbols: Sequence[str], rounds: int, now_ms: int, *, round_ms: int = ROUND_MS
) -> Flood:
    """Rounds of frames whose times end at ``now_ms``; the last minute's candles close once."""
    quotes = [_quotes_of(symbol) for symbol in symbols]
    marks = [_mark_of(symbol) for symbol in symbols]
    open_ms = now_ms // MINUTE_MS * MINUTE_MS
    bars = [_bar_of(symbol, open_ms, is_closed=False) for symbol in symbols]
    public: list[bytes] = []
    market = [
        _dated(_bar_of(symbol, open_ms - MINUTE_MS, is_closed=True), now_ms - rounds * round_ms)
        for symbol in symbols
    ]
    update_id = _FIRST_UPDATE_ID
    event_ms = 0
    for number in range(rounds):
        event_ms = now_ms - (rounds - 1 - number) * round_ms
        for turn in range(QUOTES):
            for variants in reversed(quotes):
                update_id += 1
                frame = variants[turn % len(variants)]
                public.append(
                    _dated(frame, event_ms).replace(b"%d" % _UPDATE_ID, b"%d" % update_id)
                )
        for _ in range(BARS):
            market += [_dated(bar, event_ms) for bar in bars]
        market += [_dated(mark, event_ms) for mark in reversed(marks)]
    blobs = {PUBLIC: b"".join(public), MARKET: b"".join(market)}
    return Flood(blobs, len(public) + len(market), update_id, event_ms)


def _dated(frame: bytes, event_ms: int) -> bytes:
    return frame.replace(b"%d" % _EVENT_MS, b"%d" % event_ms)


def _quotes_of(symbol: str) -> list[bytes]:
    frames = []
    for turn in range(QUOTES // 2):
        bid = f"148.{25 + turn}00", f"{17 + turn}.25"
        ask = f"148.{26 + turn}00", f"{40 - turn}.50"
        event = Quote(_EVENT_MS * NS_PER_MS, symbol, _EVENT_MS, _UPDATE_ID, *bid, *ask)
        frames.append(_framed(f"{symbol.lower()}@bookTicker", payloads.book_ticker(event)))
    return frames


def _mark_of(symbol: str) -> bytes:
    book = Book(symbol, _MODEL.price_precision)
    book.mark_price, book.index_price = Decimal("148.27531870"), Decimal("148.29914872")
    payload = payloads.mark_price_update(
        book, Decimal("148.27"), Decimal("0.0001"), _EVENT_MS, _EVENT_MS * NS_PER_MS
    )
    return _framed(f"{symbol.lower()}@markPrice@1s", payload)


def _bar_of(symbol: str, open_ms: int, *, is_closed: bool) -> bytes:
    candle = Candle(open_ms, Decimal("148.2600"))
    candle.high, candle.low = Decimal("148.3100"), Decimal("148.1900")
    candle.close, candle.volume, candle.count = Decimal("148.2900"), Decimal("1805.25"), 402
    candle.quote_volume = Decimal("267657.21")
    instrument = msgspec.structs.replace(_MODEL, symbol=symbol)
    payload = candle_payloads.kline(
        instrument, "1m", candle, _EVENT_MS * NS_PER_MS, is_closed=is_closed
    )
    return _framed(f"{symbol.lower()}@kline_1m", payload)


def _framed(stream: str, payload: dict[str, object]) -> bytes:
    """The WebSocket frame of a combined-stream message, as a server sends it."""
    text = msgspec.json.encode({"stream": stream, "data": payload})
    return b"\x81\x7e" + len(text).to_bytes(2, "big") + text
