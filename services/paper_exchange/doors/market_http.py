"""The venue's public REST endpoints: pure look-ups in the market, in the venue's shapes.

Weights, limits, defaults and error codes are those of the venue's documentation of late 2026
(reference: binance-usdm, section 2).
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from aiohttp import web

from services.paper_exchange.clock import MarketClock
from services.paper_exchange.config import DEFAULT_LIMITS, Limits
from services.paper_exchange.doors.request_weight import WEIGHT, json_answer
from services.paper_exchange.market import payloads
from services.paper_exchange.market.candles import INTERVALS_MS, ZERO, Candle
from services.paper_exchange.market.day_ticker import day_ticker
from services.paper_exchange.market.instruments import exchange_info
from services.paper_exchange.market.market import Market, SymbolMarket
from services.paper_exchange.market.payloads import AggregateTrade
from services.paper_exchange.sources.event import Trade
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError

DEPTH_LIMIT_DEFAULT: Final = 500
DEPTH_WEIGHTS: Final = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1_000: 20}
KLINES_DEFAULT: Final = 500
KLINES_MAX: Final = 1_500
ROWS_DEFAULT: Final = 500
ROWS_MAX: Final = 1_000
HOUR_MS: Final = 3_600_000
INTEREST_RATE: Final = "0.00010000"

Body = tuple[object, int]
"""What an endpoint answers and what it weighs."""


class MarketHttp:
    """Handlers of the public endpoints; ``is_known_key`` tells an API key that exists.

    ``clock_offset_ms`` is how far the venue's own clock is off market time.
    """

    def __init__(
        self,
        market: Market,
        clock: MarketClock,
        is_known_key: Callable[[str], bool],
        limits: Limits = DEFAULT_LIMITS,
        clock_offset_ms: Callable[[], int] = int,
    ) -> None:
        self._market = market
        self._limits = limits
        self._clock_offset_ms = clock_offset_ms
        self._clock = clock
        self._is_known_key = is_known_key

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to the venue's application."""
        endpoints: dict[str, Callable[[web.Request, Parameters], Body]] = {
            "/fapi/v1/ping": lambda _request, _sent: ({}, 1),
            "/api/v3/ping": lambda _request, _sent: ({}, 1),
            "/fapi/v1/time": self._time,
            "/api/v3/time": self._time,
            "/fapi/v1/exchangeInfo": self._exchange_info,
            "/fapi/v1/depth": self._depth,
            "/fapi/v1/trades": self._trades,
            "/fapi/v1/historicalTrades": self._historical_trades,
            "/fapi/v1/aggTrades": self._aggregate_trades,
            "/fapi/v1/klines": self._klines,
            "/fapi/v1/premiumIndex": self._premium_index,
            "/fapi/v1/ticker/price": self._price,
            "/fapi/v2/ticker/price": self._price,
            "/fapi/v1/ticker/bookTicker": self._book_ticker,
            "/fapi/v1/ticker/24hr": self._day_ticker,
            "/fapi/v1/fundingRate": self._funding_rate,
        }
        return [web.get(path, _handler(endpoint)) for path, endpoint in endpoints.items()]

    def _time(self, _request: web.Request, _sent: Parameters) -> Body:
        return {"serverTime": self._clock.now_ms() + self._clock_offset_ms()}, 1

    def _exchange_info(self, _request: web.Request, _sent: Parameters) -> Body:
        listed = self._market.instruments.values()
        return exchange_info(self._clock.now_ms(), listed, self._limits), 1

    def _depth(self, _request: web.Request, sent: Parameters) -> Body:
        state = self._state(sent)
        limit = sent.optional_integer("limit") or DEPTH_LIMIT_DEFAULT
        if limit not in DEPTH_WEIGHTS:
            known = ", ".join(map(str, DEPTH_WEIGHTS))
            text = f"{limit} is not valid depth limit (valid values: {known})."
            raise RefusalError(-4021, text=text)
        bids, asks = state.book.snapshot(limit)
        body = {
            "lastUpdateId": state.book.last_update_id,
            "E": self._clock.now_ms(),
            "T": state.book.ts_ns // payloads.NS_PER_MS,
            "bids": bids,
            "asks": asks,
        }
        return body, DEPTH_WEIGHTS[limit]

    def _trades(self, _request: web.Request, sent: Parameters) -> Body:
        trades = self._state(sent).trades
        return [_trade_row(trade) for trade in _last(trades, sent.limit(ROWS_DEFAULT, ROWS_MAX))], 5

    def _historical_trades(self, request: web.Request, sent: Parameters) -> Body:
        key = request.headers.get("X-MBX-APIKEY", "")
        if not key:
            raise RefusalError(-2014)
        if not self._is_known_key(key):
            raise RefusalError(-2015)
        trades = self._state(sent).trades
        limit, from_id = sent.limit(ROWS_DEFAULT, ROWS_MAX), sent.optional_integer("fromId")
        if from_id is None:
            chosen = _last(trades, limit)
        else:
            chosen = list(islice((trade for trade in trades if trade.trade_id >= from_id), limit))
        return [_trade_row(trade) for trade in chosen], 200

    def _aggregate_trades(self, _request: web.Request, sent: Parameters) -> Body:
        aggregates = self._state(sent).aggregates
        limit, from_id = sent.limit(ROWS_DEFAULT, ROWS_MAX), sent.optional_integer("fromId")
        start_ms, end_ms = _window(sent)
        if from_id is not None and (start_ms is not None or end_ms is not None):
            raise RefusalError(-1128)
        if start_ms is not None and end_ms is not None and end_ms - start_ms > HOUR_MS:
            raise RefusalError(-1127, 1)
        chosen = [
            aggregate
            for aggregate in aggregates
            if (from_id is None or aggregate.aggregate_id >= from_id)
            and (start_ms is None or aggregate.transaction_ms >= start_ms)
            and (end_ms is None or aggregate.transaction_ms <= end_ms)
        ]
        is_forward = from_id is not None or start_ms is not None
        rows = chosen[:limit] if is_forward else chosen[-limit:]
        return [_aggregate_row(aggregate) for aggregate in rows], 20

    def _klines(self, _request: web.Request, sent: Parameters) -> Body:
        state = self._state(sent)
        interval = sent.text("interval")
        if interval not in INTERVALS_MS:
            raise RefusalError(-1120, text="Invalid interval.")
        limit = sent.limit(KLINES_DEFAULT, KLINES_MAX)
        start_ms, end_ms = _window(sent)
        chosen: list[Candle] = [
            candle
            for candle in state.candles.recent(interval)
            if (start_ms is None or candle.open_ms >= start_ms)
            and (end_ms is None or candle.open_ms <= end_ms)
        ]
        rows = chosen[:limit] if start_ms is not None else chosen[-limit:]
        return [payloads.kline_row(interval, candle) for candle in rows], _klines_weight(limit)

    def _premium_index(self, _request: web.Request, sent: Parameters) -> Body:
        now_ns = self._clock.now_ns()
        return self._one_or_all(sent, 1, 10, lambda state: _premium_row(state, now_ns))

    def _price(self, _request: web.Request, sent: Parameters) -> Body:
        now_ms = self._clock.now_ms()
        return self._one_or_all(sent, 1, 2, lambda state: _price_row(state, now_ms))

    def _book_ticker(self, _request: web.Request, sent: Parameters) -> Body:
        now_ms = self._clock.now_ms()
        return self._one_or_all(sent, 2, 5, lambda state: _book_ticker_row(state, now_ms))

    def _day_ticker(self, _request: web.Request, sent: Parameters) -> Body:
        now_ms = self._clock.now_ms()
        return self._one_or_all(sent, 1, 40, lambda state: day_ticker(state, now_ms))

    def _funding_rate(self, _request: web.Request, sent: Parameters) -> Body:
        if "symbol" in sent:
            self._state(sent)
        return [], 1

    def _one_or_all(
        self,
        sent: Parameters,
        one_weight: int,
        all_weight: int,
        row: Callable[[SymbolMarket], object],
    ) -> Body:
        if "symbol" in sent:
            return row(self._state(sent)), one_weight
        return [row(state) for state in self._market.symbols.values()], all_weight

    def _state(self, sent: Parameters) -> SymbolMarket:
        state = self._market.symbols.get(sent.text("symbol"))
        if state is None:
            raise RefusalError(-1121)
        return state


