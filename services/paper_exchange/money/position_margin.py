"""The margin of isolated positions: adding to it, taking from it, and what was changed.

What may be added must lie idle in the cross wallet; what may be taken must be needed neither as
initial nor as maintenance margin.
"""

from __future__ import annotations

from typing import Final

from services.paper_exchange.money.listing import Body
from services.paper_exchange.state.accounts import Account, MarginChange
from services.paper_exchange.state.ledger import isolated, move_postings, wallet
from services.paper_exchange.state.venue_state import NS_PER_MS, VenueState
from services.paper_exchange.trading.order_reading import instrument_of, read_position_side
from services.paper_exchange.wire.decimal_text import money
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError

_ADD: Final = 1
_REDUCE: Final = 2
_AMOUNT_DECIMALS_MAX: Final = 8
_HISTORY_DAYS: Final = 30
_HISTORY_MS: Final = _HISTORY_DAYS * 86_400_000
_ROWS_DEFAULT: Final = 500
_ROWS_MAX: Final = 1_000


def change_position_margin(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """POST /fapi/v1/positionMargin: type 1 adds, type 2 reduces.

    Raises -4061 for a side that the position mode does not have, -4055 for an amount that is not
    positive, -4049 under cross margin, -4054 without a position, -4050 and -4051 where the cross
    or the isolated wallet cannot spare it.
    """
    symbol = instrument_of(exchange, parameters).symbol
    position = account.position(symbol, read_position_side(account, parameters))
    amount, kind = parameters.decimal("amount"), parameters.integer("type")
    if kind not in (_ADD, _REDUCE):
        raise RefusalError(-1130, "type")
    if amount <= 0:
        raise RefusalError(-4055)
    exponent = amount.normalize().as_tuple().exponent
    if isinstance(exponent, int) and exponent < -_AMOUNT_DECIMALS_MAX:
        raise RefusalError(-1111)
    if not account.is_isolated(symbol):
        raise RefusalError(-4049)
    if not position.quantity:
        raise RefusalError(-4054)
    margin = exchange.margin_of(account)
    if kind == _ADD and amount > margin.withdrawable:
        raise RefusalError(-4050)
    if kind == _REDUCE and amount > margin.positions[position.key].removable:
        raise RefusalError(-4051)
    cross, own = wallet(account.account_id), isolated(account.account_id, *position.key)
    source, target = (cross, own) if kind == _ADD else (own, cross)
    exchange.ledger.post(move_postings(source, target, amount))
    account.updated_ns = now_ns
    account.add_margin_change(
        MarginChange(symbol, position.position_side, amount, kind == _ADD, now_ns)
    )
    exchange.tell_account(account, "MARGIN_TRANSFER", now_ns, positions=(position,))
    return {
        "amount": amount,
        "code": 200,
        "msg": "Successfully modify position margin.",
        "type": kind,
    }


def position_margin_history(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> list[Body]:
    """GET /fapi/v1/positionMargin/history of one symbol and the last 30 days, eldest first.

    Raises -1023 and, for more than 30 days at once, -4165.
    """
    symbol = instrument_of(exchange, parameters).symbol
    kind = parameters.optional_integer("type")
    if kind not in (None, _ADD, _REDUCE):
        raise RefusalError(-1130, "type")
    now_ms = now_ns // NS_PER_MS
    start_ms, end_ms = (
        parameters.optional_integer("startTime"),
        parameters.optional_integer("endTime"),
    )
    if start_ms is not None and end_ms is not None:
        if start_ms > end_ms:
            raise RefusalError(-1023)
        if end_ms - start_ms > _HISTORY_MS:
            raise RefusalError(-4165, _HISTORY_DAYS)
    first_ms = max(start_ms or 0, now_ms - _HISTORY_MS)
    last_ms = now_ms if end_ms is None else end_ms
    rows = [
        _row(change)
        for change in account.margin_changes
        if change.symbol == symbol
        and kind in (None, _ADD if change.is_addition else _REDUCE)
        and first_ms <= change.time_ns // NS_PER_MS <= last_ms
    ]
    return rows[-parameters.limit(_ROWS_DEFAULT, _ROWS_MAX) :]


def _row(change: MarginChange) -> Body:
    return {
        "symbol": change.symbol,
        "type": _ADD if change.is_addition else _REDUCE,
        "deltaType": "USER_ADJUST",
        "amount": money(change.amount),
        "asset": "USDT",
        "time": change.time_ns // NS_PER_MS,
        "positionSide": change.position_side,
    }
