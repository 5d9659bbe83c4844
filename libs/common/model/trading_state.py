"""The trading state of an account."""

from enum import StrEnum


class TradingState(StrEnum):
    """ACTIVE trades; REDUCING lets only reduce-only orders through; HALTED only cancels."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"
