"""The expected price equals that of walking the book level by level."""

from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.model.intent import Purpose
from libs.common.model.order import OrderType, Side
from services.risk.config import LimitsConfig, SizingConfig
from services.risk.core import decide
from services.risk.slippage import LEVELS_MAX, expected_price, predicted_bps


def a_quote(make, bid, ask, size):
    quote = make.quote(bid, ask)
    return msgspec.structs.replace(quote, bid_quantity=Decimal(size), ask_quantity=Decimal(size))


@given(
    bid=st.integers(1, 10_000),
    spread=st.integers(0, 20),
    size=st.integers(1, 50),
    quantity=st.integers(1, 900),
    side=st.sampled_from(Side),
)
def test_a_book_that_goes_on_as_it_begins_is_walked_level_by_level(
    make, bid, spread, size, quantity, side
):
    quote = a_quote(make, f"{bid}", f"{bid + spread}", f"{size}")
    left, paid, level = quantity, Fraction(0), 0
    while left:
        taken = min(left, size)
        best = bid + spread if side is Side.BUY else bid
        paid += taken * (best + side.sign * level * spread)
        left, level = left - taken, level + 1
    found = expected_price(side, Decimal(quantity), quote)
    assert abs(Fraction(found) - paid / quantity) < Fraction(1, 10**30)


def test_half_the_spread_is_expected_of_a_small_order_that_was_decided_at_the_mid(make):
    intent = make.intent(reference_price=Decimal(60_000))
    quote = make.quote("59997", "60003")
    assert predicted_bps(intent, Decimal("0.1"), quote) == Decimal("0.5000")
    sell = make.intent(side=Side.SELL, purpose=Purpose.EXIT, reference_price=Decimal(60_000))
    assert predicted_bps(sell, Decimal("0.1"), quote) == Decimal("0.5000")


def test_a_limit_fills_no_worse_than_its_limit(make):
    intent = make.intent(order_type=OrderType.LIMIT, price=Decimal(59_400))
    assert predicted_bps(intent, Decimal("0.1"), make.quote()) == -100


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "-1", "0", "1e400"])
def test_a_quote_that_makes_no_sense_predicts_nothing(make, bad):
    for name in ("bid_price", "ask_price", "ask_quantity"):
        quote = msgspec.structs.replace(make.quote(), **{name: Decimal(bad)})
        assert predicted_bps(make.intent(), Decimal(1), quote) is None
    assert predicted_bps(make.intent(), Decimal(1), None) is None
    assert predicted_bps(make.intent(), Decimal(bad), make.quote()) is None
    crossed = make.quote("60001", "60000")
    assert predicted_bps(make.intent(), Decimal(1), crossed) is None


def test_a_speck_at_the_best_price_predicts_nothing(make):
    quote = a_quote(make, "1", "2", "1")
    assert expected_price(Side.BUY, Decimal(LEVELS_MAX), quote) is not None
    assert expected_price(Side.BUY, Decimal(LEVELS_MAX + 1), quote) is None


def test_an_approval_carries_the_prediction(make):
    body = decide(
        LimitsConfig(),
        SizingConfig(),
        make.facts(),
        make.intent(reference_price=Decimal(59_994)),
        account="paper",
        now_ns=make.now_ns,
        now_wall_ns=0,
    )
    assert body.slippage_predicted_bps == Decimal("1.0001")
