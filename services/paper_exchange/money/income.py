"""The income of an account: every change of its wallets that has a name, and what it was for."""

from __future__ import annotations

from typing import Final

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.orders import Income
from services.paper_exchange.state.venue_state import NS_PER_MS, VenueState
from services.paper_exchange.trading.order_queries import in_window, optional_symbol
from services.paper_exchange.wire.decimal_text import money
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError

ROWS_DEFAULT: Final = 100
INCOME_TYPES: Final = frozenset(
    {
        "TRANSFER", "WELCOME_BONUS", "REALIZED_PNL", "FUNDING_FEE", "SPECIAL_FUNDING_FEE",
        "COMMISSION", "INSURANCE_CLEAR", "REFERRAL_KICKBACK", "COMMISSION_REBATE", "API_REBATE",
        "CONTEST_REWARD", "CROSS_COLLATERAL_TRANSFER", "OPTIONS_PREMIUM_FEE",
        "OPTIONS_SETTLE_PROFIT", "INTERNAL_TRANSFER", "AUTO_EXCHANGE", "DELIVERED_SETTELMENT",
        "COIN_SWAP_DEPOSIT", "COIN_SWAP_WITHDRAW", "POSITION_LIMIT_INCREASE_FEE",
        "STRATEGY_UMFUTURES_TRANSFER", "FEE_RETURN", "BFUSD_REWARD",
    }
)  # fmt: skip
"""Every type that the venue documents, its own spelling included; the first seven can occur."""


def list_income(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[dict[str, object]]:
    """GET /fapi/v1/income: rows of the window, by default of the last 7 days.

    The window may be as wide as what is remembered, which is three months. Counted from the start
    of the window where one is named, else back from its end. Raises -1023 and -1130.
    """
    symbol = optional_symbol(exchange, parameters)
    income_type = parameters.optional_text("incomeType")
    if income_type is not None and income_type not in INCOME_TYPES:
        raise RefusalError(-1130, "incomeType")
    limit = parameters.limit(ROWS_DEFAULT, exchange.limits.list_rows_max)
    start_ms, end_ms = _window(exchange, parameters, now_ns)
    chosen = (
        row
        for row in account.income
        if symbol in (None, row.symbol) and income_type in (None, row.income_type)
    )
    placed = in_window(chosen, lambda row: row.time_ns, start_ms, end_ms)
    rows = placed[:limit] if "startTime" in parameters else placed[-limit:]
    return [_listed(row) for row in rows]


def _window(exchange: VenueState, parameters: Parameters, now_ns: int) -> tuple[int, int]:
    """Start and end in ms, both inclusive."""
    now_ms = now_ns // NS_PER_MS
    start_ms = parameters.optional_integer("startTime")
    end_ms = parameters.optional_integer("endTime")
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        raise RefusalError(-1023)
    end_ms = now_ms if end_ms is None else end_ms
    if start_ms is None:
        start_ms = end_ms - exchange.limits.history_window_ms_max
    return max(start_ms, now_ms - exchange.limits.income_lookback_ms_max), end_ms


def _listed(row: Income) -> dict[str, object]:
    return {
        "symbol": row.symbol,
        "incomeType": row.income_type,
        "income": money(row.amount),
        "asset": "USDT",
        "info": row.info,
        "time": row.time_ns // NS_PER_MS,
        "tranId": row.transaction_id,
        "tradeId": row.trade_id,
    }
