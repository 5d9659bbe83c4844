"""HTTP/1.1 to one host: kept connections, one request in flight on each, each sent at most once.

aiohttp's protocol and its C parser receive; what aiohttp's session puts on top (request objects,
URL parsing, cookies, redirects, tracing, a silent second try) is left out, because it costs an
order more time than its signature, and because each of those is something that must not happen
here (docs/adr/0009-orders-over-a-lean-connection.md).
"""

import asyncio
import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError

from libs.common.runtime.clock import NS_PER_MS, monotonic_ns

_READ_BUFFER_BYTES = 65_536
_FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
_COMPRESSED = "Accept-Encoding: gzip, deflate\r\n"
_BODY_VERBS = frozenset({"POST", "PUT"})

HTTP_ERRORS = (aiohttp.ClientError, HttpProcessingError, OSError)
"""What an exchange raises when the connection failed or the answer was no HTTP."""


Look = Callable[[], str]
"""Asked with a free connection at hand, in the moment before the bytes leave: why not, or empty."""


class HeldBackError(Exception):
    """The last look said no; nothing was sent, and the text says why."""


class Flight:
    """One request on its way. `has_left`: bytes of it may have been sent; `is_late`: timed out.

    `status` and `headers` (lower-case names) are set as soon as the head of the answer was read,
    so that a status which settles the matter alone still does when the body is cut.
    """

    __slots__ = ("has_left", "headers", "is_late", "last_look", "status")

    def __init__(self, last_look: Look | None = None) -> None:
        self.last_look = last_look
        self.has_left = False
        self.is_late = False
        self.status = 0
        self.headers: dict[str, str] = {}


class HttpConnections:
    """At most `connections_max` kept connections to the host of `base_url` (http or https).

    A connection is used again when its last answer was read whole, the peer has not closed it, and
    it was idle for less than `keepalive_ms`. `ssl_context` None: the system's authorities, with
    the host name checked. Raises ValueError for a header that could break out of its line.
    """

    def __init__(
        self,
        base_url: str,
        headers: dict[str, str],
        *,
        connections_max: int,
        keepalive_ms: int,
        response_bytes_max: int,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        parts = urlsplit(base_url)
        is_tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if is_tls else 80)
        self._ssl = (ssl_context or ssl.create_default_context()) if is_tls else None
        self._keepalive_ns = keepalive_ms * NS_PER_MS
        self._response_bytes_max = response_bytes_max
        self._head = _head_lines({"Host": parts.netloc, **headers})
        self._idle: list[tuple[int, ResponseHandler]] = []
        self._busy: set[ResponseHandler] = set()
        self._free = asyncio.Semaphore(connections_max)
        self.closed = False

    async def exchange(
        self, flight: Flight, verb: str, path: str, wire_form: str, timeout_ms: int
    ) -> bytes | None:
        """Send one request and return the body of its answer; None when it is larger than allowed.

        `wire_form` (encoded parameters) goes into the body of POST and PUT, else into the query.
        Raises TimeoutError, HeldBackError, or one of HTTP_ERRORS; `flight` says what was reached by
        then.
        """
        request = self._request_bytes(verb, path, wire_form)
        deadline = self._loop.time() + timeout_ms / 1_000
        handler = await self._take(deadline)
        self._look_once_more(flight, handler)
        timer = self._loop.call_at(deadline, _expire, flight, handler)
        try:
            body = await self._converse(handler, flight, request)
        except BaseException:
            handler.abort()
            if flight.is_late:
                raise TimeoutError from None
            raise
        finally:
            timer.cancel()
            self._busy.discard(handler)
            self._free.release()
        if flight.is_late:  # a body without a length ends well when its connection is cut
            raise TimeoutError
        self._release(handler, is_whole=body is not None)
        return body

    def _look_once_more(self, flight: Flight, handler: ResponseHandler) -> None:
        """Whoever waited for a connection may have become too late."""
        why_not = flight.last_look() if flight.last_look is not None else ""
        if why_not:
            self._busy.discard(handler)
            self._free.release()
            self._release(handler, is_whole=True)
            raise HeldBackError(why_not)

    async def close(self) -> None:
        """Close every connection; requests in flight fail, new ones must not be asked for."""
        self.closed = True
        for handler in [*self._busy, *(one for _, one in self._idle)]:
            handler.close()
        self._idle.clear()
        await asyncio.sleep(0)  # transports close in the next turn of the loop

    def _request_bytes(self, verb: str, path: str, wire_form: str) -> bytes:
        if not path.isascii() or not path.isprintable() or " " in path:
            raise ValueError("a path of the venue is printable ASCII without spaces")
        if verb in _BODY_VERBS:
            body = wire_form.encode()
            head = f"{verb} {path} HTTP/1.1\r\n{self._head}{_FORM}Content-Length: {len(body)}\r\n"
            return head.encode() + b"\r\n" + body
        target = f"{path}?{wire_form}" if wire_form else path
        compressed = _COMPRESSED if verb == "GET" else ""
        return f"{verb} {target} HTTP/1.1\r\n{self._head}{compressed}\r\n".encode()

    async def _take(self, deadline: float) -> ResponseHandler:
        """A connection nobody else uses. Raises TimeoutError when there is none in time."""
        if not self._free.locked():
            await self._free.acquire()  # at once: the usual way costs no timer
            handler = self._idle_handler()
        else:
            async with asyncio.timeout_at(deadline):
                await self._free.acquire()
            handler = self._idle_handler()
        if handler is None:
            try:
                async with asyncio.timeout_at(deadline):
                    handler = await self._connect()
            except BaseException:
                self._free.release()
                raise
        self._busy.add(handler)
        return handler

    def _idle_handler(self) -> ResponseHandler | None:
        fresh_from = monotonic_ns() - self._keepalive_ns
        while self._idle:
            released_at, handler = self._idle.pop()
            if handler.is_connected() and not handler.should_close and released_at > fresh_from:
                return handler
            handler.close()
        return None

    async def _connect(self) -> ResponseHandler:
        _, handler = await self._loop.create_connection(
            lambda: ResponseHandler(self._loop),
            self._host,
            self._port,
            ssl=self._ssl,
            server_hostname=self._host if self._ssl else None,
        )
        return handler

    async def _converse(
        self, handler: ResponseHandler, flight: Flight, request: bytes
    ) -> bytes | None:
        transport = handler.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("closed before anything was sent")
        handler.set_response_params(read_until_eof=True, read_bufsize=_READ_BUFFER_BYTES)
        flight.has_left = True
        transport.write(request)
        message, payload = await handler.read()
        while 100 <= message.code < 200:  # an interim answer: the real one follows
            message, payload = await handler.read()
        flight.status = message.code
        flight.headers = {name.lower(): value for name, value in message.headers.items()}
        if payload.is_eof():
            whole = payload.read_nowait()
            return whole if len(whole) <= self._response_bytes_max else None
        body = bytearray()
        while not payload.at_eof():
            body += await payload.readany()
            if len(body) > self._response_bytes_max:
                return None
        return bytes(body)

    def _release(self, handler: ResponseHandler, *, is_whole: bool) -> None:
        if self.closed or not is_whole or handler.should_close:
            handler.close()
        else:
            self._idle.append((monotonic_ns(), handler))


def _expire(flight: Flight, handler: ResponseHandler) -> None:
    flight.is_late = True
    if handler.transport is not None:
        handler.transport.abort()


def _head_lines(headers: dict[str, str]) -> str:
    for name, value in headers.items():
        if not value.isascii() or not value.isprintable():
            raise ValueError(f"header {name} holds what a header cannot hold")
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())
