"""Auto-deleveraging: who must give up a profit when the insurance fund cannot pay for a loss.

Positions against the bankrupt one stand in a queue, ranked by profit and leverage. Whoever stands
first is closed at the bankruptcy price, unless that price would turn the profit into a loss.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Final

from services.paper_exchange.money.forced_closing import (
    ForcedClosing,
    book_closing,
    place_closing,
)
from services.paper_exchange.money.insurance import fund_left
from services.paper_exchange.money.margins import margin_behind
from services.paper_exchange.state.accounts import Account, Position
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.orders import Match
from services.paper_exchange.state.risk_watch import Ranked
from services.paper_exchange.state.venue_state import VenueState

QUANTILES: Final = 4
"""Lights of the indicator; a position shows at least one."""
SHOCK: Final = Decimal("0.1")
"""The move of the mark price, either way, that the risk rating of a symbol supposes."""
MEDIUM_RISK: Final = Decimal("0.25")
"""The share of the insurance fund that such a move may cost before the risk is medium."""


def queue_of(state: VenueState, symbol: str, sign: int) -> list[Ranked]:
    """The longs (`sign` +1) or shorts (-1) of a symbol, first to be deleveraged first."""
    ranked = [
        Ranked(_score(state, account, position), account, position)
        for account in (state.accounts[name] for name in state.risk.holders[symbol])
        for position in account.positions.values()
        if position.symbol == symbol and position.quantity * sign > 0
    ]
    return sorted(ranked, key=lambda one: -one.score)


def quantile(state: VenueState, account: Account, position: Position) -> int:
    """How near a position is to the head of its queue: 1 (far) to 4 (near), 0 without one."""
    if not position.quantity:
        return 0
    queue = queue_of(state, position.symbol, 1 if position.quantity > 0 else -1)
    behind = next(number for number, one in enumerate(reversed(queue)) if one.position is position)
    return 1 + behind * QUANTILES // len(queue)


def deleverage(
    state: VenueState,
    symbol: str,
    sign: int,
    quantity: Decimal,
    price: Decimal,
    now_ns: int,
) -> Decimal:
    """Close up to `quantity` of the longs or shorts of a symbol at `price`; return how much."""
    queue = state.risk.ranks.get((symbol, sign))
    if queue is None:
        queue = state.risk.ranks[symbol, sign] = deque(queue_of(state, symbol, sign))
    while queue and queue[0].position.quantity * sign <= 0:
        queue.popleft()
    left = quantity
    for _, account, position in queue:
        if left <= 0:
            break
        if position.quantity * sign <= 0 or sign * (price - position.entry_price) < 0:
            continue
        closing = min(left, abs(position.quantity))
        order = place_closing(state, account, position, ForcedClosing.ADL, closing, price, now_ns)
        book_closing(state, account, order, [Match(price, closing)], now_ns, is_free=True)
        left -= closing
    return quantity - left


def risk_of(state: VenueState, symbol: str) -> str:
    """How likely a liquidation on this symbol ends in deleveraging: low, medium or high.

    The measure is what a sudden move of the mark price would cost the insurance fund beyond the
    margins of those whom it liquidates, against what the fund has left.
    """
    mark = state.mark_of(symbol)
    if mark is None:
        return "low"
    cost = max(_cost_of_move(state, symbol, sign * SHOCK * mark) for sign in (1, -1))
    left = fund_left(state)
    if cost and cost >= left:
        return "high"
    return "medium" if cost > left * MEDIUM_RISK else "low"


def _cost_of_move(state: VenueState, symbol: str, move: Decimal) -> Decimal:
    """What all margins together would lack after the mark price has moved."""
    lacking = ZERO
    for name in state.risk.holders[symbol]:
        account = state.accounts[name]
        for position in account.positions.values():
            if position.symbol != symbol or position.quantity * move >= 0:
                continue
            margin = margin_behind(state, account, position)
            if margin is not None:
                lacking += max(ZERO, -position.quantity * move - max(ZERO, margin.balance))
    return lacking


def _score(state: VenueState, account: Account, position: Position) -> Decimal:
    """Profit per cost, times the effective leverage; a loss counts the less, the more leverage."""
    margin = margin_behind(state, account, position)
    if margin is None or not position.cost:
        return ZERO
    stake = next(one for one in margin.stakes if one.position is position)
    profit = stake.unrealized / abs(position.cost)
    leverage = stake.notional / max(margin.balance, stake.maintenance)
    return profit * leverage if profit > 0 else profit / leverage
