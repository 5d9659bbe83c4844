"""The HTTP doors every service has, served inside its own event loop.

Health answers follow the shape of the (expired) health-check draft; the status code is the
contract. Liveness never looks at dependencies: a restart would not heal those.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import uvicorn
from fastapi import FastAPI, Response
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from libs.common import __version__
from libs.common.runtime.health import Health, Level
from libs.common.runtime.log import get_logger

log = get_logger(__name__)

HEALTH_MEDIA_TYPE = "application/health+json"
KEEP_ALIVE_S = 5
CONCURRENCY_MAX = 64


def build_app(health: Health, status: Callable[[], dict[str, Any]]) -> FastAPI:
    """The application: probes, metrics, status and documentation that works offline."""
    # No validator: it would tell a stranger's server where this document is. No Redoc: its bundle
    # fetches a picture from its maker.
    app = FastAPIOffline(
        title=f"Portcullis {health.service}",
        version=__version__,
        redoc_url=None,
        swagger_ui_parameters={"validatorUrl": None},
    )

    def answer(ok: bool, body: dict[str, Any]) -> Response:
        return Response(msgspec.json.encode(body), 200 if ok else 503, media_type=HEALTH_MEDIA_TYPE)

    @app.get("/livez", tags=["health"])
    async def livez() -> Response:
        """The process is up and its loop answers."""
        return answer(True, {"status": Level.PASS, "service": health.service})

    @app.get("/readyz", tags=["health"])
    async def readyz() -> Response:
        """Every condition for doing the service's work holds (a halted service is ready)."""
        return answer(health.level is not Level.FAIL, health.report())

    @app.get("/startupz", tags=["health"])
    async def startupz() -> Response:
        """Start-up, which includes recovery, is over."""
        return answer(health.is_started, health.report())

    @app.get("/healthz", tags=["health"])
    async def healthz() -> Response:
        """An alias of /readyz for tools that expect it."""
        return await readyz()

    @app.get("/metrics", tags=["metrics"])
    async def metrics() -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/v1/status", tags=["status"])
    async def status_now() -> Response:
        """What the service is doing now."""
        body = {"service": health.service, "version": __version__, **status()}
        return Response(msgspec.json.encode(body, enc_hook=str), media_type="application/json")

    return app


class _Server(uvicorn.Server):
    """uvicorn that leaves the process's signals to the service's own shutdown."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """An application bound to one address of this machine."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        self._server = _Server(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_keep_alive=KEEP_ALIVE_S,
                limit_concurrency=CONCURRENCY_MAX,
            )
        )

    async def serve(self) -> None:
        """Serve until ``stop``."""
        await self._server.serve()

    @property
    def port(self) -> int | None:
        """The port bound; ``None`` while it is not."""
        if not self._server.started or not self._server.servers:
            return None
        port: int = self._server.servers[0].sockets[0].getsockname()[1]
        return port

    def stop(self) -> None:
        """Finish the requests under way and return from ``serve``."""
        self._server.should_exit = True
