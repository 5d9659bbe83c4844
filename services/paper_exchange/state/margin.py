"""Margin: what positions and open orders tie up, and what is left.

Formulas of binance-usdm section 8. A position's initial margin is its notional at mark over the
leverage. Open orders add what the larger of the two one-sided books would need: max(|position +
bids|, |position - asks|) / leverage, so that closing costs nothing; in hedge mode each position has
the book of the orders that open it. A SELL is assumed to trade at the better of its price and the
mark.

A position under isolated margin is backed by its own wallet and stands outside the cross figures;
the open orders of its symbol do not, because their margin still lies in the cross wallet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from services.paper_exchange.state.accounts import Account, Position, PositionKey
from services.paper_exchange.state.brackets import maintenance_margin
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.orders import Order

MarkOf = Callable[[str], Decimal | None]
"""The mark price of a symbol, None while the source has given none."""


class Wallets(NamedTuple):
    """The money of one account: the cross wallet, and those of its open isolated positions."""

    cross: Decimal
    isolated: Mapping[PositionKey, Decimal]

    @property
    def total(self) -> Decimal:
        """The wallet balance."""
        return self.cross + sum(self.isolated.values(), ZERO)


class PositionMargin(NamedTuple):
    """One position of one account at one mark price, with the open orders on it.

    Amounts are in the margin asset; `isolated_wallet` is zero under cross margin.
    """

    mark: Decimal
    notional: Decimal
    unrealized: Decimal
    position_initial: Decimal
    open_order_initial: Decimal
    maintenance: Decimal
    bid_notional: Decimal
    ask_notional: Decimal
    is_isolated: bool = False
    isolated_wallet: Decimal = ZERO

    @property
    def initial(self) -> Decimal:
        """Initial margin of position and open orders together."""
        return self.position_initial + self.open_order_initial

    @property
    def isolated_margin(self) -> Decimal:
        """What backs an isolated position: its wallet plus unrealized profit; else zero."""
        return self.isolated_wallet + self.unrealized if self.is_isolated else ZERO

    @property
    def removable(self) -> Decimal:
        """What a customer may take out of the wallet of an isolated position."""
        beyond_initial = self.isolated_margin - self.position_initial
        return max(ZERO, min(self.isolated_wallet - self.maintenance, beyond_initial))


class AccountMargin(NamedTuple):
    """All positions of one account; names with `cross` leave isolated positions out."""

    cross_wallet: Decimal
    isolated_wallet: Decimal
    unrealized: Decimal
    cross_unrealized: Decimal
    position_initial: Decimal
    cross_position_initial: Decimal
    open_order_initial: Decimal
    isolated_open_order_initial: Decimal
    maintenance: Decimal
    cross_maintenance: Decimal
    positions: dict[PositionKey, PositionMargin]

    @property
    def wallet(self) -> Decimal:
        """The wallet balance: cross and isolated."""
        return self.cross_wallet + self.isolated_wallet

    @property
    def margin_balance(self) -> Decimal:
        """Wallet balance plus unrealized profit."""
        return self.wallet + self.unrealized

    @property
    def cross_margin_balance(self) -> Decimal:
        """What backs all cross positions."""
        return self.cross_wallet + self.cross_unrealized

    @property
    def initial(self) -> Decimal:
        """Initial margin of everything."""
        return self.position_initial + self.open_order_initial

    @property
    def free(self) -> Decimal:
        """Cross margin balance less all that it must carry; negative for an over-used account."""
        return self.cross_margin_balance - self.cross_position_initial - self.open_order_initial

    @property
    def available(self) -> Decimal:
        """What a new order may tie up."""
        return max(ZERO, self.free)

    @property
    def withdrawable(self) -> Decimal:
        """What may leave the cross wallet: unrealized profit may not, whatever it backs."""
        untouched = self.cross_wallet - self.isolated_open_order_initial - self.cross_maintenance
        return max(ZERO, min(untouched, self.free))


class OpenNotionals(NamedTuple):
    """The notional of an account's open bids and asks for one position."""

    bids: Decimal
    asks: Decimal


