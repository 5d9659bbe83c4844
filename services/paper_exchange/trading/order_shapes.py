"""How orders and fills look in REST answers: exact keys, their order, types and scales.

Recorded in September 2026 (binance-usdm, section 2): acknowledgements carry neither `avgPrice` nor
`cumQuote` since 2026-06-30; queries do.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.paper_exchange.market.instruments import Instrument
from services.paper_exchange.state.orders import Amendment, Order, Trade
from services.paper_exchange.wire.decimal_text import average, money, scaled

NS_PER_MS = 1_000_000


def acknowledged_order(instrument: Instrument, order: Order) -> dict[str, object]:
    """The 22 keys that POST and DELETE order answer with."""
    prices, quantities = instrument.price_precision, instrument.quantity_precision
    executed = scaled(order.executed, quantities)
    return {
        "orderId": order.order_id,
        "symbol": order.symbol,
        "status": order.status,
        "clientOrderId": order.client_order_id,
        "price": scaled(order.price, prices),
        "origQty": scaled(order.quantity, quantities),
        "executedQty": executed,
        "cumQty": executed,
        "timeInForce": order.time_in_force,
        "type": order.order_type,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": order.side,
        "positionSide": order.position_side,
        "stopPrice": scaled(order.stop_price, prices),
        "workingType": order.working_type,
        "priceProtect": order.price_protect,
        "origType": order.original_type,
        "priceMatch": order.price_match,
        "selfTradePreventionMode": order.self_trade_prevention,
        "goodTillDate": order.good_till_ms,
        "updateTime": order.updated_ns // NS_PER_MS,
    }


def queried_order(instrument: Instrument, order: Order) -> dict[str, object]:
    """The 24 keys that GET order, openOrder and openOrders answer with."""
    prices, quantities = instrument.price_precision, instrument.quantity_precision
    return {
        "orderId": order.order_id,
        "symbol": order.symbol,
        "status": order.status,
        "clientOrderId": order.client_order_id,
        "price": scaled(order.price, prices),
        "avgPrice": average(order.average_price, prices),
        "origQty": scaled(order.quantity, quantities),
        "executedQty": scaled(order.executed, quantities),
        "cumQuote": scaled(order.quote, prices + quantities),
        "timeInForce": order.time_in_force,
        "type": order.order_type,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": order.side,
        "positionSide": order.position_side,
        "stopPrice": scaled(order.stop_price, prices),
        "workingType": order.working_type,
        "priceProtect": order.price_protect,
        "origType": order.original_type,
        "priceMatch": order.price_match,
        "selfTradePreventionMode": order.self_trade_prevention,
        "goodTillDate": order.good_till_ms,
        "time": order.created_ns // NS_PER_MS,
        "updateTime": order.updated_ns // NS_PER_MS,
    }


def tested_order(instrument: Instrument, order: Order) -> dict[str, object]:
    """What POST order/test answers with: an order like any other, with prices and sums."""
    prices, quantities = instrument.price_precision, instrument.quantity_precision
    more = {
        "price": {"avgPrice": scaled(order.average_price, prices)},
        "cumQty": {"cumQuote": scaled(order.quote, prices + quantities)},
    }
    return _with(acknowledged_order(instrument, order), more)


def modified_order(instrument: Instrument, order: Order) -> dict[str, object]:
    """What PUT order answers with: the pair, and the customer's own id of the modification."""
    modify_id: dict[str, object] = {}
    if order.modify_id is not None:
        modify_id = {"modifyId": order.modify_id}
    more: dict[str, dict[str, object]] = {
        "symbol": {"pair": order.symbol},
        "clientOrderId": modify_id,
    }
    return _with(acknowledged_order(instrument, order), more)


def listed_order(instrument: Instrument, order: Order) -> dict[str, object]:
    """A row of allOrders: since August 2026 with the pair, and what contracts in coins filled."""
    more = {"symbol": {"pair": order.symbol}, "cumQuote": {"cumBase": "0"}}
    return _with(queried_order(instrument, order), more)


def _with(body: dict[str, object], more: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """A body with more keys in their places, each behind the key that it is listed under."""
    whole: dict[str, object] = {}
    for name, value in body.items():
        whole[name] = value
        whole |= more.get(name, {})
    return whole


def listed_amendment(
    instrument: Instrument, order: Order, amendment: Amendment
) -> dict[str, object]:
    """One row of orderAmendment."""
    prices, quantities = instrument.price_precision, instrument.quantity_precision
    changes: dict[str, object] = {
        "price": {
            "before": scaled(amendment.price_before, prices),
            "after": scaled(amendment.price_after, prices),
        },
        "origQty": {
            "before": scaled(amendment.quantity_before, quantities),
            "after": scaled(amendment.quantity_after, quantities),
        },
        "count": amendment.number,
    }
    if amendment.modify_id is not None:
        changes["modifyId"] = amendment.modify_id
    return {
        "amendmentId": amendment.amendment_id,
        "symbol": order.symbol,
        "pair": order.symbol,
        "orderId": order.order_id,
        "clientOrderId": order.client_order_id,
        "time": amendment.time_ns // NS_PER_MS,
        "amendment": changes,
    }


def listed_trade(instrument: Instrument, trade: Trade) -> dict[str, object]:
    """One row of userTrades; realized profit and commission are exact.

    Only contracts that are margined in coins have a quantity in the base asset.
    """
    prices, quantities = instrument.price_precision, instrument.quantity_precision
    return {
        "buyer": trade.side == "BUY",
        "commission": money(trade.commission),
        "commissionAsset": "USDT",
        "id": trade.trade_id,
        "maker": trade.is_maker,
        "orderId": trade.order_id,
        "price": scaled(trade.price, prices),
        "qty": scaled(trade.quantity, quantities),
        "quoteQty": scaled(trade.price * trade.quantity, prices + quantities),
        "baseQty": "0",
        "marginAsset": "USDT",
        "pair": trade.symbol,
        "realizedPnl": money(trade.realized),
        "side": trade.side,
        "positionSide": trade.position_side,
        "symbol": trade.symbol,
        "time": trade.time_ns // NS_PER_MS,
    }
