"""What the reconciler needs to know of us is said in the account's read model."""

from decimal import Decimal

from libs.common.messages.account import AccountState, ExposureView, SettingsView, TradesView
from libs.common.messages.codec import decode, encode
from libs.common.model.algo_order import AlgoKind, AlgoStatus
from services.execution.view import TRADES_TOLD_MAX, account_view
from tests.unit.execution.protection_cases import Protected


def view_of(protected: Protected) -> AccountState:
    view = account_view(
        protected.state,
        account="paper",
        journal_sequence=1,
        unarmed=(),
        now_ns=protected.now_ns,
        published_ns=1,
    )
    return decode(encode(view), AccountState)


def test_an_entry_that_is_owed_a_stop_is_told_until_the_position_is_closed():
    protected = Protected()
    assert view_of(protected).exposures == ()
    protected.filled()
    owed = ExposureView(
        intent_id=protected.order.intent_id,
        symbol="BTCUSDT",
        side=protected.order.side,
        quantity=Decimal("0.020"),
        unprotected_since_ns=protected.now_ns,
    )
    assert view_of(protected).exposures == (owed,)
    protected.decide()
    protected.algo(protected.newest(AlgoKind.STOP).client_algo_id, AlgoStatus.WORKING, algo_id=1)
    assert [one.unprotected_since_ns for one in view_of(protected).exposures] == [0]
    protected.fill(side=protected.order.side.opposite, client_order_id="", venue_order_id=8)
    assert view_of(protected).exposures == ()


def test_an_entry_that_asked_for_no_stop_is_not_told():
    protected = Protected(stop_price=None)
    protected.filled()
    assert view_of(protected).exposures == ()


def test_the_settings_are_those_that_the_venue_confirmed():
    told = view_of(Protected()).settings
    assert SettingsView(symbol="BTCUSDT", leverage=10, margin_type="CROSSED") in told


def test_the_newest_trades_are_told_and_where_they_begin():
    protected = Protected()
    for _ in range(TRADES_TOLD_MAX + 5):
        protected.fill("0.001", client_order_id="web_1", venue_order_id=9)
    assert view_of(protected).trades == (
        TradesView(symbol="BTCUSDT", floor_id=5, trade_ids=tuple(range(6, TRADES_TOLD_MAX + 6))),
    )
