"""What an account looks like in REST answers: account and balance.

Version 2 lists every position, version 3 only those that are open or have an open order. Totals
include isolated positions; what is named cross, available or withdrawable leaves them out.
"""

from __future__ import annotations

from services.paper_exchange.money.listing import (
    Body,
    every_position,
    figure_or_zero,
    live_positions,
    money_or_zero,
    part_of,
    quantity_text,
)
from services.paper_exchange.state.accounts import Account, PositionKey
from services.paper_exchange.state.brackets import notional_max
from services.paper_exchange.state.margin import AccountMargin
from services.paper_exchange.state.venue_state import NS_PER_MS, VenueState
from services.paper_exchange.wire.decimal_text import entry, figure, money, scaled
from services.paper_exchange.wire.parameters import Parameters


def account_v2(exchange: VenueState, account: Account, parameters: Parameters, now_ns: int) -> Body:
    """GET /fapi/v2/account: every position is listed."""
    margin = exchange.margin_of(account)
    head: Body = {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "feeBurn": account.is_fee_burned,
        "tradeGroupId": -1,
        "updateTime": 0,
        "multiAssetsMargin": account.is_multi_assets_mode,
    }
    positions = [
        _position_v2(exchange, account, key, margin)
        for key in every_position(exchange, account, parameters)
    ]
    assets = [_asset(account, margin, with_availability=True)]
    return head | _totals(margin) | {"assets": assets, "positions": positions}


def account_v3(exchange: VenueState, account: Account, parameters: Parameters, now_ns: int) -> Body:
    """GET /fapi/v3/account: positions that are open or have an open order."""
    margin = exchange.margin_of(account)
    positions = [
        _position_v3(exchange, account, key, margin)
        for key in live_positions(exchange, parameters, margin)
    ]
    assets = [_asset(account, margin, with_availability=False)]
    return _totals(margin) | {"assets": assets, "positions": positions}


def balances(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[Body]:
    """GET /fapi/v2/balance and /fapi/v3/balance."""
    margin = exchange.margin_of(account)
    return [
        {
            "accountAlias": account.alias,
            "asset": "USDT",
            "balance": money(margin.wallet),
            "crossWalletBalance": money(margin.cross_wallet),
            "crossUnPnl": figure(margin.cross_unrealized),
            "availableBalance": figure(margin.available),
            "maxWithdrawAmount": figure(margin.withdrawable),
            "marginAvailable": True,
            "updateTime": account.updated_ns // NS_PER_MS,
        }
    ]


def _totals(margin: AccountMargin) -> Body:
    return {
        "totalInitialMargin": figure(margin.initial),
        "totalMaintMargin": figure(margin.maintenance),
        "totalWalletBalance": money(margin.wallet),
        "totalUnrealizedProfit": figure(margin.unrealized),
        "totalMarginBalance": figure(margin.margin_balance),
        "totalPositionInitialMargin": figure(margin.position_initial),
        "totalOpenOrderInitialMargin": figure(margin.open_order_initial),
        "totalCrossWalletBalance": money(margin.cross_wallet),
        "totalCrossUnPnl": figure(margin.cross_unrealized),
        "availableBalance": figure(margin.available),
        "maxWithdrawAmount": figure(margin.withdrawable),
    }


def _asset(account: Account, margin: AccountMargin, *, with_availability: bool) -> Body:
    body: Body = {
        "asset": "USDT",
        "walletBalance": money(margin.wallet),
        "unrealizedProfit": figure(margin.unrealized),
        "marginBalance": figure(margin.margin_balance),
        "maintMargin": figure(margin.maintenance),
        "initialMargin": figure(margin.initial),
        "positionInitialMargin": figure(margin.position_initial),
        "openOrderInitialMargin": figure(margin.open_order_initial),
        "maxWithdrawAmount": figure(margin.withdrawable),
        "crossWalletBalance": money(margin.cross_wallet),
        "crossUnPnl": figure(margin.cross_unrealized),
        "availableBalance": figure(margin.available),
    }
    if with_availability:
        body["marginAvailable"] = True
    body["updateTime"] = account.updated_ns // NS_PER_MS
    return body


def _position_v2(
    exchange: VenueState, account: Account, key: PositionKey, margin: AccountMargin
) -> Body:
    position, part = account.position(*key), part_of(margin, key)
    symbol = position.symbol
    leverage = account.leverage_of(symbol)
    return {
        "symbol": symbol,
        "initialMargin": figure_or_zero(part.initial),
        "maintMargin": figure_or_zero(part.maintenance),
        "unrealizedProfit": figure(part.unrealized),
        "positionInitialMargin": figure_or_zero(part.position_initial),
        "openOrderInitialMargin": figure_or_zero(part.open_order_initial),
        "leverage": str(leverage),
        "isolated": account.is_isolated(symbol),
        "entryPrice": entry(position.entry_price),
        "breakEvenPrice": entry(position.break_even_price),
        "maxNotional": scaled(notional_max(symbol, leverage), 0),
        "positionSide": position.position_side,
        "positionAmt": quantity_text(exchange, symbol, position.quantity),
        "notional": figure_or_zero(part.notional),
        "isolatedWallet": money_or_zero(part.isolated_wallet),
        "updateTime": position.updated_ns // NS_PER_MS,
        "bidNotional": figure_or_zero(part.bid_notional),
        "askNotional": figure_or_zero(part.ask_notional),
    }


def _position_v3(
    exchange: VenueState, account: Account, key: PositionKey, margin: AccountMargin
) -> Body:
    position, part = account.position(*key), part_of(margin, key)
    return {
        "symbol": position.symbol,
        "positionSide": position.position_side,
        "positionAmt": quantity_text(exchange, position.symbol, position.quantity),
        "unrealizedProfit": figure(part.unrealized),
        "isolatedMargin": figure(part.isolated_margin),
        "notional": figure_or_zero(part.notional),
        "isolatedWallet": money_or_zero(part.isolated_wallet),
        "initialMargin": figure_or_zero(part.initial),
        "maintMargin": figure_or_zero(part.maintenance),
        "updateTime": position.updated_ns // NS_PER_MS,
    }
