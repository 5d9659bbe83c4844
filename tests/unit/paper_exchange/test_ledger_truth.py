"""Whatever orders, marks and funding do to several leveraged accounts, no money is made or lost."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.paper_exchange.config import Limits
from services.paper_exchange.money.margins import margins_of
from services.paper_exchange.money.transfers import TransferError, withdraw
from services.paper_exchange.wire.authentication import KeyType, Permission

ZERO = Decimal(0)
NAMES = ("one", "two", "three")
FUNDING_S = 8 * 3_600
ALL = frozenset(Permission)
KINDS = ("MARKET", "LIMIT", "MARK", "MARK", "JUMP", "FUNDING", "DEPOSIT", "WITHDRAW", "TRADE")

MOVES = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from(NAMES),
        st.sampled_from(["BTCUSDT", "ETHUSDT"]),
        st.booleans(),
        st.integers(1, 400),
        st.integers(-1_000, 1_000),
    ),
    max_size=40,
)
SETTINGS = st.tuples(
    st.sampled_from([5, 20, 75]),
    st.sampled_from(["cross", "isolated", "hedge"]),
    st.sampled_from(["0", "300", "1000000"]),
)


class Crowd:
    """Three customers of one venue, and what the market does to all of them."""

    def __init__(self, make_venue, leverage, mode, fund):
        self.venue = make_venue(Limits(insurance_fund=Decimal(fund)), balance="1000")
        self.exchange = self.venue.exchange
        self.mode = mode
        self.marks = {"BTCUSDT": Decimal(50_000), "ETHUSDT": Decimal(3_000)}
        self.keys = {"one": self.venue.key}
        for name in NAMES[1:]:
            self.exchange.open_account(name, Decimal(3_000), self.venue.now_ns)
            self.keys[name] = self.exchange.issue_key(name, ALL, KeyType.HMAC)
        for key in self.keys.values():
            if mode == "hedge":
                self.call("POST", "/fapi/v1/positionSide/dual", key, dualSidePosition="true")
            for symbol in self.marks:
                self.call("POST", "/fapi/v1/leverage", key, symbol=symbol, leverage=leverage)
                if mode == "isolated":
                    self.call(
                        "POST", "/fapi/v1/marginType", key, symbol=symbol, marginType="ISOLATED"
                    )

    def call(self, method, path, key, **parameters):
        return self.venue.call(method, path, key=key, **parameters)

    def do(self, kind, name, symbol, is_up, size, offset):
        account, key = self.exchange.accounts[name], self.keys[name]
        now_ns = self.venue.now_ns
        if kind in ("MARKET", "LIMIT"):
            self.order(kind, key, symbol, is_up, size, offset)
        elif kind in ("MARK", "JUMP"):
            step = Decimal(offset) / (20_000 if kind == "MARK" else 3_000)
            self.move(symbol, 1 + step, size)
        elif kind == "FUNDING":
            self.exchange.funding_rates.overrides[symbol] = Decimal(offset).scaleb(-5)
            self.exchange.advance(now_ns)
            self.venue.sleep(FUNDING_S)
        elif kind == "DEPOSIT":
            self.exchange.deposit(account, Decimal(size), now_ns)
        elif kind == "WITHDRAW":
            try:
                withdraw(self.exchange, account, Decimal(size), now_ns)
            except TransferError:
                pass
            self.exchange.settle_risk(now_ns)
        else:
            price = self.price(symbol, 1 + Decimal(offset) / 20_000)
            self.venue.trade(symbol, price, Decimal(size).scaleb(-2), is_buyer_maker=is_up)

    def order(self, kind, key, symbol, is_up, size, offset):
        sides = {}
        if self.mode == "hedge":
            sides = {"positionSide": "LONG" if offset % 2 else "SHORT"}
        scale = -3 if symbol == "BTCUSDT" else -2
        asked = {"symbol": symbol, "side": "BUY" if is_up else "SELL", "type": kind,
                 "quantity": Decimal(size).scaleb(scale), **sides}  # fmt: skip
        if kind == "LIMIT":
            price = self.price(symbol, 1 + Decimal(offset) / 50_000)
            asked |= {"price": price, "timeInForce": "GTC"}
        self.call("POST", "/fapi/v1/order", key, **asked)

    def price(self, symbol, factor):
        return (self.marks[symbol] * factor).quantize(Decimal("0.1"))

    def move(self, symbol, factor, size):
        """The mark moves, within reason; the book around it is deep, thin or far away."""
        mark = self.price(symbol, factor)
        start = {"BTCUSDT": 50_000, "ETHUSDT": 3_000}[symbol]
        mark = min(max(mark, Decimal(start) / 3), Decimal(start) * 3).quantize(Decimal("0.1"))
        self.marks[symbol] = mark
        gap = Decimal(size % 3) / 500
        depth = ("1000", "0.010", "0.500")[size % 3]
        bid, ask = self.price(symbol, 1 - gap), self.price(symbol, 1 + gap) + 1
        self.venue.depth(symbol, [(f"{bid}", depth)], [(f"{ask}", depth)], mark=f"{mark}")
        self.exchange.on_mark(symbol, self.venue.now_ns)

    def check(self):
        exchange, ledger = self.exchange, self.exchange.ledger
        assert ledger.total() == 0
        assert exchange.limits.insurance_fund + ledger.balance("insurance") >= 0
        assert not exchange.risk.unsettled
        owned = ZERO
        for account in exchange.accounts.values():
            wallet = exchange.wallet_of(account)
            owned += wallet
            assert wallet == sum((row.amount for row in account.income), ZERO)
            if not account.has_position():
                assert wallet >= 0
            for margin in margins_of(exchange, account):
                assert not margin.is_used_up
            for position in account.positions.values():
                is_holder = account.account_id in exchange.risk.holders[position.symbol]
                assert is_holder == account.has_position(position.symbol)
                if not position.quantity:
                    assert exchange.isolated_wallet_of(account, *position.key) == 0
        paid_in = -ledger.balance("deposits")
        elsewhere = sum(
            (ledger.balance(name) for name in ("market", "fees", "funding", "insurance")), ZERO
        )
        assert owned == paid_in - elsewhere


@settings(max_examples=150, deadline=None)
@given(SETTINGS, MOVES)
def test_no_money_is_made_lost_or_moved_without_a_row(make_venue, chosen, moves):
    crowd = Crowd(make_venue, *chosen)
    crowd.check()
    for move in moves:
        crowd.do(*move)
        crowd.check()


@pytest.mark.parametrize("mode", ["cross", "isolated", "hedge"])
@pytest.mark.parametrize("fund", ["0", "300", "1000000"])
def test_jumps_that_wipe_everybody_out_leave_no_wallet_below_zero(make_venue, mode, fund):
    crowd = Crowd(make_venue, 75, mode, fund)
    closed = 0
    for number in range(60):
        name = NAMES[number % 3]
        symbol = "BTCUSDT" if number % 2 else "ETHUSDT"
        crowd.do("MARKET", name, symbol, number % 4 < 2, 100 + number, number)
        crowd.check()
        if number % 5 == 4:
            crowd.do("JUMP", name, symbol, True, number, -900 if number % 2 else 900)
            crowd.check()
        if number % 6 == 5:
            crowd.do("DEPOSIT", name, symbol, True, 400, 0)
            crowd.check()
    for account in crowd.exchange.accounts.values():
        closed += sum(1 for order in account.orders.values() if order.auto_close_type)
    assert closed
