"""Money: nothing is made, and profit is what the trades say."""

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.paper_exchange.state.ledger import (
    Ledger,
    Posting,
    apply_fill,
    deposit_postings,
    fill_postings,
    position,
    wallet,
)


def test_postings_that_do_not_sum_to_zero_change_nothing():
    ledger = Ledger()
    with pytest.raises(AssertionError, match="sum to 1"):
        ledger.post([Posting("a", Decimal(2)), Posting("b", Decimal(-1))])
    assert ledger.balance("a") == 0
    assert ledger.total() == 0


@pytest.mark.parametrize(
    ("quantity", "cost", "fill", "price", "expected"),
    [
        ("0", "0", "2", "100", ("2", "200", "0")),
        ("2", "200", "1", "130", ("3", "330", "0")),
        ("3", "330", "-1", "120", ("2", "220", "10")),
        ("2", "220", "-2", "100", ("0", "0", "-20")),
        ("2", "220", "-3", "100", ("-1", "-100", "-20")),
        ("-1", "-100", "-1", "80", ("-2", "-180", "0")),
        ("-2", "-180", "1", "70", ("-1", "-90", "20")),
        ("-1", "-90", "2", "95", ("1", "95", "-5")),
        ("3", "100", "-1", "40", ("2", "66.66666667", "6.66666667")),
    ],
)
def test_the_money_rule_row_by_row(quantity, cost, fill, price, expected):
    found = apply_fill(Decimal(quantity), Decimal(cost), Decimal(fill), Decimal(price))
    assert found == tuple(map(Decimal, expected))


FILLS = st.lists(
    st.tuples(
        st.integers(-3000, 3000).filter(bool).map(lambda n: Decimal(n).scaleb(-3)),
        st.integers(1_000, 9_000_000).map(lambda n: Decimal(n).scaleb(-2)),
        st.booleans(),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(FILLS)
def test_the_ledger_sums_to_zero_and_profit_equals_a_recomputation_from_trades(fills):
    ledger, quantity, cost = Ledger(), Decimal(0), Decimal(0)
    held = position("one", "BTCUSDT", "BOTH")
    ledger.post(deposit_postings("one", Decimal(10_000)))
    paid = received = Fraction(0)
    commissions = realized_total = Decimal(0)
    for signed, price, is_maker in fills:
        change = apply_fill(quantity, cost, signed, price)
        rate = Decimal("0.0002") if is_maker else Decimal("0.0005")
        commission = (abs(signed) * price * rate).quantize(
            Decimal("0.00000001"), rounding=ROUND_HALF_EVEN
        )
        ledger.post(
            fill_postings(held, wallet("one"), change.cost - cost, change.realized, commission)
        )
        quantity, cost = change.quantity, change.cost
        realized_total += change.realized
        commissions += commission
        paid += Fraction(signed * price) if signed > 0 else 0
        received += Fraction(-signed * price) if signed < 0 else 0
        assert ledger.total() == 0
        assert ledger.balance(held) == cost
        assert (quantity == 0) <= (cost == 0)
        # Cash view: what came in less what went out is profit less what the position still holds.
        assert received - paid == Fraction(realized_total) - Fraction(cost)
    assert ledger.balance(wallet("one")) == 10_000 + realized_total - commissions
