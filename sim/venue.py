"""The venue of a simulated world: the paper exchange's core behind a network that loses things.

Every order request that reaches the exchange is written down with what it was, who sent it and
when, and what became of it. The invariants are judged from this log, not from what services say.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import NamedTuple

import msgspec

from services.paper_exchange.config import Limits
from services.paper_exchange.core import ENDPOINTS, Answer, Request, answer
from services.paper_exchange.demo_keys import (
    DEMO_READ_KEY,
    DEMO_READ_SECRET,
    DEMO_TRADE_KEY,
    DEMO_TRADE_SECRET,
)
from services.paper_exchange.exchange import Exchange
from services.paper_exchange.market.book import Book
from services.paper_exchange.market.instruments import exchange_info, select_instruments
from services.paper_exchange.money.funding import settle_symbol_funding
from services.paper_exchange.state.orders import CANCELED
from services.paper_exchange.trading.placement import place_order
from services.paper_exchange.wire.authentication import ApiKey, Permission
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError
from sim.loop import NS_PER_S, Life, VirtualLoop
from sim.traffic import ORDERS_HEADER, WEIGHT_HEADER, Traffic
from sim.user_socket import UserSockets

NS_PER_MS = 1_000_000
ACCOUNT = "sim"
DEPOSIT = Decimal(170)
LATENCY_NS = (2 * NS_PER_MS, 25 * NS_PER_MS)
#: An order may be invisible to queries for so long; execution is configured for a little more.
QUERY_LAG_NS = (NS_PER_S // 5, 1_400 * NS_PER_MS)
HIDDEN_SHARE = 0.6
#: A request that is thought lost can still arrive; the receive window ends in between.
LATE_NS = (NS_PER_S // 2, 9 * NS_PER_S)
BAN_NS = (NS_PER_S, 4 * NS_PER_S)
HTTP_BANNED = 418
ORDER_PATH = "/fapi/v1/order"

_encode = msgspec.json.Encoder(decimal_format="number").encode
_JSON = {"content-type": "application/json"}
_UNKNOWN = b'{"code":-1000,"msg":"Unknown error, please check your request or try again later."}'
_TIMEOUT = b'{"code":-1007,"msg":"Timeout waiting for response from backend server. Send status unknown; execution status unknown."}'  # noqa: E501
_UNEXPECTED = b'{"code":-1006,"msg":"An unexpected response was received from the message bus. Execution status unknown."}'  # noqa: E501
_HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
_ABSENT = b'{"code":-2013,"msg":"Order does not exist."}'


class Canned(NamedTuple):
    """An answer that does not say what happened: whether it did, and what is said."""

    executes: bool
    status: int
    body: bytes


CANNED: dict[str, Canned] = {
    "http_503_unknown_executed": Canned(True, 503, _UNKNOWN),
    "http_503_unknown_not_executed": Canned(False, 503, _UNKNOWN),
    "http_503_unavailable": Canned(False, 503, b'{"msg":"Service Unavailable."}'),
    "http_503_internal": Canned(
        False, 503, b'{"msg":"Internal error; unable to process your request. Please try again."}'
    ),
    "http_500_executed": Canned(True, 500, b'{"code":-1000,"msg":"An unknown error occurred."}'),
    "http_502_html_executed": Canned(True, 502, _HTML),
    "http_502_html_not_executed": Canned(False, 502, _HTML),
    "http_504_not_executed": Canned(False, 504, b""),
    "code_1006_executed": Canned(True, 400, _UNEXPECTED),
    "code_1007_executed": Canned(True, 408, _TIMEOUT),
    "code_1007_not_executed": Canned(False, 408, _TIMEOUT),
    "code_1008_overloaded": Canned(
        False, 503, b'{"code":-1008,"msg":"Request throttled by system-level protection."}'
    ),
    "body_truncated_executed": Canned(True, 200, b'{"orderId":1'),
}


class Reply(NamedTuple):
    """An HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str]


