"""Whatever customers, the market and time do: money adds up, and all of it is told in order."""

import json
import random
from decimal import Decimal

import pytest

from services.paper_exchange.config import Limits
from services.paper_exchange.money.settlement import settle_symbol
from services.paper_exchange.money.surprises import ForcedClosing, force_close
from services.paper_exchange.state.ledger import isolated, wallet
from services.paper_exchange.wire.authentication import KeyType, Permission
from tests.unit.paper_exchange.told_life import ENDS, ToldLife

SYMBOLS = {"BTCUSDT": (Decimal(50_000), 2, 3), "ETHUSDT": (Decimal(3_000), 2, 3)}
SEEDS, MOVES = 40, 120


class Crowd:
    """Customers of every mode on two symbols, and dice."""

    def __init__(self, make_venue, seed):
        self.dice = random.Random(seed)
        fund = Decimal(self.dice.choice((0, 500, 1_000_000)))
        limits = Limits(listen_key_valid_ms=10**12, insurance_fund=fund)
        self.venue = make_venue(limits, balance="3000")
        self.keys = {"one": self.venue.key}
        for name in ("two", "three", "four"):
            self.venue.exchange.open_account(name, Decimal(3_000), self.venue.now_ns)
            self.keys[name] = self.venue.exchange.issue_key(
                name, frozenset(Permission), KeyType.HMAC
            )
        self.lives = {}
        self.middle = {symbol: price for symbol, (price, _, _) in SYMBOLS.items()}
        for name, key in self.keys.items():
            if name in ("two", "four"):
                self.call(name, "POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
            for symbol in SYMBOLS:
                if name in ("three", "four"):
                    self.call(
                        name, "POST", "/fapi/v1/marginType", symbol=symbol, marginType="ISOLATED"
                    )
                leverage = self.dice.choice((5, 20, 75))
                self.call(name, "POST", "/fapi/v1/leverage", symbol=symbol, leverage=leverage)
            listen_key = self.venue.call("POST", "/fapi/v1/listenKey", key=key).body["listenKey"]
            self.lives[listen_key] = (name, ToldLife())
        self.venue.exchange.outbox.clear()
        self.moves = (
            [self.order] * 10 + [self.algo] * 4 + [self.modify] * 2 + [self.cancel] * 2
            + [self.print] * 4 + [self.show] * 4 + [self.mark] * 3
            + [self.sleep, self.fund, self.margin, self.batch, self.surprise]
        )  # fmt: skip

    def call(self, name, method, path, **parameters):
        return self.venue.call(method, path, key=self.keys[name], **parameters)

    def account(self, name):
        return self.venue.exchange.accounts[name]

    def move(self):
        self.dice.choice(self.moves)()
        self.check()

    def price(self, symbol, spread=20):
        tick = self.middle[symbol] / 5_000
        price = self.middle[symbol] + tick * self.dice.randint(-spread, spread)
        return f"{price.quantize(Decimal('0.1')):.2f}"

    def chosen(self):
        name, symbol = self.dice.choice(list(self.keys)), self.dice.choice(list(SYMBOLS))
        side = self.dice.choice(("BUY", "SELL"))
        notional = self.dice.choice((150, 1_000, 8_000, 40_000))
        quantity = f"{Decimal(notional) / self.middle[symbol]:.3f}"
        more = {"symbol": symbol, "side": side, "quantity": quantity}
        if self.account(name).is_hedge_mode:
            more["positionSide"] = self.dice.choice(("LONG", "SHORT"))
        else:
            more["reduceOnly"] = self.dice.choice(("true", "false", "false"))
        return name, more

    def order_parameters(self):
        name, more = self.chosen()
        if self.dice.random() < 0.4:
            return name, more | {"type": "MARKET"}
        time_in_force = self.dice.choice(("GTC", "GTC", "GTC", "IOC", "FOK", "GTX", "GTD"))
        if time_in_force == "GTD":
            now_ms = self.venue.now_ns // 10**6
            more["goodTillDate"] = now_ms + self.dice.choice((700_000, 4_000_000))
        price = self.price(more["symbol"])
        return name, more | {"type": "LIMIT", "timeInForce": time_in_force, "price": price}

    def order(self):
        name, more = self.order_parameters()
        mode = self.dice.choice(("NONE", "EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH"))
        before, free = self.picture(name), self.free(name)
        found = self.call(name, "POST", "/fapi/v1/order", selfTradePreventionMode=mode, **more)
        assert found.status == 200 or self.picture(name) == before
        if found.status == 200 and self.account(name).orders[found.body["orderId"]].executed == 0:
            assert self.free(name) >= min(0, free)

    def batch(self):
        name, first = self.order_parameters()
        orders = json.dumps([first] * self.dice.randint(1, 5))
        self.call(name, "POST", "/fapi/v1/batchOrders", batchOrders=orders)

    def algo(self):
        name, more = self.chosen()
        kind = self.dice.choice(("STOP", "STOP_MARKET", "TAKE_PROFIT_MARKET", "TRAILING", "CLOSE"))
        more["workingType"] = self.dice.choice(("CONTRACT_PRICE", "MARK_PRICE"))
        price = self.price(more["symbol"])
        if kind == "TRAILING":
            more |= {"type": "TRAILING_STOP_MARKET", "callbackRate": "0.1"}
        elif kind == "CLOSE":
            more |= {"type": "STOP_MARKET", "closePosition": "true", "triggerPrice": price}
            more.pop("quantity")
            more.pop("reduceOnly", None)
        else:
            more |= {"type": kind, "triggerPrice": price}
            if kind == "STOP":
                more["price"] = self.price(more["symbol"])
        self.call(name, "POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", **more)

    def modify(self):
        name = self.dice.choice(list(self.keys))
        for order in list(self.account(name).open_orders.values())[:1]:
            quantity = order.quantity * self.dice.choice((1, 1, 3, 10))
            free = self.free(name)
            self.call(
                name, "PUT", "/fapi/v1/order", symbol=order.symbol, orderId=order.order_id,
                side=order.side, quantity=f"{quantity:f}", price=self.price(order.symbol),
            )  # fmt: skip
            if order.is_open and order.executed == 0:
                assert self.free(name) >= min(0, free)

    def cancel(self):
        name, symbol = self.dice.choice(list(self.keys)), self.dice.choice(list(SYMBOLS))
        path = self.dice.choice(("/fapi/v1/allOpenOrders", "/fapi/v1/algoOpenOrders"))
        self.call(name, "DELETE", path, symbol=symbol)

    def print(self):
        symbol = self.dice.choice(list(SYMBOLS))
        quantity = f"{Decimal(self.dice.choice((50, 5_000))) / self.middle[symbol]:.3f}"
        buyer = self.dice.random() < 0.5
        self.venue.trade(symbol, self.price(symbol), quantity, is_buyer_maker=buyer)

    def show(self):
        symbol = self.dice.choice(list(SYMBOLS))
        self.middle[symbol] *= 1 + Decimal(self.dice.randint(-15, 15)) / 1_000
        middle = self.middle[symbol]
        quantity = f"{Decimal(self.dice.choice((300, 9_000, 900_000))) / middle:.3f}"
        bids = [(f"{middle * (1 - Decimal(n) / 2_000):.1f}", quantity) for n in range(1, 4)]
        asks = [(f"{middle * (1 + Decimal(n) / 2_000):.1f}", quantity) for n in range(1, 4)]
        self.venue.depth(symbol, bids, asks)

    def mark(self):
        symbol = self.dice.choice(list(SYMBOLS))
        mark = (self.middle[symbol] * (1 + Decimal(self.dice.randint(-9, 9)) / 1_000)).quantize(
            Decimal("0.01")
        )
        self.venue.exchange.books[symbol].mark_price = mark
        self.venue.exchange.on_mark(symbol, self.venue.now_ns)

    def sleep(self):
        self.venue.sleep(self.dice.choice((1, 60, 700)))

    def fund(self):
        symbol = self.dice.choice(list(SYMBOLS))
        rate = Decimal(self.dice.randint(-20, 20)) / 1_000
        self.venue.exchange.funding_rates.overrides[symbol] = rate
        self.venue.sleep(self.dice.choice((8, 30)) * 3_600)

    def margin(self):
        name, symbol = self.dice.choice(("three", "four")), self.dice.choice(list(SYMBOLS))
        side = "BOTH" if name == "three" else self.dice.choice(("LONG", "SHORT"))
        amount, kind = self.dice.choice((1, 20, 500)), self.dice.choice((1, 2))
        before = self.venue.exchange.wallet_of(self.account(name))
        self.call(
            name, "POST", "/fapi/v1/positionMargin", symbol=symbol, positionSide=side,
            amount=amount, type=kind,
        )  # fmt: skip
        assert self.venue.exchange.wallet_of(self.account(name)) <= before

    def surprise(self):
        exchange, now_ns = self.venue.exchange, self.venue.now_ns
        symbol, name = self.dice.choice(list(SYMBOLS)), self.dice.choice(list(self.keys))
        kind = self.dice.choice(list(ForcedClosing))
        if kind is ForcedClosing.SETTLEMENT:
            settle_symbol(exchange, symbol, now_ns)
            assert not any(one.has_position(symbol) for one in exchange.accounts.values())
        elif self.account(name).has_position(symbol):
            price = Decimal(self.price(symbol, 400))
            force_close(exchange, self.account(name), symbol, kind, now_ns, price=price)
        exchange.settle_risk(now_ns)

    def free(self, name):
        return self.venue.exchange.margin_of(self.account(name)).free

    def picture(self, name):
        account, ledger = self.account(name), self.venue.exchange.ledger
        positions = {key: one.quantity for key, one in account.positions.items() if one.quantity}
        return dict(ledger.balances), positions, sorted(account.open_orders)

    def check(self):
        exchange = self.venue.exchange
        assert exchange.ledger.total() == 0
        for entry in exchange.outbox:
            self.lives[entry.listen_key][1].hear(entry.event)
        exchange.outbox.clear()
        for name, life in self.lives.values():
            self.check_account(self.account(name), life)

    def check_account(self, account, life):
        exchange, name = self.venue.exchange, account.account_id
        purses = {key: exchange.ledger.balance(isolated(name, *key)) for key in account.positions}
        cross = exchange.ledger.balance(wallet(name))
        assert exchange.wallet_of(account) == cross + sum(purses.values())
        held = {key: one for key, one in account.positions.items() if one.quantity}
        assert cross >= 0 or any(not account.is_isolated(key[0]) for key in held)
        open_told = {one for one, status in life.statuses.items() if status not in ENDS}
        assert open_told == set(account.open_orders)
        waiting = {one for one, status in life.algos.items() if status == "NEW"}
        assert waiting == set(account.waiting_algos)
        assert not life.told_short
        if life.balances is not None:
            assert life.balances == (exchange.wallet_of(account), cross)
        for key, one in account.positions.items():
            assert life.positions.get(key, 0) == one.quantity
        paid = sum(row.amount for row in account.income)
        assert paid == exchange.wallet_of(account)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_money_adds_up_and_every_life_is_told_in_order(make_venue, seed):
    crowd = Crowd(make_venue, seed)
    for _ in range(MOVES):
        crowd.move()
