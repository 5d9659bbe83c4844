"""The exchange: what the market and the passing of time do to the state of the venue.

Everything is driven from outside: requests (through `core`), public trades, book and mark changes
(`on_trade`, `on_book`, `on_mark`) and market time (`advance`). After each of them `settle_risk`
looks at whom it concerned. What customers are to be told piles up in `outbox`, and what everybody
is to be told in `announcements`, in order, for the shell to carry away.
"""

from __future__ import annotations

import heapq
from decimal import Decimal

from services.paper_exchange.money import force_order_stream
from services.paper_exchange.money.funding import next_funding_ns, settle_funding
from services.paper_exchange.money.liquidation import examine
from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.algo_orders import CONTRACT_PRICE, MARK_PRICE, AlgoStatus
from services.paper_exchange.state.orders import CANCELED, EXPIRED, Match
from services.paper_exchange.state.venue_state import NS_PER_MS, UserEvent, VenueState
from services.paper_exchange.trading.matching import Share, shares_of_book, shares_of_trade
from services.paper_exchange.trading.triggers import trigger_reached

__all__ = ["NS_PER_MS", "Exchange", "UserEvent"]


class Exchange(VenueState):
    """One venue: `instruments` and `books` by symbol, `limits`, and a seed for keys."""

    _funding_due_ns = 0

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
        if self.resting[symbol]:
            for share in shares_of_trade(
                self, symbol, price, quantity, is_buyer_maker=is_buyer_maker
            ):
                self._fill_resting(share, now_ns)
        if self.conditional[symbol]:
            trigger_reached(self, symbol, CONTRACT_PRICE, price, now_ns)
        self.settle_risk(now_ns)

    def on_book(self, symbol: str, now_ns: int) -> None:
        """The book changed: resting orders that the opposite side has reached fill."""
        if self.resting[symbol]:
            for share in shares_of_book(self, symbol):
                self._fill_resting(share, now_ns)
            self.settle_risk(now_ns)

    def on_mark(self, symbol: str, now_ns: int) -> None:
        """The mark price changed: conditional orders trigger, used-up margins are liquidated."""
        mark = self.mark_of(symbol)
        if mark is None:
            return
        self.funding_rates.sample(symbol, mark, self.books[symbol].index_price, now_ns)
        if self.conditional[symbol]:
            trigger_reached(self, symbol, MARK_PRICE, mark, now_ns)
        if self.risk.holders[symbol]:
            self.risk.unsettled.update(self.risk.holders[symbol])
        self.settle_risk(now_ns)

    def advance(self, now_ns: int) -> None:
        """Let market time pass: funding is paid, and what has an end and is due, ends."""
        while now_ns >= self._funding_due_ns:
            due_ns = self._funding_due_ns
            if due_ns:
                self._pass_deadlines(due_ns)
                settle_funding(self, due_ns)
                self.settle_risk(due_ns)
            self._funding_due_ns = next_funding_ns(self, due_ns or now_ns)
        self._pass_deadlines(now_ns)

    def settle_risk(self, now_ns: int) -> None:
        """Look at everybody whose money, positions or mark prices changed, until all is well."""
        risk = self.risk
        risk.ranks.clear()
        while risk.unsettled:
            for account_id in risk.take_unsettled():
                examine(self, self.accounts[account_id], now_ns)

    def _pass_deadlines(self, now_ns: int) -> None:
        """Let end what is due: GTD orders, countdowns, listen keys, seconds with a liquidation."""
        while self._deadlines and self._deadlines[0][0] <= now_ns:
            due_ns, _, kind, account_id, subject = heapq.heappop(self._deadlines)
            if kind == force_order_stream.DEADLINE:
                force_order_stream.publish(self, subject, due_ns)
                continue
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

    def _fill_resting(self, share: Share, now_ns: int) -> None:
        order, match = share.order, Match(share.order.price, share.quantity)
        self.book_fill(self.accounts[order.account_id], order, match, now_ns, is_maker=True)

    def _countdown_due(self, account: Account, symbol: str, due_ns: int) -> None:
        """End a symbol's regular orders; its conditional ones stay, as protection must."""
        if account.countdown_checks.get(symbol) != due_ns:
            return
        del account.countdown_checks[symbol]
        ends_ns = account.countdowns.get(symbol)
        if ends_ns is None:
            return
        if ends_ns > due_ns:
            self.watch_countdown(account, symbol, ends_ns)
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
