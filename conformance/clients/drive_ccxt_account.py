"""Account, positions and settings as ccxt reads and changes them."""

from __future__ import annotations

import itertools
from typing import Any

import ccxt

from conformance.clients.drive_ccxt_session import (
    ID,
    OTHER,
    SYMBOL,
    VENUE,
    digits,
    filled,
    place,
    position,
    rest,
    trader,
)
from conformance.driver import (
    capability,
    equal,
    expect,
    filled_list,
    keys_in,
    positive,
    refused,
    text_number,
    until,
)

_TOTALS = (
    "totalInitialMargin totalMaintMargin totalWalletBalance totalUnrealizedProfit "
    "totalMarginBalance totalPositionInitialMargin totalOpenOrderInitialMargin "
    "totalCrossWalletBalance totalCrossUnPnl availableBalance maxWithdrawAmount"
)


@capability("account.account_v2")
def account_v2() -> None:
    raw = rest.fapiPrivateV2GetAccount()
    digits(raw, _TOTALS)
    listed = {row["symbol"] for row in raw["positions"]}
    equal(listed, {market["id"] for market in rest.markets.values()}, "every symbol is listed")
    balance = rest.fetch_balance({"useV2": True})
    expect(balance["USDT"]["total"] > 0, balance)


@capability("account.account_v3")
def account_v3() -> None:
    on = trader()
    equal(on.fapiPrivateV3GetAccount()["positions"], [], "positions of a fresh account")
    filled(on, place(on, "market", "buy", 0.01))
    raw = on.fapiPrivateV3GetAccount()
    digits(raw, _TOTALS)
    equal([row["symbol"] for row in raw["positions"]], [ID])
    row = on.fetch_positions(None, {"method": "account"})[0]
    equal((row["symbol"], row["side"], row["contracts"]), (SYMBOL, "long", 0.01))
    expect(row["initialMargin"] > 0 and row["maintenanceMargin"] > 0, row)


@capability("account.balance")
def balance() -> None:
    on = trader(balance="12345.5")
    one = on.fetch_balance()["USDT"]
    equal(one, {"free": 12345.5, "used": 0.0, "total": 12345.5})
    for asked in (on.fapiPrivateV2GetBalance, on.fapiPrivateV3GetBalance):
        row = next(row for row in asked() if row["asset"] == "USDT")
        equal(text_number(row["balance"]), text_number("12345.5"), "balance")


@capability("account.position_risk")
def position_risk() -> None:
    on = trader()
    bought = filled(on, place(on, "market", "buy", 0.02))
    for params in ({}, {"useV2": True}):
        row = on.fetch_positions([SYMBOL], params)[0]
        equal((row["side"], row["contracts"], row["hedged"]), ("long", 0.02, False))
        expect(abs(row["entryPrice"] - bought["average"]) < 0.1, row)
        expect(row["markPrice"] > 0 and row["notional"] > 0 and row["initialMargin"] > 0, row)
        expect(row["maintenanceMargin"] > 0 and row["marginMode"] == "cross", row)
        expect(row["unrealizedPnl"] is not None and row["timestamp"], row)


@capability("account.account_config")
def account_config() -> None:
    raw = rest.fapiPrivateGetAccountConfig()
    keys_in(raw, "feeTier canTrade canDeposit canWithdraw dualSidePosition multiAssetsMargin")
    equal((raw["canTrade"], raw["dualSidePosition"]), (True, False))


@capability("account.symbol_config")
def symbol_config() -> None:
    modes, leverages = rest.fetch_margin_modes(), rest.fetch_leverages()
    expect({SYMBOL, OTHER} <= set(modes) and {SYMBOL, OTHER} <= set(leverages), modes)
    equal(rest.fetch_margin_mode(SYMBOL)["marginMode"], "cross")
    one = leverages[SYMBOL]
    expect(
        one["longLeverage"] == one["shortLeverage"] == rest.fetch_leverage(SYMBOL)["longLeverage"],
        one,
    )


@capability("account.leverage")
def leverage() -> None:
    answer = rest.set_leverage(7, SYMBOL)
    equal((answer["leverage"], answer["symbol"]), (7, ID))
    positive(answer["maxNotionalValue"])
    equal(rest.fetch_leverage(SYMBOL)["longLeverage"], 7)
    with refused(ccxt.ExchangeError, -4028):
        rest.fapiPrivatePostLeverage({"symbol": ID, "leverage": 126})


@capability("account.margin_type")
def margin_type() -> None:
    on = trader()
    equal(on.set_margin_mode("isolated", SYMBOL)["code"], 200)
    equal(on.fetch_margin_mode(SYMBOL)["marginMode"], "isolated")
    try:
        on.set_margin_mode("isolated", SYMBOL)
    except ccxt.MarginModeAlreadySet:
        pass
    else:
        expect(False, "setting it again was not refused")
    equal(on.set_margin_mode("cross", SYMBOL)["code"], 200)


def _isolated() -> Any:
    on = trader()
    on.set_margin_mode("isolated", SYMBOL)
    filled(on, place(on, "market", "buy", 0.02))
    return on


