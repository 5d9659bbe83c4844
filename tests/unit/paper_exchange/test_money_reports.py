"""Income, commission, forced orders, the queue of deleveraging: what an account may ask."""

from decimal import Decimal

import pytest

from services.paper_exchange.config import Limits
from services.paper_exchange.money.transfers import TransferError, withdraw
from services.paper_exchange.state.commission_rates import CommissionRates
from services.paper_exchange.wire.authentication import KeyType, Permission

ALL = frozenset(Permission)
DAY_S = 86_400


def fall(venue, mark="40000.00"):
    venue.depth("BTCUSDT", [(mark, "1000")], [(f"{Decimal(mark) + 1}", "1000")], mark=mark)
    venue.exchange.on_mark("BTCUSDT", venue.now_ns)


def on_the_edge(make_venue, **limits):
    venue = make_venue(Limits(**limits), balance="1000")
    venue.call("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=100)
    venue.order("BUY", "0.200")
    return venue


def test_income_rows_have_the_venues_keys_in_its_order(venue):
    venue.order("BUY", "0.010")
    row = venue.get("/fapi/v1/income", incomeType="COMMISSION")[0]
    assert list(row) == [
        "symbol", "incomeType", "income", "asset", "info", "time", "tranId", "tradeId",
    ]  # fmt: skip
    assert isinstance(row["tranId"], int)
    assert isinstance(row["income"], str)
    assert (row["info"], row["tradeId"]) == ("1", "1")


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"incomeType": "LOTTERY"}, -1130),
        ({"limit": 1001}, -1130),
        ({"startTime": 2, "endTime": 1}, -1023),
        ({"symbol": "NOPE"}, -1121),
    ],
)
def test_income_that_cannot_be_asked_for_is_refused(venue, parameters, code):
    assert venue.call("GET", "/fapi/v1/income", **parameters).code == code


def test_income_reaches_seven_days_back_unless_asked_for_more_and_three_months_at_most(venue):
    start_ms = venue.now_ns // 1_000_000
    venue.order("BUY", "0.010")
    venue.sleep(8 * DAY_S)
    assert {row["incomeType"] for row in venue.get("/fapi/v1/income")} == {"FUNDING_FEE"}
    found = venue.get("/fapi/v1/income", startTime=start_ms, limit=2)
    assert [row["incomeType"] for row in found] == ["TRANSFER", "COMMISSION"]
    found = venue.get("/fapi/v1/income", startTime=start_ms, limit=1000)
    total = sum(Decimal(row["income"]) for row in found)
    assert total == venue.exchange.wallet_of(venue.account)
    venue.sleep(89 * DAY_S)
    rows = venue.get("/fapi/v1/income", startTime=start_ms, limit=1000)
    assert "TRANSFER" not in {row["incomeType"] for row in rows}


def test_an_account_pays_its_own_rates_and_is_told_them(venue):
    venue.account.own_commission_rates = CommissionRates(
        Decimal("-0.0001"), Decimal("0.0003"), Decimal("0.00001")
    )
    assert venue.get("/fapi/v1/commissionRate", symbol="BTCUSDT") == {
        "symbol": "BTCUSDT", "makerCommissionRate": "-0.000100",
        "takerCommissionRate": "0.000300", "rpiCommissionRate": "0.000010",
    }  # fmt: skip
    venue.order("BUY", "0.010", "49999.90")
    venue.trade("BTCUSDT", "49000.00", "1", is_buyer_maker=True)
    venue.order("SELL", "0.010")
    fees = [Decimal(row["commission"]) for row in venue.get("/fapi/v1/userTrades",
                                                            symbol="BTCUSDT")]  # fmt: skip
    assert fees == [Decimal("-0.0499999"), Decimal("0.15")]
    assert venue.exchange.ledger.total() == 0


def test_the_fee_switch_is_remembered_and_fees_stay_in_the_margin_asset(venue):
    assert venue.get("/fapi/v1/feeBurn") == {"feeBurn": False}
    found = venue.call("POST", "/fapi/v1/feeBurn", feeBurn="true")
    assert found.body == {"code": 200, "msg": "success"}
    assert venue.get("/fapi/v1/feeBurn") == {"feeBurn": True}
    assert venue.get("/fapi/v2/account")["feeBurn"] is True
    venue.order("BUY", "0.010")
    (trade,) = venue.get("/fapi/v1/userTrades", symbol="BTCUSDT")
    assert trade["commissionAsset"] == "USDT"


