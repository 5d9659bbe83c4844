"""Margin: what positions and open orders tie up, and what is left.

Formulas of binance-usdm section 8 for cross margin in one-way mode. A position's initial margin is
its notional at mark over the leverage. Open orders add what the larger of the two one-sided books
would need: max(|position + bids|, |position - asks|) / leverage, so that closing costs nothing. A
SELL is assumed to trade at the better of its price and the mark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import NamedTuple

from services.paper_exchange.state.accounts import Account, Position
from services.paper_exchange.state.brackets import bracket_at, maintenance_margin
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.orders import Order

MarkOf = Callable[[str], Decimal | None]
"""The mark price of a symbol, None while the source has given none."""


class SymbolMargin(NamedTuple):
    """One symbol of one account at one mark price; amounts in the margin asset."""

    mark: Decimal
    notional: Decimal
    unrealized: Decimal
    position_initial: Decimal
    open_order_initial: Decimal
    maintenance: Decimal
    bid_notional: Decimal
    ask_notional: Decimal

    @property
    def initial(self) -> Decimal:
        """Initial margin of position and open orders together."""
        return self.position_initial + self.open_order_initial


class AccountMargin(NamedTuple):
    """All symbols of one account."""

    wallet: Decimal
    unrealized: Decimal
    position_initial: Decimal
    open_order_initial: Decimal
    maintenance: Decimal
    symbols: dict[str, SymbolMargin]

    @property
    def margin_balance(self) -> Decimal:
        """Wallet balance plus unrealized profit."""
        return self.wallet + self.unrealized

    @property
    def initial(self) -> Decimal:
        """Initial margin of everything."""
        return self.position_initial + self.open_order_initial

    @property
    def free(self) -> Decimal:
        """Margin balance less all initial margin; negative where the account is over-used."""
        return self.margin_balance - self.initial

    @property
    def available(self) -> Decimal:
        """What a new order may tie up."""
        return max(ZERO, self.free)

    @property
    def withdrawable(self) -> Decimal:
        """What may leave: unrealized profit may not."""
        return max(ZERO, min(self.wallet, self.wallet + self.unrealized) - self.initial)


def symbol_margin(
    position: Position, orders: Iterable[Order], mark: Decimal, leverage: int
) -> SymbolMargin:
    """The margin of one symbol; `orders` are its open orders."""
    bids = asks = ZERO
    for order in orders:
        if order.reduce_only:
            continue
        if order.side == "BUY":
            bids += order.leaves * order.price
        else:
            asks += order.leaves * max(order.price, mark)
    notional = position.quantity * mark
    position_initial = abs(notional) / leverage
    with_orders = max(abs(notional + bids), abs(notional - asks)) / leverage
    return SymbolMargin(
        mark=mark,
        notional=notional,
        unrealized=position.unrealized(mark),
        position_initial=position_initial,
        open_order_initial=max(ZERO, with_orders - position_initial),
        maintenance=maintenance_margin(position.symbol, abs(notional)),
        bid_notional=bids,
        ask_notional=asks,
    )


def account_margin(account: Account, wallet: Decimal, mark_of: MarkOf) -> AccountMargin:
    """The margin of an account; a symbol without a mark price is taken at its entry price."""
    orders: dict[str, list[Order]] = {}
    for order in account.open_orders.values():
        orders.setdefault(order.symbol, []).append(order)
    symbols: dict[str, SymbolMargin] = {}
    for symbol in sorted(orders.keys() | {symbol for symbol, _ in account.positions}):
        position = account.position(symbol)
        if position.quantity == 0 and symbol not in orders:
            continue
        mark = mark_of(symbol) or position.entry_price
        leverage = account.leverage_of(symbol)
        symbols[symbol] = symbol_margin(position, orders.get(symbol, ()), mark, leverage)
    parts = symbols.values()
    return AccountMargin(
        wallet=wallet,
        unrealized=sum((part.unrealized for part in parts), ZERO),
        position_initial=sum((part.position_initial for part in parts), ZERO),
        open_order_initial=sum((part.open_order_initial for part in parts), ZERO),
        maintenance=sum((part.maintenance for part in parts), ZERO),
        symbols=symbols,
    )


def order_cost(
    position: Position,
    orders: Iterable[Order],
    mark: Decimal,
    leverage: int,
    *,
    sign: int,
    quantity: Decimal,
    price: Decimal,
) -> Decimal:
    """What a new order (`sign` +1 BUY, -1 SELL) would tie up, its opening loss included.

    `price` is the price the order is assumed to trade at. Closing quantity costs nothing; the rest
    costs its share of initial margin and, where it would open at a loss to mark, that loss.
    """
    before = symbol_margin(position, orders, mark, leverage)
    bids = before.bid_notional + (quantity * price if sign > 0 else ZERO)
    asks = before.ask_notional + (quantity * price if sign < 0 else ZERO)
    with_order = max(abs(before.notional + bids), abs(before.notional - asks)) / leverage
    closing = min(quantity, max(ZERO, -sign * position.quantity))
    open_loss = (quantity - closing) * max(ZERO, sign * (price - mark))
    return max(ZERO, with_order - before.initial) + open_loss


def liquidation_price(position: Position, part: SymbolMargin, whole: AccountMargin) -> Decimal:
    """The mark price at which a cross position would be liquidated; zero for none.

    Uses the bracket of the current notional, which is exact unless the way to liquidation crosses
    a bracket's border.
    """
    if position.quantity == 0:
        return ZERO
    bracket = bracket_at(position.symbol, abs(part.notional))
    side = 1 if position.quantity > 0 else -1
    quantity = abs(position.quantity)
    others = (whole.unrealized - part.unrealized) - (whole.maintenance - part.maintenance)
    numerator = whole.wallet + others + bracket.cumulative - position.cost
    denominator = quantity * (bracket.maintenance_ratio - side)
    return max(ZERO, numerator / denominator)
