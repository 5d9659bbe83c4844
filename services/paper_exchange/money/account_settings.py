"""Settings a customer changes: leverage, margin type, position mode, listen key, dead-man switch.

"Nothing to change" is a refusal at the venue (-4046, -4059, -4171), which clients must treat as
success. Hedge mode and multi-assets mode are not offered; turning them on is refused with -1020.
"""

from __future__ import annotations

from typing import Final

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.brackets import brackets_of, notional_max
from services.paper_exchange.state.ledger import ZERO
from services.paper_exchange.state.user_events import leverage_update
from services.paper_exchange.state.venue_state import NS_PER_MS, VenueState
from services.paper_exchange.trading.placement import instrument_of
from services.paper_exchange.wire.decimal_text import scaled
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError

Body = dict[str, object]
_COUNTDOWN_MS_MAX: Final = 30 * 86_400_000


def change_leverage(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """POST /fapi/v1/leverage; raises -4028, -2027 or -2028."""
    symbol = instrument_of(exchange, parameters).symbol
    leverage = parameters.integer("leverage")
    if not 1 <= leverage <= brackets_of(symbol)[0].leverage_max:
        raise RefusalError(-4028, leverage)
    position = account.position(symbol)
    notional = abs(position.quantity) * (exchange.mark_of(symbol) or ZERO)
    allowed = notional_max(symbol, leverage)
    if notional > allowed:
        raise RefusalError(-2027)
    previous = account.leverage_of(symbol)
    account.leverage[symbol] = leverage
    if leverage < previous and exchange.margin_of(account).free < 0:
        account.leverage[symbol] = previous
        raise RefusalError(-2028)
    exchange.tell(account, leverage_update(symbol, leverage, now_ns // NS_PER_MS))
    return {"leverage": leverage, "maxNotionalValue": scaled(allowed, 0), "symbol": symbol}


def change_margin_type(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """POST /fapi/v1/marginType; raises -4046, -4047 or -4048.

    Isolated margin is stored and reported, but accounted like cross margin.
    """
    symbol = instrument_of(exchange, parameters).symbol
    wanted = {"CROSSED": "cross", "ISOLATED": "isolated"}.get(parameters.text("marginType"))
    if wanted is None:
        raise RefusalError(-1130, "marginType")
    if wanted == account.margin_type_of(symbol):
        raise RefusalError(-4046)
    if account.open_orders_of(symbol):
        raise RefusalError(-4047)
    if account.position(symbol).quantity:
        raise RefusalError(-4048)
    account.margin_type[symbol] = wanted
    return {"code": 200, "msg": "success"}


def position_mode(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """GET /fapi/v1/positionSide/dual: always one-way."""
    return {"dualSidePosition": False}


def change_position_mode(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """POST /fapi/v1/positionSide/dual; one-way mode needs no change (-4059)."""
    raise RefusalError(-1020 if parameters.boolean("dualSidePosition") else -4059)


def multi_assets_mode(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """GET /fapi/v1/multiAssetsMargin: always single-asset."""
    return {"multiAssetsMargin": False}


def change_multi_assets_mode(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """POST /fapi/v1/multiAssetsMargin; single-asset mode needs no change (-4171)."""
    raise RefusalError(-1020 if parameters.boolean("multiAssetsMargin") else -4171)


def set_countdown(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """POST /fapi/v1/countdownCancelAll: cancel a symbol's orders unless refreshed; 0 turns off."""
    symbol = instrument_of(exchange, parameters).symbol
    countdown_ms = parameters.integer("countdownTime")
    if not 0 <= countdown_ms <= _COUNTDOWN_MS_MAX:
        raise RefusalError(-1130, "countdownTime")
    if countdown_ms:
        due_ns = now_ns + countdown_ms * NS_PER_MS
        account.countdowns[symbol] = due_ns
        exchange.add_deadline(due_ns, "countdown", account.account_id, symbol)
    else:
        account.countdowns.pop(symbol, None)
    return {"symbol": symbol, "countdownTime": str(countdown_ms)}


def start_user_stream(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """POST /fapi/v1/listenKey: a new key, or the valid one extended."""
    return {"listenKey": exchange.start_listen_key(account, now_ns)}


def extend_user_stream(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """PUT /fapi/v1/listenKey; raises -1125 where there is none to extend."""
    _check_listen_key(account, parameters)
    return {"listenKey": exchange.start_listen_key(account, now_ns)}


def close_user_stream(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """DELETE /fapi/v1/listenKey; raises -1125 where there is none to close."""
    _check_listen_key(account, parameters)
    exchange.end_listen_key(account, now_ns)
    return {}


def _check_listen_key(account: Account, parameters: Parameters) -> None:
    named = parameters.optional_text("listenKey")
    if account.listen_key is None or named not in (None, account.listen_key):
        raise RefusalError(-1125)
