"""The answers below are cut from recordings of the venue of 2026 and from its documents."""

import json
from decimal import Decimal
from typing import Any

import pytest

from libs.common.venue.market_payloads import AggTradeRow, DepthSnapshot, KlineRow, TradeRow
from libs.common.venue.payloads import (
    Account,
    AssetBalance,
    ExchangeInfo,
    Income,
    PayloadError,
    PositionRisk,
    UserTrade,
    VenueOrder,
    decode_payload,
)

BTC: dict[str, Any] = {
    "symbol": "BTCUSDT", "pair": "BTCUSDT", "contractType": "PERPETUAL", "status": "TRADING",
    "maintMarginPercent": "2.5000", "baseAsset": "BTC", "quoteAsset": "USDT",
    "marginAsset": "USDT", "pricePrecision": 2, "quantityPrecision": 3,
    "triggerProtect": "0.0500", "marketTakeBound": "0.05", "maxMoveOrderLimit": 10000,
    "filters": [
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {"minQty": "0.001", "maxQty": "120", "stepSize": "0.001", "filterType": "MARKET_LOT_SIZE"},
        {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
        {"filterType": "LOT_SIZE", "stepSize": "0.001", "maxQty": "1000", "minQty": "0.001"},
        {"tickSize": "0.10", "filterType": "PRICE_FILTER", "maxPrice": "4529764",
         "minPrice": "556.80"},
        {"notional": "50", "filterType": "MIN_NOTIONAL"},
        {"multiplierDecimal": "4", "multiplierUp": "1.0500", "filterType": "PERCENT_PRICE",
         "multiplierDown": "0.9500"},
    ],
    "orderTypes": ["LIMIT", "STOP"], "timeInForce": ["GTC"], "permissionSets": ["GRID"],
}  # fmt: skip


def info(*symbols: dict[str, Any]) -> ExchangeInfo:
    limits = [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
    ]
    body = {"timezone": "UTC", "serverTime": 1, "rateLimits": limits, "symbols": symbols}
    return decode_payload(json.dumps(body).encode(), ExchangeInfo)


def test_exchange_info_becomes_instruments_whatever_the_order_of_filters() -> None:
    read = info(BTC, {**BTC, "filters": BTC["filters"][::-1], "symbol": "OTHER"})
    first = read.instruments()["BTCUSDT"]
    assert first.price_tick == Decimal("0.10")
    assert (first.price_min, first.price_max) == (Decimal("556.80"), Decimal(4529764))
    assert (first.quantity_step, first.quantity_max) == (Decimal("0.001"), Decimal(1000))
    assert first.market_quantity_max == Decimal(120)
    assert first.notional_min == Decimal(50)
    assert first.price_multiplier_up == Decimal("1.05")
    assert first.market_take_bound == Decimal("0.05")
    assert first.orders_max == 200
    assert first.is_trading
    other = read.instruments()["OTHER"]
    assert (other.price_tick, other.quantity_step) == (first.price_tick, first.quantity_step)
    assert [(one.kind, one.limit) for one in read.rate_limits] == [
        ("REQUEST_WEIGHT", 2400),
        ("ORDERS", 300),
    ]


def test_a_symbol_that_does_not_trade_yet_has_no_instrument() -> None:
    zero_tick = {"filterType": "PRICE_FILTER", "tickSize": "0", "minPrice": "0", "maxPrice": "0"}
    pending = {**BTC, "symbol": "NEWUSDT", "status": "PENDING_TRADING"}
    pending["filters"] = [zero_tick, *[f for f in BTC["filters"] if "tickSize" not in f]]
    read = info(BTC, pending)
    assert set(read.instruments()) == {"BTCUSDT"}
    with pytest.raises(PayloadError, match="NEWUSDT"):
        read.symbols[1].to_instrument()


@pytest.mark.parametrize("missing", ["PRICE_FILTER", "LOT_SIZE", "MIN_NOTIONAL"])
def test_a_symbol_without_a_filter_that_guards_money_has_no_instrument(missing: str) -> None:
    filters = [one for one in BTC["filters"] if one["filterType"] != missing]
    read = info({**BTC, "filters": filters})
    assert read.instruments() == {}
    with pytest.raises(PayloadError, match=missing):
        read.symbols[0].to_instrument()


ACK = {
    "orderId": 5_000_000_001, "symbol": "BTCUSDT", "status": "NEW", "clientOrderId": "p-1",
    "price": "74260.40", "origQty": "0.0008", "executedQty": "0.0000", "cumQty": "0.0000",
    "timeInForce": "GTC", "type": "LIMIT", "reduceOnly": False, "closePosition": False,
    "side": "BUY", "positionSide": "BOTH", "stopPrice": "0.00", "workingType": "CONTRACT_PRICE",
    "priceProtect": False, "origType": "LIMIT", "priceMatch": "NONE",
    "selfTradePreventionMode": "EXPIRE_MAKER", "goodTillDate": 0, "updateTime": 1789084800000,
}  # fmt: skip


def test_an_acknowledgement_of_2026_has_no_average_price() -> None:
    order = decode_payload(json.dumps(ACK).encode(), VenueOrder)
    assert order.average_price is None
    assert order.cumulative_quote is None
    assert order.quantity == Decimal("0.0008")
    assert order.created_ms == 0


def test_a_queried_order_has_an_average_price_and_a_time() -> None:
    queried = {**ACK, "avgPrice": "74260.40", "cumQuote": "59.408320", "time": 1789084799000}
    order = decode_payload(json.dumps(queried).encode(), VenueOrder)
    assert order.average_price == Decimal("74260.40")
    assert order.created_ms == 1789084799000


def test_numbers_in_exponent_form_are_read_exactly() -> None:
    quirky = {**ACK, "origQty": "7.0E-4", "price": "0.0"}
    assert decode_payload(json.dumps(quirky).encode(), VenueOrder).quantity == Decimal("0.0007")


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "-inf", "sNaN", "", "1,5", "abc"])
def test_what_is_no_finite_number_is_refused(bad: str) -> None:
    with pytest.raises(PayloadError):
        decode_payload(json.dumps({**ACK, "origQty": bad}).encode(), VenueOrder)