def test_force_orders_lists_what_the_venue_closed(make_venue):
    venue = on_the_edge(make_venue)
    fall(venue)
    (row,) = venue.get("/fapi/v1/forceOrders")
    assert list(row) == [
        "orderId", "symbol", "pair", "status", "clientOrderId", "price", "avgPrice", "origQty",
        "executedQty", "cumQuote", "cumBase", "timeInForce", "type", "reduceOnly",
        "closePosition", "side", "positionSide", "stopPrice", "workingType", "origType", "time",
        "updateTime",
    ]  # fmt: skip
    assert (row["status"], row["side"], row["timeInForce"]) == ("FILLED", "SELL", "IOC")
    assert row["clientOrderId"].startswith("autoclose-")
    assert venue.get("/fapi/v1/forceOrders", autoCloseType="ADL") == []
    assert len(venue.get("/fapi/v1/forceOrders", autoCloseType="LIQUIDATION")) == 1
    assert venue.get("/fapi/v1/forceOrders", symbol="ETHUSDT") == []
    assert venue.call("GET", "/fapi/v1/forceOrders", autoCloseType="X").code == -1130
    assert venue.call("GET", "/fapi/v1/forceOrders", limit=101).code == -1130


def test_a_client_order_id_that_looks_forced_is_none(venue):
    venue.order("BUY", "0.010", newClientOrderId="adl_autoclose")
    assert venue.get("/fapi/v1/forceOrders") == []


def test_the_queue_of_deleveraging_ranks_profit_and_leverage(venue):
    others = {}
    for name, leverage in (("a", 2), ("b", 10), ("c", 50)):
        venue.exchange.open_account(name, Decimal(3_000 if name != "a" else 30_000), venue.now_ns)
        others[name] = venue.exchange.issue_key(name, ALL, KeyType.HMAC)
        venue.call("POST", "/fapi/v1/leverage", key=others[name], symbol="BTCUSDT",
                   leverage=leverage)  # fmt: skip
        size = "0.500" if name == "c" else "0.100"
        assert venue.order("SELL", size, key=others[name]).status == 200
    venue.order("BUY", "0.100")
    fall(venue, "49000.00")

    def short_of(name):
        (row,) = venue.call("GET", "/fapi/v1/adlQuantile", key=others[name]).body
        return row["adlQuantile"]["BOTH"]

    assert [short_of(name) for name in others] == [1, 2, 3]
    (own,) = venue.get("/fapi/v1/adlQuantile")
    assert own == {"symbol": "BTCUSDT", "adlQuantile": {"LONG": 0, "SHORT": 0, "BOTH": 1}}
    (flat,) = venue.get("/fapi/v1/adlQuantile", symbol="ETHUSDT")
    assert flat["adlQuantile"]["BOTH"] == 0


def test_hedged_positions_under_cross_margin_share_their_quantile(venue):
    venue.call("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    venue.order("BUY", "0.100", positionSide="LONG")
    venue.order("SELL", "0.100", positionSide="SHORT")
    (row,) = venue.get("/fapi/v1/adlQuantile")
    assert row["adlQuantile"] == {"LONG": 1, "SHORT": 1, "HEDGE": 0}


def test_trading_status_knows_of_no_restriction(venue):
    assert venue.get("/fapi/v1/apiTradingStatus") == {
        "indicators": {}, "updateTime": venue.now_ns // 1_000_000,
    }  # fmt: skip


def test_no_more_may_leave_than_nothing_depends_on(venue):
    venue.order("BUY", "0.100")
    allowed = venue.exchange.margin_of(venue.account).withdrawable
    assert 0 < allowed < 10_000
    with pytest.raises(TransferError):
        withdraw(venue.exchange, venue.account, allowed + Decimal("0.00000001"), venue.now_ns)
    withdraw(venue.exchange, venue.account, allowed, venue.now_ns)
    venue.exchange.settle_risk(venue.now_ns)
    assert venue.exchange.margin_of(venue.account).withdrawable == 0
    row = venue.get("/fapi/v1/income", incomeType="TRANSFER")[-1]
    assert Decimal(row["income"]) == -allowed
    assert venue.exchange.ledger.total() == 0


def test_a_position_that_is_none_is_written_as_recorded(venue):
    account = venue.get("/fapi/v2/account")
    flat = next(row for row in account["positions"] if row["symbol"] == "BTCUSDT")
    assert {name: value for name, value in flat.items() if value in ("0", "0.00000000")} == {
        "initialMargin": "0",
        "maintMargin": "0",
        "unrealizedProfit": "0.00000000",
        "positionInitialMargin": "0",
        "openOrderInitialMargin": "0",
        "notional": "0",
        "isolatedWallet": "0",
        "bidNotional": "0",
        "askNotional": "0",
    }
    (risk,) = venue.get("/fapi/v2/positionRisk", symbol="BTCUSDT")
    assert (risk["markPrice"], risk["notional"], risk["isolatedMargin"]) == (
        "0.00000000",
        "0",
        "0.00000000",
    )
    assert (risk["entryPrice"], risk["liquidationPrice"]) == ("0.0", "0")
    venue.order("BUY", "0.010")
    (risk,) = venue.get("/fapi/v2/positionRisk", symbol="BTCUSDT")
    assert risk["markPrice"] == "50000.00000000"
