"""What the journal tells of money against the venue's list, row by row."""

from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from libs.common.messages.account import DiscrepancyKind
from libs.common.messages.income_events import IncomeReceived
from libs.common.messages.journal import FillReceived
from libs.common.model.order import Side
from libs.common.testing.builders import a_record
from libs.common.venue.payloads import Income
from services.reconciler.income import compare_income
from services.reconciler.ledger import Ledger, rows_of
from services.reconciler.snapshots import IncomeSeen

KIND = DiscrepancyKind
NOW_NS = 1_000_000_000_000
S = 1_000_000_000
DAY_NS = 86_400 * S


def fill(trade_id=7, pnl="1.25", commission="0.03", asset="USDT", at_ns=NOW_NS):
    return FillReceived(
        symbol="BTCUSDT", trade_id=trade_id, client_order_id="", venue_order_id=1, side=Side.BUY,
        quantity=Decimal(1), price=Decimal(1), commission=Decimal(commission),
        commission_asset=asset, venue_realized_pnl=Decimal(pnl), is_maker=False, ts_trade_ns=at_ns,
    )  # fmt: skip


def funding(amount="-0.5", transaction_id="11", at_ns=NOW_NS):
    return IncomeReceived(
        income_type="FUNDING_FEE", symbol="BTCUSDT", asset="USDT", amount=Decimal(amount),
        transaction_id=transaction_id, ts_income_ns=at_ns,
    )  # fmt: skip


def listed(income_type, amount, *, trade="", transaction=1, asset="USDT", at_ns=NOW_NS):
    return Income(
        income_type=income_type, symbol="BTCUSDT", income=Decimal(amount), asset=asset,
        time_ms=at_ns // 1_000_000, transaction_id=transaction, trade_id=trade,
    )  # fmt: skip


OF_THE_FILL = [
    listed("REALIZED_PNL", "1.25", trade="7", transaction=1),
    listed("COMMISSION", "-0.03", trade="7", transaction=2),
]
OF_THE_FUNDING = [listed("FUNDING_FEE", "-0.5", transaction=11)]


def ledger(*events):
    known = Ledger("USDT", DAY_NS)
    known.fold(a_record(*events, now_ns=NOW_NS))
    return known


def look(events, rows, until_ns=NOW_NS, **arguments):
    theirs = IncomeSeen(rows=rows_of(rows), since_ns=NOW_NS - DAY_NS, until_ns=NOW_NS + S)
    found, compared = compare_income(ledger(*events).rows, theirs, until_ns=until_ns, **arguments)
    return [(one.kind, one.subject, one.ours, one.theirs) for one in found], compared


def test_fills_and_income_that_agree_to_the_last_digit_are_clean():
    assert look([fill(), funding()], [*OF_THE_FILL, *OF_THE_FUNDING]) == ([], 3)


def test_pages_that_overlap_count_each_row_once_and_a_trade_booked_in_parts_as_one():
    parts = [
        listed("COMMISSION", "-0.01", trade="7", transaction=2),
        listed("COMMISSION", "-0.02", trade="7", transaction=3),
    ]
    assert look([fill()], [OF_THE_FILL[0], *parts, *parts]) == ([], 2)


def test_a_row_that_only_the_venue_has_was_missed():
    found, _ = look([fill()], [*OF_THE_FILL, *OF_THE_FUNDING])
    assert found == [(KIND.MISSED_INCOME, "FUNDING_FEE BTCUSDT USDT", "none", "-0.5 (11 -0.5)")]


def test_one_unit_of_the_last_digit_is_drift():
    found, _ = look([funding("-0.50000001")], OF_THE_FUNDING)
    assert [one[0] for one in found] == [KIND.INCOME_DRIFT]


def test_a_row_that_only_the_journal_has_is_drift():
    found, _ = look([fill(), funding()], OF_THE_FILL)
    assert [(one[0], one[3]) for one in found] == [(KIND.INCOME_DRIFT, "none")]


