"""Answers have exactly the keys, order and types that were recorded from the venue in 2026.

The rows are copied from the recordings (binance-usdm, section 2), not from our encoder: `i` is an
integer, `b` a boolean, anything else a string.
"""

import re

import pytest

ACKNOWLEDGED_ORDER = """
    orderId:i symbol status clientOrderId price origQty executedQty cumQty timeInForce type
    reduceOnly:b closePosition:b side positionSide stopPrice workingType priceProtect:b origType
    priceMatch selfTradePreventionMode goodTillDate:i updateTime:i
"""
QUERIED_ORDER = """
    orderId:i symbol status clientOrderId price avgPrice origQty executedQty cumQuote timeInForce
    type reduceOnly:b closePosition:b side positionSide stopPrice workingType priceProtect:b
    origType priceMatch selfTradePreventionMode goodTillDate:i time:i updateTime:i
"""
ACCOUNT_V2 = """
    feeTier:i canTrade:b canDeposit:b canWithdraw:b feeBurn:b tradeGroupId:i updateTime:i
    multiAssetsMargin:b totalInitialMargin totalMaintMargin totalWalletBalance
    totalUnrealizedProfit totalMarginBalance totalPositionInitialMargin
    totalOpenOrderInitialMargin totalCrossWalletBalance totalCrossUnPnl availableBalance
    maxWithdrawAmount assets:l positions:l
"""
ACCOUNT_ASSET = """
    asset walletBalance unrealizedProfit marginBalance maintMargin initialMargin
    positionInitialMargin openOrderInitialMargin maxWithdrawAmount crossWalletBalance crossUnPnl
    availableBalance marginAvailable:b updateTime:i
"""
ACCOUNT_POSITION = """
    symbol initialMargin maintMargin unrealizedProfit positionInitialMargin
    openOrderInitialMargin leverage isolated:b entryPrice breakEvenPrice maxNotional positionSide
    positionAmt notional isolatedWallet updateTime:i bidNotional askNotional
"""
POSITION_RISK_V2 = """
    symbol positionAmt entryPrice breakEvenPrice markPrice unRealizedProfit liquidationPrice
    leverage maxNotionalValue marginType isolatedMargin isAutoAddMargin positionSide notional
    isolatedWallet updateTime:i isolated:b adlQuantile:i
"""
POSITION_RISK_V3 = """
    symbol positionSide positionAmt entryPrice breakEvenPrice markPrice unRealizedProfit
    liquidationPrice isolatedMargin notional marginAsset isolatedWallet initialMargin maintMargin
    positionInitialMargin openOrderInitialMargin adl:i bidNotional askNotional updateTime:i
"""
ACCOUNT_V3_POSITION = """
    symbol positionSide positionAmt unrealizedProfit isolatedMargin notional isolatedWallet
    initialMargin maintMargin updateTime:i
"""
BALANCE = """
    accountAlias asset balance crossWalletBalance crossUnPnl availableBalance maxWithdrawAmount
    marginAvailable:b updateTime:i
"""
USER_TRADE = """
    buyer:b commission commissionAsset id:i maker:b orderId:i price qty quoteQty baseQty marginAsset
    pair realizedPnl side positionSide symbol time:i
"""
TYPES = {"i": int, "b": bool, "l": list, "": str}
NUMBER = re.compile(r"-?\d+(\.\d+)?")


def assert_shape(found, recorded):
    """Keys in the recorded order, each of the recorded type."""
    expected = [word.partition(":") for word in recorded.split()]
    assert list(found) == [name for name, _, _ in expected]
    for name, _, kind in expected:
        assert type(found[name]) is TYPES[kind], name


async def order(customer, **change):
    parameters = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
    found = await customer.call("POST", "/fapi/v1/order", body=True, **(parameters | change))
    assert found.status == 200, found
    return found


async def resting_order(customer, **change):
    book = await customer.call("GET", "/fapi/v1/ticker/bookTicker", signed=False, symbol="BTCUSDT")
    price = book.body["bidPrice"].partition(".")[0]
    price = f"{int(price) - 500}.10"
    return await order(customer, type="LIMIT", timeInForce="GTC", price=price, **change)


