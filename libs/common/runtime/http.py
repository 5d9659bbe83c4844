"""The HTTP doors every service has, served inside its own event loop.

Health answers follow the shape of the (expired) health-check draft; the status code is the
contract. Liveness never looks at dependencies: a restart would not heal those.
"""

import contextlib
import errno
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any

import msgspec
import uvicorn
from fastapi import Depends, FastAPI, Request, Response
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as ASGIScope

from libs.common import __version__
from libs.common.runtime.errors import ConfigError
from libs.common.runtime.health import Health, Level
from libs.common.runtime.http_problem import Problem, tell_problems
from libs.common.runtime.http_tokens import Holder, Scope, Tokens
from libs.common.runtime.log import get_logger

log = get_logger(__name__)

HEALTH_MEDIA_TYPE = "application/health+json"
KEEP_ALIVE_S = 5
CONCURRENCY_MAX = 64
BODY_BYTES_MAX = 65_536


_bearer = HTTPBearer(auto_error=False, description="a token of http_tokens_file")


class Doors:
    """Lets a request through to what its token opens."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def need(self, scope: Scope) -> Callable[..., Awaitable[Holder]]:
        """A dependency that gives the holder of a request's token, if it opens the scope."""

        async def check(request: Request, _: Annotated[object, Depends(_bearer)] = None) -> Holder:
            return self.check(request.headers.get("Authorization", ""), scope, request.url.path)

        return check

    def check(self, authorization: str, scope: Scope, path: str) -> Holder:
        """The holder of the token that a request carries.

        Raises:
            Problem: 401 without a known token, 403 where it does not open the scope, or where
                there are no tokens at all and something was to be changed.
        """
        holder = self._tokens.find(authorization) if authorization else None
        if holder is not None and holder.scope.includes(scope):
            return holder
        if scope is Scope.READ and self._tokens.reads_are_open and not authorization:
            return ANYBODY
        log.warning("http refused", path=path, holder=getattr(holder, "name", ""), needs=scope)
        if holder is not None:
            raise Problem(403, "scope", f"this needs a token of scope {scope}")
        if not self._tokens:
            raise Problem(403, "no-tokens", "no tokens are configured: set http_tokens_file")
        raise Problem(
            401,
            "unauthorized",
            f"this needs a token of scope {scope}: Authorization: Bearer <token>",
            headers={"WWW-Authenticate": "Bearer"},
        )


#: Who reads without a token where reading is open.
ANYBODY = Holder(name="anybody", scope=Scope.READ, digest=b"")
NO_TOKENS = Tokens((), reads_are_open=True)


class _SmallBodies:
    """Refuses a request whose body is longer than any of ours, or of untold length, unread."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        told = headers.get(b"content-length", b"0")
        if b"transfer-encoding" in headers or not told.isdigit() or int(told) > BODY_BYTES_MAX:
            problem = Problem(413, "body", f"a body of a told length, at most {BODY_BYTES_MAX}")
            await problem.answer()(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def build_app(
    health: Health,
    status: Callable[[], dict[str, Any]],
    doors: Doors | None = None,
    config: dict[str, Any] | None = None,
) -> FastAPI:
    """The application: probes, metrics, status and documentation that works offline.

    Probes and metrics are open to whoever reaches the door; status needs the scope ``read``, and so
    does ``config``: the effective configuration as anybody may see it.
    """
    doors = doors or Doors(NO_TOKENS)
    # No validator: it would tell a stranger's server where this document is. No Redoc: its bundle
    # fetches a picture from its maker.
    app = FastAPIOffline(
        title=f"Portcullis {health.service}",
        version=__version__,
        redoc_url=None,
        swagger_ui_parameters={"validatorUrl": None},
    )
    tell_problems(app)
    app.add_middleware(_SmallBodies)

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

    @app.get("/v1/status", tags=["status"], dependencies=[Depends(doors.need(Scope.READ))])
    async def status_now() -> Response:
        """What the service is doing now."""
        body = {"service": health.service, "version": __version__, **status()}
        return Response(msgspec.json.encode(body, enc_hook=str), media_type="application/json")

    @app.get("/v1/config", tags=["status"], dependencies=[Depends(doors.need(Scope.READ))])
    async def config_now() -> Response:
        """The configuration in effect: of secrets the files, and what looks like one hidden."""
        body = {"service": health.service, **(config or {})}
        return Response(msgspec.json.encode(body, enc_hook=str), media_type="application/json")

    return app


class _Server(uvicorn.Server):
    """uvicorn that leaves the process's signals to the service's own shutdown."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def take_address(name: str, host: str, port: int) -> socket.socket:
    """Take the address of a service, before it does anything; nobody is heard there yet.

    Raises:
        ConfigError: it cannot be had.
    """
    taken = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
    except OSError as error:
        taken.close()
        if error.errno == errno.EADDRINUSE:
            raise _port_taken(name, port) from error
        raise ConfigError(
            f"{name}: cannot listen on {host}:{port}: {error.strerror};"
            f" set http_host or {name}.http_port"
        ) from error
    return taken


def _port_taken(name: str, port: int) -> ConfigError:
    return ConfigError(f"{name}: the HTTP port {port} is taken; set {name}.http_port")


class HttpServer:
    """An application on an address that was taken."""

    def __init__(self, app: FastAPI, name: str, address: socket.socket) -> None:
        self._name = name
        self._address = address
        self._server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_keep_alive=KEEP_ALIVE_S,
                limit_concurrency=CONCURRENCY_MAX,
            )
        )

    async def serve(self) -> None:
        """Serve until ``stop``.

        Raises:
            ConfigError: another process took the same port at the same moment, and was faster.
        """
        port = self._address.getsockname()[1]
        try:
            await self._server.serve(sockets=[self._address])
        except OSError as error:
            raise _port_taken(self._name, port) from error

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
