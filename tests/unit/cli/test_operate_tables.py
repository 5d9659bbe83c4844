"""What execution shows, as lines: every column wide enough, nothing is a table too."""

from datetime import datetime

import pytest

from cli.operate_tables import render
from cli.operate_verbs import _ns

GUARD = {
    "guard": "cooldown_symbol",
    "key": "BTCUSDT",
    "active": True,
    "remaining_s": 12.5,
    "limit": "60000 ms after a failed order",
    "observed": "an order failed",
    "unlock": "cooldown_symbol:BTCUSDT",
}


def test_guards_say_what_holds_for_how_long_and_how_to_unlock_it() -> None:
    text = render("guards", {"unarmed": ["marks: none"], "closing": [], "guards": [GUARD]})
    first, heads, row = text.splitlines()
    assert first == "NOT ARMED  marks: none"
    assert row.index("cooldown_symbol:BTCUSDT") == heads.index("UNLOCK")
    assert "12.5" in row
    assert "yes" in row


def test_nothing_is_said_in_words() -> None:
    assert render("positions", {"positions": []}) == "flat"
    assert render("orders", {"orders": [], "algo_orders": []}) == "no orders\nno algo orders"
    assert render("intents", {"intents": []}) == "no intents"


def test_a_story_is_told_in_order_with_the_guards_that_refused() -> None:
    refused = {
        "event": "IntentRefusedByGate",
        "journal_number": 7,
        "ts_event_ns": 1_700_000_000_123_000_000,
        "causation_id": "a",
        "app_version": "1",
        "reason": "LOCKED",
        "verdicts": [
            {"check": "expiry", "passed": True, "observed": "1", "limit": "0"},
            {"check": "lock", "passed": False, "observed": "held by x", "limit": "30000 ms"},
        ],
    }
    answer = {"intent_id": "i", "account": "paper", "risk": None, "events": [refused]}
    lines = render("intent", answer).splitlines()
    assert lines[0] == "intent i of account paper"
    assert lines[1].startswith("#7")
    assert "2023-11-14 22:13:20.123  IntentRefusedByGate: reason LOCKED" in lines[1]
    assert lines[2].strip() == "lock: held by x (limit 30000 ms)"


REPORT = {
    "ts_event_ns": 1_700_000_000_000_000_000, "duration_ms": 12, "positions_compared": 1,
    "orders_compared": 2, "algo_orders_compared": 3, "balances_compared": 1, "trades_compared": 20,
    "settings_compared": 3, "income_compared": 7, "in_flight": 0, "discrepancies": [],
    "remedies": [],
}  # fmt: skip


def test_a_clean_comparison_says_how_much_it_looked_at() -> None:
    text = render("report", REPORT)
    assert text.startswith("compared 2023-11-14 22:13:20.000 in 12 ms: 1 positions, 2 orders, ")
    assert "3 settings, 7 income; in flight: 0" in text
    assert text.endswith("nothing differs")


def test_what_is_still_in_flight_is_not_said_to_be_equal() -> None:
    first, *rest = render("report", {**REPORT, "in_flight": 2}).splitlines()
    assert first.endswith("in flight: 2")
    assert rest == [
        "nothing is proven to differ",
        "STILL IN FLIGHT: 2; nothing is proven for them, ask again",
    ]


def test_a_difference_is_shown_with_its_policy_and_what_was_asked_for() -> None:
    found = {
        "kind": "SETTING_DRIFT", "subject": "BTCUSDT leverage", "ours": "10", "theirs": "20",
        "is_confirmed": True, "policy": "repair",
    }  # fmt: skip
    text = render("report", {**REPORT, "discrepancies": [found], "remedies": ["assert-settings"]})
    row = next(line for line in text.splitlines() if line.startswith("SETTING_DRIFT"))
    assert row.split() == ["SETTING_DRIFT", "BTCUSDT", "leverage", "10", "20", "yes", "repair"]
    assert text.endswith("asked of execution: assert-settings")


def test_figures_of_strategies_are_a_table_and_what_is_not_known_is_a_dash():
    row = {
        "strategy_id": "ema_cross",
        "orders": 3,
        "slippage_realized_bps": "1.2500",
        "slippage_predicted_bps": "0.5000",
        "round_trips": 2,
        "hit_ratio": "0.500000",
        "outcomes": 0,
        "calibration_error": None,
    }
    lines = render("figures", {"window_ms": 2_592_000_000, "figures": [row]}).splitlines()
    assert lines[0] == "the last 720 hours"
    assert lines[2].split() == ["ema_cross", "3", "1.2500", "0.5000", "2", "0.500000", "0", "-"]
    assert "nothing traded" in render("figures", {"window_ms": 3_600_000, "figures": []})


def test_a_page_of_history_names_strategy_and_cause_and_where_the_next_one_begins():
    change = {
        "at_ns": 1_780_000_000_000_000_000,
        "symbol": "BTCUSDT",
        "cause": "adl",
        "strategy_id": "ema_cross",
        "quantity": "-0.1",
        "price": "60000",
        "amount": "1",
        "asset": "USDT",
        "commission": {"USDT": "0.3"},
        "client_order_id": "adl_autoclose",
    }
    lines = render("positions/history", {"changes": [change], "next_before": "7.2"}).splitlines()
    assert "adl" in lines[1]
    assert "ema_cross" in lines[1]
    assert lines[-1] == "older ones: --before 7.2"


def test_what_was_adopted_is_shown_with_what_is_held_after_it():
    change = {
        "at_ns": 1_780_000_000_000_000_000, "symbol": "BTCUSDT", "cause": "adopted",
        "strategy_id": "", "quantity": "0.3", "quantity_after": "0.5", "price": "60000",
        "amount": "0", "asset": "USDT", "commission": {},
    }  # fmt: skip
    answer = {"changes": [change], "next_before": None}
    heads, row = render("positions/history", answer).splitlines()
    assert row[heads.index("HELD AFTER") :].split()[0] == "0.5"


@pytest.mark.parametrize(
    ("text", "ns"),
    [("2026-03-29T01:30:00", 1_774_747_800_000_000_000), ("1970-01-01", 0)],
)
def test_times_of_the_history_are_utc(text, ns):
    assert _ns(datetime.fromisoformat(text)) == ns
