"""The exchange: what the market and the passing of time do to the state of the venue.

Everything is driven from outside: requests (through `core`), public trades, book and mark changes
(`on_trade`, `on_book`, `on_mark`) and market time (`advance`). What customers are to be told piles
up in `outbox`, in order, for the shell to carry away.
"""

from __future__ import annotations

import heapq
from decimal import Decimal

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.algo_orders import CONTRACT_PRICE, MARK_PRICE, AlgoStatus
from services.paper_exchange.state.orders import CANCELED, EXPIRED, Match, Order
from services.paper_exchange.state.venue_state import NS_PER_MS, UserEvent, VenueState
from services.paper_exchange.trading.matching import filled_by_quote, filled_by_trade
from services.paper_exchange.trading.triggers import trigger_reached

__all__ = ["NS_PER_MS", "Exchange", "UserEvent"]


class Exchange(VenueState):
    """One venue: `instruments` and `books` by symbol, `limits`, and a seed for keys."""

    def on_trade(
        self,
        symbol: str,
        price: Decimal,
        quantity: Decimal,
        *,
        is_buyer_maker: bool,
        now_ns: int,
    ) -> None:
        """A public trade printed: resting orders it reaches fill, then conditional ones trigger."""
        self.books[symbol].last_price = price
        for order in list(self.resting[symbol].values()):
            filled = filled_by_trade(order, price, quantity, is_buyer_maker=is_buyer_maker)
            self._fill_resting(order, filled, now_ns)
        if self.conditional[symbol]:
            trigger_reached(self, symbol, CONTRACT_PRICE, price, now_ns)

    def on_book(self, symbol: str, now_ns: int) -> None:
        """The book changed: resting orders that the opposite side has reached fill."""
        resting = self.resting[symbol]
        if not resting:
            return
        book = self.books[symbol]
        for order in list(resting.values()):
            self._fill_resting(order, filled_by_quote(order, book), now_ns)

    def on_mark(self, symbol: str, now_ns: int) -> None:
        """The mark price changed: conditional orders that wait for it trigger."""
        if self.conditional[symbol]:
            mark = self.mark_of(symbol)
            if mark is not None:
                trigger_reached(self, symbol, MARK_PRICE, mark, now_ns)

    def advance(self, now_ns: int) -> None:
        """Let market time pass: GTD orders, countdowns and listen keys that are due, end."""
        while self._deadlines and self._deadlines[0][0] <= now_ns:
            due_ns, _, kind, account_id, subject = heapq.heappop(self._deadlines)
            account = self.accounts[account_id]
            if kind == "order":
                order = account.open_orders.get(int(subject))
                if order is not None:
                    self.end_order(account, order, EXPIRED, due_ns)
            elif kind == "algo":
                algo = account.waiting_algos.get(int(subject))
                if algo is not None:
                    self.end_algo(account, algo, AlgoStatus.EXPIRED, due_ns)
            elif kind == "countdown":
                self._countdown_due(account, subject, due_ns)
            else:
                self._listen_key_due(account, subject, due_ns)

    def _fill_resting(self, order: Order, quantity: Decimal, now_ns: int) -> None:
        if quantity <= 0 or not order.is_open:
            return
        account = self.accounts[order.account_id]
        if order.reduce_only:
            quantity = min(quantity, self.reducible(account, order.symbol, order.sign))
        if quantity > 0:
            self.book_fill(account, order, Match(order.price, quantity), now_ns, is_maker=True)

    def _countdown_due(self, account: Account, symbol: str, due_ns: int) -> None:
        """End a symbol's regular orders; its conditional ones stay, as protection must."""
        if account.countdowns.get(symbol) != due_ns:
            return
        del account.countdowns[symbol]
        for order in account.open_orders_of(symbol):
            self.end_order(account, order, CANCELED, due_ns)

    def _listen_key_due(self, account: Account, listen_key: str, due_ns: int) -> None:
        if account.listen_key != listen_key:
            return
        if account.listen_key_expires_ns <= due_ns:
            self.end_listen_key(account, due_ns)
        else:
            expires_ns = account.listen_key_expires_ns
            self.add_deadline(expires_ns, "listen key", account.account_id, listen_key)
