"""Settings a customer changes: leverage, margin type, modes, listen key, dead-man switch.

"Nothing to change" is a refusal at the venue (-4046, -4059, -4171), which clients must treat as
success.
"""

from __future__ import annotations

from typing import Final

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.brackets import brackets_of, notional_max
from services.paper_exchange.state.user_events import leverage_update, multi_assets_update
from services.paper_exchange.state.venue_state import NS_PER_MS, VenueState
from services.paper_exchange.trading.order_reading import instrument_of
from services.paper_exchange.wire.decimal_text import scaled
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError

Body = dict[str, object]
_COUNTDOWN_MS_MAX: Final = 30 * 86_400_000
_DONE: Final[Body] = {"code": 200, "msg": "success"}


def change_leverage(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """POST /fapi/v1/leverage; raises -4028, -4161, -2027 or -2028.

    An isolated position keeps its wallet: a higher leverage leaves more of it to be taken out.
    """
    symbol = instrument_of(exchange, parameters).symbol
    leverage = parameters.integer("leverage")
    if not 1 <= leverage <= brackets_of(symbol)[0].leverage_max:
        raise RefusalError(-4028, leverage)
    previous = account.leverage_of(symbol)
    if leverage < previous and account.is_isolated(symbol) and account.has_position(symbol):
        raise RefusalError(-4161)
    allowed = notional_max(symbol, leverage)
    for key, part in exchange.margin_of(account).positions.items():
        with_orders = part.notional + part.bid_notional, part.notional - part.ask_notional
        if key[0] == symbol and max(map(abs, with_orders)) > allowed:
            raise RefusalError(-2027)
    account.leverage[symbol] = leverage
    if leverage < previous and exchange.margin_of(account).free < 0:
        account.leverage[symbol] = previous
        raise RefusalError(-2028)
    exchange.tell(account, leverage_update(symbol, leverage, now_ns // NS_PER_MS))
    return {"leverage": leverage, "maxNotionalValue": scaled(allowed, 0), "symbol": symbol}


def change_margin_type(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """POST /fapi/v1/marginType; raises -4046, -4168, -4047 or -4048."""
    symbol = instrument_of(exchange, parameters).symbol
    wanted = {"CROSSED": "cross", "ISOLATED": "isolated"}.get(parameters.text("marginType"))
    if wanted is None:
        raise RefusalError(-1130, "marginType")
    if wanted == account.margin_type_of(symbol):
        raise RefusalError(-4046)
    if wanted == "isolated" and account.is_multi_assets_mode:
        raise RefusalError(-4168)
    if account.open_orders_of(symbol):
        raise RefusalError(-4047)
    if account.has_position(symbol):
        raise RefusalError(-4048)
    account.margin_type[symbol] = wanted
    positions = [account.position(symbol, side) for side in account.position_sides]
    exchange.tell_account(
        account, "MARGIN_TYPE_CHANGE", now_ns, positions=positions, with_balance=False
    )
    return dict(_DONE)


def position_mode(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """GET /fapi/v1/positionSide/dual: true in hedge mode."""
    return {"dualSidePosition": account.is_hedge_mode}


def change_position_mode(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """POST /fapi/v1/positionSide/dual; raises -4059, -4067 or -4068.

    Orders of either kind and positions of any symbol bind the account to the mode they are of.
    """
    wanted = parameters.boolean("dualSidePosition")
    if wanted == account.is_hedge_mode:
        raise RefusalError(-4059)
    if account.open_orders or account.waiting_algos:
        raise RefusalError(-4067)
    if account.has_position():
        raise RefusalError(-4068)
    account.is_hedge_mode = wanted
    return dict(_DONE)


def multi_assets_mode(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """GET /fapi/v1/multiAssetsMargin."""
    return {"multiAssetsMargin": account.is_multi_assets_mode}


def change_multi_assets_mode(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """POST /fapi/v1/multiAssetsMargin; raises -4171, -4170, -4167 or -4169.

    USDT is the only asset here, so that the mode changes nothing but what it forbids: isolated
    margin.
    """
    wanted = parameters.boolean("multiAssetsMargin")
    if wanted == account.is_multi_assets_mode:
        raise RefusalError(-4171)
    if account.open_orders:
        raise RefusalError(-4170)
    if wanted and any(map(account.is_isolated, account.margin_type)):
        raise RefusalError(-4167)
    if exchange.margin_of(account).cross_margin_balance < 0:
        raise RefusalError(-4169)
    account.is_multi_assets_mode = wanted
    exchange.tell(account, multi_assets_update(wanted, now_ns // NS_PER_MS))
    return dict(_DONE)


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
        exchange.watch_countdown(account, symbol, due_ns)
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
