"""Verdicts: what each check or guard found, and the one reason a refusal is known by."""

from enum import StrEnum

import msgspec


class Reason(StrEnum):
    """Every reason an intent can be refused for, by risk or by the gate."""

    TRADING_HALTED = "TRADING_HALTED"
    REDUCE_ONLY = "REDUCE_ONLY"
    INTENT_EXPIRED = "INTENT_EXPIRED"
    INTENT_INVALID = "INTENT_INVALID"
    APPROVAL_INVALID = "APPROVAL_INVALID"
    SAFE_MODE = "SAFE_MODE"
    VENUE_BANNED = "VENUE_BANNED"
    VENUE_OVERLOADED = "VENUE_OVERLOADED"
    PRICE_DRIFT = "PRICE_DRIFT"
    DUPLICATE_INTENT = "DUPLICATE_INTENT"
    COOLDOWN_GLOBAL = "COOLDOWN_GLOBAL"
    COOLDOWN_SYMBOL = "COOLDOWN_SYMBOL"
    RATE_SYMBOL = "RATE_SYMBOL"
    RATE_GLOBAL = "RATE_GLOBAL"
    VENUE_BUDGET = "VENUE_BUDGET"
    LOCKED = "LOCKED"
    SYMBOL_QUARANTINED = "SYMBOL_QUARANTINED"
    MARGIN_INSUFFICIENT = "MARGIN_INSUFFICIENT"
    ACCOUNT_STALE = "ACCOUNT_STALE"
    FILTERS_STALE = "FILTERS_STALE"
    FILTER_STATUS = "FILTER_STATUS"
    FILTER_PRICE = "FILTER_PRICE"
    FILTER_QUANTITY = "FILTER_QUANTITY"
    FILTER_NOTIONAL = "FILTER_NOTIONAL"
    FILTER_PERCENT_PRICE = "FILTER_PERCENT_PRICE"
    FILTER_ORDERS_MAX = "FILTER_ORDERS_MAX"
    INPUT_STALE = "INPUT_STALE"
    SYMBOL_NOT_ALLOWED = "SYMBOL_NOT_ALLOWED"
    ORDER_NOTIONAL = "ORDER_NOTIONAL"
    POSITION_NOTIONAL = "POSITION_NOTIONAL"
    POSITIONS_MAX = "POSITIONS_MAX"
    DAILY_LOSS = "DAILY_LOSS"
    POSITION_DUPLICATE = "POSITION_DUPLICATE"
    POSITION_ABSENT = "POSITION_ABSENT"
    SIZE_ZERO = "SIZE_ZERO"
    SPREAD = "SPREAD"
    SLIPPAGE = "SLIPPAGE"
    LIMITS_CHANGED = "LIMITS_CHANGED"


class Verdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one check or guard found.

    Attributes:
        check: the name of the check, as in its configuration.
        passed: whether the intent may go on as far as this check is concerned.
        reason: why not, where it did not pass.
        limit: the limit it was held against, with its unit, as text.
        observed: the value found, with its unit, as text.
    """

    check: str
    passed: bool
    limit: str = ""
    observed: str = ""
    reason: Reason | None = None


def first_reason(verdicts: tuple[Verdict, ...]) -> Reason | None:
    """The reason of the first check that did not pass; ``None`` when all did."""
    for verdict in verdicts:
        if not verdict.passed:
            return verdict.reason
    return None
