"""One signed HTTP request to the venue, on python-binance's AsyncClient with its sending replaced.

Kept from the library: building of URLs and versions, headers, endpoint names.
Replaced, each for a reason (docs/adr/0002-python-binance-subclassed.md):

- parameters are encoded once and the exact bytes sent are the bytes signed (the library signs
  unencoded text, which fails for `:` and `/`);
- every answer becomes an Outcome with its headers (the library raises one exception type for
  everything and keeps the last response in a shared attribute);
- every URL points to the configured venue, a request outside /fapi is refused, and so is
  `create()`, which pings spot and takes its clock;
- its aiohttp session gave way to `venue_http`: nothing is retried or redirected, so one call is
  at most one request (docs/adr/0009-orders-over-a-lean-connection.md).
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Protocol
from urllib.parse import urlsplit

import msgspec
from binance.async_client import AsyncClient

from libs.common.runtime.clock import NS_PER_MS, monotonic_ns
from libs.common.runtime.log import get_logger
from libs.common.runtime.secret import Secret, mask_key
from libs.common.runtime.venue_http import HTTP_ERRORS, Flight, HeldBackError, HttpConnections, Look
from libs.common.venue.budget import Booking, BudgetLimits, VenueBudget
from libs.common.venue.endpoints import Cost, Purpose, cost_of, endpoint_of, purpose_of
from libs.common.venue.latches import Latch, Latches
from libs.common.venue.outcome_table import Reason, ThrottleKind
from libs.common.venue.outcomes import (
    Outcome,
    Rejected,
    Throttled,
    classify,
    held_back,
    lost,
    not_sent,
    throttled_until_ms,
)
from libs.common.venue.signing import ParameterValue, encode_parameters, sign_hmac

log = get_logger(__name__)

RequestParameters = Mapping[str, ParameterValue | None]

LIBRARY_ORDER_PREFIX = AsyncClient.CONTRACT_ORDER_PREFIX
_ORDER_PATHS = frozenset({"order", "batchOrders", "allOpenOrders", "algoOrder", "algoOpenOrders"})
API_RESTRICTIONS_PATH = "/sapi/v1/account/apiRestrictions"
"""The one path outside /fapi that is asked: what the key may do is told by spot's API alone."""
SOCKET_METHODS = {
    ("POST", "/fapi/v1/order"): "order.place",
    ("PUT", "/fapi/v1/order"): "order.modify",
    ("DELETE", "/fapi/v1/order"): "order.cancel",
    ("GET", "/fapi/v1/order"): "order.status",
    ("POST", "/fapi/v1/algoOrder"): "algoOrder.place",
    ("DELETE", "/fapi/v1/algoOrder"): "algoOrder.cancel",
}
"""What the WebSocket API can carry, and its name there; it has no batch and no cancel-all."""


class VenueLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the venue client.

    `recv_window_ms` follows the venue's advice of at most 5000. `keepalive_ms` is below what the
    venue's edge keeps, so that a request rarely meets a connection that is just being closed.
    """

    request_timeout_ms: int = 5_000
    recv_window_ms: int = 5_000
    connections_max: int = 8
    keepalive_ms: int = 30_000
    response_bytes_max: int = 16_777_216
    clock_samples: int = 5
    budget: BudgetLimits = BudgetLimits()


class VenueCall(msgspec.Struct, frozen=True, kw_only=True):
    """One finished request, for budgets, audit and metrics. `elapsed_ms` is wall time.

    `is_local`: it was refused here, by a latch or the budget, and nothing was sent. `latch` is set
    when this answer began or prolonged one. `purpose` and `cost` say what it was for and how much
    it adds to the venue's counts.
    """

    method: str
    path: str
    outcome: Outcome
    elapsed_ms: int
    purpose: Purpose = Purpose.READ
    cost: Cost = Cost()
    is_local: bool = False
    latch: Latch | None = None


class OrderSocket(Protocol):
    """Another way for orders to the venue: its WebSocket API."""

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent now."""

    async def call(self, method: str, parameters: RequestParameters, timeout_ms: int) -> Outcome:
        """Sign and send one request under the API's own method name; never raises for the world."""

    async def close(self) -> None:
        """Close; requests in flight become unknown."""


