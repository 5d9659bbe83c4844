"""What positions look like in REST answers: positionRisk.

Version 2 lists every position, version 3 only those that are open or have an open order.
"""

from __future__ import annotations

from services.paper_exchange.money.deleveraging import quantile
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
from services.paper_exchange.state.liquidation_price import liquidation_price
from services.paper_exchange.state.margin import AccountMargin
from services.paper_exchange.state.venue_state import NS_PER_MS, VenueState
from services.paper_exchange.wire.decimal_text import entry, figure, scaled
from services.paper_exchange.wire.parameters import Parameters


def position_risk_v2(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[Body]:
    """GET /fapi/v2/positionRisk: one symbol, or every symbol.

    The mark price of a symbol without position and orders is told as zero.
    """
    margin = exchange.margin_of(account)
    return [
        _risk_v2(exchange, account, key, margin)
        for key in every_position(exchange, account, parameters)
    ]


def position_risk_v3(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[Body]:
    """GET /fapi/v3/positionRisk: positions that are open or have an open order."""
    margin = exchange.margin_of(account)
    return [
        _risk_v3(exchange, account, key, margin)
        for key in live_positions(exchange, parameters, margin)
    ]


def _risk_v2(
    exchange: VenueState, account: Account, key: PositionKey, margin: AccountMargin
) -> Body:
    position, part = account.position(*key), part_of(margin, key)
    symbol = position.symbol
    leverage = account.leverage_of(symbol)
    return {
        "symbol": symbol,
        "positionAmt": quantity_text(exchange, symbol, position.quantity),
        "entryPrice": entry(position.entry_price),
        "breakEvenPrice": entry(position.break_even_price),
        "markPrice": figure(part.mark),
        "unRealizedProfit": figure(part.unrealized),
        "liquidationPrice": figure_or_zero(liquidation_price(account, key, margin)),
        "leverage": str(leverage),
        "maxNotionalValue": scaled(notional_max(symbol, leverage), 0),
        "marginType": account.margin_type_of(symbol),
        "isolatedMargin": figure(part.isolated_margin),
        "isAutoAddMargin": "false",
        "positionSide": position.position_side,
        "notional": figure_or_zero(part.notional),
        "isolatedWallet": money_or_zero(part.isolated_wallet),
        "updateTime": position.updated_ns // NS_PER_MS,
        "isolated": account.is_isolated(symbol),
        "adlQuantile": quantile(exchange, account, position),
    }


def _risk_v3(
    exchange: VenueState, account: Account, key: PositionKey, margin: AccountMargin
) -> Body:
    position, part = account.position(*key), part_of(margin, key)
    return {
        "symbol": position.symbol,
        "positionSide": position.position_side,
        "positionAmt": quantity_text(exchange, position.symbol, position.quantity),
        "entryPrice": entry(position.entry_price),
        "breakEvenPrice": entry(position.break_even_price),
        "markPrice": figure(part.mark),
        "unRealizedProfit": figure(part.unrealized),
        "liquidationPrice": figure_or_zero(liquidation_price(account, key, margin)),
        "isolatedMargin": figure_or_zero(part.isolated_margin),
        "notional": figure_or_zero(part.notional),
        "marginAsset": "USDT",
        "isolatedWallet": money_or_zero(part.isolated_wallet),
        "initialMargin": figure(part.initial),
        "maintMargin": figure(part.maintenance),
        "positionInitialMargin": figure(part.position_initial),
        "openOrderInitialMargin": figure(part.open_order_initial),
        "adl": quantile(exchange, account, position),
        "bidNotional": figure_or_zero(part.bid_notional),
        "askNotional": figure_or_zero(part.ask_notional),
        "updateTime": position.updated_ns // NS_PER_MS,
    }