def open_notionals(orders: Iterable[Order], mark: Decimal) -> OpenNotionals:
    """What open orders may open; those that can only close count nothing."""
    bids = asks = ZERO
    for order in orders:
        if order.is_reducing:
            continue
        if order.side == "BUY":
            bids += order.leaves * order.price
        else:
            asks += order.leaves * max(order.price, mark)
    return OpenNotionals(bids, asks)


def position_margin(
    position: Position,
    orders: Iterable[Order],
    mark: Decimal,
    leverage: int,
    isolated_wallet: Decimal | None = None,
) -> PositionMargin:
    """The margin of one position; `orders` are the open orders of its symbol and side.

    `isolated_wallet` is None under cross margin.
    """
    bids, asks = open_notionals(orders, mark)
    notional = position.quantity * mark
    position_initial = abs(notional) / leverage
    with_orders = max(abs(notional + bids), abs(notional - asks)) / leverage
    return PositionMargin(
        mark=mark,
        notional=notional,
        unrealized=position.unrealized(mark),
        position_initial=position_initial,
        open_order_initial=max(ZERO, with_orders - position_initial),
        maintenance=maintenance_margin(position.symbol, abs(notional)),
        bid_notional=bids,
        ask_notional=asks,
        is_isolated=isolated_wallet is not None,
        isolated_wallet=isolated_wallet or ZERO,
    )


def account_margin(account: Account, wallets: Wallets, mark_of: MarkOf) -> AccountMargin:
    """The margin of an account; a symbol without a mark price is taken at its entry price."""
    orders: dict[PositionKey, list[Order]] = {}
    for order in account.open_orders.values():
        orders.setdefault((order.symbol, order.position_side), []).append(order)
    held = {key for key, position in account.positions.items() if position.quantity}
    positions: dict[PositionKey, PositionMargin] = {}
    for key in sorted(orders.keys() | held):
        symbol, position_side = key
        position = account.position(symbol, position_side)
        own = wallets.isolated.get(key, ZERO) if account.is_isolated(symbol) else None
        positions[key] = position_margin(
            position,
            orders.get(key, ()),
            mark_of(symbol) or position.entry_price,
            account.leverage_of(symbol),
            own,
        )
    parts = positions.values()
    cross = [part for part in parts if not part.is_isolated]
    isolated = [part for part in parts if part.is_isolated]
    return AccountMargin(
        cross_wallet=wallets.cross,
        isolated_wallet=sum(wallets.isolated.values(), ZERO),
        unrealized=sum((part.unrealized for part in parts), ZERO),
        cross_unrealized=sum((part.unrealized for part in cross), ZERO),
        position_initial=sum((part.position_initial for part in parts), ZERO),
        cross_position_initial=sum((part.position_initial for part in cross), ZERO),
        open_order_initial=sum((part.open_order_initial for part in parts), ZERO),
        isolated_open_order_initial=sum((part.open_order_initial for part in isolated), ZERO),
        maintenance=sum((part.maintenance for part in parts), ZERO),
        cross_maintenance=sum((part.maintenance for part in cross), ZERO),
        positions=positions,
    )


def order_cost(
    before: PositionMargin,
    held: Decimal,
    leverage: int,
    *,
    sign: int,
    quantity: Decimal,
    price: Decimal,
) -> Decimal:
    """What a new order (`sign` +1 BUY, -1 SELL) would tie up, its opening loss included.

    `before` is the margin of its position, which holds the quantity `held`; `price` is the price
    the order is assumed to trade at. Closing quantity costs nothing; the rest costs its share of
    initial margin and, where it would open at a loss to mark, that loss.
    """
    bids = before.bid_notional + (quantity * price if sign > 0 else ZERO)
    asks = before.ask_notional + (quantity * price if sign < 0 else ZERO)
    with_order = max(abs(before.notional + bids), abs(before.notional - asks)) / leverage
    loss = open_loss(held, before.mark, sign=sign, quantity=quantity, price=price)
    return max(ZERO, with_order - before.initial) + loss


def open_loss(
    held: Decimal, mark: Decimal, *, sign: int, quantity: Decimal, price: Decimal
) -> Decimal:
    """What an order would lose at once, traded at its price, by what it opens beyond `held`."""
    closing = min(quantity, max(ZERO, -sign * held))
    return (quantity - closing) * max(ZERO, sign * (price - mark))
