"""A venue without sockets whose market moves, and the rules that no request may break.

Whatever is asked: nothing is raised, every refusal is one of the venue's own, every answer is JSON,
and the ledger sums to zero.
"""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fuzz.asking import Asked, Asker
from fuzz.signers import Signer, public_pem
from fuzz.values import Sight
from services.paper_exchange.clock import MarketClock
from services.paper_exchange.config import DEFAULT_LIMITS, DEFAULT_QUIRKS, Moods
from services.paper_exchange.core import Request, answer
from services.paper_exchange.doors.doorkeeper import Doorkeeper
from services.paper_exchange.doors.hub import Hub
from services.paper_exchange.doors.request_log import RequestLog
from services.paper_exchange.doors.socket_answers import SocketAnswers
from services.paper_exchange.doors.trade_desk import TradeDesk
from services.paper_exchange.exchange import Exchange
from services.paper_exchange.faults.event_faults import EventFaults
from services.paper_exchange.faults.rules import Faults
from services.paper_exchange.market.instruments import select_instruments
from services.paper_exchange.market.market import Market, MarketUpdate, UpdateKind
from services.paper_exchange.market.reports import MARKET_ENDPOINTS, MarketView
from services.paper_exchange.sources.generator import GeneratorSource
from services.paper_exchange.wire.authentication import Permission
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import TEXTS, RefusalError
from services.paper_exchange.wire.signing import KeyType, PublicKey

NS_PER_MS: Final = 1_000_000
NS_PER_SECOND: Final = 1_000_000_000
START_NS: Final = 1_700_000_000_000_000_000 // 28_800_000_000_000 * 28_800_000_000_000
BEFORE_FUNDING_NS: Final = 20_000_000_000
"""The market starts so long before a funding time: positions pay funding within the first run."""
SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "DOGEUSDT")
BALANCES: Final = (1_000_000, 20_000, 500, 5)
"""USDT of each account: the poorer ones are liquidated now and then."""
REQUESTS_PER_STEP: Final = 5
JUMP_SHARE: Final = 1 / 4_000
"""How often hours pass at once, in which listen keys, dead-man switches and funding fall due."""
WILD: Final = Moods(volatility_percent=300, jumps_per_hour=600, jump_basis_points=600)
LIMITS: Final = DEFAULT_LIMITS.model_copy(
    update={"weight_per_minute_max": 10**9, "order_history_max": 500, "trade_history_max": 500,
            "income_history_max": 500}
)  # fmt: skip
_BOOK_CHANGES: Final = frozenset({UpdateKind.SNAPSHOT, UpdateKind.DEPTH, UpdateKind.QUOTE})
_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.decode


class RuleBrokenError(AssertionError):
    """The venue did what it must never do; the text says after which request."""


