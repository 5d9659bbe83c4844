"""The report of an audit trail counts what happened, and says nothing of what did not."""

import json
from decimal import Decimal

import msgspec
import pytest

from cli.audit_report import gather_figures
from cli.audit_table import table
from libs.common.messages.audit import read_line
from libs.common.messages.audit_events import (
    ApiErrorReported,
    KillProven,
    OperatorActed,
    ReadRecovered,
    ReadRetried,
    VenueUsageObserved,
)
from libs.common.messages.audit_trail import AuditTrail, TrailPlace
from libs.common.messages.guard_events import (
    CooldownScope,
    CooldownStarted,
    Guard,
    GuardCleared,
    SafeModeEntered,
)
from libs.common.messages.journal import (
    IntentRefusedByGate,
    JournalEvent,
    JournalRecord,
    OrderAnswered,
    OrderBecameUnknown,
    OrderNotPlaced,
    OrderRecorded,
    TradingStateChanged,
)
from libs.common.model.order import OrderStatus
from libs.common.model.trading_state import TradingState
from libs.common.model.verdict import Reason, Verdict
from libs.common.testing.builders import NOW_NS, S, a_journal, an_intent, an_order


def recorded(order_id: str) -> OrderRecorded:
    intent = an_intent(candle_id=order_id)
    return OrderRecorded(
        client_order_id=order_id,
        attempt=1,
        intent=intent,
        order=an_order(intent),
        reference_price=Decimal(60_000),
        margin_reserved=Decimal(150),
        timestamp_ms=1,
        recv_window_ms=5_000,
        lock_until_ns=1,
        verdicts_risk=(),
        verdicts=(),
    )


def answered(order_id: str, status: OrderStatus) -> OrderAnswered:
    return OrderAnswered(
        client_order_id=order_id,
        venue_order_id=1,
        status=status,
        cumulative_quantity=Decimal(0),
        sent_wall_ns=1,
    )


def unknown(order_id: str) -> OrderBecameUnknown:
    return OrderBecameUnknown(client_order_id=order_id, why="silence")


def error(status: int, code: int, outcome: str, reason: str) -> ApiErrorReported:
    return ApiErrorReported(
        method="GET", path="/fapi/v3/balance", outcome=outcome, reason=reason,
        status=status, code=code, message="", at_ns=1,
    )  # fmt: skip


def usage(weight: int) -> VenueUsageObserved:
    return VenueUsageObserved(
        weight_peak=weight, weight_limit=2_400, orders_10s_peak=2, orders_10s_limit=300,
        orders_1m_peak=3, orders_1m_limit=1_200, at_ns=1,
    )  # fmt: skip


def refused() -> IntentRefusedByGate:
    return IntentRefusedByGate(
        intent=an_intent(),
        reason=Reason.SAFE_MODE,
        verdicts=(
            Verdict(check="trading", passed=True),
            Verdict(check="safe_mode", passed=False, reason=Reason.SAFE_MODE),
            Verdict(check="margin", passed=False, reason=Reason.MARGIN_INSUFFICIENT),
        ),
    )


EVENTS: tuple[JournalEvent, ...] = (
    ReadRetried(what="GET x", attempt=1, wait_ms=5, why="", at_ns=1),
    ReadRetried(what="GET x", attempt=2, wait_ms=5, why="", at_ns=1),
    ReadRecovered(what="GET x", attempts=3, succeeded=True, at_ns=1),
    ReadRecovered(what="GET y", attempts=4, succeeded=False, at_ns=1),
    error(429, -1003, "throttled", "REQUEST_LIMIT"),
    error(400, -1121, "rejected", "BAD_REQUEST"),
    usage(100),
    usage(1_900),
    usage(40),
    refused(),
    refused(),
    SafeModeEntered(until_ns=1, refusals=5, window_ms=1),
    CooldownStarted(scope=CooldownScope.GLOBAL, symbol="", until_ns=1, cause="margin"),
    recorded("pc-1"),
    answered("pc-1", OrderStatus.FILLED),
    recorded("pc-2"),
    unknown("pc-2"),
    recorded("pc-3"),
    unknown("pc-3"),
    OrderNotPlaced(client_order_id="pc-2", evidence="no trace"),
    TradingStateChanged(state=TradingState.HALTED, actor="ann", reason="drill"),
    OperatorActed(actor="bob", verb="reconcile", reason="sure?", target="", key="k"),
    GuardCleared(guard=Guard.SAFE_MODE, key="", actor="ann", reason="cause found"),
    KillProven(
        verb="flatten", orders_canceled=1, algo_orders_canceled=0, positions_closed=("BTCUSDT",),
        took_ms=812, is_complete=True, remaining="",
    ),
)  # fmt: skip


@pytest.fixture
def report():
    """The events above, one record and one second each."""
    journal = a_journal(
        *((event,) for event in EVENTS), at_ns=tuple(NOW_NS + n * S for n in range(len(EVENTS)))
    )
    trail = AuditTrail(TrailPlace(account="paper"))
    lines = [
        line for raw in journal for line in trail.follow(raw, msgspec.json.decode(raw, type=RECORD))
    ]
    return gather_figures(read_line(line.raw)[0] for line in lines).to_report()


RECORD = JournalRecord


def test_retries_are_counted_with_their_success_and_attempts(report):
    assert report["retries"] == {
        "attempts": 2, "reads_retried": 2, "succeeded": 1, "success_rate": 0.5,
        "attempts_average": 3.5,
    }  # fmt: skip


def test_limits_and_peaks_are_told(report):
    assert report["rate_limit_hits"] == 1
    assert report["usage_peaks"]["weight"] == {"peak": 1_900, "limit": 2_400}
    assert report["api_errors"] == {
        "GET /fapi/v3/balance -1003": 1,
        "GET /fapi/v3/balance -1121": 1,
    }


def test_refusals_are_counted_by_reason_and_by_every_guard_that_failed(report):
    assert report["refusals_by_reason"] == {"SAFE_MODE": 2}
    assert report["refusals_by_guard"] == {"safe_mode": 2, "margin": 2}


def test_orders_are_counted_by_their_last_word_and_doubts_by_their_length(report):
    assert report["orders"] == {"placed": 1, "not_placed": 1, "unknown": 1}
    assert report["unknown_orders"] == {
        "count": 2, "open": ["pc-3"], "resolved_ms_p50": 3_000, "resolved_ms_max": 3_000,
    }  # fmt: skip


def test_holds_and_actions_are_listed_with_actor_and_reason(report):
    assert report["holds"] == {"safe_mode.entered": 1, "cooldown.started GLOBAL": 1}
    told = [(one["actor"], one["what"], one["reason"]) for one in report["actions"]]
    assert told == [
        ("ann", "trading.halted", "drill"),
        ("bob", "reconcile", "sure?"),
        ("ann", "unlock safe_mode", "cause found"),
        ("execution", "kill.proven flatten, 812 ms", ""),
    ]


def test_the_report_is_json_and_a_table(report):
    assert json.loads(json.dumps(report)) == report
    text = table(report)
    for words in (
        "success rate                       50.0%",
        "peak weight                        1900 of 2400",
        "safe_mode                          2",
        "ann: trading.halted (drill)",
    ):
        assert words in text


def test_a_quiet_trail_shows_no_figure_that_nobody_measured():
    report = gather_figures([]).to_report()
    assert report["retries"]["success_rate"] is None
    assert "success rate                       -" in table(report)