async def test_an_acknowledged_order_has_the_22_recorded_keys(customer):
    found = await order(customer)
    assert_shape(found.body, ACKNOWLEDGED_ORDER)
    assert len(found.body) == 22
    assert (found.body["price"], found.body["origQty"]) == ("0.00", "0.010")


async def test_a_canceled_order_has_the_22_recorded_keys(customer):
    placed = await resting_order(customer)
    found = await customer.call(
        "DELETE", "/fapi/v1/order", body=True, symbol="BTCUSDT", orderId=placed.body["orderId"]
    )
    assert_shape(found.body, ACKNOWLEDGED_ORDER)
    assert found.body["status"] == "CANCELED"


async def test_a_queried_order_has_the_recorded_keys_everywhere(customer):
    placed = await resting_order(customer, newClientOrderId="my.Order:1/x_-")
    order_id = placed.body["orderId"]
    for path in ("/fapi/v1/order", "/fapi/v1/openOrder"):
        one = await customer.call("GET", path, symbol="BTCUSDT", orderId=order_id)
        assert_shape(one.body, QUERIED_ORDER)
        assert (one.body["avgPrice"], one.body["cumQuote"]) == ("0.00", "0.00000")
        assert one.body["clientOrderId"] == "my.Order:1/x_-"
    (row,) = (await customer.call("GET", "/fapi/v1/openOrders", symbol="BTCUSDT")).body
    assert_shape(row, QUERIED_ORDER)
    (row,) = (await customer.call("GET", "/fapi/v1/allOrders", symbol="BTCUSDT")).body
    assert (row.pop("pair"), row.pop("cumBase")) == ("BTCUSDT", "0"), "new in August 2026"
    assert_shape(row, QUERIED_ORDER)


async def test_account_v2_lists_every_symbol_in_the_recorded_shape(customer):
    await order(customer)
    found = (await customer.call("GET", "/fapi/v2/account")).body
    assert_shape(found, ACCOUNT_V2)
    assert_shape(found["assets"][0], ACCOUNT_ASSET)
    for position in found["positions"]:
        assert_shape(position, ACCOUNT_POSITION)
    assert len(found["positions"]) == 3


async def test_account_v3_lists_only_what_is_in_use(customer):
    before = (await customer.call("GET", "/fapi/v3/account")).body
    assert before["positions"] == []
    await order(customer)
    found = (await customer.call("GET", "/fapi/v3/account")).body
    totals = [word.partition(":")[0] for word in ACCOUNT_V2.split()][8:]
    assert list(found) == totals
    assert "marginAvailable" not in found["assets"][0]
    assert_shape(found["positions"][0], ACCOUNT_V3_POSITION)


@pytest.mark.parametrize("version", ["v2", "v3"])
async def test_a_balance_has_the_recorded_keys(customer, version):
    (row,) = (await customer.call("GET", f"/fapi/{version}/balance")).body
    assert_shape(row, BALANCE)
    assert (row["asset"], row["balance"]) == ("USDT", "10000.00000000")


async def test_position_risk_has_the_recorded_keys_of_its_version(customer):
    assert (await customer.call("GET", "/fapi/v3/positionRisk")).body == []
    await order(customer)
    rows = (await customer.call("GET", "/fapi/v2/positionRisk")).body
    assert len(rows) == 3
    for row in rows:
        assert_shape(row, POSITION_RISK_V2)
    (row,) = (await customer.call("GET", "/fapi/v3/positionRisk", symbol="BTCUSDT")).body
    assert_shape(row, POSITION_RISK_V3)
    assert row["positionAmt"] == "0.010"


async def test_a_fill_has_the_recorded_keys_and_exact_money(customer):
    await order(customer)
    rows = (await customer.call("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")).body
    for row in rows:
        assert_shape(row, USER_TRADE)
        assert all(NUMBER.fullmatch(row[name]) for name in ("commission", "realizedPnl", "price"))


