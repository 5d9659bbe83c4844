"""Positions conserve money: cost released plus cost kept is cost paid, to the last digit."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from libs.common.model.money import ZERO
from libs.common.model.order import Side
from libs.common.model.position import Position

quantities = st.decimals(min_value="0.001", max_value=50, places=3)
prices = st.decimals(min_value="0.1", max_value=90_000, places=2)
fills = st.lists(st.tuples(st.sampled_from(Side), quantities, prices), max_size=30)


@given(fills)
def test_cash_paid_equals_cost_kept_less_profit_realised(
    events: list[tuple[Side, Decimal, Decimal]],
) -> None:
    position, paid = Position(symbol="X"), ZERO
    for side, quantity, price in events:
        position = position.with_fill(side, quantity, price)
        paid += side.sign * quantity * price
    assert paid == position.cost - position.realized_pnl


@given(fills)
def test_a_flat_position_has_no_cost(events: list[tuple[Side, Decimal, Decimal]]) -> None:
    position = Position(symbol="X")
    for side, quantity, price in events:
        position = position.with_fill(side, quantity, price)
    if position.quantity > 0:
        position = position.with_fill(Side.SELL, position.quantity, Decimal(1))
    elif position.quantity < 0:
        position = position.with_fill(Side.BUY, -position.quantity, Decimal(1))
    assert (position.quantity, position.cost) == (ZERO, ZERO)


def test_reducing_keeps_the_entry_price_and_a_flip_opens_at_the_new_one() -> None:
    long = Position(symbol="X").with_fill(Side.BUY, Decimal(3), Decimal(100))
    reduced = long.with_fill(Side.SELL, Decimal(1), Decimal(110))
    assert (reduced.entry_price, reduced.realized_pnl) == (Decimal(100), Decimal(10))
    flipped = reduced.with_fill(Side.SELL, Decimal(5), Decimal(90))
    assert (flipped.quantity, flipped.entry_price) == (Decimal(-3), Decimal(90))
    assert flipped.realized_pnl == Decimal(-10)
    assert flipped.unrealized_pnl(Decimal(80)) == Decimal(30)


def test_an_uneven_share_of_cost_is_rounded_half_to_even_and_nothing_is_lost() -> None:
    position = Position(symbol="X").with_fill(Side.BUY, Decimal(1), Decimal("0.1"))
    position = position.with_fill(Side.BUY, Decimal(2), Decimal("0.1"))
    third = position.with_fill(Side.SELL, Decimal(1), Decimal("0.2"))
    assert third.realized_pnl == Decimal("0.1")
    odd = Position(symbol="X").with_fill(Side.BUY, Decimal(3), Decimal("100.01"))
    odd = odd.with_fill(Side.BUY, Decimal(4), Decimal("99.99"))
    part = odd.with_fill(Side.SELL, Decimal(1), Decimal(100))
    assert part.realized_pnl == Decimal(100) - Decimal("99.99857143")
    assert part.cost == Decimal("699.99") - Decimal("99.99857143")


def test_closing_releases_the_whole_cost_however_fine_it_is() -> None:
    fine = Position(symbol="X").with_fill(Side.BUY, Decimal("0.00003"), Decimal("0.12345678"))
    assert fine.with_fill(Side.SELL, Decimal("0.00003"), Decimal(1)).cost == ZERO
