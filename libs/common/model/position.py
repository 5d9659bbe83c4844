"""Positions folded from fills, with realised profit exact to the venue's last digit.

A position is a signed quantity and the signed cost it was opened for. Reducing it by ``q`` of
``Q`` releases ``cost * q / Q`` rounded to eight decimals (all of the cost when nothing is left),
so that cost is conserved: what is released and what remains always add up to what was paid.
"""

from decimal import Decimal

import msgspec

from libs.common.model.money import ZERO, round_money
from libs.common.model.order import Side


class Position(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A one-way position in one symbol.

    Attributes:
        quantity: signed base units; long is positive.
        cost: signed quote currency paid for what is open (quantity x average entry price).
        realized_pnl: quote currency realised so far, before commission.
        commissions: what was paid so far, by asset: only the quote currency's may be added to it.
    """

    symbol: str
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    commissions: dict[str, Decimal] = {}

    @property
    def entry_price(self) -> Decimal:
        """Average entry price in quote currency; zero when flat."""
        return self.cost / self.quantity if self.quantity else ZERO

    def unrealized_pnl(self, mark_price: Decimal) -> Decimal:
        """Profit in quote currency were the position closed at the mark price."""
        return self.quantity * mark_price - self.cost

    def with_fill(
        self,
        side: Side,
        quantity: Decimal,
        price: Decimal,
        commission: Decimal = ZERO,
        commission_asset: str = "",
    ) -> "Position":
        """The position after one fill. A fill past zero closes first and opens the rest."""
        signed = quantity * side.sign
        closing = ZERO
        if self.quantity * signed < ZERO:
            closing = signed if abs(signed) <= abs(self.quantity) else -self.quantity
        released = ZERO
        realized = ZERO
        if closing:
            share = -closing
            released = (
                self.cost
                if share == self.quantity
                else round_money(self.cost * share / self.quantity)
            )
            realized = share * price - released
        opened = signed - closing
        commissions = self.commissions
        if commission:
            paid = commissions.get(commission_asset, ZERO) + commission
            commissions = {**commissions, commission_asset: paid}
        return Position(
            symbol=self.symbol,
            quantity=self.quantity + signed,
            cost=self.cost - released + opened * price,
            realized_pnl=self.realized_pnl + realized,
            commissions=commissions,
        )
