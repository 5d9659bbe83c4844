"""Whatever customers of both position modes and the market do, what the venue knows fits together.

Money sums to zero, the indexes of resting and waiting orders hold exactly the open ones, and a
position of hedge mode never changes its sign.
"""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from services.paper_exchange.wire.authentication import KeyType, Permission

SYMBOL = "BTCUSDT"
MOVES = st.lists(
    st.tuples(
        st.sampled_from(["one", "two", "hedged", "hedger"]),
        st.sampled_from(
            ["LIMIT", "LIMIT", "MARKET", "STOP", "CLOSE", "TRAIL", "PUT", "CANCEL", "PRINT", "BOOK"]
        ),
        st.sampled_from(["BUY", "SELL"]),
        st.sampled_from(["LONG", "SHORT"]),
        st.sampled_from(["GTC", "GTC", "IOC", "FOK", "GTX", "RPI"]),
        st.sampled_from(["NONE", "EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH"]),
        st.integers(2, 80),
        st.integers(-15, 15),
        st.booleans(),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(MOVES)
def test_whatever_happens_what_the_venue_knows_fits_together(make_venue, moves):
    venue = make_venue(balance="100000")
    keys = {"one": venue.key}
    for account_id in ("two", "hedged", "hedger"):
        account = venue.exchange.open_account(account_id, Decimal(100_000), venue.now_ns)
        account.is_hedge_mode = account_id.startswith("hedge")
        keys[account_id] = venue.exchange.issue_key(account_id, frozenset(Permission), KeyType.HMAC)
        venue.call("POST", "/fapi/v1/listenKey", key=keys[account_id])
    for account_id, *move in moves:
        move_once(venue, keys[account_id], account_id.startswith("hedge"), *move)
        check(venue)


def move_once(
    venue, key, is_hedged, kind, side, position_side, time_in_force, mode, size, offset, flag
):
    quantity, price = f"{Decimal(size).scaleb(-3):f}", f"{50000 + offset}.00"
    settings_ = {"key": key, "selfTradePreventionMode": mode}
    settings_ |= {"positionSide": position_side} if is_hedged else {"reduceOnly": str(flag).lower()}
    if kind == "LIMIT":
        venue.order(side, quantity, price, timeInForce=time_in_force, **settings_)
    elif kind == "MARKET":
        venue.order(side, quantity, **settings_)
    elif kind in ("STOP", "CLOSE", "TRAIL"):
        conditional(venue, kind, side, quantity, price, **settings_)
    elif kind == "PUT":
        for order in list(venue.exchange.accounts[key.account_id].open_orders.values())[:1]:
            venue.call(
                "PUT", "/fapi/v1/order", key=key, symbol=SYMBOL, orderId=order.order_id,
                side=order.side, quantity=quantity, price=price,
            )  # fmt: skip
    elif kind == "CANCEL":
        path = "/fapi/v1/allOpenOrders" if flag else "/fapi/v1/algoOpenOrders"
        venue.call("DELETE", path, key=key, symbol=SYMBOL)
    elif kind == "PRINT":
        venue.trade(SYMBOL, price, quantity, is_buyer_maker=flag)
    else:
        bid = f"{50000 + offset - 3}.00"
        venue.depth(SYMBOL, [(bid, quantity)], [(price, quantity)], mark=bid)
        venue.exchange.on_mark(SYMBOL, venue.now_ns)


def conditional(venue, kind, side, quantity, price, **more):
    more.pop("selfTradePreventionMode")
    if kind == "STOP":
        more |= {"type": "STOP_MARKET", "triggerPrice": price, "quantity": quantity}
    elif kind == "TRAIL":
        more |= {"type": "TRAILING_STOP_MARKET", "callbackRate": "0.1", "quantity": quantity}
    else:
        more.pop("reduceOnly", None)
        more |= {"type": "STOP_MARKET", "triggerPrice": price, "closePosition": "true"}
    venue.call(
        "POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", symbol=SYMBOL, side=side, **more
    )


def check(venue):
    exchange = venue.exchange
    accounts = exchange.accounts.values()
    assert exchange.ledger.total() == 0
    resting = sorted(order.order_id for order in exchange.resting[SYMBOL])
    assert resting == sorted(order_id for one in accounts for order_id in one.open_orders)
    waiting = sum(len(account.waiting_algos) for account in accounts)
    assert len(exchange.conditional[SYMBOL]) == waiting
    for account in accounts:
        assert account.position(SYMBOL, "LONG").quantity >= 0
        assert account.position(SYMBOL, "SHORT").quantity <= 0
        for order in account.open_orders.values():
            assert order.is_open
            assert order.leaves > 0
            if order.is_reducing:
                assert exchange.reducible(account, SYMBOL, order.sign, order.position_side) > 0