class VenueTransport(AsyncClient):  # type: ignore[misc]  # the library is untyped
    """Sends requests to one venue, each at most once, and says what the answer means.

    Must be constructed inside a running event loop. `now_ns` is market time (UTC nanoseconds);
    `base_url` is like `https://fapi.binance.com` (no path). `on_call` sees every finished request,
    and those that were refused here. `order_socket` carries orders while it is open.

    `budget` counts what every request costs; `latches` hold back what the venue forbade. Both are
    read before each request and can be shown to people.
    """

    def __init__(
        self,
        base_url: str,
        now_ns: Callable[[], int],
        *,
        api_key: str | None = None,
        api_secret: Secret | None = None,
        limits: VenueLimits | None = None,
        on_call: Callable[[VenueCall], None] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        order_socket: OrderSocket | None = None,
    ) -> None:
        asyncio.get_running_loop()
        self.limits = limits or VenueLimits()
        self._base_url = _checked_base_url(base_url)
        self._now_ns = now_ns
        self._secret = api_secret
        self._on_call = on_call
        self._ssl_context = ssl_context
        self._order_socket = order_socket
        self.budget = VenueBudget(self.limits.budget)
        self.latches = Latches()
        super().__init__(api_key=api_key, api_secret=None)
        self._pin_urls()
        if api_key:
            log.info("venue_client_ready", venue=self._base_url, api_key=mask_key(api_key))

    @classmethod
    async def create(cls, *args: object, **kwargs: object) -> NoReturn:
        """Refused: the library's factory pings spot and takes the clock of spot."""
        raise TypeError("construct the client directly; then await sync_time()")

    @property
    def offset_ms(self) -> int:
        """Venue clock minus ours, as last measured by `sync_time`."""
        return int(self.timestamp_offset)

    def timestamp_ms(self) -> int:
        """Return the venue's time now, for signed requests."""
        return self._now_ns() // 1_000_000 + self.offset_ms

    def watch(self, on_call: Callable[[VenueCall], None]) -> None:
        """Let somebody see every finished request from now on, instead of whoever saw it."""
        self._on_call = on_call

    async def close_connection(self) -> None:
        """Close all connections; requests in flight become unknown or not sent."""
        if self._order_socket is not None:
            await self._order_socket.close()
        await self.session.close()

    def latch(self, kind: ThrottleKind, until_ms: int) -> None:
        """Hold back requests until a venue time, as after an answer; for what an earlier life knew.

        What each kind holds back is told in `libs.common.venue.latches`.
        """
        self.latches.latch(kind, until_ms)

    def _pin_urls(self) -> None:
        """Point every URL the library could build to the venue, and drop its WebSocket clients."""
        for name in dir(self):
            value = getattr(self, name) if name.endswith("_URL") else None
            if isinstance(value, str):
                setattr(self, name, self._base_url + urlsplit(value).path)
        self.ws_api = self.ws_future = None

    def _get_headers(self) -> dict[str, str]:
        headers: dict[str, str] = super()._get_headers()
        del headers["Content-Type"]
        headers["User-Agent"] = "portcullis"
        return headers

    def _init_session(self) -> HttpConnections:
        return HttpConnections(
            self._base_url,
            self._get_headers(),
            connections_max=self.limits.connections_max,
            keepalive_ms=self.limits.keepalive_ms,
            response_bytes_max=self.limits.response_bytes_max,
            ssl_context=self._ssl_context,
        )

    async def _request(
        self, method: str, uri: str, signed: bool, force_params: bool = False, **kwargs: Any
    ) -> Outcome:
        """Send one request; this is what every method of the library ends in.

        `data` holds the parameters; `timestamp` and `recvWindow` are added when absent.
        `last_look` is asked in the moment before the bytes leave; what it says keeps them here.
        Raises ValueError for a request that must not leave (not /fapi, the library's order id).
        """
        verb = method.upper()
        path = self._checked_path(uri)
        parameters = self._complete(kwargs.get("data") or {}, signed=signed)
        timeout_ms = kwargs.get("timeout_ms") or self.limits.request_timeout_ms
        endpoint = endpoint_of(verb, path)
        cost, purpose = cost_of(endpoint, parameters), purpose_of(endpoint, parameters)
        refused = self._held_back(purpose, cost, venue_ms := self.timestamp_ms())
        if refused is not None:
            self._report(verb, path, refused, 0, purpose, cost, is_local=True)
            return refused
        last_look: Look | None = kwargs.get("last_look")

        def look() -> str:
            nonlocal refused
            refused = self._latched(purpose)  # by an answer that came while we waited
            if refused is None and last_look is not None and (why_not := last_look()):
                refused = not_sent(why_not)
            return "" if refused is None else refused.message

        started_ns = monotonic_ns()
        booking = self.budget.book(cost, venue_ms)
        outcome: Outcome | None = None
        try:
            outcome = await self._carry(
                verb, uri, path, parameters, timeout_ms, signed=signed, last_look=look
            )
        finally:
            latch = self._learn(booking, outcome)
        outcome, is_local = refused or outcome, refused is not None
        elapsed_ms = (monotonic_ns() - started_ns) // NS_PER_MS
        self._report(verb, path, outcome, elapsed_ms, purpose, cost, is_local=is_local, latch=latch)
        return outcome

    def _held_back(self, purpose: Purpose, cost: Cost, venue_ms: int) -> Outcome | None:
        """The outcome of a request that must not be sent now, or None.

        The budget holds back reads only: an order was weighed by the gate before it was journaled,
        and a cancel is never too much.
        """
        if (latched := self._latched(purpose)) is not None:
            return latched
        if purpose is Purpose.READ or purpose is Purpose.RECONCILE:
            room = self.budget.may_send(purpose, cost, venue_ms)
            if not room.may_send:
                return not_sent(f"the venue's budget is used: {room.observed}, {room.allowed}")
        return None

    def _latched(self, purpose: Purpose) -> Throttled | None:
        latch = self.latches.stopping(purpose, self.timestamp_ms())
        return None if latch is None else held_back(latch.kind, latch.until_ms)

    def _learn(self, booking: Booking, outcome: Outcome | None) -> Latch | None:
        """Take what an answer says about limits; returns a latch that it began or prolonged."""
        venue_ms = self.timestamp_ms()
        if isinstance(outcome, Rejected) and outcome.reason is Reason.NOT_SENT:
            self.budget.cancel(booking)
            return None
        self.budget.settle(booking, {} if outcome is None else outcome.headers, venue_ms)
        if not isinstance(outcome, Throttled):
            return None
        return self.latches.latch(outcome.kind, throttled_until_ms(outcome, venue_ms))

    def _checked_path(self, uri: str) -> str:
        prefix = self.FUTURES_URL + "/"
        if not uri.startswith(prefix) and uri != self._base_url + API_RESTRICTIONS_PATH:
            raise ValueError(f"only {prefix} is spoken here, not {urlsplit(uri).path}")
        return uri.removeprefix(self._base_url)

    def _complete(self, parameters: RequestParameters, *, signed: bool) -> RequestParameters:
        client_order_id = str(parameters.get("newClientOrderId") or "")
        if client_order_id.startswith(LIBRARY_ORDER_PREFIX):
            raise ValueError("newClientOrderId must be ours, not made by the library")
        if not signed:
            return parameters
        if self._secret is None:
            raise ValueError("this client has no API secret: it can only read public data")
        if "timestamp" in parameters and "recvWindow" in parameters:
            return parameters
        complete = dict(parameters)
        complete.setdefault("recvWindow", self.limits.recv_window_ms)
        complete.setdefault("timestamp", self.timestamp_ms())
        return complete

    async def _carry(
        self,
        verb: str,
        uri: str,
        path: str,
        parameters: RequestParameters,
        timeout_ms: int,
        *,
        signed: bool,
        last_look: Look | None,
    ) -> Outcome:
        """Send over the WebSocket API what it can carry while it is open, else over HTTP."""
        order_socket = self._order_socket
        if order_socket is not None and order_socket.is_open:
            method = SOCKET_METHODS.get((verb, path))
            if method is not None:
                why_not = last_look() if last_look is not None else ""
                if why_not:
                    return not_sent(why_not)
                return await order_socket.call(method, parameters, timeout_ms)
        wire_form = encode_parameters(parameters)
        if signed:
            assert self._secret is not None, "_complete refuses to sign without a secret"
            wire_form += f"&signature={sign_hmac(self._secret.reveal(), wire_form)}"
        return await self._send(verb, uri, path, wire_form, timeout_ms, last_look)

    async def _send(
        self,
        verb: str,
        uri: str,
        path: str,
        wire_form: str,
        timeout_ms: int,
        last_look: Look | None = None,
    ) -> Outcome:
        """Carry one request to the venue and say what became of it: the port of this client.

        Everything above is the same for every way to a venue; a simulated venue overrides this one
        method. `wire_form` holds the encoded parameters, signature included; `uri` is the venue's
        URL of `path`. Must not raise for anything that the network or the venue can do.
        """
        connections: HttpConnections = self.session
        if connections.closed:  # while we stop
            return not_sent("this client was closed")
        flight = Flight(last_look)
        try:
            body = await connections.exchange(flight, verb, path, wire_form, timeout_ms)
        except HeldBackError as error:
            return not_sent(str(error))
        except TimeoutError:
            return _unanswered(flight, f"no answer within {timeout_ms} ms")
        except HTTP_ERRORS as error:
            # Only the type: the text of some errors quotes what was sent or received.
            return _unanswered(flight, type(error).__name__)
        if body is None:
            return _unanswered(flight, f"answer over {self.limits.response_bytes_max} bytes")
        is_order = verb != "GET" and path.rpartition("/")[2] in _ORDER_PATHS
        return classify(flight.status, body, flight.headers, is_order=is_order)

    def _report(
        self,
        verb: str,
        path: str,
        outcome: Outcome,
        elapsed_ms: int,
        purpose: Purpose,
        cost: Cost,
        *,
        is_local: bool = False,
        latch: Latch | None = None,
    ) -> None:
        if self._on_call is None:
            return
        call = VenueCall(
            method=verb,
            path=path,
            outcome=outcome,
            elapsed_ms=elapsed_ms,
            purpose=purpose,
            cost=cost,
            is_local=is_local,
            latch=latch,
        )
        try:
            self._on_call(call)
        except Exception:  # an observer may not cost us the outcome of an order
            log.exception("venue_call_observer_failed", path=path)


def _unanswered(flight: Flight, why: str) -> Outcome:
    if not flight.has_left:
        return not_sent(why)
    return lost(why, status=flight.status, headers=flight.headers)


def _checked_base_url(base_url: str) -> str:
    parts = urlsplit(base_url)
    is_plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain:
        raise ValueError("venue base URL must be http(s)://host[:port] and nothing more")
    return f"{parts.scheme}://{parts.netloc}"
