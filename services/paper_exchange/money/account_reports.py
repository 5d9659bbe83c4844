"""What an account looks like in REST answers: account, balance, position risk, settings.

Versions 2 list every symbol, versions 3 only those with a position or an open order.
"""

from __future__ import annotations

from decimal import Decimal

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.brackets import brackets_of, notional_max
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.margin import AccountMargin, SymbolMargin, liquidation_price
from services.paper_exchange.state.venue_state import NS_PER_MS, VenueState
from services.paper_exchange.trading.placement import instrument_of
from services.paper_exchange.wire.decimal_text import entry, figure, money, scaled
from services.paper_exchange.wire.parameters import Parameters

Body = dict[str, object]
_FLAT = SymbolMargin(ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)


def account_v2(exchange: VenueState, account: Account, parameters: Parameters, now_ns: int) -> Body:
    """GET /fapi/v2/account: every symbol is listed."""
    margin = exchange.margin_of(account)
    head: Body = {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "feeBurn": False,
        "tradeGroupId": -1,
        "updateTime": 0,
        "multiAssetsMargin": False,
    }
    positions = [_account_position_v2(exchange, account, s, margin) for s in exchange.instruments]
    assets = [_asset(account, margin, with_availability=True)]
    return head | _totals(margin) | {"assets": assets, "positions": positions}


def account_v3(exchange: VenueState, account: Account, parameters: Parameters, now_ns: int) -> Body:
    """GET /fapi/v3/account: symbols with a position or an open order."""
    margin = exchange.margin_of(account)
    positions = [_account_position_v3(exchange, account, s, margin) for s in margin.symbols]
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
            "crossWalletBalance": money(margin.wallet),
            "crossUnPnl": figure(margin.unrealized),
            "availableBalance": figure(margin.available),
            "maxWithdrawAmount": figure(margin.withdrawable),
            "marginAvailable": True,
            "updateTime": account.updated_ns // NS_PER_MS,
        }
    ]


