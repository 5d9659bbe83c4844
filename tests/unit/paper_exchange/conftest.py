"""A venue without sockets: the pure exchange, a clock turned by hand, books set by hand."""

import hashlib
import hmac
from decimal import Decimal
from urllib.parse import quote

import pytest

from services.paper_exchange.config import IMMEDIATE_QUIRKS, Limits, Quirks
from services.paper_exchange.core import Answer, Request, answer
from services.paper_exchange.exchange import Exchange
from services.paper_exchange.market.book import Book
from services.paper_exchange.market.instruments import INSTRUMENTS
from services.paper_exchange.wire.authentication import Permission
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.signing import KeyType

START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
ALL = frozenset(Permission)
FULL_BOOK = {
    "BTCUSDT": ("50000.00", "50000.10"),
    "ETHUSDT": ("3000.00", "3000.01"),
    "DOGEUSDT": ("0.100000", "0.100010"),
}


def signed(secret: str, parameters: dict[str, object]) -> bytes:
    """A query string with its signature, made with nothing but the standard library."""
    query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in parameters.items())
    signature = hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()
    return f"{query}&signature={signature}".encode()


class Venue:
    """One account with 10,000 USDT that may read and trade."""

    def __init__(
        self,
        limits: Limits | None = None,
        balance: str = "10000",
        quirks: Quirks = IMMEDIATE_QUIRKS,
    ) -> None:
        instruments = {name: INSTRUMENTS[name] for name in FULL_BOOK}
        books = {name: Book(name, item.price_precision) for name, item in instruments.items()}
        self.exchange = Exchange(instruments, books, limits or Limits(), quirks=quirks)
        self.now_ns = START_NS
        self.account = self.exchange.open_account("one", Decimal(balance), self.now_ns)
        self.key = self.exchange.issue_key("one", ALL, KeyType.HMAC)
        self.updates = 0
        for symbol, (bid, ask) in FULL_BOOK.items():
            self.depth(symbol, [(bid, "1000")], [(ask, "1000")], mark=bid)

    def depth(self, symbol, bids, asks, mark=None):
        """Replace a book; the market is told afterwards, as the driver does."""
        self.updates += 1
        book = self.exchange.books[symbol]
        book.apply_snapshot(self.updates, bids, asks, self.now_ns)
        if mark is not None:
            book.mark_price = Decimal(mark)
        self.exchange.on_book(symbol, self.now_ns)

    def trade(self, symbol, price, quantity, *, is_buyer_maker):
        """Print a public trade."""
        self.exchange.on_trade(
            symbol,
            Decimal(price),
            Decimal(quantity),
            is_buyer_maker=is_buyer_maker,
            now_ns=self.now_ns,
        )

    def request(self, method: str, path: str, key=None, address="", **parameters) -> Request:
        """A signed request stamped with the venue's own time."""
        key = key or self.key
        parameters.setdefault("timestamp", self.now_ns // 1_000_000)
        raw = signed(key.secret, parameters)
        return Request(method, path, key.key, Parameters(raw_query=raw), address)

    def call(self, method: str, path: str, key=None, **parameters) -> Answer:
        """Send a signed request stamped with the venue's own time."""
        return answer(self.exchange, self.request(method, path, key, **parameters), self.now_ns)

    def order(self, side: str, quantity: str, price: str | None = None, **more) -> Answer:
        """Place a MARKET order, or a LIMIT order where a price is given (GTC unless told)."""
        parameters = {"symbol": "BTCUSDT", "side": side, "type": "MARKET", "quantity": quantity}
        if price is not None:
            parameters |= {"type": "LIMIT", "price": price, "timeInForce": "GTC"}
        return self.call("POST", "/fapi/v1/order", **{**parameters, **more})

    def code(self, *arguments, **more) -> int:
        """The venue's code for an order that is refused."""
        return self.order(*arguments, **more).code

    def get(self, path: str, **parameters):
        """The body of a GET that must succeed."""
        found = self.call("GET", path, **parameters)
        assert found.status == 200, found
        return found.body

    def sleep(self, seconds: int) -> None:
        """Let market time pass."""
        self.now_ns += seconds * SECOND_NS
        self.exchange.advance(self.now_ns)

    def events(self) -> list[dict]:
        """Take the user events said since the last call."""
        said = [entry.event for entry in self.exchange.outbox]
        self.exchange.outbox.clear()
        return said


@pytest.fixture
def venue() -> Venue:
    return Venue()


@pytest.fixture(scope="session")
def make_venue() -> type[Venue]:
    return Venue
