"""One WebSocket client for market and user streams: it reads, hands over, and reports the end.

It does not reconnect: the caller's control task owns that, with its budget of attempts. A callback
cannot kill the read loop. Built on picows, chosen by measurement (docs/adr/0005-websocket-client.md
and `python -m bench.websocket_clients`).
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

import msgspec
import picows

from libs.common.runtime.errors import PortcullisError
from libs.common.runtime.log import get_logger

log = get_logger(__name__)

#: Looked up once: on the way of every frame.
_TEXT, _BINARY = picows.WSMsgType.TEXT, picows.WSMsgType.BINARY
_CONTINUATION, _CLOSE = picows.WSMsgType.CONTINUATION, picows.WSMsgType.CLOSE

OnFrame = Callable[[bytes], None]
OnClose = Callable[["Closed"], None]
OnCallbackError = Callable[[Exception], None]


class WebSocketError(PortcullisError):
    """A connection could not be made, or text was sent on one that is closed."""


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """How a connection ended.

    `code` and `reason` are the peer's; code 1006 when it sent none (reset, silence, our own
    protocol check). `is_ours`: we asked for the end.
    """

    code: int
    reason: str
    is_ours: bool


class Socket:
    """An open connection. `frames` and `callback_errors` count since it was opened."""

    def __init__(self, transport: picows.WSTransport, reader: "_Reader") -> None:
        self._transport = transport
        self._reader = reader

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed."""
        return self._reader.closed is None and not self._transport.is_close_frame_sent

    @property
    def frames(self) -> int:
        """Messages handed to `on_frame`."""
        return self._reader.frames

    @property
    def callback_errors(self) -> int:
        """Exceptions caught from `on_frame`."""
        return self._reader.callback_errors

    def send_text(self, text: str | bytes) -> None:
        """Send one text message; never blocks. Raises WebSocketError when closed."""
        if not self.is_open:
            raise WebSocketError("the WebSocket is closed: nothing was sent")
        self._transport.send(picows.WSMsgType.TEXT, text)

    async def close(self, timeout_ms: int = 1_000) -> None:
        """Close with a handshake, or without one after the timeout. `on_close` is called once."""
        self._reader.is_ours = True
        self._transport.send_close(picows.WSCloseCode.OK)
        try:
            async with asyncio.timeout(timeout_ms / 1_000):
                await self._reader.ended.wait()
        except TimeoutError:
            self._transport.disconnect(graceful=False)
            await self._reader.ended.wait()


