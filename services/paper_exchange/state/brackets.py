"""Leverage brackets: how much notional each leverage allows, and what it must maintain.

BTCUSDT's first tiers are those of the venue in October 2024 (ETHUSDT takes them too); other symbols
take a common table. A bracket's `cumulative` is floor * (ratio - previous ratio) + previous
cumulative, so that maintenance margin is continuous at its borders.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple


class Bracket(NamedTuple):
    """One tier; notionals in quote currency."""

    number: int
    leverage_max: int
    notional_floor: Decimal
    notional_cap: Decimal
    maintenance_ratio: Decimal
    cumulative: Decimal


def _table(*rows: tuple[int, int, str]) -> tuple[Bracket, ...]:
    """Rows of (leverage, notional cap, maintenance ratio), lowest notional first."""
    brackets: list[Bracket] = []
    floor, ratio_before, cumulative = Decimal(0), Decimal(0), Decimal(0)
    for number, (leverage, cap, ratio_text) in enumerate(rows, start=1):
        ratio = Decimal(ratio_text)
        if brackets:
            cumulative += floor * (ratio - ratio_before)
        brackets.append(Bracket(number, leverage, floor, Decimal(cap), ratio, cumulative))
        floor, ratio_before = Decimal(cap), ratio
    return tuple(brackets)


_BTCUSDT = _table(
    (125, 50_000, "0.004"),
    (100, 600_000, "0.005"),
    (75, 3_000_000, "0.0065"),
    (50, 12_000_000, "0.01"),
    (20, 70_000_000, "0.02"),
    (10, 100_000_000, "0.05"),
    (5, 230_000_000, "0.1"),
    (4, 480_000_000, "0.125"),
    (3, 600_000_000, "0.15"),
    (2, 800_000_000, "0.25"),
    (1, 1_200_000_000, "0.5"),
)
_COMMON = _table(
    (75, 10_000, "0.005"),
    (50, 50_000, "0.01"),
    (25, 750_000, "0.02"),
    (20, 1_500_000, "0.025"),
    (10, 3_000_000, "0.05"),
    (5, 7_500_000, "0.1"),
    (4, 10_000_000, "0.125"),
    (2, 12_500_000, "0.25"),
    (1, 25_000_000, "0.5"),
)


def brackets_of(symbol: str) -> tuple[Bracket, ...]:
    """The tiers of a symbol, lowest notional first."""
    return _BTCUSDT if symbol in ("BTCUSDT", "ETHUSDT") else _COMMON


def bracket_at(symbol: str, notional: Decimal) -> Bracket:
    """The tier that a notional falls into; the last one beyond the table."""
    brackets = brackets_of(symbol)
    for bracket in brackets:
        if notional <= bracket.notional_cap:
            return bracket
    return brackets[-1]


def notional_max(symbol: str, leverage: int) -> Decimal:
    """The largest position, in quote currency, that a leverage allows."""
    caps = [item.notional_cap for item in brackets_of(symbol) if item.leverage_max >= leverage]
    return caps[-1]


def maintenance_margin(symbol: str, notional: Decimal) -> Decimal:
    """Maintenance margin of a position: notional * ratio - cumulative."""
    bracket = bracket_at(symbol, notional)
    return notional * bracket.maintenance_ratio - bracket.cumulative