@capability("account.position_margin")
def position_margin() -> None:
    on = _isolated()
    before = position(on)
    equal(before["marginMode"], "isolated")
    expect(before["liquidationPrice"] and before["liquidationPrice"] < before["entryPrice"], before)
    added = on.add_margin(SYMBOL, 25)
    equal((added["type"], added["amount"], added["status"]), ("add", 25.0, "ok"))
    after = position(on)
    gained = float(after["info"]["isolatedWallet"]) - float(before["info"]["isolatedWallet"])
    expect(abs(gained - 25) < 1e-6, f"{gained} instead of 25")
    expect(after["liquidationPrice"] < before["liquidationPrice"], after)
    equal(on.reduce_margin(SYMBOL, 5)["type"], "reduce")


@capability("account.position_margin_history")
def position_margin_history() -> None:
    on = _isolated()
    on.add_margin(SYMBOL, 25)
    rows = filled_list(on.fetch_margin_adjustment_history(SYMBOL))
    added = [row for row in rows if row["type"] == "add" and row["amount"] == 25.0]
    expect(len(added) == 1 and added[0]["timestamp"] and added[0]["symbol"] == SYMBOL, rows)


@capability("account.position_mode")
def position_mode() -> None:
    on = trader()
    equal(on.fetch_position_mode()["hedged"], False)
    equal(on.set_position_mode(True)["code"], 200)
    equal(on.fetch_position_mode()["hedged"], True)
    with refused(ccxt.OperationRejected, -4059):
        on.set_position_mode(True)
    equal(on.set_position_mode(False)["code"], 200)


@capability("account.multi_assets")
def multi_assets() -> None:
    on = trader()
    equal(on.fapiPrivateGetMultiAssetsMargin(), {"multiAssetsMargin": False})
    equal(on.fapiPrivatePostMultiAssetsMargin({"multiAssetsMargin": "true"})["code"], 200)
    equal(on.fapiPrivateGetMultiAssetsMargin(), {"multiAssetsMargin": True})


@capability("account.fee_burn")
def fee_burn() -> None:
    on = trader()
    was = on.fapiPrivateGetFeeBurn()["feeBurn"]
    expect(isinstance(was, bool), was)
    wanted = "false" if was else "true"
    equal(on.fapiPrivatePostFeeBurn({"feeBurn": wanted})["code"], 200)
    equal(on.fapiPrivateGetFeeBurn()["feeBurn"], not was)


@capability("account.leverage_bracket")
def leverage_bracket() -> None:
    tiers = filled_list(rest.fetch_leverage_tiers([SYMBOL])[SYMBOL])
    for lower, upper in itertools.pairwise(tiers):
        equal(lower["maxNotional"], upper["minNotional"], "tiers without a gap")
        expect(lower["maxLeverage"] > upper["maxLeverage"], upper)
        expect(lower["maintenanceMarginRate"] < upper["maintenanceMarginRate"], upper)
    equal(rest.fetch_market_leverage_tiers(SYMBOL)[0]["minNotional"], 0.0)
    expect(OTHER in rest.fetch_leverage_tiers(), "all symbols")


@capability("account.commission_rate")
def commission_rate() -> None:
    one = rest.fetch_trading_fee(SYMBOL)
    expect(0 < one["maker"] <= one["taker"] < 0.01, one)


@capability("account.income")
def income() -> None:
    on = trader()
    order = filled(on, place(on, "market", "buy", 0.01))
    fee = until(lambda: [row for row in on.fetch_ledger("USDT") if row["type"] == "commission"])[0]
    paid = on.fetch_my_trades(SYMBOL)[0]
    equal(paid["order"], order["id"])
    equal((fee["amount"], fee["direction"]), (paid["fee"]["cost"], "out"))
    equal(on.fetch_funding_history(SYMBOL), [], "no funding was due")


@capability("account.rate_limit_order")
def rate_limit_order() -> None:
    rows = filled_list(rest.fapiPrivateGetRateLimitOrder())
    for row in rows:
        equal(row["rateLimitType"], "ORDERS")
        keys_in(row, "interval intervalNum limit")


@capability("account.api_trading_status")
def api_trading_status() -> None:
    raw = rest.fapiPrivateGetApiTradingStatus()
    keys_in(raw, "indicators updateTime")


@capability("account.api_restrictions")
def api_restrictions() -> None:
    allowed = rest.sapiGetAccountApiRestrictions()
    equal((allowed["enableReading"], allowed["enableFutures"]), (True, True))
    equal((allowed["enableWithdrawals"], allowed["enableInternalTransfer"]), (False, False))


@capability("account.adl_quantile")
def adl_quantile() -> None:
    on = trader()
    filled(on, place(on, "market", "buy", 0.01))
    rows = [row for row in on.fetch_positions_adl_rank() if row["symbol"] == SYMBOL]
    expect(len(rows) == 1 and rows[0]["rank"] is not None and 0 <= rows[0]["rank"] <= 5, rows)


@capability("account.force_orders")
def force_orders() -> None:
    account = VENUE.open_account()
    on = trader(account_id=account["account_id"])
    filled(on, place(on, "market", "buy", 0.02))
    equal(on.fetch_my_liquidations(SYMBOL), [])
    surprise = {"account_id": account["account_id"], "symbol": ID, "kind": "liquidation"}
    VENUE.ask("POST", "/sim/surprises", surprise)
    row = until(lambda: on.fetch_my_liquidations(SYMBOL))[0]
    equal((row["symbol"], row["contracts"], row["side"]), (SYMBOL, 0.02, "sell"))
    expect(row["price"] > 0 and row["timestamp"], row)
    expect(row["info"]["clientOrderId"].startswith("autoclose-"), row)
