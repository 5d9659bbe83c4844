"""Exact decimals: prices, quantities and notionals are read, rounded and written here."""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, InvalidOperation

ZERO = Decimal(0)
ONE = Decimal(1)
#: Binance USD-M keeps realised profit and commission to eight decimals.
MONEY_QUANTUM = Decimal("0.00000001")


#: Powers of ten that a price, quantity or speed may span. What is beyond is finite, and yet
#: writing it out (or making a fraction of it) takes all memory there is.
MAGNITUDE_MAX = 12


def is_reckonable(value: Decimal) -> bool:
    """Whether a value is finite, above zero, and of a size whose products Decimal holds exactly."""
    return value.is_finite() and value > ZERO and abs(value.adjusted()) <= MAGNITUDE_MAX


def parse_decimal(text: str) -> Decimal:
    """Read a finite decimal from its wire string.

    Raises:
        ValueError: the text is no number, or is NaN or infinite.
    """
    try:
        value = Decimal(text)
    except (InvalidOperation, TypeError) as error:
        raise ValueError(f"not a decimal number: {text!r}") from error
    if not value.is_finite():
        raise ValueError(f"not a finite number: {text!r}")
    return value


def plain(value: Decimal) -> str:
    """Write a decimal without an exponent, as the venue's wire expects it.

    Raises:
        ValueError: the value is NaN or infinite.
    """
    if not value.is_finite():
        raise ValueError(f"not a finite number: {value}")
    return format(value, "f")


def round_money(value: Decimal) -> Decimal:
    """Round to the venue's eight decimals, half to even."""
    return value.quantize(MONEY_QUANTUM, rounding=ROUND_HALF_EVEN)


def round_down(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of ``step`` not above ``value``; a zero step leaves it as it is."""
    if step == ZERO:
        return value
    return (value / step).to_integral_value(rounding=ROUND_FLOOR) * step


def round_up(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of ``step`` not below ``value``; a zero step leaves it as it is."""
    if step == ZERO:
        return value
    return (value / step).to_integral_value(rounding=ROUND_CEILING) * step


def is_multiple(value: Decimal, step: Decimal, offset: Decimal = ZERO) -> bool:
    """Whether ``value - offset`` is a whole number of steps; a zero step admits every value."""
    return step == ZERO or (value - offset) % step == ZERO
