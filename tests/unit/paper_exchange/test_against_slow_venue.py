"""The real matching does what a slow and obvious venue does, move by move."""

import random
from decimal import Decimal
from fractions import Fraction

import pytest

from services.paper_exchange.state.commission_rates import CommissionRates
from services.paper_exchange.wire.authentication import KeyType, Permission
from tests.unit.paper_exchange.slow_venue import SlowOrder, SlowVenue

SYMBOL, MIDDLE = "BTCUSDT", 50_000
BALANCE = Decimal(10_000_000)
OWNERS = ("one", "two", "three")
RATES = CommissionRates(Decimal("0.001"), Decimal("0.002"), Decimal("0.001"))
SEEDS, MOVES = 120, 80


class Pair:
    """The real venue and the slow one, moved together."""

    def __init__(self, make_venue, seed):
        self.dice = random.Random(seed)
        self.venue = make_venue(balance=str(BALANCE))
        self.keys = {"one": self.venue.key}
        for name in OWNERS[1:]:
            self.venue.exchange.open_account(name, BALANCE, self.venue.now_ns)
            self.keys[name] = self.venue.exchange.issue_key(
                name, frozenset(Permission), KeyType.HMAC
            )
        for account in self.venue.exchange.accounts.values():
            account.own_commission_rates = RATES
        self.slow = SlowVenue()
        self.number = 0
        self.reducing = self.dice.choice((0.2, 0.5, 0.7))
        self.weights = self.dice.choice(((4, 1, 1, 2, 1), (12, 1, 1, 1, 1), (12, 4, 1, 0, 0)))
        self.owners = OWNERS[: self.dice.choice((2, 3))]
        self.history = []
        self.show()

    def move(self):
        kinds = ("order", "amend", "cancel", "print", "show")
        (kind,) = self.dice.choices(kinds, self.weights)
        self.history.append(kind)
        getattr(self, kind)()
        self.compare()

    def price(self):
        return MIDDLE + self.dice.randint(-4, 4)

    def lots(self):
        return self.dice.randint(2, 12)

    def order(self):
        dice, self.number = self.dice, self.number + 1
        is_market = dice.random() < 0.15
        order = SlowOrder(
            name=f"order-{self.number}",
            owner=dice.choice(self.owners),
            side=dice.choice(("BUY", "SELL")),
            price=0 if is_market else self.price(),
            quantity=self.lots(),
            time_in_force="GTC"
            if is_market
            else dice.choice(("GTC", "GTC", "GTC", "IOC", "FOK", "FOK", "GTX", "RPI")),
            prevention=dice.choice(("NONE", "NONE", "EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH")),
            reduce_only=dice.random() < self.reducing,
            arrival=0,
        )
        self.history.append(order)
        more = {"price": f"{order.price}.00", "timeInForce": order.time_in_force}
        found = self.venue.order(
            order.side,
            lots(order.quantity),
            key=self.keys[order.owner],
            newClientOrderId=order.name,
            reduceOnly=str(order.reduce_only).lower(),
            selfTradePreventionMode=order.prevention,
            **({} if is_market else {"type": "LIMIT", **more}),
        )
        refused = self.slow.place(order)
        assert str(found.code or "") == refused, (found, order)

    def amend(self):
        order = self.some_order()
        if order is None:
            return
        quantity, price = self.lots(), self.price()
        self.history.append((order.name, quantity, price))
        found = self.venue.call(
            "PUT", "/fapi/v1/order", key=self.keys[order.owner], symbol=SYMBOL, side=order.side,
            origClientOrderId=order.name, quantity=lots(quantity), price=f"{price}.00",
        )  # fmt: skip
        refused = self.slow.amend(order, quantity, price)
        assert str(found.code or "") == refused, (found, order)

    def cancel(self):
        order = self.some_order()
        if order is None:
            return
        self.history.append(order.name)
        found = self.venue.call(
            "DELETE", "/fapi/v1/order", key=self.keys[order.owner], symbol=SYMBOL,
            origClientOrderId=order.name,
        )  # fmt: skip
        assert found.status == 200
        self.slow.cancel(order)

    def print(self):
        price, quantity, is_buyer_maker = self.price(), self.lots(), self.dice.random() < 0.5
        self.history.append((price, quantity, is_buyer_maker))
        self.venue.trade(SYMBOL, f"{price}.00", lots(quantity), is_buyer_maker=is_buyer_maker)
        self.slow.print_trade(price, quantity, is_buyer_maker=is_buyer_maker)

    def show(self):
        bid = MIDDLE + self.dice.randint(-5, 3)
        ask = bid + self.dice.randint(1, 4)
        bids = {bid - step: self.lots() for step in range(self.dice.randint(0, 3))}
        asks = {ask + step: self.lots() for step in range(self.dice.randint(0, 3))}
        self.history.append((bids, asks))
        self.venue.depth(SYMBOL, texts(bids), texts(asks), mark=str(MIDDLE))
        self.slow.show(bids, asks)

    def some_order(self):
        found = [order for order in self.slow.orders if order.is_open]
        return self.dice.choice(found) if found else None

    def compare(self):
        exchange = self.venue.exchange
        assert exchange.ledger.total() == 0
        fills = {owner: [] for owner in OWNERS}
        owner_of = {order.name: order.owner for order in self.slow.orders}
        for fill in self.slow.fills:
            one = (fill.order, fill.price, fill.quantity, fill.is_maker)
            add_fill(fills[owner_of[fill.order]], one)
        for owner in OWNERS:
            self.compare_owner(exchange, owner, fills[owner])

    def compare_owner(self, exchange, owner, expected):
        account = exchange.accounts[owner]
        real = []
        for trade in account.trades.get(SYMBOL, ()):
            name = account.orders[trade.order_id].client_order_id
            quantity = int(trade.quantity * 1000)
            add_fill(real, (name, int(trade.price), quantity, trade.is_maker))
        assert real == expected
        for order in self.slow.orders:
            if order.owner == owner:
                found = account.order_by_client_id(order.name)
                assert (found.status, int(found.executed * 1000), int(found.quantity * 1000)) == (
                    order.status, order.executed, order.quantity,
                ), order  # fmt: skip
                if order.is_open:
                    assert int(found.queue_ahead * 1000) == order.ahead, order
        position = account.position(SYMBOL)
        assert int(position.quantity * 1000) == self.slow.positions.get(owner, 0)
        cost = self.slow.costs.get(owner, Fraction(0)) / 1000
        assert abs(Fraction(position.cost) - cost) < Fraction(1, 10**5)
        money = self.slow.money.get(owner, Fraction(0)) / 1000
        real_money = Fraction(exchange.wallet_of(account) - BALANCE)
        assert abs(real_money - money) < Fraction(1, 10**5)
        assert abs(real_money - Fraction(position.cost) - money + cost) == 0


def lots(quantity):
    return f"{Decimal(quantity).scaleb(-3):f}"


def texts(levels):
    return [(f"{price}.00", lots(quantity)) for price, quantity in levels.items()]


def add_fill(fills, fill):
    """Take two executions in a row that differ in nothing but quantity for one."""
    if fills and fills[-1][:2] == fill[:2] and fills[-1][3] == fill[3]:
        fill = (*fill[:2], fills.pop()[2] + fill[2], fill[3])
    fills.append(fill)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_fills_positions_wallets_and_queues_are_those_of_the_slow_venue(make_venue, seed):
    pair = Pair(make_venue, seed)
    for _ in range(MOVES):
        pair.move()
