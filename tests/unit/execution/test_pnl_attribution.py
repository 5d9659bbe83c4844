"""Whose a position is: of who opened it, whoever adds to it and however late a row is read."""

from decimal import Decimal

import msgspec

from libs.common.messages.audit_events import PositionAdopted
from libs.common.messages.journal import OrderAnswered
from libs.common.model.order import OrderStatus, Side
from libs.common.testing.builders import NOW_NS, an_intent, an_order
from services.execution.state import State
from tests.unit.execution.test_pnl_book import STRATEGY, a_fill, an_income, row_of
from tests.unit.execution.test_state import COID, fold, recorded

S = 1_000_000_000


def recorded_by(strategy_id: str, client_order_id: str):
    intent = an_intent(strategy_id=strategy_id, candle_id=client_order_id)
    told = recorded()
    return msgspec.structs.replace(
        told, client_order_id=client_order_id, intent=intent, order=an_order(intent)
    )


def test_who_adds_to_a_position_does_not_come_to_pay_its_funding_and_its_liquidation():
    state = fold(State(), recorded(), a_fill(1))
    fold(state, recorded_by("other", "pc-2"), a_fill(2, client_order_id="pc-2", venue_order_id=8))
    fold(state, an_income("FUNDING_FEE", "-0.25"))
    forced = a_fill(
        3, side=Side.SELL, quantity=Decimal("0.020"), client_order_id="autoclose-1",
        venue_order_id=9,
    )  # fmt: skip
    fold(state, forced)
    assert row_of(state, STRATEGY).funding == {"USDT": Decimal("-0.25")}
    assert row_of(state, STRATEGY).fills == 2
    assert row_of(state, "other").fills == 1
    assert row_of(state, "other").funding == {}


def test_funding_that_is_read_after_another_opened_is_paid_by_who_held_the_position_then():
    state = fold(State(), recorded(), a_fill(1, ts_trade_ns=NOW_NS - 9 * S))
    fold(state, a_fill(2, side=Side.SELL, ts_trade_ns=NOW_NS - 5 * S))
    theirs = a_fill(
        3, client_order_id="pc-2", venue_order_id=8, side=Side.SELL, ts_trade_ns=NOW_NS - 4 * S
    )
    fold(state, recorded_by("other", "pc-2"), theirs)
    fold(state, an_income("FUNDING_FEE", "-0.25", "1", ts_income_ns=NOW_NS - 7 * S))
    fold(state, an_income("FUNDING_FEE", "0.5", "2", ts_income_ns=NOW_NS - 2 * S))
    assert row_of(state, STRATEGY).funding == {"USDT": Decimal("-0.25")}
    assert row_of(state, "other").funding == {"USDT": Decimal("0.5")}


def test_a_position_that_was_adopted_is_held_by_hand():
    state = fold(State(), recorded(), a_fill(1))
    fold(state, a_fill(2, side=Side.SELL))
    adopted = PositionAdopted(
        symbol="BTCUSDT",
        quantity=Decimal(1),
        entry_price=Decimal(60_000),
        actor="reconciler",
        why="drill",
        observed_at_ns=NOW_NS,
    )
    fold(state, adopted)
    fold(state, an_income("FUNDING_FEE", "-0.25"))
    assert row_of(state, "").funding == {"USDT": Decimal("-0.25")}


def test_an_order_is_measured_once_by_the_average_of_all_its_fills():
    told = msgspec.structs.replace(recorded(), slippage_predicted_bps=Decimal(2))
    state = fold(State(), told, a_fill(1, price=Decimal(60_006)))
    assert state.trade_book.orders == []
    fold(state, a_fill(2, price=Decimal(60_018)))
    answer = OrderAnswered(
        client_order_id=COID,
        venue_order_id=7,
        status=OrderStatus.FILLED,
        cumulative_quantity=Decimal("0.020"),
    )
    for _ in range(2):
        fold(state, answer)
    (one,) = state.trade_book.orders
    decided = told.intent.reference_price
    exact = (Decimal(60_012) - decided) / decided * 10_000
    assert one.realized_bps == exact.quantize(Decimal("0.0001"))
    assert (one.strategy_id, one.predicted_bps) == (STRATEGY, 2)


def test_an_order_whose_fills_the_trade_list_told_first_is_measured_all_the_same():
    fills = [
        a_fill(1, client_order_id="", price=Decimal(60_006)),
        a_fill(2, client_order_id="", price=Decimal(60_018)),
    ]
    named = [msgspec.structs.replace(one, client_order_id=COID) for one in fills]
    answer = OrderAnswered(
        client_order_id=COID,
        venue_order_id=7,
        status=OrderStatus.FILLED,
        cumulative_quantity=Decimal("0.020"),
    )
    late = fold(State(), recorded(), *fills, answer)
    soon = fold(State(), recorded(), *named, answer)
    assert late.trade_book == soon.trade_book
    assert len(late.trade_book.orders) == 1
