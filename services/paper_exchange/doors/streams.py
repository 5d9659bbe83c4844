"""The venue's WebSocket doors: URLs, control messages, keep-alive, and one sender per socket.

Faithful to late 2026: three routes plus the retired unrouted URLs (public data only), envelopes
decided by the path, wrong-route subscriptions acknowledged and then silent, bogus listen keys
accepted and silent, 10 incoming messages a second, 1,024 streams, a ping every three minutes.
Limits are those of the venue's documentation (reference: binance-usdm, section 5). A socket's
life of a day is counted in market time, the pace of pings and messages in real time.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from itertools import zip_longest
from typing import Final, NamedTuple

import msgspec
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from libs.common.runtime.log import get_logger
from services.paper_exchange.doors.frames import take_frames
from services.paper_exchange.doors.hub import Hub, Subscriber
from services.paper_exchange.wire.stream_names import SIM_CLOCK_STREAM, Route, routes_of

STREAMS_MAX: Final = 1_024
INCOMING_PER_SECOND_MAX: Final = 10
INCOMING_BYTES_MAX: Final = 131_072
PING_SECONDS: Final = 180.0
PONG_SECONDS_MAX: Final = 600.0
LIFE_NS_MAX: Final = 86_400_000_000_000
"""Market time after which a socket is closed, whatever it does."""
NS_PER_SECOND: Final = 1_000_000_000

UNKNOWN_PROPERTY: Final = 0
INVALID_VALUE: Final = 1
INVALID_REQUEST: Final = 2
INVALID_JSON: Final = 3

_encode = msgspec.json.Encoder().encode
_log = get_logger(__name__)


class _Request(msgspec.Struct):
    """A control message; ids are integers, strings or null, all of which real clients send."""

    method: str
    params: list[str | bool] | None = None
    id: int | str | None = None


_decode = msgspec.json.Decoder(_Request).decode


class ControlError(Exception):
    """A control message the venue refuses, with the venue's small code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


async def _for_ever() -> None:
    await asyncio.Event().wait()


class Habits(NamedTuple):
    """How the doors behave towards every socket.

    ``clock_frame`` makes what a new ``!clock@sim`` listener is told; ``wall`` is real time in ns;
    ``live_a_day`` returns when the life of a socket opened now is over. Unless
    ``is_wrong_door_mute`` a stream that does not flow through the door of its socket is logged
    and, where it is asked for in a message, refused.
    """

    clock_frame: Callable[[], Mapping[str, object]]
    wall: Callable[[], int]
    live_a_day: Callable[[], Awaitable[None]] = _for_ever
    is_wrong_door_mute: bool = True


