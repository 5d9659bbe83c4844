"""How large an order is, and at which price it is reckoned. Never rounds up.

Sizes are cut to eight decimals here; execution cuts them to the symbol's step, also downwards.
"""

from decimal import ROUND_DOWN, Context, Decimal

from libs.common.model.intent import Intent, Purpose
from libs.common.model.money import ZERO
from libs.common.model.order import Side
from services.risk.config import SizingConfig, SizingMethod
from services.risk.facts import Facts, is_figure, is_number

QUANTITY_QUANTUM = Decimal("0.00000001")
#: Wide enough that products of what the door and the limits admit are exact, rounded toward zero.
_WIDE = Context(prec=80, rounding=ROUND_DOWN)


def notional(quantity: Decimal, price: Decimal) -> Decimal:
    """Quantity times price, exact, in quote currency."""
    return _WIDE.multiply(quantity, price)


def reference_price(intent: Intent, facts: Facts) -> Decimal | None:
    """The price an order is reckoned at; ``None`` where quote or mark are not known.

    The highest of mark price, the side of the quote it would take and its own limit: one absurd
    figure among them can then make an order smaller, never larger.
    """
    quote, mark = facts.quote, facts.marks.get(intent.symbol)
    if quote is None or mark is None:
        return None
    prices = [mark.mark_price, quote.ask_price if intent.side is Side.BUY else quote.bid_price]
    if intent.price is not None:
        prices.append(intent.price)
    return max(prices) if all(is_figure(price) for price in prices) else None


def equity(facts: Facts) -> Decimal | None:
    """Wallet balance plus unrealised profit at mark prices; ``None`` if any part is not known."""
    account = facts.account
    if account is None or not is_number(account.wallet_balance):
        return None
    total = account.wallet_balance
    for position in account.positions:
        if position.quantity.is_zero():
            continue
        mark = facts.marks.get(position.symbol)
        if mark is None or not is_figure(mark.mark_price):
            return None
        if not (is_number(position.quantity) and is_number(position.cost)):
            return None
        value = _WIDE.multiply(position.quantity, mark.mark_price)
        total = _WIDE.add(total, _WIDE.subtract(value, position.cost))
    return total


def size(settings: SizingConfig, intent: Intent, facts: Facts) -> Decimal | None:
    """Base units to order, to eight decimals; ``None`` where something needed is not known.

    An EXIT gives back what is held, or less where the intent says so; nothing held is zero.
    """
    if intent.purpose is Purpose.EXIT:
        held = facts.position_quantity(intent.symbol)
        if held is None:
            return None
        all_of_it = held.copy_abs()
        return _cut(all_of_it if intent.quantity is None else min(intent.quantity, all_of_it))
    if intent.quantity is not None:
        return _cut(intent.quantity)
    price = reference_price(intent, facts)
    money = _money(settings, facts)
    if price is None or money is None:
        return None
    return _cut(_WIDE.divide(money, price)) if money > ZERO else ZERO


def _money(settings: SizingConfig, facts: Facts) -> Decimal | None:
    if settings.method is SizingMethod.FIXED_NOTIONAL:
        return settings.notional
    total = equity(facts)
    return None if total is None else _WIDE.multiply(total, settings.equity_fraction)


def _cut(quantity: Decimal) -> Decimal:
    return _WIDE.quantize(quantity, QUANTITY_QUANTUM)
