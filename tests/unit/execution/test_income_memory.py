"""Rows of income are known again as long as they may be read again, and memory is bounded."""

from decimal import Decimal

import pytest

from libs.common.messages.income_events import IncomeReceived
from libs.common.testing.builders import NOW_NS
from services.execution import fold_pnl
from services.execution.fold_pnl import book_income
from services.execution.state import State

MS = 1_000_000
KEPT_MAX = 20


@pytest.fixture(autouse=True)
def small_memory(monkeypatch):
    monkeypatch.setattr(fold_pnl, "INCOMES_REMEMBERED_MAX", KEPT_MAX)


def rebate(number, at_ns):
    return IncomeReceived(
        income_type="COMMISSION_REBATE", symbol="BTCUSDT", asset="USDT", amount=Decimal(1),
        transaction_id=str(number), ts_income_ns=at_ns,
    )  # fmt: skip


def total(state):
    return sum((row.other.get("USDT", 0) for _, row in state.pnl.rows()), Decimal(0))


def test_however_many_rows_come_in_a_day_so_many_are_remembered_and_each_counts_once():
    state, now_ns = State(), NOW_NS + 10**12
    rows = [rebate(number, NOW_NS + number // 3 * MS) for number in range(10 * KEPT_MAX)]
    for number, row in enumerate(rows):
        book_income(state, row, now_ns)
        for again in rows[: number + 1]:  # the list is read again from any moment
            book_income(state, again, now_ns)
        assert len(state.incomes) <= KEPT_MAX
        assert total(state) == number + 1


def test_of_rows_of_one_millisecond_none_is_lost_or_counted_twice():
    state = State()
    rows = [rebate(number, NOW_NS) for number in range(2 * KEPT_MAX)]
    for row in rows + rows:
        book_income(state, row, NOW_NS)
    assert total(state) == len(rows)
