"""A venue of one symbol, as slow and obvious as can be: it sorts everything again at every step.

It shares no code with the real one. Prices and quantities are plain integers (ticks and lots); who
is first is found by looking at all orders each time; a fill-or-kill order is tried on a copy.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from fractions import Fraction


@dataclass
class SlowOrder:
    """One order; `ahead` is what the source showed at its price before it came to rest."""

    name: str
    owner: str
    side: str
    price: int
    quantity: int
    time_in_force: str
    prevention: str
    reduce_only: bool
    arrival: int
    executed: int = 0
    ahead: int = 0
    is_resting: bool = False
    status: str = "NEW"

    @property
    def is_open(self) -> bool:
        return self.status in ("NEW", "PARTIALLY_FILLED")

    @property
    def leaves(self) -> int:
        return self.quantity - self.executed if self.is_open else 0

    @property
    def sign(self) -> int:
        return 1 if self.side == "BUY" else -1


@dataclass
class SlowFill:
    """One execution as its owner knows it."""

    order: str
    price: int
    quantity: int
    is_maker: bool


@dataclass
class SlowVenue:
    """Orders in the order of their arrival, positions, money, and the source's book."""

    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    orders: list[SlowOrder] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    costs: dict[str, Fraction] = field(default_factory=dict)
    money: dict[str, Fraction] = field(default_factory=dict)
    fills: list[SlowFill] = field(default_factory=list)
    clock: int = 0

    def place(self, order: SlowOrder) -> str:
        """Place an order; return "" or why it is refused."""
        is_market = order.price == 0
        if is_market and not self._offered(order):
            return "-4131"
        if order.reduce_only:
            held = self._reducible(order)
            if held == 0:
                return "-2022"
            order.quantity = min(order.quantity, held)
        if order.time_in_force == "FOK":
            attempt, trial = copy.deepcopy((self, order))
            attempt.orders.append(trial)
            attempt._take(trial, is_market=False)
            if trial.status != "FILLED":
                return "-5021"
        if order.time_in_force in ("GTX", "RPI") and self._would_take(order):
            return "-5022"
        self.orders.append(order)
        if order.time_in_force not in ("GTX", "RPI"):
            self._take(order, is_market=is_market)
        if order.is_open:
            if is_market or order.time_in_force in ("IOC", "FOK"):
                order.status = "EXPIRED"
            else:
                self._rest(order)
        return ""

    def amend(self, order: SlowOrder, quantity: int, price: int) -> str:
        """Change an open order, which goes to the end of its queue."""
        if (quantity, price) == (order.quantity, order.price):
            return "-5027"
        amended = copy.copy(order)
        amended.price = price
        is_post_only = order.time_in_force in ("GTX", "RPI")
        if quantity <= order.executed or (is_post_only and self._would_take(amended)):
            order.status = "CANCELED"
            return ""
        order.quantity, order.price, order.is_resting = quantity, price, False
        if not is_post_only:
            self._take(order, is_market=False)
        if order.is_open:
            self._rest(order)
        return ""

    def cancel(self, order: SlowOrder) -> None:
        """Cancel an open order."""
        order.status = "CANCELED"

    def show(self, bids: dict[int, int], asks: dict[int, int]) -> None:
        """The source's book changes: what has come to our orders fills them."""
        self.bids, self.asks = dict(bids), dict(asks)
        for side, levels in (("BUY", dict(asks)), ("SELL", dict(bids))):
            for order in self._queue(side):
                while self._able(order):
                    reached = [price for price in levels if levels[price] and _meets(order, price)]
                    if not reached:
                        break
                    best = min(reached, key=lambda price: price * order.sign)
                    quantity = min(self._able(order), levels[best])
                    levels[best] -= quantity
                    self._fill(order, order.price, quantity, is_maker=True)

    def print_trade(self, price: int, quantity: int, *, is_buyer_maker: bool) -> None:
        """A public trade: better orders fill as a whole, those at its price in turn."""
        for side in ("BUY", "SELL"):
            for order in self._queue(side):
                if (order.price - price) * order.sign > 0 and self._able(order):
                    self._fill(order, order.price, self._able(order), is_maker=True)
        side = "BUY" if is_buyer_maker else "SELL"
        at_price = [order for order in self._queue(side) if order.price == price]
        while quantity:
            able = [order for order in at_price if self._able(order)]
            if not able:
                for order in at_price:
                    order.ahead = max(0, order.ahead - quantity)
                return
            if able[0].ahead:
                passed = min(quantity, able[0].ahead)
                for order in at_price:
                    order.ahead = max(0, order.ahead - passed)
            else:
                passed = min(quantity, self._able(able[0]))
                self._fill(able[0], price, passed, is_maker=True)
            quantity -= passed

    def _take(self, order: SlowOrder, *, is_market: bool) -> None:
        """Match as long as there is somebody: the whole market is looked at again every time."""
        source = dict(self.asks if order.side == "BUY" else self.bids)
        while self._able(order):
            makers = [
                maker
                for maker in self._queue("SELL" if order.side == "BUY" else "BUY")
                if maker.time_in_force != "RPI" and (is_market or _meets(order, maker.price))
            ]
            prices = {maker.price for maker in makers}
            prices |= {p for p in source if source[p] and (is_market or _meets(order, p))}
            if not prices:
                return
            best = min(prices, key=lambda price: price * order.sign)
            at_best = [maker for maker in makers if maker.price == best]
            left = source.get(best, 0)
            if at_best and not (at_best[0].ahead and left):
                self._meet(order, at_best[0])
                continue
            quantity = min(self._able(order), left)
            if at_best:
                quantity = min(quantity, at_best[0].ahead)
            source[best] -= quantity
            for waiting in self._queue("SELL" if order.side == "BUY" else "BUY"):
                if waiting.price == best:
                    waiting.ahead = max(0, waiting.ahead - quantity)
            self._fill(order, best, quantity, is_maker=False)

    def _meet(self, order: SlowOrder, maker: SlowOrder) -> None:
        prevents = order.prevention != "NONE" and order.time_in_force in ("GTC", "IOC")
        if maker.owner == order.owner and prevents:
            if order.prevention in ("EXPIRE_MAKER", "EXPIRE_BOTH"):
                maker.status = "EXPIRED_IN_MATCH"
            if order.prevention in ("EXPIRE_TAKER", "EXPIRE_BOTH"):
                order.status = "EXPIRED_IN_MATCH"
            return
        maker.ahead = 0
        quantity = min(self._able(order), self._able(maker))
        self._fill(order, maker.price, quantity, is_maker=False)
        self._fill(maker, maker.price, quantity, is_maker=True)

    def _fill(self, order: SlowOrder, price: int, quantity: int, *, is_maker: bool) -> None:
        assert 0 < quantity <= order.leaves
        order.executed += quantity
        order.status = "FILLED" if order.executed == order.quantity else "PARTIALLY_FILLED"
        self.fills.append(SlowFill(order.name, price, quantity, is_maker))
        owner = order.owner
        held, cost = self.positions.get(owner, 0), self.costs.get(owner, Fraction(0))
        closing = min(quantity, max(0, -order.sign * held))
        released = cost * closing / abs(held) if closing else Fraction(0)
        notional = Fraction(quantity * price)
        opened = notional * (quantity - closing) / quantity
        self.money[owner] = (
            self.money.get(owner, Fraction(0))
            - order.sign * (notional - opened)
            - released
            - notional * Fraction(1 if is_maker else 2, 1000)
        )
        self.costs[owner] = cost - released + order.sign * opened
        self.positions[owner] = held + order.sign * quantity
        for other in self.orders:
            is_his = other.owner == owner and other.is_open and other.reduce_only
            if is_his and not self._reducible(other):
                other.status = "EXPIRED"

    def _rest(self, order: SlowOrder) -> None:
        self.clock += 1
        order.arrival, order.is_resting = self.clock, True
        order.ahead = (self.bids if order.side == "BUY" else self.asks).get(order.price, 0)

    def _queue(self, side: str) -> list[SlowOrder]:
        waiting = [o for o in self.orders if o.is_open and o.is_resting and o.side == side]
        return sorted(waiting, key=lambda order: (-order.price * order.sign, order.arrival))

    def _would_take(self, order: SlowOrder) -> bool:
        return any(_meets(order, price) for price in self._offered(order))

    def _offered(self, order: SlowOrder) -> list[int]:
        source = self.asks if order.side == "BUY" else self.bids
        makers = self._queue("SELL" if order.side == "BUY" else "BUY")
        return [*source, *(maker.price for maker in makers if maker.time_in_force != "RPI")]

    def _reducible(self, order: SlowOrder) -> int:
        return max(0, -order.sign * self.positions.get(order.owner, 0))

    def _able(self, order: SlowOrder) -> int:
        return min(order.leaves, self._reducible(order)) if order.reduce_only else order.leaves


def _meets(order: SlowOrder, price: int) -> bool:
    return price <= order.price if order.side == "BUY" else price >= order.price
