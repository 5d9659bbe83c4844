"""What happens when the price that conditional orders wait for is reached.

Each becomes a normal order at once, judged like any other: only now does it need margin. What the
matching engine refuses ends the conditional order as REJECTED, with the reason.
"""

from __future__ import annotations

from decimal import Decimal

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.algo_orders import AlgoOrder, AlgoStatus
from services.paper_exchange.state.orders import Order
from services.paper_exchange.state.position_sides import BOTH
from services.paper_exchange.state.venue_state import VenueState
from services.paper_exchange.trading.order_reading import NO_PRICE_MATCH, matched_price
from services.paper_exchange.trading.order_request import OrderRequest
from services.paper_exchange.trading.placement import judge_order, match_order
from services.paper_exchange.wire.refusals import RefusalError

PRICE_PROTECTED = "The last price is too far from the mark price for a price-protected order."
"""Our words: what the venue says here is not recorded."""


def trigger_reached(
    state: VenueState, symbol: str, working_type: str, price: Decimal, now_ns: int
) -> None:
    """Trigger the conditional orders of a symbol that this last or mark price reaches."""
    for algo in state.conditional[symbol].reached(working_type, price):
        if algo.is_waiting:
            _fire(state, state.accounts[algo.account_id], algo, now_ns)


def _fire(state: VenueState, account: Account, algo: AlgoOrder, now_ns: int) -> None:
    state.forward_algo(account, algo, now_ns)
    if algo.ends_with_position and not _reducible(state, account, algo):
        state.end_algo(account, algo, AlgoStatus.EXPIRED, now_ns)
        return
    try:
        order = _place(state, account, algo, now_ns)
    except RefusalError as refusal:
        state.end_algo(account, algo, AlgoStatus.REJECTED, now_ns, refusal.text)
    else:
        state.settle_algo(account, algo, order, now_ns)


def _place(state: VenueState, account: Account, algo: AlgoOrder, now_ns: int) -> Order:
    """Place the order that is born; raises the refusal of the matching engine."""
    _check_protection(state, algo)
    quantity = algo.quantity
    if algo.close_position:
        quantity = _reducible(state, account, algo)
    is_free = algo.client_algo_id not in account.open_by_client_id
    request = OrderRequest(
        symbol=algo.symbol,
        side=algo.side,
        order_type=algo.born_type,
        time_in_force="GTC" if algo.ends_with_position else algo.time_in_force,
        quantity=quantity,
        price=_limit_price(state, algo),
        reduce_only=(algo.reduce_only or algo.close_position) and algo.position_side == BOTH,
        client_order_id=algo.client_algo_id if is_free else None,
        self_trade_prevention=algo.self_trade_prevention,
        good_till_ms=algo.good_till_ms,
        wants_result=False,
        origin=algo,
        position_side=algo.position_side,
        price_match=algo.price_match,
    )
    quantity = judge_order(state, account, request)
    return match_order(state, account, request, quantity, now_ns)[0]


def _reducible(state: VenueState, account: Account, algo: AlgoOrder) -> Decimal:
    return state.reducible(account, algo.symbol, algo.sign, algo.position_side)


def _limit_price(state: VenueState, algo: AlgoOrder) -> Decimal:
    """The price asked for; one that is matched is taken from the book of this moment."""
    if algo.price_match == NO_PRICE_MATCH:
        return algo.price
    return matched_price(state.books[algo.symbol], algo.side, algo.price_match)


def _check_protection(state: VenueState, algo: AlgoOrder) -> None:
    """Refuse a price-protected order while last and mark price are too far apart."""
    mark, last = state.mark_of(algo.symbol), state.books[algo.symbol].last_price
    if not algo.price_protect or mark is None or last is None:
        return
    if abs(last - mark) > mark * state.instruments[algo.symbol].trigger_protect:
        raise RefusalError(-1000, text=PRICE_PROTECTED)
