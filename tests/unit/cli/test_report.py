"""The report believes the venue and the journal, and says what does not fit."""

from decimal import Decimal

import pytest

from cli.candle_count import count_candles
from cli.journal_file import check_records
from cli.report import Facts, broken_invariants, build_report, money, percentile_ms
from libs.common.messages.account import ReconcileReport
from libs.common.messages.codec import decode_struct
from libs.common.messages.intents import (
    ApprovalBody,
    ApprovedIntent,
    IntentVerdict,
    RefusalStage,
    RefusedIntent,
)
from libs.common.messages.journal import (
    FillReceived,
    IntentRefusedByGate,
    JournalRecord,
    OrderAnswered,
    OrderRecorded,
    OrderRejected,
)
from libs.common.messages.market import Candle, CandleOrigin
from libs.common.model.intent import Intent, Purpose
from libs.common.model.order import OrderRequest, OrderStatus, OrderType, Side
from libs.common.model.verdict import Reason
from libs.common.venue.payloads import UserTrade, VenueOrder

MS = 1_000_000
ENVELOPE = {
    "message_id": "m", "causation_id": "m", "correlation_id": "m",
    "ts_event_ns": 1, "ts_published_ns": 1, "source": "test",
}  # fmt: skip


def intent(intent_id: str, side: Side = Side.BUY) -> Intent:
    return Intent(
        intent_id=intent_id, strategy_id="s", parameter_hash="p", symbol="BTCUSDT", side=side,
        purpose=Purpose.ENTER, order_type=OrderType.MARKET, reference_price=Decimal(100),
        candle_id="c", created_at_ns=1, expires_at_ns=2, caused_wall_ns=10 * MS,
    )  # fmt: skip


def request(side: Side = Side.BUY) -> OrderRequest:
    return OrderRequest(
        symbol="BTCUSDT", side=side, order_type=OrderType.MARKET, quantity=Decimal(1)
    )


def approved(intent_id: str, side: Side = Side.BUY) -> IntentVerdict:
    body = ApprovalBody(
        account="paper", intent=intent(intent_id, side), order=request(side),
        reference_price=Decimal(100), verdicts=(), decided_at_ns=1, decided_wall_ns=14 * MS,
        expires_at_ns=2,
    )  # fmt: skip
    message = ApprovedIntent(**ENVELOPE, body=body, mac="genuine")
    return IntentVerdict(**ENVELOPE, intent_id=intent_id, approved=message)


def refused(intent_id: str) -> IntentVerdict:
    message = RefusedIntent(
        **ENVELOPE, intent_id=intent_id, strategy_id="s", symbol="BTCUSDT",
        stage=RefusalStage.RISK, reason=Reason.INPUT_STALE, verdicts=(),
    )  # fmt: skip
    return IntentVerdict(**ENVELOPE, intent_id=intent_id, refused=message)


def recorded(intent_id: str, side: Side = Side.BUY) -> OrderRecorded:
    return OrderRecorded(
        client_order_id=f"pc-{intent_id}", attempt=1, intent=intent(intent_id, side),
        order=request(side), reference_price=Decimal(100), margin_reserved=Decimal(0),
        timestamp_ms=1, recv_window_ms=1, lock_until_ns=1, verdicts_risk=(), verdicts=(),
    )  # fmt: skip


def answered(intent_id: str, status: OrderStatus = OrderStatus.FILLED) -> OrderAnswered:
    return OrderAnswered(
        client_order_id=f"pc-{intent_id}", venue_order_id=1, status=status,
        cumulative_quantity=Decimal(1), sent_wall_ns=15 * MS, answered_wall_ns=16 * MS,
    )  # fmt: skip


def fill(trade_id: int, side: Side, price: str, realized: str = "0") -> FillReceived:
    return FillReceived(
        symbol="BTCUSDT", trade_id=trade_id, client_order_id="x", venue_order_id=1, side=side,
        quantity=Decimal(1), price=Decimal(price), commission=Decimal("0.01"),
        commission_asset="USDT", venue_realized_pnl=Decimal(realized), is_maker=False,
        ts_trade_ns=1,
    )  # fmt: skip