def position_risk_v2(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[Body]:
    """GET /fapi/v2/positionRisk: one symbol, or every symbol."""
    margin = exchange.margin_of(account)
    symbols = _chosen(exchange, parameters, list(exchange.instruments))
    return [_position_risk_v2(exchange, account, symbol, margin) for symbol in symbols]


def position_risk_v3(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[Body]:
    """GET /fapi/v3/positionRisk: symbols with a position or an open order."""
    margin = exchange.margin_of(account)
    symbols = _chosen(exchange, parameters, list(margin.symbols))
    return [
        _position_risk_v3(exchange, account, symbol, margin)
        for symbol in symbols
        if symbol in margin.symbols
    ]


def account_config(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """GET /fapi/v1/accountConfig."""
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "dualSidePosition": False,
        "updateTime": 0,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
    }


def symbol_config(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[Body]:
    """GET /fapi/v1/symbolConfig; the margin type is upper case here and nowhere else."""
    rows: list[Body] = []
    for symbol in _chosen(exchange, parameters, list(exchange.instruments)):
        leverage = account.leverage_of(symbol)
        is_cross = account.margin_type_of(symbol) == "cross"
        rows.append(
            {
                "symbol": symbol,
                "marginType": "CROSSED" if is_cross else "ISOLATED",
                "isAutoAddMargin": False,
                "leverage": leverage,
                "maxNotionalValue": _whole(notional_max(symbol, leverage)),
            }
        )
    return rows


def leverage_brackets(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[Body]:
    """GET /fapi/v1/leverageBracket: numbers here are JSON numbers, as the venue sends them."""
    return [
        {"symbol": symbol, "brackets": [_bracket_row(symbol, i) for i in range(_count(symbol))]}
        for symbol in _chosen(exchange, parameters, list(exchange.instruments))
    ]


def commission_rate(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """GET /fapi/v1/commissionRate of one symbol."""
    return {
        "symbol": instrument_of(exchange, parameters).symbol,
        "makerCommissionRate": scaled(exchange.limits.maker_rate, 6),
        "takerCommissionRate": scaled(exchange.limits.taker_rate, 6),
        "rpiCommissionRate": scaled(exchange.limits.maker_rate, 6),
    }


def order_rate_limits(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[Body]:
    """GET /fapi/v1/rateLimit/order."""
    limits = exchange.limits
    return [
        {
            "rateLimitType": "ORDERS",
            "interval": interval,
            "intervalNum": number,
            "limit": limit,
        }
        for interval, number, limit in (
            ("SECOND", 10, limits.orders_per_10_seconds_max),
            ("MINUTE", 1, limits.orders_per_minute_max),
        )
    ]


def _chosen(exchange: VenueState, parameters: Parameters, otherwise: list[str]) -> list[str]:
    if "symbol" in parameters:
        return [instrument_of(exchange, parameters).symbol]
    return otherwise


def _totals(margin: AccountMargin) -> Body:
    return {
        "totalInitialMargin": figure(margin.initial),
        "totalMaintMargin": figure(margin.maintenance),
        "totalWalletBalance": money(margin.wallet),
        "totalUnrealizedProfit": figure(margin.unrealized),
        "totalMarginBalance": figure(margin.margin_balance),
        "totalPositionInitialMargin": figure(margin.position_initial),
        "totalOpenOrderInitialMargin": figure(margin.open_order_initial),
        "totalCrossWalletBalance": money(margin.wallet),
        "totalCrossUnPnl": figure(margin.unrealized),
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
        "crossWalletBalance": money(margin.wallet),
        "crossUnPnl": figure(margin.unrealized),
        "availableBalance": figure(margin.available),
    }
    if with_availability:
        body["marginAvailable"] = True
    body["updateTime"] = account.updated_ns // NS_PER_MS
    return body


def _account_position_v2(
    exchange: VenueState, account: Account, symbol: str, margin: AccountMargin
) -> Body:
    position, part = account.position(symbol), margin.symbols.get(symbol, _FLAT)
    leverage = account.leverage_of(symbol)
    return {
        "symbol": symbol,
        "initialMargin": figure(part.initial),
        "maintMargin": figure(part.maintenance),
        "unrealizedProfit": figure(part.unrealized),
        "positionInitialMargin": figure(part.position_initial),
        "openOrderInitialMargin": figure(part.open_order_initial),
        "leverage": str(leverage),
        "isolated": account.margin_type_of(symbol) == "isolated",
        "entryPrice": entry(position.entry_price),
        "breakEvenPrice": entry(position.break_even_price),
        "maxNotional": _whole(notional_max(symbol, leverage)),
        "positionSide": "BOTH",
        "positionAmt": _quantity(exchange, symbol, position.quantity),
        "notional": figure(part.notional),
        "isolatedWallet": "0",
        "updateTime": position.updated_ns // NS_PER_MS,
        "bidNotional": _zero_or_figure(part.bid_notional),
        "askNotional": _zero_or_figure(part.ask_notional),
    }


def _account_position_v3(
    exchange: VenueState, account: Account, symbol: str, margin: AccountMargin
) -> Body:
    position, part = account.position(symbol), margin.symbols[symbol]
    return {
        "symbol": symbol,
        "positionSide": "BOTH",
        "positionAmt": _quantity(exchange, symbol, position.quantity),
        "unrealizedProfit": figure(part.unrealized),
        "isolatedMargin": "0.00000000",
        "notional": figure(part.notional),
        "isolatedWallet": "0",
        "initialMargin": figure(part.initial),
        "maintMargin": figure(part.maintenance),
        "updateTime": position.updated_ns // NS_PER_MS,
    }


def _position_risk_v2(
    exchange: VenueState, account: Account, symbol: str, margin: AccountMargin
) -> Body:
    position, part = account.position(symbol), margin.symbols.get(symbol, _FLAT)
    leverage = account.leverage_of(symbol)
    margin_type = account.margin_type_of(symbol)
    return {
        "symbol": symbol,
        "positionAmt": _quantity(exchange, symbol, position.quantity),
        "entryPrice": entry(position.entry_price),
        "breakEvenPrice": entry(position.break_even_price),
        "markPrice": figure(exchange.mark_of(symbol) or ZERO),
        "unRealizedProfit": figure(part.unrealized),
        "liquidationPrice": _liquidation(exchange, account, symbol, margin),
        "leverage": str(leverage),
        "maxNotionalValue": _whole(notional_max(symbol, leverage)),
        "marginType": margin_type,
        "isolatedMargin": "0.00000000",
        "isAutoAddMargin": "false",
        "positionSide": "BOTH",
        "notional": figure(part.notional) if position.quantity else "0",
        "isolatedWallet": "0",
        "updateTime": position.updated_ns // NS_PER_MS,
        "isolated": margin_type == "isolated",
        "adlQuantile": 1 if position.quantity else 0,
    }


def _position_risk_v3(
    exchange: VenueState, account: Account, symbol: str, margin: AccountMargin
) -> Body:
    position, part = account.position(symbol), margin.symbols[symbol]
    return {
        "symbol": symbol,
        "positionSide": "BOTH",
        "positionAmt": _quantity(exchange, symbol, position.quantity),
        "entryPrice": entry(position.entry_price),
        "breakEvenPrice": entry(position.break_even_price),
        "markPrice": figure(part.mark),
        "unRealizedProfit": figure(part.unrealized),
        "liquidationPrice": _liquidation(exchange, account, symbol, margin),
        "isolatedMargin": "0",
        "notional": figure(part.notional) if position.quantity else "0",
        "marginAsset": "USDT",
        "isolatedWallet": "0",
        "initialMargin": figure(part.initial),
        "maintMargin": figure(part.maintenance),
        "positionInitialMargin": figure(part.position_initial),
        "openOrderInitialMargin": figure(part.open_order_initial),
        "adl": 1 if position.quantity else 0,
        "bidNotional": _zero_or_figure(part.bid_notional),
        "askNotional": _zero_or_figure(part.ask_notional),
        "updateTime": position.updated_ns // NS_PER_MS,
    }


def _bracket_row(symbol: str, index: int) -> Body:
    bracket = brackets_of(symbol)[index]
    return {
        "bracket": bracket.number,
        "initialLeverage": bracket.leverage_max,
        "notionalCap": int(bracket.notional_cap),
        "notionalFloor": int(bracket.notional_floor),
        "maintMarginRatio": bracket.maintenance_ratio,
        "cum": bracket.cumulative,
    }


def _count(symbol: str) -> int:
    return len(brackets_of(symbol))


def _liquidation(exchange: VenueState, account: Account, symbol: str, margin: AccountMargin) -> str:
    part = margin.symbols.get(symbol)
    if part is None:
        return "0"
    price = liquidation_price(account.position(symbol), part, margin)
    return figure(price) if price else "0"


def _quantity(exchange: VenueState, symbol: str, quantity: Decimal) -> str:
    return scaled(quantity, exchange.instruments[symbol].quantity_precision)


def _whole(value: Decimal) -> str:
    return scaled(value, 0)


def _zero_or_figure(value: Decimal) -> str:
    return figure(value) if value else "0"
