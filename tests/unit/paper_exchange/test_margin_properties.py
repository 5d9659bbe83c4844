"""Whatever customers, market and venue do, in either position mode and under either margin type.

Nothing is made or lost, positions are what the fills say, and an isolated position touches the
cross wallet no further than what was brought to it.
"""

from collections import defaultdict
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import chain

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.paper_exchange.state.liquidation_price import liquidation_price

CENT8 = Decimal("0.00000001")
LEVERAGE = 40
# Long sequences take a while to draw where the machine is busy; that is no fault of theirs.
MANY = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PRICES = {"BTCUSDT": 50_000, "ETHUSDT": 4_000}

MOVES = st.lists(
    st.tuples(
        st.sampled_from(
            ["MARKET", "MARKET", "MARKET", "LIMIT", "CANCEL", "TRADE", "BOOK", "BOOK", "STOP",
             "MARGIN", "MODE", "TYPE", "TIME", "LEVERAGE"]
        ),
        st.sampled_from(["BUY", "SELL"]),
        st.sampled_from(["LONG", "SHORT"]),
        st.integers(2, 900),
        st.integers(-400, 400),
        st.booleans(),
    ),
    min_size=12,
    max_size=40,
)  # fmt: skip


class Player:
    """One account, moved at random; what it is refused is no matter."""

    def __init__(self, venue, *, is_hedging, is_isolated):
        self.venue = venue
        for symbol in PRICES:
            venue.call("POST", "/fapi/v1/leverage", symbol=symbol, leverage=LEVERAGE)
        if is_hedging:
            venue.call("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
        if is_isolated:
            self.type("ISOLATED")

    def type(self, margin_type):
        self.venue.call("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType=margin_type)

    def move(self, symbol, kind, side, position_side, size, offset, flag):
        venue = self.venue
        price = f"{PRICES[symbol] + offset}.10"
        quantity = f"{Decimal(size).scaleb(-3):f}"
        sided = {"positionSide": position_side} if venue.account.is_hedge_mode else {}
        if kind in ("MARKET", "LIMIT"):
            reduces = {} if sided else {"reduceOnly": str(flag).lower()}
            limit = price if kind == "LIMIT" else None
            venue.order(side, quantity, limit, symbol=symbol, **sided, **reduces)
        elif kind == "CANCEL":
            venue.call("DELETE", "/fapi/v1/allOpenOrders", symbol=symbol)
        elif kind == "TRADE":
            venue.trade(symbol, price, quantity, is_buyer_maker=flag)
        elif kind == "BOOK":
            bid = PRICES[symbol] + 8 * offset
            mark = PRICES[symbol] + (8 if flag else 5) * offset
            depth = f"{size}"
            venue.depth(symbol, [(f"{bid}.00", depth)], [(f"{bid}.10", depth)], mark=f"{mark}")
            venue.exchange.on_mark(symbol, venue.now_ns)
        elif kind == "STOP":
            amount = {"closePosition": "true"} if flag else {"quantity": quantity}
            venue.call(
                "POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", symbol=symbol, side=side,
                type="STOP_MARKET", triggerPrice=price, **amount, **sided,
            )  # fmt: skip
        elif kind == "MARGIN":
            amount = f"{abs(offset)}.{size}"
            venue.call(
                "POST", "/fapi/v1/positionMargin", symbol=symbol, amount=amount,
                type=1 if flag else 2, **sided,
            )  # fmt: skip
        elif kind == "MODE":
            venue.call("POST", "/fapi/v1/positionSide/dual", dualSidePosition=str(flag).lower())
        elif kind == "TYPE":
            self.type("ISOLATED" if flag else "CROSSED")
        elif kind == "LEVERAGE":
            venue.call("POST", "/fapi/v1/leverage", symbol=symbol, leverage=2 + size // 10)
        else:
            venue.sleep(3_600)


def recomputed(account):
    """What the fills alone say, by the money rule once more.

    Quantity and cost per side, profit and commission over all, and what each fill opened.
    """
    held = defaultdict(Decimal)
    cost = defaultdict(Decimal)
    realized = commission = Decimal(0)
    opened = []
    for trade in sorted(chain(*account.trades.values()), key=lambda item: item.trade_id):
        key = (trade.symbol, trade.position_side)
        sign, left, told = (1 if trade.side == "BUY" else -1), trade.quantity, Decimal(0)
        if held[key] * sign < 0:
            closing = min(left, abs(held[key]))
            released = cost[key]
            if closing != abs(held[key]):
                released = (cost[key] * closing / abs(held[key])).quantize(
                    CENT8, rounding=ROUND_HALF_EVEN
                )
            told = -sign * closing * trade.price - released
            cost[key] -= released
            held[key] += sign * closing
            left -= closing
        assert left == 0 or trade.position_side == "BOTH" or (
            (trade.position_side == "LONG") == (sign > 0)
        )  # fmt: skip
        opened.append(left * trade.price)
        held[key] += sign * left
        cost[key] += sign * left * trade.price
        assert trade.realized == told
        realized += told
        commission += trade.commission
    return held, cost, realized, commission, opened


def check_money(venue):
    """Ledger, wallets, positions and figures agree with one another and with the fills."""
    exchange, account = venue.exchange, venue.account
    assert exchange.ledger.total() == 0
    wallets, margin = exchange.wallets_of(account), exchange.margin_of(account)
    assert wallets.cross + sum(wallets.isolated.values()) == exchange.wallet_of(account)
    assert (margin.cross_wallet, margin.wallet) == (wallets.cross, wallets.total)
    owned = sum(
        balance for name, balance in exchange.ledger.balances.items()
        if name.startswith(("wallet:", "isolated:"))
    )  # fmt: skip
    assert owned == wallets.total
    held, cost, realized, commission, _ = recomputed(account)
    other = sum(
        row.amount for row in account.income
        if row.income_type not in ("REALIZED_PNL", "COMMISSION")
    )  # fmt: skip
    assert wallets.total == realized - commission + other
    for key, position in account.positions.items():
        assert (position.quantity, position.cost) == (held[key], cost[key])
        side_sign = {"LONG": 1, "SHORT": -1}.get(position.position_side, 0)
        assert position.quantity * side_sign >= 0
        if not position.quantity or not account.is_isolated(position.symbol):
            assert exchange.isolated_wallet_of(account, *key) == 0


@MANY
@given(MOVES, st.booleans(), st.booleans())
def test_money_and_positions_are_what_the_fills_say(make_venue, moves, is_hedging, is_isolated):
    venue = make_venue(balance="3000")
    player = Player(venue, is_hedging=is_hedging, is_isolated=is_isolated)
    for move in moves:
        player.move("BTCUSDT" if move[3] % 4 else "ETHUSDT", *move)
        check_money(venue)


@MANY
@given(MOVES, st.booleans())
def test_an_isolated_position_touches_the_cross_wallet_no_further_than_what_it_was_brought(
    make_venue, moves, is_hedging
):
    venue = make_venue(balance="3000")
    player = Player(venue, is_hedging=is_hedging, is_isolated=True)
    account = venue.account
    for move in moves:
        if move[0] == "TYPE":
            continue
        before, leverage = venue.exchange.wallets_of(account).cross, account.leverage_of("BTCUSDT")
        fills = len(account.trades.get("BTCUSDT", []))
        changes = len(account.margin_changes)
        player.move("BTCUSDT", *move)
        opened = recomputed(account)[-1][fills:]
        brought = sum(notional / leverage + CENT8 for notional in opened)
        brought += sum(item.amount for item in account.margin_changes[changes:])
        assert venue.exchange.wallets_of(account).cross >= before - brought
        check_money(venue)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 5_000), st.integers(0, 5_000), st.integers(1, 90), st.booleans(),
    st.booleans(), st.integers(5_000, 400_000),
)  # fmt: skip
def test_at_its_liquidation_price_a_position_has_its_maintenance_margin_left(
    make_venue, long, short, leverage, is_hedging, is_isolated, balance
):
    venue = make_venue(balance=str(balance))
    player = Player(venue, is_hedging=is_hedging, is_isolated=is_isolated)
    venue.call("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=leverage)
    venue.order(
        "BUY", "1.000", symbol="ETHUSDT", **({"positionSide": "LONG"} if is_hedging else {})
    )
    for side, position_side, size in (("BUY", "LONG", long), ("SELL", "SHORT", short)):
        player.move("BTCUSDT", "MARKET", side, position_side, size, 0, False)
    margin = venue.exchange.margin_of(venue.account)
    prices = {
        key: liquidation_price(venue.account, key, margin)
        for key in margin.positions
        if key[0] == "BTCUSDT"
    }
    for key, price in prices.items():
        if not price:
            continue
        venue.exchange.books["BTCUSDT"].mark_price = price
        there = venue.exchange.margin_of(venue.account)
        backing, needed = there.cross_margin_balance, there.cross_maintenance
        if is_isolated:
            backing = there.positions[key].isolated_margin
            needed = there.positions[key].maintenance
        assert abs(backing - needed) < Decimal("0.000001")