class FuzzedVenue:
    """One venue and its customers, all out of one seed."""

    def __init__(self, seed: int) -> None:
        dice = self._dice = Random(seed)
        start_ns = START_NS - BEFORE_FUNDING_NS
        source = GeneratorSource(dice, start_ns, SYMBOLS, WILD)
        self._events = source.events()
        instruments = select_instruments(SYMBOLS)
        self._market = Market(instruments, start_ns)
        self._wall_ns = self._skipped_ns = 0
        self._clock = MarketClock(lambda: self._wall_ns, start_ns)
        self._start_ns = self._now_ns = start_ns
        books = {symbol: self._market.book(symbol) for symbol in SYMBOLS}
        self.exchange = Exchange(
            instruments, books, LIMITS, seed, DEFAULT_QUIRKS, self._market.funding_rates
        )
        self._view = MarketView(self._market, LIMITS)
        self.told: Counter[str] = Counter()
        desk = TradeDesk(
            self.exchange, self._clock, Hub(), Faults(), EventFaults(), RequestLog(1_000)
        )
        self._socket = SocketAnswers(
            desk, Doorkeeper(LIMITS), self._view, "127.0.0.1", returns_rate_limits=True
        )
        self.sight = Sight(
            SYMBOLS,
            bids={},
            ticks={name: instruments[name].price_tick for name in SYMBOLS},
            steps={name: instruments[name].quantity_step for name in SYMBOLS},
        )
        while any(not book.best_bid for book in books.values()):
            self._let_market_move()
        self._asker = Asker(dice, self.sight, self._customers())

    def step(self) -> None:
        """One request, and now and then a moment of the market; raises `RuleBrokenError`."""
        kind = self._dice.random()
        if kind < 0.78:
            asked = self._asker.of_account()
            self._judge(asked, lambda: self._of_account(asked))
        elif kind < 0.88:
            asked = self._asker.of_market()
            self._judge(asked, lambda: self._of_market(asked))
        else:
            message = _encode(self._asker.of_socket())
            self._judge(message, lambda: self._of_socket(message))
        if self._dice.random() < 1 / REQUESTS_PER_STEP:
            self._let_market_move()
        if self._dice.random() < JUMP_SHARE:
            self._skip(self._dice.randint(1, 12) * 3_600 * NS_PER_SECOND)

    def _customers(self) -> list[Signer]:
        """Accounts of every size with keys that trade, and for each one that only reads."""
        exchange, signers = self.exchange, []
        for number, balance in enumerate(BALANCES):
            account_id = f"fuzz-{number}"
            exchange.open_account(account_id, Decimal(balance), self._now_ns)
            trading = exchange.issue_key(account_id, frozenset(Permission))
            signers += [Signer(trading.key, trading.secret)] * 9
            reading = exchange.issue_key(account_id, frozenset({Permission.READ}))
            signers.append(Signer(reading.key, reading.secret))
        private = Ed25519PrivateKey.from_private_bytes(self._dice.randbytes(32))
        public = PublicKey(public_pem(private))
        key = exchange.issue_key(
            "fuzz-0", frozenset(Permission), KeyType.ED25519, public_key=public
        )
        return [*signers, Signer(key.key, private=private)]

    def _of_account(self, asked: Asked) -> tuple[int, object]:
        parameters = Parameters(asked.query, asked.body)
        request = Request(asked.method, asked.path, asked.api_key, parameters, "127.0.0.1")
        found = answer(self.exchange, request, self._now_ns)
        return found.status, found.body

    def _of_market(self, asked: Asked) -> tuple[int, object]:
        endpoint = MARKET_ENDPOINTS[asked.method, asked.path]
        parameters = Parameters(asked.query)
        try:
            endpoint.weight_of(parameters)
            return 200, endpoint.report(self._view, parameters, self._now_ns)
        except RefusalError as refusal:
            return refusal.status, refusal.body()

    def _of_socket(self, message: bytes) -> tuple[int, object]:
        frame = self._socket.answer(message)
        if not isinstance(frame, bytes):
            raise RuleBrokenError("a fault struck where none was asked for")
        told = _decode(frame)
        return told["status"], told["result"] if told["status"] == 200 else told["error"]

    def _judge(self, asked: object, ask: Callable[[], tuple[int, object]]) -> None:
        try:
            status, body = ask()
            _encode(body)
        except Exception as error:  # whatever it is, it must be told with what caused it
            raise RuleBrokenError(f"raised by {asked!r}") from error
        for row in body if isinstance(body, list) else [body]:
            code = row.get("code") if isinstance(row, dict) else None
            if isinstance(code, int) and code < 0 and code not in TEXTS:
                raise RuleBrokenError(f"{code} is no code of the venue: {asked!r}")
        if status == 200:
            self.sight.remember(body)
        elif not (isinstance(body, dict) and body.get("code") in TEXTS and 400 <= status < 430):
            raise RuleBrokenError(f"{status} {body!r} to {asked!r}")
        code = body.get("code") if isinstance(body, dict) and status != 200 else "accepted"
        self.told[str(code)] += 1
        self.exchange.outbox.clear()
        self.exchange.announcements.clear()
        self._check_ledger(asked)

    def _check_ledger(self, cause: object) -> None:
        total = self.exchange.ledger.total()
        if total != 0:
            raise RuleBrokenError(f"the ledger sums to {total} after {cause!r}")

    def _let_market_move(self) -> None:
        """Apply the events of the next 100 ms."""
        until_ns = self._now_ns + 100 * NS_PER_MS
        while self._now_ns < until_ns:
            event = next(self._events)
            ts_ns = event.ts_ns + self._skipped_ns
            event = msgspec.structs.replace(event, ts_ns=ts_ns)
            while self._market.next_due_ns <= ts_ns:
                for step in self._market.advance(self._market.next_due_ns):
                    self._tell(step.update)
            self._tell(self._market.apply(event).update)
            self._pass(ts_ns - self._now_ns)
        for symbol in SYMBOLS:
            bid = self._market.book(symbol).best_bid
            if bid:
                self.sight.bids[symbol] = bid[0]
        self._check_ledger("the market")

    def _tell(self, update: MarketUpdate | None) -> None:
        """Tell the exchange what the market did, as the running venue does."""
        if update is None:
            return
        exchange = self.exchange
        exchange.advance(update.ts_ns)
        if update.kind in _BOOK_CHANGES:
            exchange.on_book(update.symbol, update.ts_ns)
        elif update.kind is UpdateKind.MARK:
            exchange.on_mark(update.symbol, update.ts_ns)
        elif update.price is not None and update.quantity is not None:
            exchange.on_trade(
                update.symbol,
                update.price,
                update.quantity,
                is_buyer_maker=bool(update.is_buyer_maker),
                now_ns=update.ts_ns,
            )
        exchange.outbox.clear()
        exchange.announcements.clear()

    def _skip(self, duration_ns: int) -> None:
        """Let hours pass in which the source is silent."""
        self._skipped_ns += duration_ns
        self._pass(duration_ns)
        for step in self._market.advance(self._now_ns // NS_PER_SECOND * NS_PER_SECOND):
            self._tell(step.update)

    def _pass(self, duration_ns: int) -> None:
        """Let market time pass."""
        self._now_ns += duration_ns
        self._wall_ns = self._now_ns - self._start_ns
        self.sight.now_ms = self._now_ns // NS_PER_MS
        self.exchange.advance(self._now_ns)
        self._check_ledger("time")
