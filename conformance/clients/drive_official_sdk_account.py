"""Account, positions and settings as the SDK reads and changes them."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

from binance_common.errors import BadRequestError

from conformance.clients.drive_official_sdk_session import (
    ID,
    OTHER,
    VENUE,
    Rest,
    bought,
    rest,
    trader,
)
from conformance.driver import (
    capability,
    equal,
    expect,
    filled_list,
    only,
    positive,
    refused,
    text_number,
    until,
)


@capability("account.account_v2")
def account_v2() -> None:
    one = rest("account_information_v2")
    expect(one.can_trade and positive(one.total_wallet_balance), one)
    expect({ID, OTHER} <= {row.symbol for row in one.positions}, "every symbol is listed")
    expect("USDT" in {row.asset for row in one.assets}, one.assets)


@capability("account.account_v3")
def account_v3() -> None:
    on = trader()
    equal(on("account_information_v3").positions, [], "positions of a fresh account")
    bought(on)
    one = on("account_information_v3")
    equal(
        (only(one.positions).symbol, Decimal(one.positions[0].position_amt)), (ID, Decimal("0.01"))
    )
    positive(one.total_initial_margin), positive(one.total_maint_margin)


@capability("account.balance")
def balance() -> None:
    on = trader(balance="12345.5")
    for method in ("futures_account_balance_v2", "futures_account_balance_v3"):
        row = next(row for row in on(method) if row.asset == "USDT")
        equal(Decimal(row.balance), Decimal("12345.5"))
        equal(Decimal(row.available_balance), Decimal("12345.5"))


@capability("account.position_risk")
def position_risk() -> None:
    on = trader()
    order = bought(on, "0.02")
    for method in ("position_information_v2", "position_information_v3"):
        row = only(on(method, ID))
        equal((Decimal(row.position_amt), row.position_side), (Decimal("0.02"), "BOTH"))
        expect(abs(Decimal(row.entry_price) - Decimal(order.avg_price)) < Decimal("0.1"), row)
        positive(row.mark_price), positive(row.notional), text_number(row.un_realized_profit)
    equal([row.symbol for row in on("position_information_v3")], [ID], "only what is held")


@capability("account.account_config")
def account_config() -> None:
    one = rest("futures_account_configuration")
    equal((one.can_trade, one.dual_side_position, one.multi_assets_margin), (True, False, False))


@capability("account.symbol_config")
def symbol_config() -> None:
    row = only(rest("symbol_configuration", ID))
    equal((row.symbol, row.margin_type), (ID, "CROSSED"))
    expect(row.leverage >= 1 and positive(row.max_notional_value), row)
    expect({ID, OTHER} <= {row.symbol for row in rest("symbol_configuration")}, "all symbols")


@capability("account.leverage")
def leverage() -> None:
    one = rest("change_initial_leverage", ID, 7)
    equal((one.leverage, one.symbol), (7, ID))
    equal(only(rest("symbol_configuration", ID)).leverage, 7)
    with refused(BadRequestError, -4028):
        rest("change_initial_leverage", ID, 126)


@capability("account.margin_type")
def margin_type() -> None:
    on = trader()
    answer = on("change_margin_type", ID, "ISOLATED")
    equal((answer.code, answer.msg), (200, "success"))
    equal(only(on("symbol_configuration", ID)).margin_type, "ISOLATED")
    with refused(BadRequestError, -4046, "No need to change margin type."):
        on("change_margin_type", ID, "ISOLATED")


def _isolated() -> Rest:
    on = trader()
    on("change_margin_type", ID, "ISOLATED")
    bought(on, "0.02")
    return on


@capability("account.position_margin")
def position_margin() -> None:
    on = _isolated()
    before = only(on("position_information_v2", ID))
    equal((before.margin_type, before.is_auto_add_margin), ("isolated", "false"))
    positive(before.liquidation_price)
    answer = on("modify_isolated_position_margin", ID, Decimal(25), 1)
    equal((Decimal(str(answer.amount)), answer.code, answer.type), (Decimal(25), 200, 1))
    after = only(on("position_information_v2", ID))
    equal(Decimal(after.isolated_wallet) - Decimal(before.isolated_wallet), Decimal(25))
    expect(Decimal(after.liquidation_price) < Decimal(before.liquidation_price), after)


@capability("account.position_margin_history")
def position_margin_history() -> None:
    on = _isolated()
    on("modify_isolated_position_margin", ID, Decimal(25), 1)
    rows = filled_list(on("get_position_margin_change_history", ID))
    added = [row for row in rows if row.type == 1 and Decimal(row.amount) == 25]
    expect(len(added) == 1 and added[0].asset == "USDT" and added[0].time, rows)


@capability("account.position_mode")
def position_mode() -> None:
    on = trader()
    equal(on("get_current_position_mode").dual_side_position, False)
    equal(on("change_position_mode", "true").code, 200)
    equal(on("get_current_position_mode").dual_side_position, True)
    with refused(BadRequestError, -4059, "No need to change position side."):
        on("change_position_mode", "true")


@capability("account.multi_assets")
def multi_assets() -> None:
    on = trader()
    equal(on("get_current_multi_assets_mode").multi_assets_margin, False)
    equal(on("change_multi_assets_mode", "true").code, 200)
    equal(on("get_current_multi_assets_mode").multi_assets_margin, True)
    with refused(BadRequestError, -4171):
        on("change_multi_assets_mode", "true")


@capability("account.fee_burn")
def fee_burn() -> None:
    on = trader()
    was = on("get_bnb_burn_status").fee_burn
    equal(on("toggle_bnb_burn_on_futures_trade", "false" if was else "true").code, 200)
    equal(on("get_bnb_burn_status").fee_burn, not was)


@capability("account.leverage_bracket")
def leverage_bracket() -> None:
    row = only(rest("notional_and_leverage_brackets", ID))
    tiers = row.brackets
    equal((row.symbol, tiers[0].notional_floor, tiers[0].bracket), (ID, 0, 1))
    for lower, upper in itertools.pairwise(tiers):
        equal(lower.notional_cap, upper.notional_floor, "tiers without a gap")
        expect(lower.maint_margin_ratio < upper.maint_margin_ratio, upper)
        step = upper.notional_floor * (upper.maint_margin_ratio - lower.maint_margin_ratio)
        expect(abs(upper.cum - lower.cum - step) < 1, f"cum of {upper}")
    every = {row.symbol for row in rest("notional_and_leverage_brackets")}
    expect({ID, OTHER} <= every, every)


@capability("account.commission_rate")
def commission_rate() -> None:
    one = rest("user_commission_rate", ID)
    expect(positive(one.maker_commission_rate) <= positive(one.taker_commission_rate), one)


@capability("account.income")
def income() -> None:
    on = trader()
    bought(on)
    rows = until(lambda: on("get_income_history", ID, income_type="COMMISSION"))
    trade = on("account_trade_list", ID)[0]
    equal((Decimal(rows[0].income), rows[0].trade_id), (-Decimal(trade.commission), str(trade.id)))


@capability("account.rate_limit_order")
def rate_limit_order() -> None:
    rows = filled_list(rest("query_user_rate_limit"))
    equal({row.rate_limit_type for row in rows}, {"ORDERS"})


@capability("account.api_trading_status")
def api_trading_status() -> None:
    one = rest("futures_trading_quantitative_rules_indicators")
    expect(one.update_time is not None, one)


@capability("account.adl_quantile")
def adl_quantile() -> None:
    on = trader()
    bought(on)
    row = next(row for row in on("position_adl_quantile_estimation") if row.symbol == ID)
    expect(row.adl_quantile is not None, row)


@capability("account.force_orders")
def force_orders() -> None:
    account = VENUE.open_account()
    on: Any = Rest(account)
    bought(on, "0.02")
    equal(on("users_force_orders", symbol=ID), [])
    surprise = {"account_id": account["account_id"], "symbol": ID, "kind": "liquidation"}
    VENUE.ask("POST", "/sim/surprises", surprise)
    row = until(lambda: on("users_force_orders", symbol=ID, auto_close_type="LIQUIDATION"))[0]
    equal((row.symbol, row.side, Decimal(row.executed_qty)), (ID, "SELL", Decimal("0.02")))
    expect(row.client_order_id.startswith("autoclose-"), row)