def test_what_was_paid_in_another_asset_is_compared_in_that_asset():
    paid = listed("COMMISSION", "-0.0001", trade="7", transaction=2, asset="BNB")
    assert look([fill(pnl="0", commission="0.0001", asset="BNB")], [paid]) == ([], 1)
    found, _ = look([fill(pnl="0", commission="0.0001", asset="USDT")], [paid])
    assert {one[0] for one in found} == {KIND.MISSED_INCOME, KIND.INCOME_DRIFT}


def test_rows_that_may_be_under_way_are_not_compared_on_either_side():
    assert look([fill()], OF_THE_FUNDING, until_ns=NOW_NS - 1) == ([], 0)


def test_rows_of_fills_that_are_known_to_be_missed_say_nothing_new():
    missed = frozenset({"BTCUSDT"})
    assert look([], OF_THE_FILL, symbols_missed=missed)[0] == []
    assert look([], OF_THE_FUNDING, symbols_missed=missed)[0] != []


def test_a_list_that_was_not_asked_for_is_not_compared():
    assert compare_income(ledger(fill()).rows, None, until_ns=NOW_NS) == ([], 0)


def test_the_ledger_forgets_what_is_older_than_is_compared_and_says_from_when_it_is_whole():
    known = ledger(fill())
    assert known.since_ns == NOW_NS
    later_ns = NOW_NS + 2 * DAY_NS
    known.fold(a_record(fill(8, at_ns=later_ns), now_ns=later_ns))
    assert {key[3] for key in known.rows} == {"8"}
    assert known.since_ns == later_ns - DAY_NS


AMOUNTS = st.decimals(min_value="-9999", max_value="9999", places=8).filter(bool)


@given(
    rows=st.lists(AMOUNTS, min_size=1, max_size=8),
    lost=st.integers(min_value=0, max_value=7),
    change=AMOUNTS,
)
def test_whichever_row_is_lost_or_changed_is_found_and_no_other(rows, lost, change):
    lost %= len(rows)
    events = [funding(str(amount), str(number)) for number, amount in enumerate(rows)]
    theirs = [
        listed("FUNDING_FEE", str(amount), transaction=number) for number, amount in enumerate(rows)
    ]
    assert look(events, theirs)[0] == []
    missed, _ = look([event for event in events if event is not events[lost]], theirs)
    assert [(one[0], one[2]) for one in missed] == [(KIND.MISSED_INCOME, "none")]
    changed = msgspec.structs.replace(theirs[lost], income=rows[lost] + change)
    drift, _ = look(events, [*theirs[:lost], changed, *theirs[lost + 1 :]])
    assert [one[0] for one in drift] == [KIND.INCOME_DRIFT]


def test_a_list_that_tells_whole_seconds_differs_from_no_fill_at_either_end_of_the_window():
    """The venue books income at a time of its own, which may lie up to a second off the trade's."""
    begin_ns, end_ns = NOW_NS - DAY_NS + 300_000_000, NOW_NS - 200_000_000
    fills, rows = [], []
    for number, at_ns in enumerate((begin_ns, begin_ns + 400_000_000, end_ns, end_ns - S // 2)):
        for booked_ns in (at_ns // S * S, -(-at_ns // S) * S):
            name = 100 * number + (booked_ns > at_ns)
            fills.append(fill(trade_id=name, commission="0", at_ns=at_ns))
            rows.append(listed("REALIZED_PNL", "1.25", trade=str(name), at_ns=booked_ns))
    heard = ledger(*fills).rows
    read = [row for row in rows_of(rows) if begin_ns <= row.at_ns <= end_ns]
    theirs = IncomeSeen(rows=tuple(read), since_ns=begin_ns, until_ns=end_ns)
    assert compare_income(heard, theirs, until_ns=end_ns)[0] == []
    told = {key: row for key, row in heard.items() if begin_ns <= row.at_ns <= end_ns}
    whole = IncomeSeen(rows=rows_of(rows), since_ns=begin_ns, until_ns=end_ns)
    assert compare_income(told, whole, until_ns=end_ns)[0] == []
