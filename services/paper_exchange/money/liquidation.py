"""Liquidation: what happens to positions whose margin no longer covers their maintenance.

As at the venue: open orders are canceled, then positions are closed by IOC orders of the venue's
own, priced where nothing of the margin would be left (the bankruptcy price). They meet whatever any
taker would: the source's book and the orders of our accounts. What these do not take at that price
or better, the insurance fund takes over at it; what the fund cannot pay for any more is deleveraged
from customers on the other side, and the rest of the market bears the rest.

A position above the first leverage bracket is brought into the next lower bracket first, and left
alone once that is enough. Each step uses up only the margin that stood behind what it closed: what
is left of it pays the liquidation fee, as far as it goes.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_UP, Decimal
from itertools import takewhile

from services.paper_exchange.market.instruments import Instrument
from services.paper_exchange.money import insurance
from services.paper_exchange.money.deleveraging import deleverage
from services.paper_exchange.money.force_order_stream import announce
from services.paper_exchange.money.forced_closing import (
    CALCULATED,
    ForcedClosing,
    book_closing,
    place_closing,
)
from services.paper_exchange.money.margin_calls import warn
from services.paper_exchange.money.margins import Margin, Stake, margins_of
from services.paper_exchange.state.accounts import Account, PositionKey
from services.paper_exchange.state.brackets import bracket_at
from services.paper_exchange.state.ledger import ZERO, round_money, wallet
from services.paper_exchange.state.orders import CANCELED, Match, Order
from services.paper_exchange.state.venue_state import VenueState
from services.paper_exchange.trading.taking import meet_offers
from services.paper_exchange.wire.decimal_text import MONEY_STEP


def examine(state: VenueState, account: Account, now_ns: int) -> None:
    """Liquidate what must be liquidated, and warn of what soon may have to be."""
    margins = margins_of(state, account)
    used_up = [margin.key for margin in margins if margin.is_used_up]
    for key in used_up:
        liquidate(state, account, key, now_ns)
    insurance.clear_deficit(state, account, now_ns)
    insurance.make_up_overdraft(state)
    warn(state, account, margins_of(state, account) if used_up else margins, now_ns)


def liquidate(state: VenueState, account: Account, key: PositionKey, now_ns: int) -> None:
    """Close positions of a margin, the most demanding first, until the others are covered."""
    for order in list(account.open_orders.values()):
        if _is_behind(account, order, key):
            state.end_order(account, order, CANCELED, now_ns)
    while True:
        margin = next((one for one in margins_of(state, account) if one.key == key), None)
        if margin is None or not margin.is_used_up:
            return
        stakes = [one for one in margin.stakes if _is_traded(state, one.position.symbol)]
        if not stakes:
            return
        stake = max(stakes, key=lambda one: one.maintenance)
        _close_part(state, account, margin, stake, now_ns)


def _is_traded(state: VenueState, symbol: str) -> bool:
    """Whether a symbol has a market; while it is halted, the venue does not trade it either."""
    return state.instruments[symbol].status == "TRADING"


def _is_behind(account: Account, order: Order, key: PositionKey) -> bool:
    """Whether an order may tie up what this margin needs."""
    if account.is_isolated(order.symbol):
        return order.symbol == key[0]
    return not key[0]


def _close_part(
    state: VenueState, account: Account, margin: Margin, stake: Stake, now_ns: int
) -> None:
    position, instrument = stake.position, state.instruments[stake.position.symbol]
    quantity = _part_to_close(instrument, margin, stake)
    behind = margin.share_of(stake) * quantity / abs(stake.quantity)
    price = _bankruptcy_price(instrument, stake, behind / quantity)
    order = place_closing(
        state, account, position, ForcedClosing.LIQUIDATION, quantity, price, now_ns
    )
    meet_offers(state, account, order, price, now_ns, CALCULATED)
    trades = takewhile(
        lambda one: one.order_id == order.order_id,
        reversed(account.trades.get(position.symbol, [])),
    )
    commission = sum((trade.commission for trade in trades), ZERO)
    if order.is_open:
        _hand_over(state, account, order, stake, now_ns)
    announce(state, order, now_ns)
    left = behind + stake.sign * (order.quote - stake.mark * order.executed) - commission
    fee = round_money(order.quote * instrument.liquidation_fee)
    in_wallet = state.ledger.balance(wallet(account.account_id))
    affordable = min(left, in_wallet).quantize(MONEY_STEP, rounding=ROUND_DOWN)
    insurance.take_from_wallet(
        state, account, position.symbol, min(fee, max(ZERO, affordable)), now_ns
    )


def _part_to_close(instrument: Instrument, margin: Margin, stake: Stake) -> Decimal:
    """What brings a position into the next lower bracket; all of it in the first one.

    A margin that is altogether lost backs nothing, so that all of the position goes.
    """
    held = abs(stake.quantity)
    bracket = bracket_at(instrument.symbol, stake.notional)
    if bracket.number == 1 or margin.balance <= 0:
        return held
    excess = (stake.notional - bracket.notional_floor) / stake.mark
    steps = (excess / instrument.quantity_step).to_integral_value(rounding=ROUND_UP)
    return min(held, max(Decimal(1), steps) * instrument.quantity_step)


def _bankruptcy_price(instrument: Instrument, stake: Stake, behind_each: Decimal) -> Decimal:
    """The price that leaves nothing of the margin behind each unit, rounded so that it suffices."""
    exact = stake.mark - stake.sign * behind_each
    rounding = ROUND_UP if stake.sign > 0 else ROUND_DOWN
    ticks = (exact / instrument.price_tick).to_integral_value(rounding=rounding)
    return max(Decimal(1), ticks) * instrument.price_tick


def _hand_over(
    state: VenueState, account: Account, order: Order, stake: Stake, now_ns: int
) -> None:
    """Let the insurance fund have what the book did not take, or else whom it deleverages."""
    quantity, price = order.leaves, order.price
    gain_each = stake.sign * (stake.mark - price)
    book_closing(state, account, order, [Match(price, quantity)], now_ns, is_free=True)
    affordable = quantity
    if gain_each < 0:
        step = state.instruments[order.symbol].quantity_step
        steps = insurance.fund_left(state) / -gain_each / step
        affordable = min(quantity, steps.to_integral_value(rounding=ROUND_DOWN) * step)
    insurance.take_over(state, round_money(gain_each * affordable))
    if quantity > affordable:
        deleverage(state, order.symbol, -stake.sign, quantity - affordable, price, now_ns)
