"""Where the market of a finite run is held, and when it may go on."""

from dataclasses import replace
from decimal import Decimal

import pytest

from cli.pacer import Backlog, next_limit_ns, read_account
from libs.common.messages.account import AccountState, OrderView
from libs.common.model.order import OrderStatus, Side
from libs.common.model.trading_state import TradingState

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
EMPTY = Backlog(
    candles_pending=0,
    candles_unacknowledged=0,
    intents=0,
    orders_unanswered=0,
    state_age_ns=SECOND,
)


def state_with(*statuses: OrderStatus, at_ns: int = 0) -> AccountState:
    return AccountState(
        message_id="m", causation_id="m", correlation_id="m", ts_event_ns=at_ns,
        ts_published_ns=0, source="execution", account="paper", journal_sequence=1,
        trading_state=TradingState.ACTIVE, armed=True, unarmed_reasons=(),
        wallet_balance=Decimal(1), available_balance=Decimal(1), balance_at_ns=1, changed_at_ns=1,
        positions=(),
        orders=tuple(
            OrderView(
                client_order_id=f"pc-{number}", intent_id=f"i-{number}", symbol="BTCUSDT",
                side=Side.BUY, quantity=Decimal(1), cumulative_quantity=Decimal(0),
                reduce_only=False, status=status, recorded_at_ns=0,
            )
            for number, status in enumerate(statuses)
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("now_s", "limit_s"),
    [("100", "100.4"), ("100.3", "100.4"), ("100.4", "101.4"), ("100.9", "101.4")],
)
def test_bars_of_a_second_are_held_after_they_close(now_s, limit_s):
    now_ns, limit_ns = (int(Decimal(text) * SECOND) for text in (now_s, limit_s))
    assert next_limit_ns(now_ns, SECOND) == limit_ns


@pytest.mark.parametrize(("now_s", "limit_s"), [(0, 1), (1, 59), (30, 59), (59, 61), (60, 61)])
def test_bars_of_a_minute_are_held_before_and_after_they_close(now_s, limit_s):
    assert next_limit_ns(now_s * SECOND, MINUTE) == limit_s * SECOND


def test_the_market_goes_on_when_nothing_is_left_to_do():
    assert EMPTY.is_empty


@pytest.mark.parametrize(
    "field", ["candles_pending", "candles_unacknowledged", "intents", "orders_unanswered"]
)
def test_anything_left_to_do_holds_the_market(field):
    assert not replace(EMPTY, **{field: 1}).is_empty


def test_a_state_said_long_ago_in_market_time_holds_the_market():
    assert not replace(EMPTY, state_age_ns=MINUTE).is_empty


def test_only_orders_without_an_answer_are_waited_for():
    state = state_with(OrderStatus.OPEN, OrderStatus.RECORDED, OrderStatus.UNKNOWN, at_ns=7)
    assert read_account(state, 10) == (2, 3)


def test_while_execution_says_nothing_the_account_is_as_old_as_time():
    assert read_account(None, 5) == (0, 5)