async def connect(
    url: str,
    on_frame: OnFrame,
    on_close: OnClose,
    *,
    heartbeat_ms: int,
    max_frame_bytes: int,
    connect_timeout_ms: int,
    on_callback_error: OnCallbackError | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> Socket:
    """Open a WebSocket and read it until it ends.

    `on_frame` gets each text or binary message.
    Its exceptions are counted and go to `on_callback_error` (default: the log). Pings of the peer
    are answered with their payload. After `heartbeat_ms` of silence we ping, and without an answer
    in the same time the connection is ended. `connect_timeout_ms` bounds connecting (with TLS) and
    the handshake, each. Raises WebSocketError; its text has no query or path
    beyond the first segment, because stream URLs may hold a listen key.
    """
    reader = _Reader(on_frame, on_close, on_callback_error or _log_callback_error, max_frame_bytes)
    heartbeat_s = heartbeat_ms / 1_000
    try:
        # picows leaks the socket when cancelled in the handshake, so that has its own timeout.
        async with asyncio.timeout(2 * connect_timeout_ms / 1_000):
            transport, _ = await picows.ws_connect(
                lambda: reader,
                url,
                ssl_context=ssl_context,
                disconnect_on_exception=False,
                websocket_handshake_timeout=connect_timeout_ms / 1_000,
                enable_auto_ping=True,
                auto_ping_idle_timeout=heartbeat_s,
                auto_ping_reply_timeout=heartbeat_s,
                enable_auto_pong=True,
                max_frame_size=max_frame_bytes,
                max_redirects=0,
            )
    except TimeoutError:
        raise WebSocketError(
            f"{redact_url(url)}: no handshake in {connect_timeout_ms} ms"
        ) from None
    except (OSError, picows.WSError) as error:
        raise WebSocketError(f"{redact_url(url)}: {_why(error)}") from None
    reader.watch(transport)
    return Socket(transport, reader)


class Connect(Protocol):
    """What `connect` does, for those who are given another way to do it."""

    async def __call__(
        self,
        url: str,
        on_frame: OnFrame,
        on_close: OnClose,
        *,
        heartbeat_ms: int,
        max_frame_bytes: int,
        connect_timeout_ms: int,
    ) -> Socket:
        """Open a WebSocket and read it until it ends; raises WebSocketError."""


def redact_url(url: str) -> str:
    """Return a stream URL without what may be secret: `wss://host/private/***`."""
    parts = urlsplit(url)
    first, *rest = parts.path.lstrip("/").split("/")
    hidden = "/***" if rest or parts.query else ""
    return f"{parts.scheme}://{parts.hostname}{_port(parts.port)}/{first}{hidden}"


class _Reader(picows.WSListener):
    """Receives frames from picows, joins fragments, and keeps the callbacks from killing it."""

    def __init__(
        self,
        on_frame: OnFrame,
        on_close: OnClose,
        on_callback_error: OnCallbackError,
        message_bytes_max: int,
    ) -> None:
        self._on_frame = on_frame
        self._on_close = on_close
        self._on_callback_error = on_callback_error
        self._message_bytes_max = message_bytes_max
        self._fragments = bytearray()
        self.closed: Closed | None = None
        self.ended = asyncio.Event()
        self.is_ours = False
        self.frames = 0
        self.callback_errors = 0
        self._watcher: asyncio.Task[None] | None = None

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Hand over one message; picows calls this for every frame."""
        kind = frame.msg_type
        if frame.payload_size > self._message_bytes_max:
            self._refuse(transport)  # picows misses it when it comes together with the handshake
        elif kind is _TEXT or kind is _BINARY:
            if not frame.fin:
                self._fragments[:] = frame.get_payload_as_bytes()
                return
            # Delivered here and not by a call: this is the way of nearly every frame.
            self.frames += 1
            try:
                self._on_frame(frame.get_payload_as_bytes())
            except Exception as error:
                self._count_error(error)
        elif kind is _CONTINUATION:
            self._join(transport, frame)
        elif kind is _CLOSE:
            transport.send_close(picows.WSCloseCode.OK)
            transport.disconnect()

    def watch(self, transport: picows.WSTransport) -> None:
        """Report the end of the connection once, whatever caused it."""
        self._watcher = asyncio.create_task(self._report_end(transport))

    async def _report_end(self, transport: picows.WSTransport) -> None:
        problem = ""
        try:
            await transport.wait_disconnected()
        except Exception as error:  # picows re-raises here whatever ended it
            problem = f"{type(error).__name__}: {error}"
        handshake = transport.close_handshake
        received = handshake.recv if handshake is not None else None
        self.closed = Closed(
            code=int(received.code.value) if received is not None else 1006,
            reason=problem or (received.reason or "" if received is not None else ""),
            is_ours=self.is_ours,
        )
        self.ended.set()
        try:
            self._on_close(self.closed)
        except Exception:
            log.exception("websocket_close_callback_failed")

    def _join(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        self._fragments += frame.get_payload_as_bytes()
        if len(self._fragments) > self._message_bytes_max:
            self._refuse(transport)
        elif frame.fin:
            whole = bytes(self._fragments)
            self._fragments.clear()
            self.frames += 1
            try:
                self._on_frame(whole)
            except Exception as error:
                self._count_error(error)

    def _refuse(self, transport: picows.WSTransport) -> None:
        self._fragments.clear()
        transport.send_close(picows.WSCloseCode.MESSAGE_TOO_BIG)
        transport.disconnect()

    def _count_error(self, error: Exception) -> None:
        self.callback_errors += 1
        self._complain(error)

    def _complain(self, error: Exception) -> None:
        try:
            self._on_callback_error(error)
        except Exception:
            log.exception("websocket_error_callback_failed")


def _log_callback_error(error: Exception) -> None:
    # Only the type: a frame of a user stream may be quoted in the text.
    log.error("websocket_frame_callback_failed", error=type(error).__name__)


def _why(error: Exception) -> str:
    """Name a failure without the URL that picows puts into some of its texts."""
    if isinstance(error, picows.WSHandshakeError) and error.response is not None:
        return f"the server refused the handshake ({error.response.status})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _port(port: int | None) -> str:
    return f":{port}" if port else ""
