"""How wide the market is, and what fills will cost beside the price that was decided on. Pure.

The book is taken to go on as it begins: behind the best price lies as much again at each further
step, and a step is as wide as the spread. A limit order fills no worse than its limit.
"""

from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal

from libs.common.messages.market import Quote
from libs.common.model.intent import Intent
from libs.common.model.money import ZERO
from libs.common.model.order import Side
from services.risk.facts import is_figure

BPS = 10_000
BPS_QUANTUM = Decimal("0.0001")
#: More levels than this are no book, and no prediction.
LEVELS_MAX = 1_000
_WIDE = Context(prec=80, rounding=ROUND_HALF_EVEN)


def spread_bps(quote: Quote | None) -> Decimal | None:
    """Ask minus bid over their middle, in bps; ``None`` where there is no quote that makes sense.

    Rounded up: what is just above a limit must not come out as just within it.
    """
    if quote is None or not (is_figure(quote.bid_price) and is_figure(quote.ask_price)):
        return None
    width = _WIDE.subtract(quote.ask_price, quote.bid_price)
    if width < ZERO:
        return None
    twice_the_middle = _WIDE.add(quote.ask_price, quote.bid_price)
    share = _WIDE.divide(_WIDE.multiply(width, Decimal(2 * BPS)), twice_the_middle)
    return share.quantize(BPS_QUANTUM, rounding=ROUND_CEILING, context=_WIDE)


def expected_price(side: Side, quantity: Decimal, quote: Quote) -> Decimal | None:
    """The average price of a market order; ``None`` where the quote does not tell it."""
    best, size = quote.ask_price, quote.ask_quantity
    if side is Side.SELL:
        best, size = quote.bid_price, quote.bid_quantity
    known = (quote.bid_price, quote.ask_price, size, quantity)
    if not all(map(is_figure, known)):
        return None
    spread = _WIDE.subtract(quote.ask_price, quote.bid_price)
    if spread < ZERO:
        return None
    levels = _WIDE.divide_int(quantity, size)
    if levels > LEVELS_MAX:
        return None
    rest = _WIDE.subtract(quantity, _WIDE.multiply(levels, size))
    # Level n costs n spreads more than the best: whole levels 0..levels-1, and the rest behind.
    whole = _WIDE.multiply(size, levels * (levels - 1) / 2)
    steps = _WIDE.divide(_WIDE.add(whole, _WIDE.multiply(rest, levels)), quantity)
    return _WIDE.add(best, _WIDE.multiply(_WIDE.multiply(spread, steps), Decimal(side.sign)))


def predicted_bps(intent: Intent, quantity: Decimal, quote: Quote | None) -> Decimal | None:
    """By how much the fills will be worse than the intent's reference price, in bps.

    Below zero where they will be better; ``None`` where it cannot be told.
    """
    if quote is None or not is_figure(intent.reference_price):
        return None
    price = expected_price(intent.side, quantity, quote)
    if price is None or price <= ZERO:
        return None
    if intent.price is not None:
        if not is_figure(intent.price):
            return None
        price = min(price, intent.price) if intent.side is Side.BUY else max(price, intent.price)
    worse = _WIDE.multiply(
        _WIDE.subtract(price, intent.reference_price), Decimal(intent.side.sign * BPS)
    )
    return _WIDE.divide(worse, intent.reference_price).quantize(BPS_QUANTUM, context=_WIDE)
