"""What an account may do and at which terms: configuration, brackets, rates, order limits."""

from __future__ import annotations

from services.paper_exchange.money.listing import Body, chosen_symbols
from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.brackets import Bracket, brackets_of, notional_max
from services.paper_exchange.state.venue_state import VenueState
from services.paper_exchange.wire.decimal_text import scaled
from services.paper_exchange.wire.parameters import Parameters


def account_config(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """GET /fapi/v1/accountConfig."""
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "dualSidePosition": account.is_hedge_mode,
        "updateTime": 0,
        "multiAssetsMargin": account.is_multi_assets_mode,
        "tradeGroupId": -1,
    }


def symbol_config(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[Body]:
    """GET /fapi/v1/symbolConfig; the margin type is upper case here and nowhere else."""
    rows: list[Body] = []
    for symbol in chosen_symbols(exchange, parameters):
        leverage = account.leverage_of(symbol)
        rows.append(
            {
                "symbol": symbol,
                "marginType": "ISOLATED" if account.is_isolated(symbol) else "CROSSED",
                "isAutoAddMargin": False,
                "leverage": leverage,
                "maxNotionalValue": scaled(notional_max(symbol, leverage), 0),
            }
        )
    return rows


def leverage_brackets(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[Body]:
    """GET /fapi/v1/leverageBracket: numbers here are JSON numbers, as the venue sends them."""
    return [
        {"symbol": symbol, "brackets": [_bracket_row(bracket) for bracket in brackets_of(symbol)]}
        for symbol in chosen_symbols(exchange, parameters)
    ]


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


def _bracket_row(bracket: Bracket) -> Body:
    return {
        "bracket": bracket.number,
        "initialLeverage": bracket.leverage_max,
        "notionalCap": int(bracket.notional_cap),
        "notionalFloor": int(bracket.notional_floor),
        "maintMarginRatio": bracket.maintenance_ratio,
        "cum": bracket.cumulative,
    }