class Streams:
    """The WebSocket handlers of the three doors."""

    def __init__(self, hub: Hub, habits: Habits) -> None:
        self._hub = hub
        self._habits = habits

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to the venue's application."""
        routes: list[web.RouteDef] = []
        doors = {f"/{route}": frozenset({route}) for route in Route} | {
            "": frozenset({Route.PUBLIC})
        }
        for prefix, reached in doors.items():
            raw = self._handler(reached, is_combined=False)
            combined = self._handler(reached, is_combined=True)
            routes += [
                web.get(f"{prefix}/ws", raw),
                web.get(f"{prefix}/ws/{{names:.*}}", raw),
                web.get(f"{prefix}/stream", combined),
            ]
        return routes

    async def close_all(self, _app: web.Application) -> None:
        """Close every socket; meant for the application's ``on_shutdown``."""
        self._hub.close_all()

    def _handler(
        self, reached: frozenset[Route], *, is_combined: bool
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            subscriber = Subscriber(reached, is_combined=is_combined)
            names = _url_names(request)
            socket = web.WebSocketResponse(
                autoping=False, compress=False, max_msg_size=INCOMING_BYTES_MAX
            )
            await socket.prepare(request)
            session = _Session(self._hub, subscriber, socket, request, self._habits)
            transport = request.transport
            if transport is not None:
                subscriber.on_close = transport.abort
            await session.run(names)
            return socket

        return handle


def _url_names(request: web.Request) -> list[str]:
    """Return the streams named in the URL; bare numbers are ccxt's way of telling sockets apart.

    Raises HTTP 400, which breaks the handshake, for too many and for names joined by commas.
    """
    text = request.match_info.get("names") or request.query.get("streams", "")
    names = [name for name in text.split("/") if name and not name.isdigit()]
    if "," in text:
        raise web.HTTPBadRequest(text="stream names are separated by slashes")
    if len(names) > STREAMS_MAX:
        raise web.HTTPBadRequest(text=f"more than {STREAMS_MAX} streams")
    return names


class _Session:
    """One socket from handshake to close."""

    def __init__(
        self,
        hub: Hub,
        subscriber: Subscriber,
        socket: web.WebSocketResponse,
        request: web.Request,
        habits: Habits,
    ) -> None:
        self._hub = hub
        self._subscriber = subscriber
        self._socket = socket
        self._request = request
        self._habits = habits
        self._wall = habits.wall
        self._arrivals: deque[int] = deque(maxlen=INCOMING_PER_SECOND_MAX)
        self._pong_ns = self._wall()

    async def run(self, names: Iterable[str]) -> None:
        """Serve until either side closes."""
        self._hub.attach(self._subscriber)
        tasks = [
            asyncio.create_task(work)
            for work in (self._send(), self._keep_alive(), self._live_a_day())
        ]
        try:
            with suppress(ControlError):
                self._check_door(names)
            self._subscribe_all(names)
            self._subscribe_listen_keys()
            await self._receive()
        finally:
            self._hub.detach(self._subscriber)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _subscribe_listen_keys(self) -> None:
        """Subscribe each listen key of the query, with the events named after it, if any."""
        if Route.PRIVATE not in self._subscriber.routes:
            return
        query = self._request.query
        keys, filters = query.getall("listenKey", []), query.getall("events", [])
        for listen_key, wanted in zip_longest(keys, filters[: len(keys)], fillvalue=""):
            events = [event for event in wanted.split("/") if event]
            if listen_key:
                self._hub.subscribe_user(self._subscriber, listen_key, events or None)

    async def _receive(self) -> None:
        async for message in self._socket:
            if self._subscriber.is_silent:
                continue
            if not self._is_within_rate():
                await self._socket.close(
                    code=WSCloseCode.POLICY_VIOLATION, message=b"Too many requests"
                )
                return
            await self._handle(message)

    async def _handle(self, message: WSMessage) -> None:
        if message.type is WSMsgType.PING:
            await self._socket.pong(message.data)
        elif message.type is WSMsgType.PONG:
            self._pong_ns = self._wall()
        elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            self._control(message.data)

    def _is_within_rate(self) -> bool:
        now_ns = self._wall()
        arrivals = self._arrivals
        is_within = len(arrivals) < INCOMING_PER_SECOND_MAX or (
            now_ns - arrivals[0] >= NS_PER_SECOND
        )
        arrivals.append(now_ns)
        return is_within

    def _control(self, text: str | bytes) -> None:
        request_id: int | str | None = None
        try:
            request = _parse(text)
            request_id = request.id
            answer: dict[str, object] = {"result": self._answer(request), "id": request_id}
        except ControlError as error:
            answer = {"error": {"code": error.code, "msg": error.text}, "id": request_id}
        self._subscriber.offer(_encode(answer))
        if "result" in answer and request.method == "SUBSCRIBE":
            self._greet(_names(request))

    def _answer(self, request: _Request) -> object:
        match request.method:
            case "SUBSCRIBE":
                self._check_room(_names(request))
                self._check_door(_names(request))
                self._subscribe_all(_names(request), is_greeted=False)
                return None
            case "UNSUBSCRIBE":
                for name in _names(request):
                    self._unsubscribe(name)
                return None
            case "LIST_SUBSCRIPTIONS":
                return self._subscriptions()
            case "SET_PROPERTY":
                self._set_property(request.params or [])
                return None
            case "GET_PROPERTY":
                if request.params != ["combined"]:
                    raise ControlError(UNKNOWN_PROPERTY, "Unknown property")
                return self._subscriber.is_combined
        raise ControlError(
            INVALID_REQUEST,
            f"Invalid request: unknown variant `{request.method}`, expected one of `SUBSCRIBE`, "
            "`UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`",
        )

    def _set_property(self, params: list[str | bool]) -> None:
        if len(params) != 2 or params[0] != "combined":
            raise ControlError(UNKNOWN_PROPERTY, "Unknown property")
        if not isinstance(params[1], bool):
            raise ControlError(INVALID_VALUE, "Invalid value type: expected Boolean")
        self._subscriber.is_combined = params[1]

    def _check_room(self, names: list[str]) -> None:
        if len(set(names) | set(self._subscriptions())) > STREAMS_MAX:
            raise ControlError(INVALID_REQUEST, f"Invalid request: more than {STREAMS_MAX} streams")

    def _check_door(self, names: Iterable[str]) -> None:
        """Refuse what would be mute here, if that is asked for: with the doors it flows through."""
        if self._habits.is_wrong_door_mute:
            return
        for name in names:
            flows = routes_of(name)
            is_private = Route.PRIVATE in self._subscriber.routes
            if flows & self._subscriber.routes or (is_private and not flows):
                continue
            doors = " or ".join(f"/{route}" for route in sorted(flows)) or "no door"
            if flows:  # what is no stream may be a listen key, which is a secret
                _log.warning("stream_at_wrong_door", stream=name, flows_through=doors)
            raise ControlError(INVALID_REQUEST, f"Invalid request: {name} flows through {doors}")

    def _subscriptions(self) -> list[str]:
        names = list(self._subscriber.streams)
        for listen_key, events in self._subscriber.user_events.items():
            if events is None:
                names.append(listen_key)
            else:
                names += [f"{listen_key}@{event}" for event in sorted(events)]
        return names

    def _subscribe_all(self, names: Iterable[str], *, is_greeted: bool = True) -> None:
        names = list(names)
        for name in names:
            if Route.PRIVATE in self._subscriber.routes:
                self._subscribe_user(name)
            else:
                self._hub.subscribe(self._subscriber, name)
        if is_greeted:
            self._greet(names)

    def _subscribe_user(self, name: str) -> None:
        listen_key, _, event = name.partition("@")
        before = self._subscriber.user_events.get(listen_key, frozenset())
        events = None if not event or before is None else before | {event}
        self._hub.subscribe_user(self._subscriber, listen_key, events)

    def _unsubscribe(self, name: str) -> None:
        if Route.PRIVATE not in self._subscriber.routes:
            self._hub.unsubscribe(self._subscriber, name)
            return
        listen_key, _, event = name.partition("@")
        events = self._subscriber.user_events.get(listen_key)
        if event and events and events != {event}:
            self._hub.subscribe_user(self._subscriber, listen_key, events - {event})
        else:
            self._hub.unsubscribe_user(self._subscriber, listen_key)

    def _greet(self, names: Iterable[str]) -> None:
        """Tell a new listener of the clock what time it is, instead of letting it wait."""
        if SIM_CLOCK_STREAM in names and Route.PRIVATE not in self._subscriber.routes:
            self._hub.send(self._subscriber, SIM_CLOCK_STREAM, self._habits.clock_frame())

    async def _send(self) -> None:
        """Write what is queued, many messages at once; what cannot leave yet stays queued."""
        subscriber, socket, frames = self._subscriber, self._socket, self._subscriber.frames
        while True:
            await subscriber.wait_ready()
            while frames and not subscriber.is_closing:
                transport, written = self._request.transport, take_frames(frames)
                if transport is None:
                    return
                if not subscriber.is_silent:
                    transport.write(written)
                self._hub.note_drained()
                await self._request.writer.drain()
            if subscriber.is_closing:
                return
            if subscriber.goodbye is not None:
                code, reason = subscriber.goodbye
                await socket.close(code=code, message=reason)
                return

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            if self._wall() - self._pong_ns > PONG_SECONDS_MAX * NS_PER_SECOND:
                self._subscriber.close()
                return
            if not self._subscriber.is_silent:
                now_ms = self._habits.clock_frame()["E"]
                await self._socket.ping(str(now_ms).encode())

    async def _live_a_day(self) -> None:
        await self._habits.live_a_day()
        self._subscriber.say_goodbye(WSCloseCode.GOING_AWAY, b"")


def _parse(text: str | bytes) -> _Request:
    try:
        return _decode(text)
    except msgspec.ValidationError as error:
        raise ControlError(INVALID_REQUEST, f"Invalid request: {error}") from error
    except msgspec.DecodeError as error:
        raise ControlError(INVALID_JSON, f"Invalid JSON: {error}") from error


def _names(request: _Request) -> list[str]:
    params = request.params or []
    names = [name for name in params if isinstance(name, str) and name]
    if len(names) != len(params):
        raise ControlError(INVALID_REQUEST, "Invalid request: stream names must be strings")
    return names
