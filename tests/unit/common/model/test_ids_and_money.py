"""Ids follow from their causes; decimals are finite, exact and written without exponents."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.model.ids import (
    check_intent_id,
    derive_client_order_id,
    derive_intent_id,
)
from libs.common.model.money import is_multiple, parse_decimal, plain, round_down, round_up


@given(st.text(), st.text(), st.integers(1, 99))
def test_client_order_ids_fit_the_venue_s_pattern(account: str, intent_id: str, n: int) -> None:
    derived = derive_client_order_id(account, intent_id, n)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,36}", derived)
    assert derived == derive_client_order_id(account, intent_id, n)


def test_different_causes_have_different_ids() -> None:
    ids = {
        derive_intent_id(strategy, "0", symbol, candle)
        for strategy in ("a", "b")
        for symbol in ("X", "Y")
        for candle in ("1", "2")
    }
    assert len(ids) == 8
    assert derive_intent_id("ab", "c", "d", "e") != derive_intent_id("a", "bc", "d", "e")


@pytest.mark.parametrize("bad", ["", "a.b", "a b", "a*", ">", "x" * 65, "a/b", "a:b", "é"])
def test_intent_ids_unsafe_in_a_subject_are_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="intent_id"):
        check_intent_id(bad)


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "-Infinity", "sNaN", "", "1,5", "abc"])
def test_what_is_not_a_finite_number_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="number"):
        parse_decimal(bad)


def test_numbers_are_written_without_exponents() -> None:
    assert plain(Decimal("1E-8")) == "0.00000001"
    assert plain(parse_decimal("7.0E-4")) == "0.00070"
    assert plain(Decimal("1E+3")) == "1000"


@given(
    st.decimals(min_value=0, max_value=10**6, places=6),
    st.sampled_from(["0.1", "0.001", "1", "0.00010", "0.5"]),
)
def test_rounding_brackets_the_value_by_one_step(value: Decimal, step_text: str) -> None:
    step = Decimal(step_text)
    low, high = round_down(value, step), round_up(value, step)
    assert low <= value <= high
    assert high - low in (Decimal(0), step)
    assert is_multiple(low, step)
    assert is_multiple(high, step)
