"""How orders, fills and income look in REST answers: exact keys, their order, types and scales.

Recorded in September 2026 (binance-usdm, section 2): acknowledgements carry neither `avgPrice` nor
`cumQuote` since 2026-06-30; queries do.
"""

from __future__ import annotations

from services.paper_exchange.market.instruments import Instrument
from services.paper_exchange.state.orders import Income, Order, Trade
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
        "positionSide": "BOTH",
        "stopPrice": scaled(order.stop_price, prices),
        "workingType": order.working_type,
        "priceProtect": order.price_protect,
        "origType": order.original_type,
        "priceMatch": "NONE",
        "selfTradePreventionMode": order.self_trade_prevention,
        "goodTillDate": order.good_till_ms,
        "updateTime": order.updated_ns // NS_PER_MS,
    }


def queried_order(instrument: Instrument, order: Order) -> dict[str, object]:
    """The 24 keys that GET order, openOrders and allOrders answer with."""
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
        "positionSide": "BOTH",
        "stopPrice": scaled(order.stop_price, prices),
        "workingType": order.working_type,
        "priceProtect": order.price_protect,
        "origType": order.original_type,
        "priceMatch": "NONE",
        "selfTradePreventionMode": order.self_trade_prevention,
        "goodTillDate": order.good_till_ms,
        "time": order.created_ns // NS_PER_MS,
        "updateTime": order.updated_ns // NS_PER_MS,
    }


def listed_trade(instrument: Instrument, trade: Trade) -> dict[str, object]:
    """One row of userTrades; realized profit and commission are exact."""
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
        "realizedPnl": money(trade.realized),
        "side": trade.side,
        "positionSide": "BOTH",
        "symbol": trade.symbol,
        "time": trade.time_ns // NS_PER_MS,
    }


def listed_income(row: Income) -> dict[str, object]:
    """One row of income."""
    return {
        "symbol": row.symbol,
        "incomeType": row.income_type,
        "income": money(row.amount),
        "asset": "USDT",
        "info": row.info,
        "time": row.time_ns // NS_PER_MS,
        "tranId": row.transaction_id,
        "tradeId": row.trade_id,
    }
