"""How conditional orders look in REST answers: exact keys, their order, types and scales.

Recorded in September 2026 (binance-usdm, section 2). The list of open ones writes numbers as Java
writes doubles (`7.0E-4`), which clients must be able to read.
"""

from __future__ import annotations

from decimal import Decimal

from services.paper_exchange.market.instruments import Instrument
from services.paper_exchange.state.algo_orders import AlgoOrder
from services.paper_exchange.wire.decimal_text import java_double, scaled

NS_PER_MS = 1_000_000
Body = dict[str, object]


def acknowledged_algo(instrument: Instrument, algo: AlgoOrder) -> Body:
    """What POST algoOrder answers with."""
    prices = instrument.price_precision
    return {
        **_heading(algo, scaled(algo.quantity, instrument.quantity_precision)),
        "triggerPrice": scaled(algo.trigger_price, prices),
        "price": scaled(algo.price, prices),
        "icebergQuantity": None,
        **_settings(algo),
    }


def queried_algo(instrument: Instrument, algo: AlgoOrder) -> Body:
    """What GET algoOrder and allAlgoOrders answer with."""
    prices = instrument.price_precision
    return {
        **_heading(algo, scaled(algo.quantity, instrument.quantity_precision)),
        "actualOrderId": _actual_order_id(algo),
        "actualPrice": scaled(algo.average_price, 6),
        "triggerPrice": scaled(algo.trigger_price, prices),
        "price": scaled(algo.price, prices),
        "icebergQuantity": None,
        "tpOrderType": "",
        **_settings(algo),
    }


def listed_algo(instrument: Instrument, algo: AlgoOrder, *, exponent_format: bool) -> Body:
    """One row of openAlgoOrders, its numbers like Java's doubles or like everywhere else."""
    prices, quantities = instrument.price_precision, instrument.quantity_precision

    def written(value: Decimal, decimals: int) -> str:
        return java_double(value) if exponent_format else scaled(value, decimals)

    return {
        **_heading(algo, written(algo.quantity, quantities)),
        "actualOrderId": _actual_order_id(algo),
        "actualQty": written(algo.executed, quantities),
        "triggerPrice": written(algo.trigger_price, prices),
        "price": written(algo.price, prices),
        "icebergQuantity": None,
        **_settings(algo),
    }


def canceled_algo(algo: AlgoOrder, *, code_as_string: bool) -> Body:
    """What DELETE algoOrder answers with: the venue's code is a text here."""
    return {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.client_algo_id,
        "code": "200" if code_as_string else 200,
        "msg": "success",
    }


def _heading(algo: AlgoOrder, quantity: str) -> Body:
    return {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.client_algo_id,
        "algoType": "CONDITIONAL",
        "orderType": algo.order_type,
        "symbol": algo.symbol,
        "side": algo.side,
        "positionSide": algo.position_side,
        "timeInForce": algo.time_in_force,
        "quantity": quantity,
        "algoStatus": algo.status,
    }


def _settings(algo: AlgoOrder) -> Body:
    settings: Body = {
        "selfTradePreventionMode": algo.self_trade_prevention,
        "workingType": algo.working_type,
        "priceMatch": algo.price_match,
        "closePosition": algo.close_position,
        "priceProtect": algo.price_protect,
        "reduceOnly": algo.reduce_only,
    }
    if algo.callback_percent:
        settings["activatePrice"] = f"{algo.activate_price:f}"
        settings["callbackRate"] = f"{algo.callback_percent:f}"
    return settings | {
        "createTime": algo.created_ns // NS_PER_MS,
        "updateTime": algo.updated_ns // NS_PER_MS,
        "triggerTime": algo.triggered_ns // NS_PER_MS,
        "goodTillDate": algo.good_till_ms,
    }


def _actual_order_id(algo: AlgoOrder) -> str:
    return str(algo.order_id) if algo.order_id else ""
