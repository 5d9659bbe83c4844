"""Wires the venue together and serves it: source, market, clock, hub, exchange, doors.

One process, one event loop, one port. The driver is the heart: where it stops because the source
cannot be read on, the venue stops too and says why.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from random import Random

from aiohttp import web
from aiohttp.typedefs import Handler

from libs.common.runtime.clock import monotonic_ns, wall_ns
from libs.common.runtime.log import get_logger
from services.paper_exchange import demo_keys
from services.paper_exchange.clock import MarketClock
from services.paper_exchange.config import Settings
from services.paper_exchange.doors.docs_http import DocsHttp
from services.paper_exchange.doors.doorkeeper import Doorkeeper
from services.paper_exchange.doors.health_http import HealthHttp
from services.paper_exchange.doors.hub import Hub
from services.paper_exchange.doors.market_http import MarketHttp
from services.paper_exchange.doors.request_log import RequestLog
from services.paper_exchange.doors.request_weight import RequestWeight
from services.paper_exchange.doors.sim_faults_http import SimFaultsHttp
from services.paper_exchange.doors.sim_http import SimHttp
from services.paper_exchange.doors.socket_api import SocketApi, SocketHabits
from services.paper_exchange.doors.streams import LIFE_NS_MAX, Habits, Streams
from services.paper_exchange.doors.trade_desk import TradeDesk
from services.paper_exchange.doors.trade_http import TradeHttp
from services.paper_exchange.driver import Driver
from services.paper_exchange.exchange import Exchange
from services.paper_exchange.faults.event_faults import EventFaults
from services.paper_exchange.faults.rules import Faults
from services.paper_exchange.market.instruments import select_instruments
from services.paper_exchange.market.market import Market, MarketUpdate, UpdateKind
from services.paper_exchange.market.reports import MarketView
from services.paper_exchange.sources.event import Source
from services.paper_exchange.sources.generator import DEFAULT_SYMBOLS, GeneratorSource
from services.paper_exchange.sources.klines import KlineSource
from services.paper_exchange.sources.tape import TapeSource
from services.paper_exchange.wire.authentication import ApiKey, Permission

_log = get_logger(__name__)
_BOOK_CHANGES = frozenset({UpdateKind.SNAPSHOT, UpdateKind.DEPTH, UpdateKind.QUOTE})
_SHUTDOWN_SECONDS = 1.0
_UNKNOWN = {"code": -1000, "msg": "An unknown error occurred while processing the request."}


def open_source(settings: Settings) -> Source:
    """The market source that the settings name; raises `SourceError` or `UnknownSymbolError`."""
    if settings.source == "tape":
        return TapeSource(settings.paths)
    if settings.source == "klines":
        return KlineSource(settings.paths)
    dice = Random(settings.seed)  # noqa: S311 - a repeatable market, not a secret
    return GeneratorSource(dice, wall_ns(), settings.symbols or DEFAULT_SYMBOLS)


def add_demo_account(exchange: Exchange, settings: Settings, now_ns: int) -> None:
    """Open the published demo account with its two published keys."""
    account_id = demo_keys.DEMO_ACCOUNT_ID
    exchange.open_account(account_id, settings.demo_balance, now_ns)
    for key, secret, permissions in (
        (demo_keys.DEMO_TRADE_KEY, demo_keys.DEMO_TRADE_SECRET, frozenset(Permission)),
        (demo_keys.DEMO_READ_KEY, demo_keys.DEMO_READ_SECRET, frozenset({Permission.READ})),
    ):
        exchange.keys[key] = ApiKey(key, account_id, permissions, secret=secret)


def open_interest(exchange: Exchange, symbol: str) -> Decimal:
    """What all accounts hold of a symbol, in the base asset.

    Longs and shorts add up: the other side of each is the source's crowd, who has no account.
    """
    return sum(
        (
            abs(position.quantity)
            for account in exchange.accounts.values()
            for (name, _side), position in account.positions.items()
            if name == symbol
        ),
        Decimal(0),
    )


class PaperExchange:
    """One venue, built from its settings and its source; `run` serves it until cancelled."""

    def __init__(self, settings: Settings, source: Source) -> None:
        self.settings = settings
        instruments = select_instruments(source.symbols)
        start_ns = source.start_ns
        limit_ns = start_ns if settings.hold else None
        self.clock = MarketClock(monotonic_ns, start_ns, settings.speed, limit_ns)
        self.market = Market(instruments, start_ns)
        self.hub = Hub()
        self.market.is_heard = self.hub.listeners_of
        books = {symbol: self.market.book(symbol) for symbol in instruments}
        self.exchange = Exchange(
            instruments,
            books,
            settings.limits,
            settings.seed,
            settings.quirks,
            self.market.funding_rates,
        )
        self.view = MarketView(
            self.market,
            settings.limits,
            lambda: self.exchange.conditions.clock_offset_ms,
            lambda symbol: open_interest(self.exchange, symbol),
        )
        add_demo_account(self.exchange, settings, start_ns)
        self.doorkeeper = Doorkeeper(settings.limits)
        self.faults = Faults()
        self.event_faults = EventFaults()
        self.log = RequestLog(settings.limits.request_log_rows_max)
        self.desk = TradeDesk(
            self.exchange, self.clock, self.hub, self.faults, self.event_faults, self.log
        )
        self.driver = Driver(
            source,
            self.market,
            self.clock,
            self.hub,
            wall=monotonic_ns,
            on_market=self.on_market,
        )
        self.port = 0
        self.faults_of_our_own = 0
        self._is_serving = False

    def on_market(self, update: MarketUpdate) -> None:
        """Tell the exchange what the market did, and customers what came of it."""
        exchange = self.exchange
        exchange.advance(update.ts_ns)
        if update.kind in _BOOK_CHANGES:
            exchange.on_book(update.symbol, update.ts_ns)
        elif update.kind is UpdateKind.TRADE:
            assert update.price is not None, "a trade has a price"
            assert update.quantity is not None, "a trade has a quantity"
            exchange.on_trade(
                update.symbol,
                update.price,
                update.quantity,
                is_buyer_maker=bool(update.is_buyer_maker),
                now_ns=update.ts_ns,
            )
        elif update.kind is UpdateKind.MARK:
            exchange.on_mark(update.symbol, update.ts_ns)
        self.desk.deliver_events()

    async def _live_a_day(self) -> None:
        """Return when a socket that is opened now is to be closed."""
        await self.clock.sleep_until(self.clock.now_ns() + LIFE_NS_MAX)

    def build_app(self) -> web.Application:
        """The application with every door of the venue."""
        weight = RequestWeight(self.clock, self.doorkeeper)
        app = web.Application(
            client_max_size=self.settings.limits.request_body_bytes_max,
            middlewares=[self._no_fault_of_our_own, weight.middleware],
        )
        market_http = MarketHttp(self.view, self.clock, self.exchange.keys.__contains__)
        streams = Streams(
            self.hub,
            Habits(
                self.driver.clock_frame,
                monotonic_ns,
                self._live_a_day,
                self.settings.quirks.silent_wrong_routes,
            ),
        )
        sim_faults_http = SimFaultsHttp(
            self.desk, self.hub, self.faults, self.event_faults, self.doorkeeper
        )
        sim_http = SimHttp(
            self.exchange,
            self.clock,
            self.driver,
            self.log,
            self.desk.deliver_events,
            sim_faults_http.counts,
        )
        health_http = HealthHttp(
            self.exchange, self.driver, self.hub, self.desk, lambda: self._is_serving
        )
        trade_http = TradeHttp(self.desk)
        socket_api = SocketApi(
            self.desk, self.doorkeeper, self.view, SocketHabits(monotonic_ns, self._live_a_day)
        )
        for doors in (
            market_http,
            trade_http,
            socket_api,
            streams,
            sim_http,
            sim_faults_http,
            health_http,
            DocsHttp(),
        ):
            app.add_routes(doors.routes())
        app.on_shutdown.append(streams.close_all)
        app.on_shutdown.append(socket_api.close_all)
        return app

    async def run(self) -> None:
        """Serve until cancelled; raises `SourceError` where the source cannot be read on."""
        runner = web.AppRunner(
            self.build_app(), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, self.settings.host, self.settings.port)
            await site.start()
            self.port = runner.addresses[0][1]
            self._is_serving = True
            _log.info(
                "listening",
                host=self.settings.host,
                port=self.port,
                source=self.settings.source,
                symbols=list(self.market.instruments),
                speed=f"{self.clock.speed:f}",
                simulation=True,
            )
            await self.driver.run()
        finally:
            self._is_serving = False
            await runner.cleanup()

    @web.middleware
    async def _no_fault_of_our_own(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """Say honestly that the outcome is unknown where our own code failed, and count it."""
        try:
            return await handler(request)
        except (web.HTTPException, asyncio.CancelledError, ConnectionError):
            raise
        except Exception:
            self.faults_of_our_own += 1
            _log.exception("request_failed", method=request.method, path=request.path)
            return web.json_response(_UNKNOWN, status=503)