async def test_order_answers_carry_order_counts_and_every_answer_the_used_weight(customer):
    found = await order(customer)
    assert found.headers["X-MBX-ORDER-COUNT-10S"].isdigit()
    assert found.headers["X-MBX-ORDER-COUNT-1M"].isdigit()
    assert found.headers["X-MBX-USED-WEIGHT-1M"].isdigit()
    assert found.headers["Content-Type"].startswith("application/json")
    other = await customer.call("GET", "/fapi/v2/balance")
    assert "X-MBX-ORDER-COUNT-10S" not in other.headers
    assert other.headers["X-MBX-USED-WEIGHT-1M"].isdigit()


async def test_settings_answer_as_documented(customer):
    change = await customer.call("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=21)
    assert list(change.body) == ["leverage", "maxNotionalValue", "symbol"]
    assert change.body["leverage"] == 21
    same = await customer.call(
        "POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="CROSSED"
    )
    assert same.body == {"code": -4046, "msg": "No need to change margin type."}
    changed = await customer.call(
        "POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED"
    )
    assert changed.body == {"code": 200, "msg": "success"}
    mode = await customer.call("GET", "/fapi/v1/positionSide/dual")
    assert mode.body == {"dualSidePosition": False}
    same = await customer.call("POST", "/fapi/v1/positionSide/dual", dualSidePosition="false")
    assert same.body == {"code": -4059, "msg": "No need to change position side."}
    canceled = await customer.call("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")
    assert canceled.body == {
        "code": 200,
        "msg": "The operation of cancel all open order is done.",
    }
    (config,) = (await customer.call("GET", "/fapi/v1/symbolConfig", symbol="BTCUSDT")).body
    assert config == {
        "symbol": "BTCUSDT",
        "marginType": "ISOLATED",
        "isAutoAddMargin": False,
        "leverage": 21,
        "maxNotionalValue": "12000000",
    }


async def test_a_listen_key_is_made_kept_and_closed_with_the_key_alone(customer):
    made = await customer.call("POST", "/fapi/v1/listenKey", signed=False)
    again = await customer.call("POST", "/fapi/v1/listenKey", signed=False)
    kept = await customer.call("PUT", "/fapi/v1/listenKey", signed=False)
    assert made.body == again.body == kept.body
    assert list(made.body) == ["listenKey"]
    assert (await customer.call("DELETE", "/fapi/v1/listenKey", signed=False)).body == {}
    gone = await customer.call("PUT", "/fapi/v1/listenKey", signed=False)
    assert (gone.status, gone.code) == (400, -1125)


async def test_parameters_may_stand_in_query_body_or_both(customer):
    in_query = await customer.call("GET", "/fapi/v2/balance")
    in_body = await customer.call(
        "POST", "/fapi/v1/leverage", body=True, symbol="BTCUSDT", leverage=5
    )
    assert (in_query.status, in_body.status) == (200, 200)
    delete = await customer.call("DELETE", "/fapi/v1/allOpenOrders", body=True, symbol="BTCUSDT")
    assert delete.status == 200


async def test_leverage_brackets_are_json_numbers(customer):
    (row,) = (await customer.call("GET", "/fapi/v1/leverageBracket", symbol="BTCUSDT")).body
    assert list(row) == ["symbol", "brackets"]
    second = row["brackets"][1]
    assert second == {
        "bracket": 2,
        "initialLeverage": 100,
        "notionalCap": 600000,
        "notionalFloor": 50000,
        "maintMarginRatio": 0.005,
        "cum": 50.0,
    }


async def test_a_reader_may_look_but_not_touch(customer, running_venue):
    reader = await customer.sim(
        "POST",
        "/sim/accounts",
        {"account_id": customer.account["account_id"], "permissions": ["READ"]},
    )
    customer.account = reader
    assert (await customer.call("GET", "/fapi/v2/account")).status == 200
    refused = await customer.call(
        "POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.010"
    )
    assert (refused.status, refused.code) == (401, -2015)