def at_venue(intent_id: str, side: Side = Side.BUY, order_id: int = 1) -> VenueOrder:
    return VenueOrder(
        symbol="BTCUSDT", order_id=order_id, client_order_id=f"pc-{intent_id}", status="FILLED",
        side=side, order_type="MARKET", quantity=Decimal(1), cumulative_quantity=Decimal(1),
    )  # fmt: skip


def venue_fill(trade_id: int, side: Side, price: str, realized: str = "0") -> UserTrade:
    return UserTrade(
        symbol="BTCUSDT", trade_id=trade_id, order_id=1, side=side, price=Decimal(price),
        quantity=Decimal(1), quote_quantity=Decimal(price), realized_pnl=Decimal(realized),
        commission=Decimal("0.01"), commission_asset="USDT", time_ms=1,
    )  # fmt: skip


def candle(open_s: int) -> Candle:
    return Candle(
        **ENVELOPE, symbol="BTCUSDT", interval="1s", open_ns=open_s * 10**9,
        close_ns=(open_s + 1) * 10**9, open=Decimal(1), high=Decimal(1), low=Decimal(1),
        close=Decimal(1), volume=Decimal(0), trade_count=0, origin=CandleOrigin.TRADES,
    )  # fmt: skip


CLEAN = ReconcileReport(
    **ENVELOPE, account="paper", cycle=3, trigger="demand", is_clean=True, discrepancies=(),
    positions_compared=1, orders_compared=0, balances_compared=1, journal_sequence=9,
    duration_ms=1,
)  # fmt: skip


@pytest.fixture
def facts(chain):
    """A run in good order: one refused, one bought, one sold; and whatever is to be different."""

    def build(events=None, **changes) -> Facts:
        raw = chain(
            events
            if events is not None
            else [
                [recorded("a")],
                [answered("a"), fill(1, Side.BUY, "100")],
                [recorded("b", Side.SELL)],
                [answered("b"), fill(2, Side.SELL, "103", "3")],
            ]
        )
        known = {
            "records": tuple(decode_struct(line, JournalRecord) for line in raw),
            "journal": check_records(raw),
            "verdicts": (approved("a"), approved("b", Side.SELL), refused("c")),
            "undecided": (),
            "forged": (),
            "proposed_wall_ns": {"a": 13 * MS, "b": 12 * MS},
            "orders": (at_venue("a"), at_venue("b", Side.SELL, 2)),
            "fills": (venue_fill(1, Side.BUY, "100"), venue_fill(2, Side.SELL, "103", "3")),
            "income": (),
            "venue_requests": (),
            "reconciled": CLEAN,
            "candles": count_candles([candle(1), candle(2)], 2),
            "market": {"applied": {"trade": 2, "quote": 3}},
            "feed": {},
            "dead_letters": 0,
            "restarts": {},
            "pacing": {},
        }
        return Facts(**{**known, **changes})

    return build


def test_a_run_in_good_order_breaks_nothing(facts):
    report = build_report(facts())
    assert broken_invariants(report) == []
    assert report["intents"] == {
        "total": 3,
        "by_outcome": {"FILLED": 2, "REFUSED_BY_RISK": 1},
        "by_reason": {"INPUT_STALE": 1},
    }
    assert (report["market_messages"], report["candles"], report["fills"]) == (5, 2, 2)
    assert report["realized_pnl"] == {"ours": "3.00000000", "venue": "3.00000000"}
    assert report["latency_ms"]["candle_to_order"] == {"p50": 5.0, "p99": 5.0}
    assert report["latency_ms"]["intent_to_order"] == {"p50": 2.0, "p99": 3.0}


def test_market_messages_that_feed_neither_published_nor_replaced_are_told(facts):
    feed = {"received": {}, "published": {"trade": 1, "quote": 1}, "conflated": {"quote": 2}}
    accounting = build_report(facts(feed=feed))["market_accounting"]
    assert accounting["unaccounted"] == {"quote": 0, "trade": 1}
    restarted = build_report(facts(feed=feed, restarts={"feed": 1}))["market_accounting"]
    assert restarted["unaccounted"] is None


def test_an_order_nobody_recorded_is_unapproved(facts):
    report = build_report(facts(orders=(at_venue("a"), at_venue("b", Side.SELL), at_venue("z"))))
    assert report["unapproved_venue_orders"] == 1
    assert broken_invariants(report)


