"""The reconciler's word is believed for a while, and never by default."""

import pytest

from libs.common.messages.account import Discrepancy, DiscrepancyKind, ReconcileReport
from services.execution import vouched
from services.execution.arming import Arming
from services.execution.vouched import CHECK, Vouched

MS = 1_000_000
AGE_MS_MAX = 10_000


@pytest.fixture
def now(monkeypatch):
    clock = {"ns": 5 * MS}
    monkeypatch.setattr(vouched, "monotonic_ns", lambda: clock["ns"])
    return clock


class Desk:
    def __init__(self):
        self.arming = Arming()
        self.suspected = []
        self.rows_missed = 0
        self.vouched = Vouched(self.arming, self.suspected.append, self.miss_row, AGE_MS_MAX)

    def miss_row(self):
        self.rows_missed += 1

    @property
    def is_passed(self):
        self.vouched.notice_silence()
        return not self.arming.is_failing(CHECK)

    def hear(self, *kinds, in_flight=0, is_tolerated=False):
        found = tuple(
            Discrepancy(
                kind=kind, subject="BTCUSDT", ours="1", theirs="0", is_confirmed=True,
                is_tolerated=is_tolerated,
            )
            for kind in kinds
        )  # fmt: skip
        self.vouched.hear(
            ReconcileReport(
                message_id="m", causation_id="m", correlation_id="m", ts_event_ns=1,
                ts_published_ns=1, source="reconciler", account="paper", cycle=1, trigger="period",
                is_clean=not found, discrepancies=found, positions_compared=1, orders_compared=0,
                balances_compared=1, journal_sequence=1, duration_ms=1, in_flight=in_flight,
            )
        )  # fmt: skip


def test_nothing_is_vouched_for_before_the_first_clean_report(now):
    desk = Desk()
    assert not desk.is_passed
    desk.hear(in_flight=1)
    assert not desk.is_passed
    desk.hear()
    assert desk.is_passed


@pytest.mark.parametrize("in_flight", [0, 2])
def test_a_reconciler_that_is_silent_or_never_sure_is_believed_no_longer_than_so_long(
    now, in_flight
):
    """A comparison that fails for ever sends no report, a busy account one that is never sure."""
    desk = Desk()
    desk.hear()
    now["ns"] += AGE_MS_MAX * MS
    if in_flight:
        desk.hear(in_flight=in_flight)
    assert desk.is_passed
    now["ns"] += MS
    if in_flight:
        desk.hear(in_flight=in_flight)
    assert not desk.is_passed
    assert "no clean comparison for 10 s" in " ".join(desk.arming.unarmed)
    desk.hear(DiscrepancyKind.INCOME_DRIFT, is_tolerated=True)
    assert desk.is_passed


def test_what_differs_is_told_as_the_reason_however_long_it_lasts(now):
    desk = Desk()
    desk.hear()
    desk.hear(DiscrepancyKind.PHANTOM_POSITION)
    now["ns"] += 9 * AGE_MS_MAX * MS
    assert not desk.is_passed
    assert "PHANTOM_POSITION BTCUSDT" in " ".join(desk.arming.unarmed)
    assert desk.suspected


def test_a_row_of_income_that_we_have_not_is_read_further_back_for(now):
    desk = Desk()
    desk.hear(DiscrepancyKind.INCOME_DRIFT)
    assert desk.rows_missed == 0
    desk.hear(DiscrepancyKind.MISSED_INCOME)
    assert desk.rows_missed == 1
