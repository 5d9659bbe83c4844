"""Limits of risk that people set while it runs: never looser than the configuration's. Pure."""

from decimal import Decimal

import msgspec

from libs.common.model.instrument import is_symbol

#: Where an amount is no amount any more; the configuration's bound as well.
AMOUNT_MAX = Decimal(10) ** 12
POSITIONS_MAX = 10_000
SYMBOLS_MAX = 1_000
_AMOUNTS = ("order_notional_max", "position_notional_max", "daily_loss_max")

Value = Decimal | int | tuple[str, ...]


class RiskLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some limits, by the names they have in the configuration; ``None`` says nothing of one."""

    order_notional_max: Decimal | None = None
    position_notional_max: Decimal | None = None
    daily_loss_max: Decimal | None = None
    positions_max: int | None = None
    symbols_allowed: tuple[str, ...] | None = None

    def named(self) -> dict[str, Value]:
        """Those that say something."""
        return {name: value for name in NAMES if (value := getattr(self, name)) is not None}


NAMES = tuple(field.name for field in msgspec.structs.fields(RiskLimits))
NO_LIMITS = RiskLimits()


def fault_of(limits: RiskLimits) -> str:
    """What is impossible about some limits; empty if nothing is."""
    for name in _AMOUNTS:
        value = getattr(limits, name)
        if value is not None and not (value.is_finite() and 0 < value < AMOUNT_MAX):
            return f"{name} must be above zero and below {AMOUNT_MAX:f}"
    if limits.positions_max is not None and not 0 <= limits.positions_max <= POSITIONS_MAX:
        return f"positions_max must be from 0 to {POSITIONS_MAX}"
    symbols = limits.symbols_allowed or ()
    if len(symbols) > SYMBOLS_MAX or not all(map(is_symbol, symbols)):
        return "symbols_allowed must name symbols, of capital letters, digits or underscores"
    return ""


def is_looser(wanted: Value | None, than: Value | None) -> bool:
    """Whether a limit lets something through that the other one does not; ``None`` lets all."""
    if than is None:
        return False
    if wanted is None:
        return True
    if isinstance(wanted, tuple) and isinstance(than, tuple):
        return not set(wanted) <= set(than)
    assert not isinstance(wanted, tuple), "limits of one name"
    assert not isinstance(than, tuple), "limits of one name"
    return wanted > than


def looser_names(wanted: RiskLimits, than: RiskLimits) -> tuple[str, ...]:
    """The limits that let something through that the others do not."""
    return tuple(name for name in NAMES if is_looser(getattr(wanted, name), getattr(than, name)))


def tightest(one: RiskLimits, other: RiskLimits) -> RiskLimits:
    """What both let through."""
    values = {name: _tighter(getattr(one, name), getattr(other, name)) for name in NAMES}
    return msgspec.structs.replace(NO_LIMITS, **values)


def _tighter(one: Value | None, other: Value | None) -> Value | None:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return tuple(symbol for symbol in one if symbol in other)
    return other if is_looser(one, other) else one


def changed(before: RiskLimits, change: RiskLimits, released: tuple[str, ...]) -> RiskLimits:
    """The limits after a change.

    Args:
        change: what it sets; the others stay.
        released: names that go back to the configuration's.
    """
    values: dict[str, Value | None] = {name: getattr(before, name) for name in NAMES}
    values |= change.named()
    values |= dict.fromkeys(released)
    return msgspec.structs.replace(NO_LIMITS, **values)
