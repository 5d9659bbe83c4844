"""Wires the venue together and serves it: source, market, clock, hub, exchange, doors.

One process, one event loop, one port. The driver is the heart: where it stops because the source
cannot be read on, the venue stops too and says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import partial
from random import Random

from aiohttp import web
from aiohttp.typedefs import Handler

from libs.common.runtime.clock import monotonic_ns, wall_ns
from libs.common.runtime.log import get_logger
from services.paper_exchange import demo_keys
from services.paper_exchange.clock import MarketClock
from services.paper_exchange.config import Settings
from services.paper_exchange.doors.address import take_address
from services.paper_exchange.doors.docs_http import DocsHttp
from services.paper_exchange.doors.doorkeeper import Doorkeeper
from services.paper_exchange.doors.health_http import HealthHttp
from services.paper_exchange.doors.hub import Hub
from services.paper_exchange.doors.market_faults import MarketFaults
from services.paper_exchange.doors.market_http import MarketHttp
from services.paper_exchange.doors.request_log import RequestLog
from services.paper_exchange.doors.request_weight import RequestWeight
from services.paper_exchange.doors.sim_answers import SimRefusalError
from services.paper_exchange.doors.sim_faults_http import SimFaultsHttp
from services.paper_exchange.doors.sim_http import SimHttp, SimReports
from services.paper_exchange.doors.sim_money_http import SimMoneyHttp
from services.paper_exchange.doors.sim_stage_http import SimStageHttp
from services.paper_exchange.doors.socket_api import SocketApi, SocketHabits
from services.paper_exchange.doors.stage import Stage
from services.paper_exchange.doors.stream_disturbance import StreamDisturbance
from services.paper_exchange.doors.streams import LIFE_NS_MAX, Habits, Streams
from services.paper_exchange.doors.trade_desk import TradeDesk
from services.paper_exchange.doors.trade_http import TradeHttp
from services.paper_exchange.driver import Driver
from services.paper_exchange.exchange import Exchange
from services.paper_exchange.faults.event_faults import EventFaults
from services.paper_exchange.faults.rules import Faults
from services.paper_exchange.faults.scenarios import read_scenario
from services.paper_exchange.faults.stream_faults import StreamFaults
from services.paper_exchange.kept_state import KeptState, KeptStateError, keeper
from services.paper_exchange.market.instruments import Instrument, select_instruments, spoiled
from services.paper_exchange.market.market import Market, MarketUpdate, UpdateKind
from services.paper_exchange.market.reports import MarketView
from services.paper_exchange.money.deleveraging import risk_of
from services.paper_exchange.sources.event import Source, SourceError
from services.paper_exchange.sources.generator import DEFAULT_SYMBOLS, GeneratorSource
from services.paper_exchange.sources.klines import KlineSource
from services.paper_exchange.sources.loop import LoopedSource
from services.paper_exchange.sources.tape import TapeSource
from services.paper_exchange.wire.authentication import ApiKey, Permission

_log = get_logger(__name__)
_BOOK_CHANGES = frozenset({UpdateKind.SNAPSHOT, UpdateKind.DEPTH, UpdateKind.QUOTE})
_SHUTDOWN_SECONDS = 1.0
_UNKNOWN = {"code": -1000, "msg": "An unknown error occurred while processing the request."}


def open_source(settings: Settings, start_ns: int | None = None) -> Source:
    """The market source that the settings name; raises `SourceError` or `UnknownSymbolError`.

    A generated market begins at `start_ns`, now where not said.
    """
    if settings.loop:
        once = settings.model_copy(update={"loop": False})
        return LoopedSource(lambda: open_source(once, start_ns))
    if settings.source == "tape":
        return TapeSource(settings.paths)
    if settings.source == "klines":
        return KlineSource(settings.paths)
    return GeneratorSource(
        Random(settings.seed),  # noqa: S311 - a repeatable market, not a secret
        wall_ns() if start_ns is None else start_ns,
        settings.symbols or DEFAULT_SYMBOLS,
        settings.moods,
    )


def open_venue(settings: Settings) -> PaperExchange:
    """A venue on the source of the settings that can start over.

    Raises `SourceError`, `UnknownSymbolError` or `ScenarioError`.
    """
    reopen = partial(open_source, settings, wall_ns())
    return PaperExchange(settings, reopen(), reopen)


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
    """The contracts of a symbol that are open, in the base asset.

    Each has a long side and a short one. What the accounts hold of the larger side is open; what
    they lack on the other is held by the source's crowd, which holds nothing else.
    """
    quantities = [
        position.quantity
        for account_id in exchange.risk.holders[symbol]
        for (name, _side), position in exchange.accounts[account_id].positions.items()
        if name == symbol
    ]
    longs = sum((quantity for quantity in quantities if quantity > 0), Decimal(0))
    shorts = -sum((quantity for quantity in quantities if quantity < 0), Decimal(0))
    return max(longs, shorts)


class PaperExchange:
    """One venue, built from its settings and its source; `run` serves it until cancelled."""

    def __init__(
        self,
        settings: Settings,
        source: Source,
        reopen: Callable[[], Source] | None = None,
    ) -> None:
        self.settings = settings
        self.port = 0
        self.faults_of_our_own = 0
        self._is_serving = False
        self._reopen = reopen
        self._handlers: dict[tuple[str, str], Handler] = {}
        self._driving: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._scenario = None if settings.scenario is None else read_scenario(settings.scenario)
        self._kept = None if settings.state is None else KeptState(settings.state)
        self._has_kept_up = False
        self._set_up(source)

    def _set_up(self, source: Source) -> None:
        """Build all of the venue but its port, as it is before the source's first event."""
        settings = self.settings
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
            lambda symbol: risk_of(self.exchange, symbol),
            self._listing,
        )
        add_demo_account(self.exchange, settings, start_ns)
        if self._kept is not None and not self._has_kept_up:
            self._kept.restore(self.exchange, start_ns)
            self._kept.keep(self.exchange, start_ns, is_certain=True)
        self._has_kept_up = True
        self.doorkeeper = Doorkeeper(settings.limits)
        self.faults = Faults()
        self.event_faults = EventFaults()
        self.log = RequestLog(settings.limits.request_log_rows_max)
        self.desk = TradeDesk(
            self.exchange, self.clock, self.hub, self.faults, self.event_faults, self.log
        )
        self.desk.keep = keeper(self._kept, self.exchange, self.clock.now_ns)
        self.driver = Driver(
            source,
            self.market,
            self.clock,
            self.hub,
            wall=monotonic_ns,
            on_market=self.on_market,
        )
        self.disturbance = StreamDisturbance(self.hub, StreamFaults(), self.clock.now_ns)
        self.stage = Stage(
            self.desk,
            self.hub,
            self.market,
            self.driver,
            self.faults,
            self.event_faults,
            self.disturbance,
        )

    def _listing(self, instruments: Iterable[Instrument]) -> Iterable[Instrument]:
        conditions = self.exchange.conditions
        if not (conditions.zero_tick_symbols or conditions.odd_symbols):
            return instruments
        return spoiled(instruments, conditions.zero_tick_symbols, conditions.odd_symbols)

    def on_market(self, update: MarketUpdate) -> None:
        """Tell the exchange what the market did, and customers what came of it."""
        exchange = self.exchange
        exchange.advance(update.ts_ns)
        if update.ts_ns >= self.stage.next_due_ns:
            self.stage.go_on(update.ts_ns)
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
        if self.hub.disturb is not None:
            self.disturbance.release()

    def build_app(self) -> web.Application:
        """The application with every door of the venue."""
        app = web.Application(
            client_max_size=self.settings.limits.request_body_bytes_max,
            middlewares=[self._no_fault_of_our_own, self._at_the_gate],
        )
        docs = DocsHttp()
        for route in self._open_doors():
            handler = self._at_the_door(route.method, route.path)
            app.add_routes([web.RouteDef(route.method, route.path, handler, route.kwargs)])
        app.add_routes(docs.routes())
        app.on_shutdown.append(self._close_sockets)
        return app

    async def _live_a_day(self) -> None:
        """Return when a socket that is opened now is to be closed."""
        await self.clock.sleep_until(self.clock.now_ns() + LIFE_NS_MAX)

    def _open_doors(self) -> list[web.RouteDef]:
        """Make the doors of the venue as it is set up now; later ones take their place."""
        self._weight = RequestWeight(self.clock, self.doorkeeper)
        self._market_faults = MarketFaults(self.faults, self.clock)
        self._socket_api = SocketApi(
            self.desk, self.doorkeeper, self.view, SocketHabits(monotonic_ns, self._live_a_day)
        )
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
            self.desk,
            self.stage,
            self.faults,
            self.event_faults,
            self.disturbance,
            self.doorkeeper,
        )
        sim_stage_http = SimStageHttp(self.stage, self.market.instruments)
        reports = SimReports(
            self.desk.deliver_events,
            lambda: {**sim_faults_http.counts(), **sim_stage_http.counts()},
            self.start_over,
        )
        routes = [
            *MarketHttp(self.view, self.clock, self.exchange.keys.__contains__).routes(),
            *TradeHttp(self.desk).routes(),
            *self._socket_api.routes(),
            *streams.routes(),
            *SimHttp(self.exchange, self.clock, self.driver, self.log, reports).routes(),
            *sim_faults_http.routes(),
            *sim_stage_http.routes(),
            *SimMoneyHttp(self.exchange, self.clock, self.desk.deliver_events).routes(),
            *HealthHttp(
                self.exchange, self.driver, self.hub, self.desk, lambda: self._is_serving
            ).routes(),
        ]
        self._handlers = {(route.method, route.path): route.handler for route in routes}
        return routes

    def _at_the_door(self, method: str, path: str) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._handlers[method, path](request)

        return handle

    @web.middleware
    async def _at_the_gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Weigh every request, and let those of no account suffer the faults asked for."""
        if self.faults.has_rules:
            inner = handler
            handler = partial(self._market_faults.middleware, handler=inner)
        return await self._weight.middleware(request, handler)

    async def _close_sockets(self, app: web.Application) -> None:
        self.hub.close_all()
        await self._socket_api.close_all(app)

    def start_over(self) -> MarketClock:
        """Put everything back to the start of the same source, and close all sockets.

        Returns the new clock. Raises `SimRefusalError` where the source cannot be opened again.
        """
        if self._reopen is None:
            raise SimRefusalError("this venue's source cannot be started again")
        try:
            source = self._reopen()
        except (SourceError, OSError) as error:
            raise SimRefusalError(f"the source cannot be opened again: {error}") from error
        hub, socket_api, clock = self.hub, self._socket_api, self.clock
        self._set_up(source)
        self._open_doors()
        hub.close_all()
        self._leaving = asyncio.create_task(socket_api.close_all(web.Application()))
        clock.hold_at(None)
        clock.set_grant(limit_ns=None)
        if self._driving is not None:
            self._driving.cancel()
        return self.clock

    async def run(self) -> None:
        """Serve until cancelled; raises `SourceError` where the source cannot be read on."""
        runner = web.AppRunner(
            self.build_app(), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, self.settings.host, self.settings.port)
            await take_address(site, self.settings.host, self.settings.port)
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
            facts = self.driver.stats()["facts"]
            if isinstance(facts, Mapping) and facts.get("gaps"):
                _log.warning("candles_missing", gaps=facts["gaps"])
            await self._drive()
        finally:
            self._is_serving = False
            await runner.cleanup()

    async def _drive(self) -> None:
        """Run the market, and the next one where somebody has it start over."""
        while True:
            driver = self.driver
            if self._scenario is not None:
                self.stage.start(self._scenario)
            self._driving = asyncio.create_task(driver.run())
            try:
                await self._driving
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if self.driver is driver or (task is not None and task.cancelling()):
                    raise

    @web.middleware
    async def _no_fault_of_our_own(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """Say honestly that the outcome is unknown where our own code failed, and count it."""
        try:
            return await handler(request)
        except (web.HTTPException, asyncio.CancelledError):
            raise
        except KeptStateError:  # nobody may hear of it; if it lasts, the market ends the venue
            return web.json_response(_UNKNOWN, status=503)
        except ConnectionError:
            return web.Response(status=400)  # the client has gone: nobody reads this
        except Exception:
            self.faults_of_our_own += 1
            _log.exception("request_failed", method=request.method, path=request.path)
            return web.json_response(_UNKNOWN, status=503)