class OrderSent(NamedTuple):
    """One order request that reached the exchange.

    Attributes:
        sent_ns, sender_now_ns: market time of sending, true and as the sender's clock had it.
        arrived_ns: when the exchange judged it.
        order_id: 0 where it was refused; `code` says why.
    """

    life: str
    sent_ns: int
    sender_now_ns: int
    arrived_ns: int
    method: str
    client_order_id: str
    symbol: str
    side: str
    quantity: str
    price: str
    reduce_only: bool
    mark: Decimal
    status: int
    code: int
    order_id: int


class Venue:
    """One exchange, its network and its log. `strikes(kind)` asks fate about one request."""

    def __init__(
        self,
        loop: VirtualLoop,
        dice: Random,
        epoch_ns: int,
        symbols: tuple[str, ...],
        strikes: Callable[[str], bool],
        note: Callable[[str], None],
    ) -> None:
        self.loop = loop
        self.note = note
        self.log: list[OrderSent] = []
        self.requests: Counter[str] = Counter()
        self.banned_until_ns = 0
        self.traffic = Traffic(loop, epoch_ns)
        self._strikes = strikes
        self._draw = dice.random
        self._epoch_ns = epoch_ns
        instruments = select_instruments(symbols)
        self.books = {name: Book(name, one.price_precision) for name, one in instruments.items()}
        self.exchange = Exchange(instruments, self.books, Limits())
        self.account = self.exchange.open_account(ACCOUNT, DEPOSIT, self.now_ns())
        for key, secret, permissions in (
            (DEMO_TRADE_KEY, DEMO_TRADE_SECRET, frozenset(Permission)),
            (DEMO_READ_KEY, DEMO_READ_SECRET, frozenset({Permission.READ})),
        ):
            self.exchange.keys[key] = ApiKey(key, ACCOUNT, permissions, secret=secret)
        self.sockets = UserSockets(loop, dice, self.exchange, strikes, note)
        self._visible_from_ns: dict[str, int] = {}
        self._info = _encode(exchange_info(self.now_ms(), instruments.values()))

    def now_ns(self) -> int:
        """The venue's clock, which is market time."""
        return self._epoch_ns + self.loop.now_ns

    def now_ms(self) -> int:
        """The same in milliseconds."""
        return self.now_ns() // NS_PER_MS

    def latency_ns(self) -> int:
        """One way between a process and the venue."""
        draw = self._draw()
        low, high = LATENCY_NS
        return low + int((high - low) * draw * draw)

    def between(self, low_ns: int, high_ns: int) -> int:
        """A span."""
        return low_ns + int((high_ns - low_ns) * self._draw())

    # -- requests --------------------------------------------------------------------------------

    def ask(
        self,
        life: Life,
        method: str,
        path: str,
        form: str,
        api_key: str,
        timeout_ns: int,
        reply: "asyncio.Future[Reply]",
    ) -> None:
        """A process sends a request; what happens to it on the way is up to fate."""
        asked = _Asked(
            life, self.now_ns(), self.now_ns() + life.offset_ns,
            Request(method, path, api_key, _parameters(method, form)), timeout_ns, reply,
        )  # fmt: skip
        self.requests[f"{method} {path}"] += 1
        later = self.loop.after
        group = "order" if path == ORDER_PATH and method == "POST" else "read"
        if not life.offset_ns:
            is_entry = group == "order" and "reduceOnly" not in asked.request.parameters
            self.traffic.sent(life.key, f"{method} {path}", is_entry=is_entry)
        if self._strikes(f"{group}_not_sent"):
            later(self.latency_ns(), _fail, reply, ConnectionRefusedError("no connection"))
        elif self._strikes(f"{group}_lost"):
            later(timeout_ns, _fail, reply, TimeoutError("no answer"))
        elif self._strikes(f"{group}_reset"):
            later(self.latency_ns(), _fail, reply, ConnectionResetError("reset"))
        elif group == "order" and self._strikes("order_late"):
            later(timeout_ns, _fail, reply, TimeoutError("no answer"))
            later(self.between(*LATE_NS), self._arrive_late, asked)
        else:
            later(self.latency_ns(), self._arrive, asked, group)

    def _arrive(self, asked: "_Asked", group: str) -> None:
        canned = self._canned(group)
        if self.now_ns() < self.banned_until_ns or self._strikes(f"{group}_banned"):
            self._refuse_banned(asked)
            return
        if self._strikes(f"{group}_throttled"):
            body = b'{"code":-1003,"msg":"Too many requests; current limit is 2400 per MINUTE."}'
            self._answer(asked, Reply(429, body, {**_JSON, "retry-after": "2"}))
            return
        if canned is None or canned.executes:
            found = self._execute(asked)
        if canned is not None:
            self._hide_perhaps(asked)
            self._answer(asked, Reply(canned.status, canned.body, _JSON))
        elif self._strikes(f"{group}_answer_lost"):
            self.loop.after(asked.timeout_ns, _fail, asked.reply, TimeoutError("no answer"))
        elif self._strikes(f"{group}_answer_reset"):
            self._hide_perhaps(asked)
            self.loop.after(
                self.latency_ns(), _fail, asked.reply, ConnectionResetError("connection reset")
            )
        elif self._strikes(f"{group}_answer_slow"):
            self._answer(asked, found, self.between(NS_PER_S // 4, asked.timeout_ns * 5 // 4))
        else:
            self._answer(asked, found)

    def _canned(self, group: str) -> Canned | None:
        if group != "order":
            return CANNED["http_503_unknown_not_executed"] if self._strikes("read_503") else None
        for kind, canned in CANNED.items():
            if self._strikes(kind):
                return canned
        return None

    def _arrive_late(self, asked: "_Asked") -> None:
        found = self._execute(asked)
        self.note(f"the late request arrives: {found.status} {found.body[:80]!r}")

    def _refuse_banned(self, asked: "_Asked") -> None:
        now_ns = self.now_ns()
        if now_ns >= self.banned_until_ns:
            self.banned_until_ns = now_ns + self.between(*BAN_NS)
            self.note("the venue bans us")
        until_ms = -(-self.banned_until_ns // NS_PER_MS)
        text = f"Way too many requests; IP banned until {until_ms}."
        headers = {**_JSON, "retry-after": str(-(-(self.banned_until_ns - now_ns) // NS_PER_S))}
        self._answer(asked, Reply(HTTP_BANNED, _encode({"code": -1003, "msg": text}), headers))

    def _answer(self, asked: "_Asked", reply: Reply, delay_ns: int = 0) -> None:
        elapsed_ns = self.now_ns() - asked.sent_ns
        delay_ns = delay_ns or self.latency_ns()
        if elapsed_ns + delay_ns > asked.timeout_ns:
            left_ns = max(0, asked.timeout_ns - elapsed_ns)
            self.loop.after(left_ns, _fail, asked.reply, TimeoutError("no answer"))
        else:
            self.loop.after(delay_ns, self._reach, asked, reply)

    def _reach(self, asked: "_Asked", reply: Reply) -> None:
        if asked.reply.done():
            return
        if not asked.life.is_paused:  # who stands still has not heard it yet
            self.traffic.told_of_orders(asked.life.key, asked.sent_ns, reply.headers)
            if reply.status == HTTP_BANNED:
                self.traffic.told_of_ban(asked.life.key, self.banned_until_ns)
        asked.reply.set_result(reply)

    # -- what the exchange does ------------------------------------------------------------------

    def _execute(self, asked: "_Asked") -> Reply:
        request, now_ns = asked.request, self.now_ns()
        door = request.method, request.path
        if door == ("GET", "/fapi/v1/time"):
            return Reply(200, b'{"serverTime":%d}' % self.now_ms(), _JSON)
        if door == ("GET", "/fapi/v1/exchangeInfo"):
            if self.traffic.are_filters_hidden:
                return Reply(503, _UNKNOWN, _JSON)
            return Reply(200, self._info, _JSON)
        values = request.parameters.values
        used = self.traffic.charge(ENDPOINTS[door].weight_of(request.parameters))
        client_order_id = values.get("newClientOrderId") or values.get("origClientOrderId", "")
        if door == ("GET", ORDER_PATH) and self._is_hidden(client_order_id):
            self._strikes("query_lagged")
            return Reply(400, _ABSENT, _JSON)
        found = answer(self.exchange, request, now_ns)
        self.sockets.deliver()
        if request.path == ORDER_PATH and request.method != "GET":
            self._write_down(asked, found, client_order_id)
        headers = {**_JSON, WEIGHT_HEADER: str(used)}
        if found.account is not None and ENDPOINTS[door].counts_orders:
            counts = found.account.counts
            headers["x-mbx-order-count-10s"] = str(counts.count_10s)
            headers[ORDERS_HEADER] = str(counts.count_1m)
        body = self._without_hidden(request.path, found)
        return Reply(found.status, _encode(body), headers)

    def _write_down(self, asked: "_Asked", found: Answer, client_order_id: str) -> None:
        values, body = asked.request.parameters.values, found.body
        order_id = body.get("orderId", 0) if found.status == 200 and isinstance(body, dict) else 0
        sent = OrderSent(
            life=asked.life.key,
            sent_ns=asked.sent_ns,
            sender_now_ns=asked.sender_now_ns,
            arrived_ns=self.now_ns(),
            method=asked.request.method,
            client_order_id=client_order_id,
            symbol=values.get("symbol", ""),
            side=values.get("side", ""),
            quantity=values.get("quantity", ""),
            price=values.get("price", ""),
            reduce_only=values.get("reduceOnly", "").lower() == "true",
            mark=self.exchange.mark_of(values.get("symbol", "")) or Decimal(0),
            status=found.status,
            code=found.code,
            order_id=order_id,
        )
        self.log.append(sent)
        if sent.method == "POST":
            self.note(
                f"venue: {sent.side} {sent.quantity} {sent.symbol} {client_order_id} by"
                f" {sent.life}: {'order ' + str(order_id) if order_id else found.code}"
            )
            if order_id and self._strikes("query_lag"):
                self._hide(client_order_id)

    def _hide_perhaps(self, asked: "_Asked") -> None:
        """Where an answer is no answer, the order is often not to be found yet either."""
        if self._draw() < HIDDEN_SHARE:
            self._hide(asked.request.parameters.values.get("newClientOrderId", ""))

    def _hide(self, client_order_id: str) -> None:
        self._visible_from_ns[client_order_id] = self.now_ns() + self.between(*QUERY_LAG_NS)

    def _is_hidden(self, client_order_id: str) -> bool:
        return self._visible_from_ns.get(client_order_id, 0) > self.now_ns()

    def _without_hidden(self, path: str, found: Answer) -> object:
        """Lists lag like single queries do."""
        body = found.body
        if path != "/fapi/v1/allOrders" or not isinstance(body, list):
            return body
        return [row for row in body if not self._is_hidden(str(row["clientOrderId"]))]

    def cancel_by_hand(self) -> None:
        """A person cancels every open order in the venue's app."""
        for order in list(self.account.open_orders.values()):
            self.exchange.end_order(self.account, order, CANCELED, self.now_ns())
        self.sockets.deliver()

    # -- what others do on the account -----------------------------------------------------------

    def fund(self) -> None:
        """Every open position pays or receives, as it does every few hours."""
        for symbol in self.books:
            settle_symbol_funding(self.exchange, symbol, self.now_ns())
        self.sockets.deliver()
        self.note("funding")

    def place_by_hand(self, symbol: str, side: str, quantity: str, *, is_reducing: bool) -> bool:
        """A person (or the venue's deleveraging) trades on the account, past us."""
        name = "adl_autoclose" if is_reducing else "by-hand"
        form = f"symbol={symbol}&side={side}&type=MARKET&quantity={quantity}"
        form += f"&newClientOrderId={name}-{len(self.log)}"
        if is_reducing:
            form += "&reduceOnly=true"
        try:
            place_order(self.exchange, self.account, Parameters(b"", form.encode()), self.now_ns())
        except RefusalError:
            return False
        self.sockets.deliver()
        self.note(f"{name}: {side} {quantity} {symbol}")
        return True


class _Asked(NamedTuple):
    life: Life
    sent_ns: int
    sender_now_ns: int
    request: Request
    timeout_ns: int
    reply: "asyncio.Future[Reply]"


def _parameters(method: str, form: str) -> Parameters:
    raw = form.encode()
    return Parameters(b"", raw) if method in ("POST", "PUT") else Parameters(raw)


def _fail(reply: "asyncio.Future[Reply]", error: Exception) -> None:
    if not reply.done():
        reply.set_exception(error)
