"""A row of income that the venue lists late is read all the same."""

from datetime import UTC
from decimal import Decimal

from libs.common.runtime.clock import Clock
from libs.common.testing.builders import NOW_NS
from libs.common.venue.payloads import Income
from services.execution.config import ExecutionConfig
from services.execution.fold_pnl import book_income
from services.execution.income import IncomeDesk
from services.execution.state import State

NOW_MS = NOW_NS // 1_000_000
MINUTE_MS = 60_000


def row(transaction_id, age_minutes):
    return Income(
        income_type="FUNDING_FEE", symbol="BTCUSDT", income=Decimal(1), asset="USDT",
        time_ms=NOW_MS - age_minutes * MINUTE_MS, transaction_id=transaction_id, trade_id="",
    )  # fmt: skip


class Venue:
    def __init__(self, *rows):
        self.rows = list(rows)

    async def income(self, *, start_ms, limit):
        found = sorted(self.rows, key=lambda one: one.time_ms)
        return [one for one in found if one.time_ms >= start_ms][:limit]


class Gate:
    def __init__(self):
        self.state = State()

    async def transact(self, decide, **_):
        for event in decide().events:
            book_income(self.state, event, NOW_NS)


class StandingClock(Clock):
    def now_ns(self):
        return NOW_NS


async def test_a_row_listed_long_after_a_newer_one_is_found_once_the_reconciler_names_it():
    venue, gate = Venue(row(1, 300), row(3, 1)), Gate()
    desk = IncomeDesk(gate, venue, StandingClock(), ExecutionConfig(), UTC)
    await desk.read_if_due()
    venue.rows.append(row(2, 60))
    desk.suspect()
    await desk.read_if_due()
    assert len(gate.state.incomes) == 2  # it lies before every overlap
    desk.suspect_late_row()
    await desk.read_if_due()
    desk.suspect()
    await desk.read_if_due()
    assert len(gate.state.incomes) == 3
