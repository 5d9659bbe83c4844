"""Every change of a position or wallet is told with what caused it."""

from decimal import Decimal

import msgspec
import pytest

from libs.common.messages.journal import OrderAnswered
from libs.common.model.order import OrderStatus, Side
from libs.common.testing.builders import a_record
from services.execution.history import Wanted, changes_of
from services.execution.state import State
from tests.unit.execution.test_pnl_book import a_fill, an_income
from tests.unit.execution.test_repair import adopted
from tests.unit.execution.test_state import COID, fold, recorded


def told(*events, state=None, symbol=""):
    return list(changes_of(a_record(*events), state or State(), Wanted(symbol=symbol)))


@pytest.mark.parametrize(
    ("client_order_id", "cause"),
    [
        ("pc-abcdefghijklmnopqrstuvwxyz-1", "fill"),
        ("pa-abcdefghijklmnopqrstuvwxyz-1", "fill"),
        ("autoclose-1700000000000000001", "liquidation"),
        ("adl_autoclose", "adl"),
        ("settlement_autoclose-170000000000001", "settlement"),
        ("web_8hG3kd", "manual"),
        ("", "unknown"),
    ],
)
def test_a_fill_has_the_cause_that_its_order_names(client_order_id, cause):
    (change,) = told(a_fill(1, client_order_id=client_order_id))
    assert change["cause"] == cause


def test_a_fill_from_the_trade_list_is_ours_where_its_order_is_remembered():
    answer = OrderAnswered(
        client_order_id=COID,
        venue_order_id=7,
        status=OrderStatus.OPEN,
        cumulative_quantity=Decimal(0),
    )
    state = fold(State(), recorded(), answer)
    (change,) = told(a_fill(1, client_order_id=""), state=state)
    assert change["cause"] == "fill"


@pytest.mark.parametrize(
    ("income_type", "cause"),
    [
        ("FUNDING_FEE", "funding"),
        ("INSURANCE_CLEAR", "liquidation"),
        ("TRANSFER", "transfer"),
        ("COMMISSION_REBATE", "commission_rebate"),
    ],
)
def test_income_has_the_cause_that_the_venue_names(income_type, cause):
    (change,) = told(an_income(income_type, "-0.25"))
    assert (change["cause"], change["amount"], change["asset"]) == (cause, "-0.25", "USDT")


def test_a_sale_is_negative_and_the_newest_comes_first():
    sold = a_fill(2, side=Side.SELL, commission_asset="BNB")
    changes = told(a_fill(1), recorded(), sold, an_income("TRANSFER", "5", symbol=""))
    assert [change["cause"] for change in changes] == ["transfer", "fill", "fill"]
    assert [change["quantity"] for change in changes] == ["0", "-0.010", "0.010"]
    assert changes[1]["commission"] == {"BNB": "0.3"}


def test_one_symbol_may_be_asked_for():
    other = msgspec.structs.replace(a_fill(2), symbol="ETHUSDT")
    changes = told(a_fill(1), other, an_income("TRANSFER", "5", symbol=""), symbol="ETHUSDT")
    assert [change["symbol"] for change in changes] == ["ETHUSDT"]


def test_a_position_that_was_adopted_is_told_as_a_change_that_is_nobodys():
    (change,) = told(adopted("0.5", before=Decimal("0.2")))
    assert (change["cause"], change["quantity"], change["strategy_id"]) == ("adopted", "0.3", "")
    assert (change["quantity_after"], change["price"]) == ("0.5", "60000")
    assert (change["actor"], change["why"]) == ("reconciler", "they differ")


def test_a_position_that_was_adopted_away_has_no_price():
    (change,) = told(adopted("0", "0", before=Decimal("-0.2")))
    assert (change["quantity"], change["quantity_after"], change["price"]) == ("0.2", "0", "")


def test_of_an_adoption_that_did_not_say_what_was_held_before_the_change_is_not_known():
    (change,) = told(adopted("0.5"))
    assert (change["quantity"], change["quantity_after"]) == (None, "0.5")
