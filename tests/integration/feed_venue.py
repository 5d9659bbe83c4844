"""A venue small enough to hurt on purpose: two doors, klines, old trades, and a clock by hand."""

import asyncio
import json
from decimal import Decimal
from typing import Self

from aiohttp import WSMsgType, web


class FeedVenue:
    """Speaks the venue's streams; a test moves its time and breaks its connections."""

    def __init__(self, start_ms: int) -> None:
        self.now_ms = start_ms
        self.trades: dict[str, list[dict]] = {}
        self.klines: dict[tuple[str, str], list[list]] = {}
        self.sockets: dict[web.WebSocketResponse, set[str]] = {}
        self.rest_answers_503 = False
        self.is_mute = False
        self.tells_time_at_once = True
        self.hidden_trades: set[int] = set()
        self.newest_trades: dict[str, int] = {}
        self.recent_max = 8
        self.rest_ms = 0
        self.refuses_streams = False
        self.requests: list[str] = []
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._beat: asyncio.Task | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{route}/stream", self._stream)
        app.router.add_get("/fapi/v1/trades", self._recent_trades)
        app.router.add_get("/fapi/v1/historicalTrades", self._old_trades)
        app.router.add_get("/fapi/v1/klines", self._klines)
        app.router.add_get("/fapi/v1/time", self._time)
        app.router.add_get("/fapi/v1/exchangeInfo", self._exchange_info)
        app.router.add_get("/fapi/v1/premiumIndex", self._premium)
        app.router.add_get("/fapi/v1/ticker/bookTicker", self._best)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._beat = asyncio.create_task(self._repeat_clock())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._beat is not None
        assert self._runner is not None
        self._beat.cancel()
        await self.cut_sockets()
        await self._runner.cleanup()

    # -- what a test does ------------------------------------------------------------------------

    async def tell(self, stream: str, data: dict) -> None:
        """Send one message to whoever subscribed to its stream."""
        text = json.dumps({"stream": stream, "data": data})
        for socket, streams in tuple(self.sockets.items()):
            if stream in streams:
                await self._send(socket, text)

    async def trade(self, symbol: str, number: int, ms: int, price: str, quantity: str) -> None:
        """A trade happens: kept for REST, and told unless it is hidden from the stream."""
        self.now_ms = max(self.now_ms, ms)
        row = {
            "id": number, "price": price, "qty": quantity, "time": ms, "isBuyerMaker": False,
            "quoteQty": str(Decimal(price) * Decimal(quantity)),
        }  # fmt: skip
        self.trades.setdefault(symbol, []).append(row)
        if number not in self.hidden_trades:
            data = {
                "e": "trade", "E": ms, "T": ms, "s": symbol, "t": number, "p": price,
                "q": quantity, "X": "MARKET", "m": False, "st": 1,
            }  # fmt: skip
            await self.tell(f"{symbol.lower()}@trade", data)
        self.newest_trades[symbol] = number

    async def quote(self, symbol: str, number: int, ms: int) -> None:
        """The best prices change."""
        data = {
            "e": "bookTicker", "u": number, "E": ms, "T": ms, "s": symbol,
            "b": "100.0", "B": "1", "a": "100.1", "A": "2",
        }  # fmt: skip
        await self.tell(f"{symbol.lower()}@bookTicker", data)

    async def mark(self, symbol: str, ms: int) -> None:
        """The mark price is told, as it is every second."""
        data = {
            "e": "markPriceUpdate", "E": ms, "s": symbol, "p": "100.0", "i": "100.0",
            "P": "100.0", "r": "0.0001", "T": ms + 3_600_000,
        }  # fmt: skip
        await self.tell(f"{symbol.lower()}@markPrice@1s", data)

    async def kline(self, symbol: str, open_ms: int, price: str, *, is_told: bool = True) -> None:
        """A minute closes: kept for REST, and told unless it is to be missed."""
        close_ms = open_ms + 59_999
        self.now_ms = max(self.now_ms, open_ms + 60_000)
        row = [open_ms, price, price, price, price, "1", close_ms, price, 1, "0", "0", "0"]
        self.klines.setdefault((symbol, "1m"), []).append(row)
        if is_told:
            bar = {
                "t": open_ms, "T": close_ms, "s": symbol, "i": "1m", "f": 1, "L": 1, "o": price,
                "c": price, "h": price, "l": price, "v": "1", "n": 1, "x": True, "q": "1",
                "V": "0", "Q": "0", "B": "0",
            }  # fmt: skip
            data = {"e": "kline", "E": open_ms + 60_000, "s": symbol, "k": bar}
            await self.tell(f"{symbol.lower()}@kline_1m", data)

    async def clock(self, ms: int | None = None) -> None:
        """Time moves, and every socket hears of it."""
        if ms is not None:
            self.now_ms = ms
        for socket, streams in tuple(self.sockets.items()):
            if "!clock@sim" in streams:
                await self._send(socket, self._clock_text())

    async def garbage(self, text: str) -> None:
        """Send bytes that are no message to every socket."""
        for socket in tuple(self.sockets):
            await self._send(socket, text)

    async def cut_sockets(self) -> None:
        """Close every stream without a reason."""
        for socket in tuple(self.sockets):
            await socket.close()

    # -- how it answers --------------------------------------------------------------------------

    async def _send(self, socket: web.WebSocketResponse, text: str) -> None:
        try:
            await socket.send_str(text)
        except ConnectionError:
            self.sockets.pop(socket, None)

    def _clock_text(self) -> str:
        data = {
            "e": "simClock", "E": self.now_ms, "n": self.now_ms * 1_000_000, "v": "60",
            "l": self.now_ms * 1_000_000, "z": False, "t": self.newest_trades,
        }  # fmt: skip
        return json.dumps({"stream": "!clock@sim", "data": data})

    async def _repeat_clock(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            await self.clock()

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        if self.refuses_streams:
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets[socket] = set()
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT and not self.is_mute:
                    asked = json.loads(message.data)
                    if asked["method"] == "LIST_SUBSCRIPTIONS":
                        listed = {"result": list(self.sockets[socket]), "id": asked["id"]}
                        await socket.send_str(json.dumps(listed))
                        continue
                    self.sockets[socket] |= set(asked["params"])
                    await socket.send_str(json.dumps({"result": None, "id": asked["id"]}))
                    if self.tells_time_at_once:
                        await socket.send_str(self._clock_text())
        finally:
            self.sockets.pop(socket, None)
        return socket

    async def _time(self, _: web.Request) -> web.Response:
        return web.json_response({"serverTime": self.now_ms})

    async def _exchange_info(self, _: web.Request) -> web.Response:
        filters = [
            {"filterType": "PRICE_FILTER", "tickSize": "0.1", "minPrice": "1", "maxPrice": "9000"},
            {"filterType": "LOT_SIZE", "stepSize": "0.1", "minQty": "0.1", "maxQty": "9000"},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
        ]
        rules = {"status": "TRADING", "pricePrecision": 1, "quantityPrecision": 1}
        listed = [{"symbol": one, **rules, "filters": filters} for one in ("BTCUSDT", "ETHUSDT")]
        return web.json_response({"symbols": listed})

    async def _recent_trades(self, request: web.Request) -> web.Response:
        self.requests.append(request.path_qs)
        if self.rest_answers_503:
            return web.json_response({"code": 0, "msg": "Service Unavailable."}, status=503)
        rows = self.trades.get(request.query["symbol"], [])
        return web.json_response(rows[-self.recent_max :])

    async def _old_trades(self, request: web.Request) -> web.Response:
        self.requests.append(request.path_qs)
        if self.rest_answers_503:
            return web.json_response({"code": 0, "msg": "Service Unavailable."}, status=503)
        from_id, limit = int(request.query["fromId"]), int(request.query["limit"])
        rows = [r for r in self.trades.get(request.query["symbol"], []) if r["id"] >= from_id]
        return web.json_response(rows[:limit])

    async def _premium(self, request: web.Request) -> web.Response:
        self.requests.append(request.path_qs)
        if self.rest_answers_503:
            return web.json_response({"code": 0, "msg": "Service Unavailable."}, status=503)
        row = {
            "symbol": request.query.get("symbol", "BTCUSDT"), "markPrice": "100.5",
            "indexPrice": "100.5", "lastFundingRate": "0.0001", "nextFundingTime": 0,
            "time": self.rest_ms or self.now_ms,
        }  # fmt: skip
        return web.json_response(row if "symbol" in request.query else [row])

    async def _best(self, request: web.Request) -> web.Response:
        self.requests.append(request.path_qs)
        if self.rest_answers_503:
            return web.json_response({"code": 0, "msg": "Service Unavailable."}, status=503)
        row = {
            "symbol": request.query.get("symbol", "BTCUSDT"), "bidPrice": "100.4", "bidQty": "1",
            "askPrice": "100.6", "askQty": "1", "time": self.rest_ms or self.now_ms,
        }  # fmt: skip
        return web.json_response(row if "symbol" in request.query else [row])

    async def _klines(self, request: web.Request) -> web.Response:
        self.requests.append(request.path_qs)
        if self.rest_answers_503:
            return web.json_response({"code": 0, "msg": "Service Unavailable."}, status=503)
        start, end = int(request.query.get("startTime", 0)), int(request.query["endTime"])
        rows = self.klines.get((request.query["symbol"], request.query["interval"]), [])
        found = [row for row in rows if start <= row[0] <= end]
        limit = int(request.query["limit"])
        return web.json_response(found[:limit] if "startTime" in request.query else found[-limit:])