def _handler(
    endpoint: Callable[[web.Request, Parameters], Body],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        raw_query = request.raw_path.partition("?")[2].encode("utf-8", "surrogateescape")
        body, request[WEIGHT] = endpoint(request, Parameters(raw_query))
        return json_answer(body)

    return handle


def _window(sent: Parameters) -> tuple[int | None, int | None]:
    start_ms, end_ms = sent.optional_integer("startTime"), sent.optional_integer("endTime")
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        raise RefusalError(-1023)
    return start_ms, end_ms


def _klines_weight(limit: int) -> int:
    if limit < 100:
        return 1
    if limit < 500:
        return 2
    return 5 if limit <= 1_000 else 10


def _last(rows: Sequence[Trade], limit: int) -> list[Trade]:
    return list(islice(rows, max(len(rows) - limit, 0), None))


def _trade_row(trade: Trade) -> dict[str, object]:
    return {
        "id": trade.trade_id,
        "price": trade.price,
        "qty": trade.quantity,
        "quoteQty": f"{trade.price * trade.quantity:f}",
        "time": trade.transaction_ms,
        "isBuyerMaker": trade.is_buyer_maker,
    }


def _aggregate_row(aggregate: AggregateTrade) -> dict[str, object]:
    return {
        "a": aggregate.aggregate_id,
        "p": aggregate.price,
        "q": aggregate.quantity,
        "nq": aggregate.quantity,
        "f": aggregate.first_trade_id,
        "l": aggregate.last_trade_id,
        "T": aggregate.transaction_ms,
        "m": aggregate.is_buyer_maker,
    }


def _premium_row(state: SymbolMarket, now_ns: int) -> dict[str, object]:
    book = state.book
    mark_text = payloads.price_text(book.mark_price or ZERO)
    return {
        "symbol": book.symbol,
        "markPrice": mark_text,
        "indexPrice": payloads.price_text(book.index_price or ZERO),
        "estimatedSettlePrice": mark_text,
        "lastFundingRate": payloads.FUNDING_RATE,
        "interestRate": INTEREST_RATE,
        "nextFundingTime": payloads.next_funding_ms(now_ns),
        "time": now_ns // payloads.NS_PER_MS,
    }


def _price_row(state: SymbolMarket, now_ms: int) -> dict[str, object]:
    last_price = state.book.last_price
    price = ZERO if last_price is None else last_price
    return {"symbol": state.book.symbol, "price": f"{price:f}", "time": now_ms}


def _book_ticker_row(state: SymbolMarket, now_ms: int) -> dict[str, object]:
    bid_price, bid_quantity = _top(state.book.snapshot(1)[0])
    ask_price, ask_quantity = _top(state.book.snapshot(1)[1])
    return {
        "symbol": state.book.symbol,
        "bidPrice": bid_price,
        "bidQty": bid_quantity,
        "askPrice": ask_price,
        "askQty": ask_quantity,
        "time": now_ms,
    }


def _top(levels: Iterable[tuple[str, str]]) -> tuple[str, str]:
    return next(iter(levels), ("0", "0"))
