"""The doors every service of the house has, on the venue's own port: probes, metrics, status."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from libs.common import __version__
from services.paper_exchange.doors.hub import Hub
from services.paper_exchange.doors.trade_desk import TradeDesk
from services.paper_exchange.driver import Driver
from services.paper_exchange.exchange import Exchange

_SERVICE = "paper_exchange"
_HEALTH_MEDIA_TYPE = "application/health+json"
_encode = msgspec.json.Encoder(enc_hook=str).encode


class HealthHttp:
    """Handlers of the probes; `is_ready` tells whether the venue is being served."""

    def __init__(
        self,
        exchange: Exchange,
        driver: Driver,
        hub: Hub,
        desk: TradeDesk,
        is_ready: Callable[[], bool],
    ) -> None:
        self._exchange = exchange
        self._driver = driver
        self._is_ready = is_ready
        self._metrics = CollectorRegistry(auto_describe=False)
        self._metrics.register(_VenueCollector(exchange, hub, desk))

    def routes(self) -> list[web.RouteDef]:
        """All probe routes."""
        ready = [web.get(path, self.readyz) for path in ("/readyz", "/startupz", "/healthz")]
        return [
            web.get("/livez", self.livez),
            *ready,
            web.get("/metrics", self.metrics),
            web.get("/v1/status", self.status),
        ]

    async def livez(self, request: web.Request) -> web.Response:
        """The process is up and its loop answers."""
        return _health_answer(True)

    async def readyz(self, request: web.Request) -> web.Response:
        """The market is running."""
        return _health_answer(self._is_ready())

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus metrics."""
        return web.Response(
            body=generate_latest(self._metrics), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def status(self, request: web.Request) -> web.Response:
        """What the venue is doing now."""
        accounts = len(self._exchange.accounts)
        stats = self._driver.stats()
        body = {"service": _SERVICE, "version": __version__, "simulation": True}
        return web.Response(
            body=_encode(body | {"accounts": accounts} | dict(stats)),
            content_type="application/json",
        )


class _VenueCollector(Collector):
    """Reads the counters that the venue keeps anyway, when somebody asks."""

    def __init__(self, exchange: Exchange, hub: Hub, desk: TradeDesk) -> None:
        self._exchange = exchange
        self._hub = hub
        self._desk = desk

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "venue_requests", "Account and order requests", labels=["endpoint", "status"]
        )
        for (method, path, status), count in self._desk.answered.items():
            requests.add_metric([f"{method} {path}", str(status)], count)
        yield requests
        accounts = self._exchange.accounts.values()
        open_orders = sum(len(account.open_orders) for account in accounts)
        yield GaugeMetricFamily("venue_accounts", "Accounts", value=len(self._exchange.accounts))
        yield GaugeMetricFamily("venue_open_orders", "Open orders", value=open_orders)
        published = CounterMetricFamily("venue_published", "Stream messages", labels=["kind"])
        for kind, count in self._hub.published.items():
            published.add_metric([kind], count)
        yield published


def _health_answer(ok: bool) -> web.Response:
    body = {"status": "pass" if ok else "fail", "service": _SERVICE}
    return web.Response(
        body=_encode(body), status=200 if ok else 503, content_type=_HEALTH_MEDIA_TYPE
    )
