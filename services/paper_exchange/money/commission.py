"""What fills cost a customer, and whether the fees may be paid in BNB.

Nobody has BNB here, and the venue takes fees of customers without it in the margin asset: so the
switch is remembered and told, and commissions stay in USDT at the full rate.
"""

from __future__ import annotations

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.venue_state import VenueState
from services.paper_exchange.trading.order_reading import instrument_of
from services.paper_exchange.wire.decimal_text import scaled
from services.paper_exchange.wire.parameters import Parameters

Body = dict[str, object]


def commission_rate(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """GET /fapi/v1/commissionRate of one symbol; the rates of an account are those of all."""
    rates = account.commission_rates
    return {
        "symbol": instrument_of(exchange, parameters).symbol,
        "makerCommissionRate": scaled(rates.maker, 6),
        "takerCommissionRate": scaled(rates.taker, 6),
        "rpiCommissionRate": scaled(rates.rpi, 6),
    }


def fee_burn(exchange: VenueState, account: Account, parameters: Parameters, now_ns: int) -> Body:
    """GET /fapi/v1/feeBurn."""
    return {"feeBurn": account.is_fee_burned}


def change_fee_burn(
    exchange: VenueState, account: Account, parameters: Parameters, now_ns: int
) -> Body:
    """POST /fapi/v1/feeBurn: asking for what is already so is no error here."""
    account.is_fee_burned = parameters.boolean("feeBurn")
    return {"code": 200, "msg": "success"}
