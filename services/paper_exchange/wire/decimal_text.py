"""Decimals as the venue writes them: fixed notation, with the scale that a field has."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

MONEY_STEP = Decimal("0.00000001")
"""Amounts that must be rounded are rounded half-even to 8 decimals, as the venue shows them."""
_STEPS = tuple(Decimal(1).scaleb(-decimals) for decimals in range(32))


def scaled(value: Decimal, decimals: int) -> str:
    """Exactly this many decimals (at most 31), rounded half-even where there are more."""
    return f"{value.quantize(_STEPS[decimals], rounding=ROUND_HALF_EVEN):f}"


def at_least(value: Decimal, decimals: int) -> str:
    """At least this many decimals, and all of the value's own, so that nothing is lost."""
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > decimals:
        value = value.normalize()
        exponent = value.as_tuple().exponent
        if isinstance(exponent, int) and -exponent > decimals:
            return f"{value:f}"
    return scaled(value, decimals)


def money(value: Decimal) -> str:
    """An amount the ledger holds: 8 decimals, more only where it has more. Never rounded."""
    return at_least(value, 8)


def figure(value: Decimal) -> str:
    """A derived figure such as margin or unrealized profit: rounded to 8 decimals."""
    return f"{value.quantize(MONEY_STEP, rounding=ROUND_HALF_EVEN):f}"


def average(value: Decimal, decimals: int) -> str:
    """An average price: the symbol's decimals, or up to 8 where the division needs them."""
    return at_least(value.quantize(MONEY_STEP, rounding=ROUND_HALF_EVEN), decimals)


def entry(value: Decimal) -> str:
    """An entry price: up to 8 decimals without trailing zeros, `0.0` for none."""
    return at_least(value.quantize(MONEY_STEP, rounding=ROUND_HALF_EVEN), 1)


def plain(value: Decimal) -> str:
    """Without padding: `0` for zero, else the digits that matter."""
    return f"{value.normalize():f}" if value else "0"


def java_double(value: Decimal) -> str:
    """As Java writes a double, which one list of the venue does: `7.0E-4`, `0.0`, `74457.1`."""
    if not value:
        return "0.0"
    sign, digits, _ = value.normalize().as_tuple()
    exponent = value.adjusted()
    if -3 <= exponent < 7:
        text = plain(value)
        return text if "." in text else f"{text}.0"
    mantissa = "".join(map(str, digits))
    return f"{'-' if sign else ''}{mantissa[0]}.{mantissa[1:] or '0'}E{exponent}"
