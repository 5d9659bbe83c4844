"""Checks of the account and its settings, for clients that hand the venue's JSON through."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from conformance.clients.plain_client import Checks, PlainClient
from conformance.driver import (
    equal,
    expect,
    filled_list,
    keys_in,
    only,
    positive,
    refused,
    text_number,
    until_async,
)

ACCOUNT = Checks()
_TOTALS = (
    "totalInitialMargin totalMaintMargin totalWalletBalance totalUnrealizedProfit "
    "totalMarginBalance totalPositionInitialMargin totalOpenOrderInitialMargin "
    "totalCrossWalletBalance totalCrossUnPnl availableBalance maxWithdrawAmount assets positions"
)


async def buy_at_market(client: PlainClient, symbol: str, quantity: str) -> Any:
    """Open a position with a market order that answers with its result."""
    answer = await client(
        "place", symbol=symbol, side="BUY", type="MARKET", quantity=quantity,
        newOrderRespType="RESULT",
    )  # fmt: skip
    equal(answer["status"], "FILLED")
    return answer


@ACCOUNT.add("account.account_v2")
async def account_v2(client: PlainClient) -> None:
    account = await client("account_v2")
    keys_in(account, f"feeTier canTrade canDeposit canWithdraw multiAssetsMargin {_TOTALS}")
    positive(account["totalWalletBalance"])
    symbols = {row["symbol"] for row in account["positions"]}
    expect({"BTCUSDT", "ETHUSDT"} <= symbols, "every symbol is listed")
    keys_in(
        account["positions"][0],
        "symbol initialMargin maintMargin unrealizedProfit positionInitialMargin leverage isolated "
        "openOrderInitialMargin entryPrice breakEvenPrice maxNotional positionSide positionAmt "
        "notional isolatedWallet updateTime bidNotional askNotional",
    )


@ACCOUNT.add("account.account_v3")
async def account_v3(client: PlainClient) -> None:
    own = client.fresh()
    account = await own("account_v3")
    keys_in(account, _TOTALS)
    expect("canTrade" not in account, "v3 has no canTrade")
    equal(account["positions"], [])
    equal(Decimal(account["totalWalletBalance"]), Decimal(10_000))
    await buy_at_market(own, "ETHUSDT", "0.500")
    row = only((await own("account_v3"))["positions"])
    equal((row["symbol"], row["positionAmt"]), ("ETHUSDT", "0.500"))
    positive(row["initialMargin"])


@ACCOUNT.add("account.balance")
async def balance(client: PlainClient) -> None:
    rows = filled_list(await client("balance"))
    (row,) = (one for one in rows if one["asset"] == "USDT")
    keys_in(
        row,
        "accountAlias asset balance crossWalletBalance crossUnPnl availableBalance "
        "maxWithdrawAmount marginAvailable updateTime",
    )
    positive(row["availableBalance"])


@ACCOUNT.add("account.position_risk")
async def position_risk(client: PlainClient) -> None:
    own = client.fresh()
    equal(await own("position_risk"), [])
    filled = await buy_at_market(own, "BTCUSDT", "0.010")
    row = only(await own("position_risk", symbol="BTCUSDT"))
    equal((row["positionAmt"], row["positionSide"]), ("0.010", "BOTH"))
    found = await own("query", symbol="BTCUSDT", orderId=filled["orderId"])
    equal(abs(Decimal(row["entryPrice"]) - Decimal(found["avgPrice"])) < Decimal("0.1"), True)
    for name in ("markPrice", "notional", "initialMargin", "maintMargin", "breakEvenPrice"):
        positive(row[name], name)
    text_number(row["unRealizedProfit"])


@ACCOUNT.add("account.account_config")
async def account_config(client: PlainClient) -> None:
    config = await client("account_config")
    keys_in(config, "feeTier canTrade dualSidePosition multiAssetsMargin")
    equal((config["canTrade"], config["dualSidePosition"]), (True, False))


@ACCOUNT.add("account.symbol_config")
async def symbol_config(client: PlainClient) -> None:
    row = only(await client("symbol_config", symbol="BTCUSDT"))
    keys_in(row, "symbol marginType isAutoAddMargin leverage maxNotionalValue")
    equal((row["marginType"], row["isAutoAddMargin"]), ("CROSSED", False))
    expect(isinstance(row["leverage"], int), row)


@ACCOUNT.add("account.api_restrictions")
async def api_restrictions(client: PlainClient) -> None:
    allowed = await client("api_restrictions")
    keys_in(allowed, "ipRestrict createTime enableReading enableWithdrawals enableInternalTransfer")
    equal((allowed["enableReading"], allowed["enableFutures"]), (True, True))
    equal((allowed["enableWithdrawals"], allowed["enableInternalTransfer"]), (False, False))


@ACCOUNT.add("account.leverage")
async def leverage(client: PlainClient) -> None:
    own = client.fresh()
    changed = await own("change_leverage", symbol="BTCUSDT", leverage=7)
    equal((changed["symbol"], changed["leverage"]), ("BTCUSDT", 7))
    positive(changed["maxNotionalValue"])
    equal(only(await own("symbol_config", symbol="BTCUSDT"))["leverage"], 7)
    with refused(client.error, -4028):
        await own("change_leverage", symbol="BTCUSDT", leverage=126)


@ACCOUNT.add("account.margin_type")
async def margin_type(client: PlainClient) -> None:
    own = client.fresh()
    changed = await own("change_margin_type", symbol="BTCUSDT", marginType="ISOLATED")
    equal(changed, {"code": 200, "msg": "success"})
    equal(only(await own("symbol_config", symbol="BTCUSDT"))["marginType"], "ISOLATED")
    with refused(client.error, -4046):
        await own("change_margin_type", symbol="BTCUSDT", marginType="ISOLATED")


async def _isolated_position(client: PlainClient) -> PlainClient:
    own = client.fresh()
    await own("change_margin_type", symbol="ETHUSDT", marginType="ISOLATED")
    await buy_at_market(own, "ETHUSDT", "0.500")
    return own


@ACCOUNT.add("account.position_margin")
async def position_margin(client: PlainClient) -> None:
    own = await _isolated_position(client)
    before = only(await own("position_risk", symbol="ETHUSDT"))
    positive(before["isolatedWallet"])
    changed = await own("change_position_margin", symbol="ETHUSDT", amount="100", type=1)
    equal((changed["code"], changed["type"], Decimal(str(changed["amount"]))), (200, 1, 100))
    after = only(await own("position_risk", symbol="ETHUSDT"))
    equal(Decimal(after["isolatedWallet"]) - Decimal(before["isolatedWallet"]), 100)


@ACCOUNT.add("account.position_margin_history")
async def position_margin_history(client: PlainClient) -> None:
    own = await _isolated_position(client)
    await own("change_position_margin", symbol="ETHUSDT", amount="100", type=1)
    rows = filled_list(await own("position_margin_history", symbol="ETHUSDT"))
    (row,) = (one for one in rows if Decimal(one["amount"]) == 100)
    keys_in(row, "symbol type deltaType amount asset time positionSide")
    equal((row["symbol"], row["type"], row["asset"]), ("ETHUSDT", 1, "USDT"))


@ACCOUNT.add("account.position_mode")
async def position_mode(client: PlainClient) -> None:
    own = client.fresh()
    equal(await own("position_mode"), {"dualSidePosition": False})
    equal((await own("change_position_mode", dualSidePosition="true"))["code"], 200)
    equal(await own("position_mode"), {"dualSidePosition": True})
    with refused(client.error, -4059):
        await own("change_position_mode", dualSidePosition="true")


@ACCOUNT.add("account.multi_assets")
async def multi_assets(client: PlainClient) -> None:
    own = client.fresh()
    equal(await own("multi_assets_mode"), {"multiAssetsMargin": False})
    await own("change_multi_assets_mode", multiAssetsMargin=True)
    equal(await own("multi_assets_mode"), {"multiAssetsMargin": True})
    with refused(client.error, -4171):
        await own("change_multi_assets_mode", multiAssetsMargin=True)


@ACCOUNT.add("account.fee_burn")
async def fee_burn(client: PlainClient) -> None:
    own = client.fresh()
    before = (await own("fee_burn"))["feeBurn"]
    expect(isinstance(before, bool), before)
    wanted = "false" if before else "true"
    equal((await own("change_fee_burn", feeBurn=wanted))["code"], 200)
    equal((await own("fee_burn"))["feeBurn"], not before)


@ACCOUNT.add("account.commission_rate")
async def commission_rate(client: PlainClient) -> None:
    row = await client("commission_rate", symbol="BTCUSDT")
    keys_in(row, "symbol makerCommissionRate takerCommissionRate")
    expect(positive(row["makerCommissionRate"]) < positive(row["takerCommissionRate"]), row)


@ACCOUNT.add("account.income")
async def income(client: PlainClient) -> None:
    own = client.fresh()
    await buy_at_market(own, "ETHUSDT", "0.500")
    trades = filled_list(await own("user_trades", symbol="ETHUSDT"))
    rows = filled_list(await own("income", incomeType="COMMISSION"))
    keys_in(rows[0], "symbol incomeType income asset info time tranId tradeId")
    paid = sum(Decimal(row["commission"]) for row in trades)
    equal(sum(Decimal(row["income"]) for row in rows), -paid)


@ACCOUNT.add("account.rate_limit_order")
async def rate_limit_order(client: PlainClient) -> None:
    rows = filled_list(await client("rate_limit_order"))
    limits = {(row["interval"], row["intervalNum"]): row["limit"] for row in rows}
    equal(set(limits), {("SECOND", 10), ("MINUTE", 1)})
    expect(all(row["rateLimitType"] == "ORDERS" for row in rows), rows)


@ACCOUNT.add("account.api_trading_status")
async def api_trading_status(client: PlainClient) -> None:
    answer = await client("api_trading_status")
    keys_in(answer, "indicators updateTime")
    expect(isinstance(answer["indicators"], dict), answer)


@ACCOUNT.add("account.adl_quantile")
async def adl_quantile(client: PlainClient) -> None:
    own = client.fresh()
    await buy_at_market(own, "BTCUSDT", "0.010")
    answer = await own("adl_quantile", symbol="BTCUSDT")
    row = only(answer) if isinstance(answer, list) else answer
    equal(row["symbol"], "BTCUSDT")
    expect(0 <= row["adlQuantile"]["BOTH"] <= 4, row)


@ACCOUNT.add("account.force_orders")
async def force_orders(client: PlainClient) -> None:
    own = client.fresh()
    equal(await own("force_orders"), [])
    await buy_at_market(own, "SOLUSDT", "10")
    force_liquidation(own, "SOLUSDT")

    async def liquidated() -> Any:
        return await own("force_orders", symbol="SOLUSDT")

    row = only(await until_async(liquidated))
    keys_in(row, "orderId symbol status clientOrderId price avgPrice origQty executedQty side time")
    expect(row["clientOrderId"].startswith("autoclose-"), row)
    equal((row["side"], row["status"]), ("SELL", "FILLED"))


def force_liquidation(client: PlainClient, symbol: str) -> None:
    """Have the venue liquidate the account's position: no market would do so within seconds."""
    asked = {"account_id": client.account["account_id"], "symbol": symbol, "kind": "liquidation"}
    client.venue.ask("POST", "/sim/surprises", asked)
