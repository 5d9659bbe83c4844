"""The filters of a symbol, each with the code and text the venue refuses with.

Order of the checks: precision, sign, bounds, step, percent price, notional. They see numbers only;
whether the parameters were sent at all is the business of `placement`.
"""

from __future__ import annotations

from decimal import Decimal

from services.paper_exchange.market.instruments import Instrument
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.wire.refusals import RefusalError


def decimals_of(value: Decimal) -> int:
    """Number of decimals that matter: trailing zeros do not."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def check_price(instrument: Instrument, price: Decimal) -> None:
    """PRICE_FILTER; raises -1111, -4001, -4002, -4013 or -4014."""
    if price <= 0:
        raise RefusalError(-4001)
    if decimals_of(price) > instrument.price_precision:
        raise RefusalError(-1111)
    if instrument.price_min and price < instrument.price_min:
        raise RefusalError(-4013)
    if instrument.price_max and price > instrument.price_max:
        raise RefusalError(-4002)
    if instrument.price_tick and (price - instrument.price_min) % instrument.price_tick != 0:
        raise RefusalError(-4014)


def check_quantity(instrument: Instrument, quantity: Decimal, *, is_market: bool) -> None:
    """LOT_SIZE, or MARKET_LOT_SIZE for MARKET; raises -1111, -4003, -4004, -4005 or -4023."""
    if quantity <= 0:
        raise RefusalError(-4003)
    if decimals_of(quantity) > instrument.quantity_precision:
        raise RefusalError(-1111)
    maximum = instrument.market_quantity_max if is_market else instrument.quantity_max
    if quantity < instrument.quantity_min:
        raise RefusalError(-4004)
    if quantity > maximum:
        raise RefusalError(-4005)
    step = instrument.quantity_step
    if step and (quantity - instrument.quantity_min) % step != 0:
        raise RefusalError(-4023)


def check_percent_price(instrument: Instrument, side: str, price: Decimal, mark: Decimal) -> None:
    """PERCENT_PRICE, one-sided: a BUY may not be too high, a SELL not too low; -4016, -4024."""
    if side == "BUY":
        ceiling = mark * instrument.percent_price_up
        if price > ceiling:
            raise RefusalError(-4016, shown_price(instrument, ceiling))
    else:
        floor = mark * instrument.percent_price_down
        if price < floor:
            raise RefusalError(-4024, shown_price(instrument, floor))


def check_counterparty_price(
    instrument: Instrument, side: str, best: Decimal | None, mark: Decimal
) -> None:
    """A MARKET order whose best counter price breaks PERCENT_PRICE is refused with -4131."""
    if best is None:
        raise RefusalError(-4131)
    if side == "BUY" and best > mark * instrument.percent_price_up:
        raise RefusalError(-4131)
    if side == "SELL" and best < mark * instrument.percent_price_down:
        raise RefusalError(-4131)


def check_notional(instrument: Instrument, quantity: Decimal, price: Decimal) -> None:
    """MIN_NOTIONAL; reduce-only orders are exempt and never get here; raises -4164."""
    if quantity * price < instrument.notional_min:
        raise RefusalError(-4164, f"{instrument.notional_min:f}")


def shown_price(instrument: Instrument, price: Decimal) -> str:
    """A price in the decimals of its symbol."""
    return f"{price.quantize(Decimal(1).scaleb(-instrument.price_precision)):f}"


def take_bound(instrument: Instrument, side: str, mark: Decimal) -> Decimal:
    """The worst price a MARKET order may trade at: mark * (1 +- marketTakeBound)."""
    bound = instrument.market_take_bound if side == "BUY" else -instrument.market_take_bound
    return mark * (1 + bound) if bound else (ZERO if side == "SELL" else instrument.price_max)
