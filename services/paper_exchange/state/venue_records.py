"""What the venue knows of its customers, and how it tells them: accounts, keys, streams, income.

Also the ledger, prices, deadlines and the counters that ids come from. `venue_state` adds what
orders do to all this.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from services.paper_exchange.config import IMMEDIATE_QUIRKS, Limits, Quirks
from services.paper_exchange.market.book import Book
from services.paper_exchange.market.funding_rates import FundingRates
from services.paper_exchange.market.instruments import Instrument
from services.paper_exchange.state.accounts import Account, Position
from services.paper_exchange.state.algo_orders import AlgoOrder
from services.paper_exchange.state.conditions import Conditions
from services.paper_exchange.state.ledger import ZERO, Ledger, deposit_postings, isolated, wallet
from services.paper_exchange.state.margin import (
    AccountMargin,
    PositionMargin,
    Wallets,
    account_margin,
    open_notionals,
    position_margin,
)
from services.paper_exchange.state.orders import Income, Order, Trade
from services.paper_exchange.state.resting_orders import RestingOrders
from services.paper_exchange.state.risk_watch import RiskWatch
from services.paper_exchange.state.user_events import (
    NO_REASON,
    Event,
    account_update,
    algo_update,
    balance_row,
    listen_key_expired,
    order_trade_update,
    position_row,
    trade_lite,
)
from services.paper_exchange.state.waiting_algos import WaitingAlgos
from services.paper_exchange.wire.authentication import ApiKey, Permission, derive_key
from services.paper_exchange.wire.signing import KeyType, PublicKey

NS_PER_MS = 1_000_000


class UserEvent(NamedTuple):
    """An event for whoever listens with this listen key."""

    listen_key: str
    event: Event


class VenueRecords:
    """What one venue knows: `instruments` and `books` by symbol, `limits`, and a seed for keys."""

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        books: Mapping[str, Book],
        limits: Limits,
        seed: int = 1,
        quirks: Quirks = IMMEDIATE_QUIRKS,
        funding_rates: FundingRates | None = None,
    ) -> None:
        self.instruments = instruments
        self.books = books
        self.limits = limits
        self.seed = seed
        self.quirks = quirks
        self.funding_rates = funding_rates or FundingRates(instruments)
        self.risk = RiskWatch(instruments)
        self.ledger = Ledger()
        self.accounts: dict[str, Account] = {}
        self.keys: dict[str, ApiKey] = {}
        self.listen_keys: dict[str, str] = {}
        self.outbox: list[UserEvent] = []
        self.announcements: list[tuple[str, Event]] = []
        self.resting = {symbol: RestingOrders() for symbol in instruments}
        self.conditional = {symbol: WaitingAlgos() for symbol in instruments}
        self.conditions = Conditions(algo_query_lag_ms=quirks.algo_read_lag_ms)
        self._deadlines: list[tuple[int, int, str, str, str]] = []
        self._sequences: dict[str, int] = {}

    def next_sequence(self, name: str) -> int:
        """The next number of a named counter, starting at 1."""
        self._sequences[name] = self._sequences.get(name, 0) + 1
        return self._sequences[name]

    # Accounts and keys

    def open_account(self, account_id: str, balance: Decimal, now_ns: int) -> Account:
        """Create an account and deposit its first balance."""
        assert account_id not in self.accounts, f"account {account_id} exists"
        account = Account(account_id, f"paper-{account_id}", self.limits, now_ns, now_ns)
        self.accounts[account_id] = account
        if balance:
            self.deposit(account, balance, now_ns)
        return account

    def deposit(self, account: Account, amount: Decimal, now_ns: int) -> None:
        """Add money from outside to a wallet."""
        self.ledger.post(deposit_postings(account.account_id, amount))
        account.updated_ns = now_ns
        self.add_income(account, "TRANSFER", "", amount, "TRANSFER", "", now_ns)
        self.tell_account(account, "DEPOSIT", now_ns, balance_change=amount)

    def issue_key(
        self,
        account_id: str,
        permissions: frozenset[Permission],
        key_type: KeyType = KeyType.HMAC,
        *,
        public_key: PublicKey | None = None,
        addresses: frozenset[str] = frozenset(),
        now_ns: int = 0,
    ) -> ApiKey:
        """Give an account a new key: one of this public key, or else an HMAC key with a secret."""
        assert key_type is (KeyType.HMAC if public_key is None else public_key.key_type)
        sequence = self.next_sequence("key")
        key = ApiKey(
            key=derive_key(self.seed, sequence, "key"),
            account_id=account_id,
            permissions=permissions,
            key_type=key_type,
            secret="" if public_key else derive_key(self.seed, sequence, "secret"),
            public_key=public_key,
            addresses=addresses,
            created_ms=now_ns // NS_PER_MS,
        )
        self.keys[key.key] = key
        return key

    def wallets_of(self, account: Account) -> Wallets:
        """The money of an account: its cross wallet and those of its isolated positions."""
        own = {
            key: self.isolated_wallet_of(account, *key)
            for key, position in account.positions.items()
            if position.quantity and account.is_isolated(position.symbol)
        }
        return Wallets(self.ledger.balance(wallet(account.account_id)), own)

    def wallet_of(self, account: Account) -> Decimal:
        """The wallet balance: deposits, realized profit, commission and funding so far."""
        return self.wallets_of(account).total

    def isolated_wallet_of(self, account: Account, symbol: str, position_side: str) -> Decimal:
        """The wallet of a position under isolated margin; zero for any other."""
        return self.ledger.balance(isolated(account.account_id, symbol, position_side))

    def money_account(self, account: Account, symbol: str, position_side: str) -> str:
        """The ledger account that a position's profit, commission and funding are settled in."""
        if account.is_isolated(symbol):
            return isolated(account.account_id, symbol, position_side)
        return wallet(account.account_id)

    # Prices

    def mark_of(self, symbol: str) -> Decimal | None:
        """The mark price, else the middle of the book, else the last trade; None without any."""
        book = self.books.get(symbol)
        if book is None:
            return None
        return book.mark_price or book.mid_price or book.last_price

    def margin_of(self, account: Account) -> AccountMargin:
        """The margin figures of an account at current marks."""
        return account_margin(account, self.wallets_of(account), self.mark_of)

    def position_margin_of(
        self,
        account: Account,
        symbol: str,
        position_side: str,
        mark: Decimal,
        orders: Iterable[Order] | None = None,
    ) -> PositionMargin:
        """The margin figures of one position at this mark, with its open orders or with these."""
        own = None
        if account.is_isolated(symbol):
            own = self.isolated_wallet_of(account, symbol, position_side)
        return position_margin(
            account.position(symbol, position_side),
            account.open_orders_on(symbol, position_side) if orders is None else orders,
            mark,
            account.leverage_of(symbol),
            own,
        )

    # Deadlines and listen keys

    def add_deadline(self, due_ns: int, kind: str, account_id: str, subject: str) -> None:
        """Have `advance` look at something once market time has come to `due_ns`."""
        heapq.heappush(
            self._deadlines, (due_ns, self.next_sequence("deadline"), kind, account_id, subject)
        )

    def watch_countdown(self, account: Account, symbol: str, due_ns: int) -> None:
        """Have `advance` look at a countdown by then: one that is refreshed is looked at once."""
        checked_ns = account.countdown_checks.get(symbol)
        if checked_ns is None or due_ns < checked_ns:
            account.countdown_checks[symbol] = due_ns
            self.add_deadline(due_ns, "countdown", account.account_id, symbol)

    def start_listen_key(self, account: Account, now_ns: int) -> str:
        """The account's listen key, made or extended to the full validity from now."""
        if account.listen_key is None:
            sequence = self.next_sequence("listen key")
            account.listen_key = derive_key(self.seed, sequence, "listen")
            self.listen_keys[account.listen_key] = account.account_id
            self.add_deadline(now_ns, "listen key", account.account_id, account.listen_key)
        account.listen_key_expires_ns = now_ns + self.limits.listen_key_valid_ms * NS_PER_MS
        return account.listen_key

    def end_listen_key(self, account: Account, now_ns: int) -> None:
        """Close the account's user stream, telling it so."""
        listen_key = account.listen_key
        if listen_key is not None:
            self.tell(account, listen_key_expired(listen_key, now_ns // NS_PER_MS))
            account.listen_key = None
            del self.listen_keys[listen_key]

    # Telling

    def tell(self, account: Account, event: Event) -> None:
        """Queue a user event; nobody without a listen key is told anything."""
        if account.listen_key is not None:
            self.outbox.append(UserEvent(account.listen_key, event))

    def tell_order(
        self,
        account: Account,
        order: Order,
        execution: str,
        now_ns: int,
        *,
        trade: Trade | None = None,
        expiry_reason: str = NO_REASON,
    ) -> None:
        """Queue an ORDER_TRADE_UPDATE."""
        if account.listen_key is None:
            return
        interest = open_notionals(
            account.open_orders_on(order.symbol, order.position_side),
            self.mark_of(order.symbol) or ZERO,
        )
        event = order_trade_update(
            self.instruments[order.symbol],
            order,
            execution,
            now_ns // NS_PER_MS,
            interest,
            trade=trade,
            expiry_reason=expiry_reason,
        )
        self.tell(account, event)

    def tell_trade(self, account: Account, order: Order, trade: Trade, now_ns: int) -> None:
        """Queue a TRADE_LITE."""
        if account.listen_key is not None:
            instrument = self.instruments[order.symbol]
            self.tell(account, trade_lite(instrument, order, trade, now_ns // NS_PER_MS))

    def tell_algo(self, account: Account, algo: AlgoOrder, now_ns: int) -> None:
        """Queue an ALGO_UPDATE."""
        if account.listen_key is not None:
            self.tell(account, algo_update(algo, now_ns // NS_PER_MS))

    def tell_position(self, account: Account, position: Position, now_ns: int) -> None:
        """Queue an ACCOUNT_UPDATE of one position and the wallet after a fill."""
        self.tell_account(account, "ORDER", now_ns, positions=(position,))

    def tell_account(
        self,
        account: Account,
        reason: str,
        now_ns: int,
        *,
        balance_change: Decimal = ZERO,
        positions: Iterable[Position] = (),
        with_balance: bool = True,
        symbol: str = "",
    ) -> None:
        """Queue an ACCOUNT_UPDATE of the wallet and of these positions; `symbol`: of funding."""
        if account.listen_key is None:
            return
        rows = [
            position_row(
                position,
                self.mark_of(position.symbol),
                account.margin_type_of(position.symbol),
                self.isolated_wallet_of(account, position.symbol, position.position_side),
                self.instruments[position.symbol].quantity_precision,
            )
            for position in positions
        ]
        balances = [balance_row(self.wallets_of(account), balance_change)] if with_balance else []
        self.tell(account, account_update(reason, now_ns // NS_PER_MS, balances, rows, symbol))

    def add_income(
        self,
        account: Account,
        income_type: str,
        symbol: str,
        amount: Decimal,
        info: str,
        trade_id: str,
        now_ns: int,
    ) -> None:
        """Write down a row of income; `amount` is signed."""
        sequence = self.next_sequence("transaction")
        account.add_income(Income(income_type, symbol, amount, info, sequence, trade_id, now_ns))
