"""Sizes never exceed what was meant, whatever the figures, and nothing unknown passes a check."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.messages.intents import ApprovalBody
from libs.common.model.intent import Purpose
from libs.common.model.order import OrderType, Side, TimeInForce
from services.risk.config import LimitsConfig, SizingConfig, SizingMethod
from services.risk.core import decide
from services.risk.sizing import equity, notional, reference_price, size

prices = st.decimals(min_value="0.00000001", max_value=10**9, places=8)
figures = st.decimals(allow_nan=True, allow_infinity=True) | st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent),
    st.integers(-99, 99),
    st.integers(-2_000, 2_000),
)
sides = st.sampled_from(Side)


@given(bid=prices, ask=prices, mark=prices, money=prices, side=sides)
def test_a_size_is_never_worth_more_than_was_meant(make, bid, ask, mark, money, side):
    facts = make.facts(quote=make.quote(bid, ask), marks={"BTCUSDT": make.mark(mark)})
    quantity = size(SizingConfig(notional=money), make.intent(side=side), facts)
    assert quantity is not None
    assert quantity == quantity.quantize(Decimal("1e-8"))
    for price in (ask if side is Side.BUY else bid, mark):
        assert notional(quantity, price) <= money


@given(asked=prices)
def test_a_quantity_asked_for_is_never_rounded_up(make, asked):
    asked = asked / 7
    quantity = size(SizingConfig(), make.intent(quantity=asked), make.facts())
    assert quantity is not None
    assert 0 <= asked - quantity < Decimal("1e-8")


@given(held=prices, asked=st.none() | prices)
def test_an_exit_is_never_larger_than_the_position(make, held, asked):
    account = make.account(positions=(make.position(-held),))
    intent = make.intent(purpose=Purpose.EXIT, quantity=asked)
    quantity = size(SizingConfig(), intent, make.facts(account=account))
    assert quantity == (held if asked is None else min(held, asked))


def put(make, where, value):
    """The facts with one figure replaced."""
    account, quote, mark = make.account(), make.quote(), make.mark()
    if where in ("bid_price", "ask_price"):
        quote = msgspec.structs.replace(quote, **{where: value})
    elif where == "mark_price":
        mark = msgspec.structs.replace(mark, mark_price=value)
    elif where == "wallet_balance":
        account = msgspec.structs.replace(account, wallet_balance=value)
    else:
        position = msgspec.structs.replace(make.position("-0.01"), **{where: value})
        account = msgspec.structs.replace(account, positions=(position,))
    return make.facts(quote=quote, marks={"BTCUSDT": mark}, account=account)


WHERE = ("bid_price", "ask_price", "mark_price", "wallet_balance", "quantity", "cost")


@given(
    where=st.sampled_from(WHERE),
    value=figures,
    purpose=st.sampled_from(Purpose),
    method=st.sampled_from(SizingMethod),
    side=sides,
)
def test_no_figure_breaks_a_decision_or_passes_as_more_than_the_limits(
    make, where, value, purpose, method, side
):
    limits = LimitsConfig()
    decision = decide(
        limits,
        SizingConfig(method=method),
        put(make, where, value),
        make.intent(purpose=purpose, side=side),
        account="paper",
        now_ns=make.now_ns,
        now_wall_ns=0,
    )
    if not isinstance(decision, ApprovalBody):
        return
    quantity, price = decision.order.quantity, decision.reference_price
    assert quantity.is_finite()
    assert quantity > 0
    assert price.is_finite()
    assert price > 0
    if where in ("bid_price", "ask_price", "mark_price", "quantity"):
        assert value.is_finite()
    if purpose is Purpose.ENTER:
        assert quantity * price <= limits.order_notional_max


@pytest.mark.parametrize("where", ["wallet_balance", "cost", "quantity", "mark_price"])
@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), Decimal("sNaN")])
def test_equity_is_not_known_where_a_part_of_it_is_no_number(make, where, value):
    facts = put(make, where, value)
    if where == "mark_price":
        facts = msgspec.structs.replace(
            facts, account=make.account(positions=(make.position("0.1"),))
        )
    assert equity(facts) is None


def test_a_fraction_of_equity_counts_unrealised_profit(make):
    account = make.account(positions=(make.position("-0.1", price="70000"),))
    facts = make.facts(account=account)
    assert equity(facts) == 11_000
    settings = SizingConfig(method=SizingMethod.EQUITY_FRACTION, equity_fraction=Decimal("0.6"))
    assert size(settings, make.intent(), facts) == Decimal("0.11")


def test_no_money_left_sizes_to_nothing(make):
    facts = make.facts(account=make.account(wallet_balance=Decimal(-5)))
    settings = SizingConfig(method=SizingMethod.EQUITY_FRACTION)
    assert size(settings, make.intent(), facts) == 0


@pytest.mark.parametrize("side", list(Side))
def test_an_absurd_limit_price_does_not_make_an_order_larger(make, side):
    intent = make.intent(
        side=side, order_type=OrderType.LIMIT, price=Decimal(1), time_in_force=TimeInForce.GTC
    )
    assert reference_price(intent, make.facts()) == 60_000
    assert size(SizingConfig(), intent, make.facts()) == Decimal("0.01666666")


def test_an_absurd_quote_does_not_make_an_order_larger(make):
    facts = make.facts(quote=make.quote("0.5", "1"))
    assert size(SizingConfig(), make.intent(), facts) == Decimal("0.01666666")
