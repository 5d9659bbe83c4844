"""Whose profit it was, and of which day: strategies, hands, forced closings, days long ago."""

from decimal import Decimal

import msgspec

from libs.common.messages.income_events import IncomeReceived
from libs.common.messages.journal import BalanceObserved, OrderAnswered
from libs.common.model.order import OrderStatus, Side
from libs.common.model.pnl import DAYS_KEPT, NS_PER_DAY, PnlBook, total_of, utc_day
from libs.common.testing.builders import NOW_NS
from services.execution.fold_pnl import holder_of
from services.execution.state import State
from services.execution.view import account_view
from tests.unit.execution.test_state import COID, fill, fold, recorded

TODAY = utc_day(NOW_NS)
STRATEGY = recorded().intent.strategy_id


def a_fill(trade_id: int, **changes):
    told = {"venue_realized_pnl": Decimal("-1.5"), "ts_trade_ns": NOW_NS, **changes}
    return msgspec.structs.replace(fill(trade_id), **told)


def an_income(income_type: str, amount: str, transaction_id: str = "1", **changes):
    told = {"symbol": "BTCUSDT", "asset": "USDT", "ts_income_ns": NOW_NS, **changes}
    return IncomeReceived(
        income_type=income_type, amount=Decimal(amount), transaction_id=transaction_id, **told
    )


def row_of(state: State, strategy_id: str, day: int = TODAY):
    return state.pnl.days[str(day)][f"BTCUSDT:{strategy_id}"]


def view_of(state: State):
    return account_view(
        state, account="paper", journal_sequence=1, unarmed=(), now_ns=NOW_NS, published_ns=0
    )


def test_a_fill_belongs_to_the_strategy_of_its_order():
    state = fold(State(), recorded(), a_fill(1))
    assert row_of(state, STRATEGY).realized_pnl == Decimal("-1.5")
    assert row_of(state, STRATEGY).commission == {"USDT": Decimal("0.3")}


def test_a_fill_of_no_order_of_ours_was_by_hand():
    state = fold(State(), a_fill(1, client_order_id="web_123"))
    assert row_of(state, "").fills == 1


def test_a_fill_that_turns_out_to_be_ours_moves_to_the_strategy():
    state = fold(State(), recorded(), a_fill(1, client_order_id=""), a_fill(2, client_order_id=""))
    assert row_of(state, "").fills == 2
    answer = OrderAnswered(
        client_order_id=COID,
        venue_order_id=7,
        status=OrderStatus.FILLED,
        cumulative_quantity=Decimal("0.020"),
    )
    fold(state, answer)
    assert row_of(state, "").fills == 0
    assert row_of(state, "").realized_pnl == 0
    assert row_of(state, STRATEGY).fills == 2
    assert row_of(state, STRATEGY).realized_pnl == -3
    assert state.unclaimed_pnl == {}
    assert holder_of(state, "BTCUSDT") == STRATEGY


def test_funding_and_a_forced_closing_belong_to_whoever_opened_the_position():
    state = fold(State(), recorded(), a_fill(1, venue_realized_pnl=Decimal(0)))
    fold(state, an_income("FUNDING_FEE", "-0.25"))
    fold(state, a_fill(2, side=Side.SELL, client_order_id="autoclose-1", venue_order_id=99))
    fold(state, an_income("INSURANCE_CLEAR", "-2"))
    row = row_of(state, STRATEGY)
    assert row.funding == {"USDT": Decimal("-0.25")}
    assert row.liquidation == {"USDT": Decimal(-2)}
    assert row.net("USDT") == Decimal("-1.5") - Decimal("0.6") - Decimal("2.25")


def test_income_that_comes_twice_counts_once_and_a_transfer_is_no_profit():
    state = fold(State(), an_income("FUNDING_FEE", "1"), an_income("FUNDING_FEE", "1"))
    fold(state, an_income("TRANSFER", "500"), an_income("FUNDING_FEE", "2", "2"))
    assert state.pnl.total(TODAY).net("USDT") == 3


def test_commission_in_another_asset_is_in_no_quote_figure():
    balance = BalanceObserved(
        asset="USDT", wallet_balance=Decimal(1), available_balance=None, observed_at_ns=NOW_NS
    )
    bnb = a_fill(1, commission=Decimal("0.002"), commission_asset="BNB")
    view = view_of(fold(State(), balance, recorded(), bnb, a_fill(2)))
    day, position = view.pnl_day, view.positions[0]
    assert day.commission == position.commission == Decimal("0.3")
    assert day.commission_other == position.commission_other == {"BNB": Decimal("0.002")}
    assert day.net == Decimal("-3.3")
    assert day.day_start_ns == TODAY * NS_PER_DAY


def test_the_view_knows_no_day_before_the_quote_currency_is_known():
    assert view_of(State()).pnl_day is None


def test_a_day_is_the_venues_and_yesterday_is_not_in_todays_figures():
    state = fold(State(), recorded(), a_fill(1, ts_trade_ns=NOW_NS - NS_PER_DAY), a_fill(2))
    assert state.pnl.total(TODAY).fills == state.pnl.total(TODAY - 1).fills == 1


def test_a_time_far_in_the_future_does_not_push_the_days_out_of_the_book():
    state = fold(State(), recorded(), a_fill(1), a_fill(2, ts_trade_ns=NOW_NS + 999 * NS_PER_DAY))
    assert state.pnl.total(TODAY).fills == 1


def test_old_days_are_summed_up_and_nothing_is_lost():
    book = PnlBook()
    for day in range(100):
        book.row(day, "BTCUSDT", "one").add_fill(1, Decimal(day), "USDT", Decimal(1))
    book.row(3, "BTCUSDT", "one").add_fill(1, Decimal(7), "USDT", Decimal(1))
    assert len(book.days) == DAYS_KEPT
    total = total_of(row for _, row in book.rows())
    assert (total.fills, total.realized_pnl) == (101, sum(range(100)) + 7)


def test_folding_twice_what_was_saved_in_between_gives_the_same_book():
    events = [recorded(), a_fill(1), an_income("FUNDING_FEE", "-0.25"), a_fill(2, side=Side.SELL)]
    state = fold(State(), *events)
    halves = fold(State(), *events[:2])
    halves = msgspec.json.decode(msgspec.json.encode(halves), type=State)
    fold(halves, *events[2:])
    assert msgspec.to_builtins(halves, str_keys=True) == msgspec.to_builtins(state, str_keys=True)