@pytest.mark.parametrize("field", ["orderId", "clientOrderId", "status", "side", "origQty"])
def test_an_order_without_what_identifies_it_is_refused(field: str) -> None:
    cut = {name: value for name, value in ACK.items() if name != field}
    with pytest.raises(PayloadError, match=field):
        decode_payload(json.dumps(cut).encode(), VenueOrder)


def test_an_error_text_never_quotes_the_answer() -> None:
    with pytest.raises(PayloadError) as caught:
        decode_payload(b'{"orderId":"pqia91ma19a5s61c"', VenueOrder)
    assert "pqia91" not in str(caught.value)


def test_both_versions_of_the_account_are_read() -> None:
    totals = {
        "totalInitialMargin": "0.00", "totalMaintMargin": "0.00", "totalWalletBalance": "5000.0",
        "totalUnrealizedProfit": "0.0", "totalMarginBalance": "5000.0",
        "totalCrossWalletBalance": "5000.0", "availableBalance": "5000.0",
    }  # fmt: skip
    position = {"symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "0.010"}
    v3 = {**totals, "assets": [], "positions": [{**position, "notional": "1", "updateTime": 7}]}
    v2 = {
        **v3,
        "feeTier": 0,
        "canTrade": True,
        "canWithdraw": False,
        "positions": [{**position, "leverage": "20", "entryPrice": "61800.2"}],
    }
    third = decode_payload(json.dumps(v3).encode(), Account)
    second = decode_payload(json.dumps(v2).encode(), Account)
    assert third.can_withdraw is None
    assert second.can_withdraw is False
    assert third.positions[0].quantity == second.positions[0].quantity == Decimal("0.010")
    assert second.positions[0].leverage == 20


def test_both_versions_of_position_risk_are_read() -> None:
    v2 = {
        "symbol": "BTCUSDT", "positionAmt": "-0.010", "entryPrice": "61800.2",
        "breakEvenPrice": "61790.0", "markPrice": "61801.1", "unRealizedProfit": "-0.009",
        "liquidationPrice": "0", "leverage": "20", "maxNotionalValue": "1.0E8",
        "marginType": "cross", "isolatedMargin": "0.0", "isAutoAddMargin": "false",
        "positionSide": "BOTH", "notional": "-618.0", "isolatedWallet": "0", "updateTime": 5,
    }  # fmt: skip
    v3 = {k: v for k, v in v2.items() if k not in {"leverage", "maxNotionalValue", "marginType"}}
    second = decode_payload(json.dumps([v2]).encode(), list[PositionRisk])[0]
    third = decode_payload(json.dumps([v3]).encode(), list[PositionRisk])[0]
    assert second.leverage == 20
    assert second.notional_max == 100_000_000
    assert (third.leverage, third.margin_type) == (None, None)
    assert third.quantity == Decimal("-0.010")


def test_balances_fills_and_income_are_read() -> None:
    balance = (
        b'[{"accountAlias":"x","asset":"USDT","balance":"10000.00000000","crossWalletBalance":'
        b'"10000","crossUnPnl":"0","availableBalance":"9999.5","maxWithdrawAmount":"9999",'
        b'"marginAvailable":true,"updateTime":1}]'
    )
    assert decode_payload(balance, list[AssetBalance])[0].available_balance == Decimal("9999.5")
    trade = (
        b'[{"buyer":true,"commission":"0.3","commissionAsset":"USDT","id":698759,"maker":false,'
        b'"orderId":25851813,"price":"7819.01","qty":"0.002","quoteQty":"15.63802",'
        b'"realizedPnl":"-0.91539999","side":"SELL","positionSide":"BOTH","symbol":"BTCUSDT",'
        b'"time":1569514978020,"baseQty":"1","marginAsset":"USDT","pair":"BTCUSDT"}]'
    )
    assert decode_payload(trade, list[UserTrade])[0].realized_pnl == Decimal("-0.91539999")
    income = (
        b'[{"symbol":"","incomeType":"TRANSFER","income":"-0.37500000","asset":"USDT",'
        b'"info":"TRANSFER","time":1570608000000,"tranId":9689322392,"tradeId":""}]'
    )
    assert decode_payload(income, list[Income])[0].transaction_id == 9689322392


def test_market_rows_are_read_with_and_without_the_fields_of_2026() -> None:
    agg = b'[{"a":26129,"p":"0.01633102","q":"4.70443515","f":27781,"l":27781,"T":1,"m":true%s}]'
    old = decode_payload(agg.replace(b"%s", b""), list[AggTradeRow])[0]
    new = decode_payload(agg.replace(b"%s", b',"nq":"4.5","st":1'), list[AggTradeRow])[0]
    assert (old.normal_quantity, new.normal_quantity) == (None, Decimal("4.5"))
    row = b'[{"id":28457,"price":"4.00000100","qty":"12.0","quoteQty":"48.0","time":9,'
    trade = decode_payload(row + b'"isBuyerMaker":true}]', list[TradeRow])[0]
    assert trade.price == Decimal("4.00000100")
    depth = (
        b'{"lastUpdateId":5123107852948,"E":1723161256501,"T":1723161256493,'
        b'"bids":[["61800.20","2.909"]],"asks":[["61800.30","0.001"]]}'
    )
    assert decode_payload(depth, DepthSnapshot).bids[0].price == Decimal("61800.20")
    with pytest.raises(PayloadError):
        decode_payload(b'[[1,"1","2"]]', list[KlineRow])