def test_an_order_whose_approval_risk_did_not_sign_is_unapproved(facts):
    assert build_report(facts(forged=("a",)))["unapproved_venue_orders"] == 1


def test_an_order_on_the_other_side_than_approved_is_unapproved(facts):
    orders = (at_venue("a", Side.SELL), at_venue("b", Side.SELL, 2))
    assert build_report(facts(orders=orders))["unapproved_venue_orders"] == 1


def test_two_orders_for_one_intent_are_a_duplicate(facts):
    orders = (at_venue("a"), at_venue("a", order_id=7), at_venue("b", Side.SELL, 2))
    report = build_report(facts(orders=orders))
    assert report["duplicate_venue_orders"] == 1


def test_an_intent_left_in_the_queue_has_no_outcome(facts):
    report = build_report(facts(undecided=("d",)))
    assert report["nonterminal_intents"] == 1
    assert report["nonterminal_intent_ids"] == ["d"]


@pytest.mark.parametrize("status", [OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED])
def test_an_open_order_has_no_outcome_yet(facts, status):
    report = build_report(facts([[recorded("a")], [answered("a", status)]]))
    assert "a" in report["nonterminal_intent_ids"]


def test_an_approval_that_execution_never_read_has_no_outcome(facts):
    assert build_report(facts([]))["nonterminal_intents"] == 2


def test_a_proposal_that_was_heard_and_never_decided_is_told(facts):
    report = build_report(facts(proposed_wall_ns={"a": 1, "lost": 1}))
    assert report["proposals_without_outcome"] == 1
    assert broken_invariants(report)


def test_a_refusal_by_the_gate_and_a_rejection_by_the_venue_keep_their_reasons(facts):
    rejected = OrderRejected(
        client_order_id="pc-b", reason="MARGIN", code=-2019, message="Margin is insufficient."
    )
    gate = IntentRefusedByGate(intent=intent("a"), reason=Reason.LOCKED, verdicts=())
    report = build_report(facts([[gate], [recorded("b", Side.SELL)], [rejected]]))
    assert report["intents"]["by_outcome"] == {
        "REFUSED_BY_GATE": 1,
        "REFUSED_BY_RISK": 1,
        "REJECTED": 1,
    }
    assert report["intents"]["by_reason"] == {"INPUT_STALE": 1, "LOCKED": 1, "MARGIN": 1}


def test_an_intent_that_was_refused_and_executed_is_named(facts):
    report = build_report(facts(verdicts=(refused("a"), approved("b", Side.SELL))))
    assert report["intents_with_two_outcomes"] == ["a"]
    assert broken_invariants(report)


def test_a_fill_told_twice_counts_once(facts):
    twice = [fill(1, Side.BUY, "100"), fill(1, Side.BUY, "100")]
    report = build_report(facts([[recorded("a")], [answered("a"), *twice]]))
    assert report["fills_missing"] == 1
    assert report["realized_pnl"]["ours"] == "0.00000000"


def test_a_difference_in_the_last_digit_of_the_profit_is_seen(facts):
    fills = (venue_fill(1, Side.BUY, "100"), venue_fill(2, Side.SELL, "103", "3.00000001"))
    broken = broken_invariants(build_report(facts(fills=fills)))
    assert len(broken) == 1
    assert "3.00000001" in broken[0]


def test_without_a_comparison_nothing_is_called_clean(facts):
    report = build_report(facts(reconciled=None))
    assert report["discrepancies"] == -1
    assert broken_invariants(report)


def test_a_missing_candle_and_one_told_twice_are_counted(facts):
    candles = count_candles([candle(1), candle(2), candle(2), candle(4)], 4)
    detail = build_report(facts(candles=candles))["candles_detail"]
    assert (detail["missing"], detail["duplicate"], detail["out_of_order"]) == (1, 1, 1)


def test_percentiles_are_values_that_were_measured():
    spans = [number * MS for number in range(1, 101)]
    assert (percentile_ms(spans, 50), percentile_ms(spans, 99)) == (50.0, 99.0)
    assert percentile_ms([], 50) is None


def test_money_is_written_with_every_digit_it_has():
    assert money(Decimal("1.5")) == "1.50000000"
    assert money(Decimal("1.123456789")) == "1.123456789"
