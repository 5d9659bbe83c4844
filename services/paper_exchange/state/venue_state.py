"""The state of the venue and the only functions that change it.

Accounts, keys, open and conditional orders, the ledger and the counters that ids come from. Nothing
moves by itself here: `exchange` says what the market and the passing of time do.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from services.paper_exchange.config import Limits
from services.paper_exchange.market.book import Book
from services.paper_exchange.market.instruments import Instrument
from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.algo_orders import AlgoOrder, AlgoStatus
from services.paper_exchange.state.conditions import Conditions
from services.paper_exchange.state.ledger import (
    ZERO,
    Ledger,
    apply_fill,
    deposit_postings,
    fill_postings,
    round_money,
    wallet,
)
from services.paper_exchange.state.margin import AccountMargin, account_margin, symbol_margin
from services.paper_exchange.state.orders import EXPIRED, Income, Match, Order, Trade
from services.paper_exchange.state.user_events import (
    NO_REASON,
    POSITION_GONE,
    Event,
    OpenInterest,
    account_update,
    algo_update,
    listen_key_expired,
    order_trade_update,
)
from services.paper_exchange.wire.authentication import ApiKey, KeyType, Permission, derive_key

NS_PER_MS = 1_000_000


class UserEvent(NamedTuple):
    """An event for whoever listens with this listen key."""

    listen_key: str
    event: Event


class VenueState:
    """All of one venue: `instruments` and `books` by symbol, `limits`, and a seed for keys."""

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        books: Mapping[str, Book],
        limits: Limits,
        seed: int = 1,
    ) -> None:
        self.instruments = instruments
        self.books = books
        self.limits = limits
        self.seed = seed
        self.ledger = Ledger()
        self.accounts: dict[str, Account] = {}
        self.keys: dict[str, ApiKey] = {}
        self.listen_keys: dict[str, str] = {}
        self.outbox: list[UserEvent] = []
        self.announcements: list[tuple[str, Event]] = []
        self.resting: dict[str, dict[int, Order]] = {symbol: {} for symbol in instruments}
        self.conditional: dict[str, dict[int, AlgoOrder]] = {symbol: {} for symbol in instruments}
        self.conditions = Conditions()
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
        event = account_update(
            "DEPOSIT",
            now_ns // NS_PER_MS,
            wallet=self.wallet_of(account),
            balance_change=amount,
        )
        self.tell(account, event)

    def issue_key(
        self, account_id: str, permissions: frozenset[Permission], key_type: KeyType
    ) -> ApiKey:
        """Give an account a new key."""
        sequence = self.next_sequence("key")
        key = ApiKey(
            key=derive_key(self.seed, sequence, "key"),
            account_id=account_id,
            permissions=permissions,
            key_type=key_type,
            secret=derive_key(self.seed, sequence, "secret"),
        )
        self.keys[key.key] = key
        return key

    def wallet_of(self, account: Account) -> Decimal:
        """The wallet balance: deposits, realized profit, commission and funding so far."""
        return self.ledger.balance(wallet(account.account_id))

    # Prices

    def mark_of(self, symbol: str) -> Decimal | None:
        """The mark price, else the middle of the book, else the last trade; None without any."""
        book = self.books.get(symbol)
        if book is None:
            return None
        return book.mark_price or book.mid_price or book.last_price

    def margin_of(self, account: Account) -> AccountMargin:
        """The margin figures of an account at current marks."""
        return account_margin(account, self.wallet_of(account), self.mark_of)

    # Orders

    def accept(self, account: Account, order: Order) -> None:
        """Take an order in as NEW."""
        account.add_order(order)
        self.tell_order(account, order, "NEW", order.created_ns)

    def rest(self, order: Order, queue_ahead: Decimal) -> None:
        """Put the rest of an accepted order into the queue at its price."""
        order.queue_ahead = queue_ahead
        self.resting[order.symbol][order.order_id] = order
        if order.good_till_ms:
            self.add_deadline(
                order.good_till_ms * NS_PER_MS, "order", order.account_id, str(order.order_id)
            )

    def end_order(
        self, account: Account, order: Order, status: str, now_ns: int, reason: str = NO_REASON
    ) -> None:
        """Cancel or expire an open order and say so."""
        order.close(status, now_ns)
        self._drop_open(account, order)
        self.tell_order(account, order, status, now_ns, expiry_reason=reason)
        self._finish_origin(account, order, now_ns)

    def book_fill(
        self,
        account: Account,
        order: Order,
        match: Match,
        now_ns: int,
        *,
        is_maker: bool,
        execution: str = "TRADE",
    ) -> None:
        """Book one execution: order, position, ledger, histories and user events.

        `execution` is what the order event calls it: CALCULATED where the venue itself closes.
        """
        position = account.position(order.symbol)
        before_cost = position.cost
        change = apply_fill(
            position.quantity, position.cost, order.sign * match.quantity, match.price
        )
        rate = self.limits.maker_rate if is_maker else self.limits.taker_rate
        commission = round_money(match.quantity * match.price * rate)
        self.ledger.post(
            fill_postings(
                account.account_id,
                order.symbol,
                change.cost - before_cost,
                change.realized,
                commission,
            )
        )
        is_flip = position.quantity * change.quantity < 0
        position.quantity, position.cost = change.quantity, change.cost
        position.realized += change.realized
        position.carried = position.carried + change.realized - commission
        if change.quantity == 0 or is_flip:
            position.carried = ZERO
        position.updated_ns = account.updated_ns = now_ns
        order.fill(match.quantity, match.price, now_ns)
        trade = Trade(
            trade_id=self.next_sequence(f"trade:{account.account_id}"),
            order_id=order.order_id,
            symbol=order.symbol,
            side=order.side,
            price=match.price,
            quantity=match.quantity,
            realized=change.realized,
            commission=commission,
            is_maker=is_maker,
            time_ns=now_ns,
        )
        account.add_trade(trade)
        self._record_trade_income(account, trade)
        if not order.is_open:
            self._drop_open(account, order)
        self._tell_position(account, order.symbol, now_ns)
        self.tell_order(account, order, execution, now_ns, trade=trade)
        self._finish_origin(account, order, now_ns)
        self._expire_pointless_reductions(account, order.symbol, now_ns)

    def reducible(self, account: Account, symbol: str, sign: int) -> Decimal:
        """How much a reduce-only order of this direction may still close."""
        return max(ZERO, -sign * account.position(symbol).quantity)

    # Conditional orders

    def accept_algo(self, account: Account, algo: AlgoOrder) -> None:
        """Take a conditional order in to wait for its price."""
        account.add_algo(algo)
        self.conditional[algo.symbol][algo.algo_id] = algo
        if algo.good_till_ms:
            self.add_deadline(
                algo.good_till_ms * NS_PER_MS, "algo", account.account_id, str(algo.algo_id)
            )
        self.tell_algo(account, algo, algo.created_ns)

    def forward_algo(self, account: Account, algo: AlgoOrder, now_ns: int) -> None:
        """Its price is reached: it waits no more, and is on its way to the matching engine."""
        self._drop_waiting(account, algo)
        algo.status, algo.triggered_ns, algo.updated_ns = AlgoStatus.TRIGGERING, now_ns, now_ns
        self.tell_algo(account, algo, now_ns)

    def settle_algo(self, account: Account, algo: AlgoOrder, order: Order, now_ns: int) -> None:
        """The matching engine took the order born of it, which may have ended already."""
        algo.status, algo.order_id, algo.updated_ns = AlgoStatus.TRIGGERED, order.order_id, now_ns
        self.tell_algo(account, algo, now_ns)
        self._finish_origin(account, order, now_ns)

    def end_algo(
        self, account: Account, algo: AlgoOrder, status: AlgoStatus, now_ns: int, reason: str = ""
    ) -> None:
        """Cancel, expire or reject a conditional order and say so."""
        self._drop_waiting(account, algo)
        algo.status, algo.reject_reason, algo.updated_ns = status, reason, now_ns
        self.tell_algo(account, algo, now_ns)

    # Deadlines and listen keys

    def add_deadline(self, due_ns: int, kind: str, account_id: str, subject: str) -> None:
        """Have `advance` look at something once market time has come to `due_ns`."""
        heapq.heappush(
            self._deadlines, (due_ns, self.next_sequence("deadline"), kind, account_id, subject)
        )

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
        interest = symbol_margin(
            account.position(order.symbol),
            account.open_orders_of(order.symbol),
            self.mark_of(order.symbol) or ZERO,
            account.leverage_of(order.symbol),
        )
        event = order_trade_update(
            self.instruments[order.symbol],
            order,
            execution,
            now_ns // NS_PER_MS,
            OpenInterest(interest.bid_notional, interest.ask_notional),
            trade=trade,
            expiry_reason=expiry_reason,
        )
        self.tell(account, event)

    def tell_algo(self, account: Account, algo: AlgoOrder, now_ns: int) -> None:
        """Queue an ALGO_UPDATE."""
        if account.listen_key is not None:
            self.tell(account, algo_update(algo, now_ns // NS_PER_MS))

    # Details

    def _tell_position(self, account: Account, symbol: str, now_ns: int) -> None:
        event = account_update(
            "ORDER",
            now_ns // NS_PER_MS,
            wallet=self.wallet_of(account),
            position=account.position(symbol),
            mark=self.mark_of(symbol),
            margin_type=account.margin_type_of(symbol),
            quantity_precision=self.instruments[symbol].quantity_precision,
        )
        self.tell(account, event)

    def _drop_open(self, account: Account, order: Order) -> None:
        account.order_closed(order)
        self.resting[order.symbol].pop(order.order_id, None)

    def _drop_waiting(self, account: Account, algo: AlgoOrder) -> None:
        account.algo_waits_no_more(algo)
        self.conditional[algo.symbol].pop(algo.algo_id, None)

    def _finish_origin(self, account: Account, order: Order, now_ns: int) -> None:
        """A triggered conditional order is finished when the order born of it ends."""
        algo = order.origin
        if algo is None or order.is_open or algo.status is not AlgoStatus.TRIGGERED:
            return
        algo.status, algo.updated_ns = AlgoStatus.FINISHED, now_ns
        algo.executed, algo.average_price = order.executed, order.average_price
        self.tell_algo(account, algo, now_ns)

    def _expire_pointless_reductions(self, account: Account, symbol: str, now_ns: int) -> None:
        """What could only reduce the position ends with it.

        Reduce-only orders and close-position conditional orders do; a reduce-only conditional
        order waits on and is rejected by the matching engine if its price comes.
        """
        for order in list(self.resting[symbol].values()):
            if order.account_id != account.account_id or not order.reduce_only:
                continue
            if not self.reducible(account, symbol, order.sign):
                self.end_order(account, order, EXPIRED, now_ns, POSITION_GONE)
        for algo in list(self.conditional[symbol].values()):
            if algo.account_id != account.account_id or not algo.ends_with_position:
                continue
            if not self.reducible(account, symbol, algo.sign):
                self.end_algo(account, algo, AlgoStatus.EXPIRED, now_ns)

    def _record_trade_income(self, account: Account, trade: Trade) -> None:
        trade_id = str(trade.trade_id)
        rows = (("REALIZED_PNL", trade.realized), ("COMMISSION", -trade.commission))
        for income_type, amount in rows:
            if amount:
                self.add_income(
                    account, income_type, trade.symbol, amount, trade_id, trade_id, trade.time_ns
                )

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
