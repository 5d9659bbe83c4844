"""Public reports of trades: the newest, older ones by id, and aggregates of one taker's trades."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from services.paper_exchange.market.market import MARKET_EXECUTION
from services.paper_exchange.market.payloads import AggregateTrade
from services.paper_exchange.market.report_view import (
    NS_PER_MS,
    ROWS_DEFAULT,
    ROWS_MAX,
    MarketView,
    Row,
    state_of,
    window,
)
from services.paper_exchange.market.symbol_market import SymbolMarket
from services.paper_exchange.sources.event import Trade
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError

OLD_ROWS_DEFAULT: Final = 100
OLD_ROWS_MAX: Final = 500
"""Rows of historicalTrades, which gives fewer at once than its siblings do."""
HOUR_MS: Final = 3_600_000
AGGREGATE_LOOKBACK_MS: Final = 48 * HOUR_MS
"""Aggregates older than this may not be asked for, and are not told."""
_LOOKBACK_DAYS: Final = AGGREGATE_LOOKBACK_MS // (24 * HOUR_MS)


def trades(view: MarketView, sent: Parameters, _now_ns: int) -> list[Row]:
    """GET /fapi/v1/trades: the newest trades, oldest first."""
    state = state_of(view, sent)
    limit = sent.limit(ROWS_DEFAULT, ROWS_MAX)
    return _rows(state, _newest(state.trades, limit))


def historical_trades(view: MarketView, sent: Parameters, _now_ns: int) -> list[Row]:
    """GET /fapi/v1/historicalTrades: from an id on, or the newest."""
    state = state_of(view, sent)
    limit, from_id = sent.limit(OLD_ROWS_DEFAULT, OLD_ROWS_MAX), sent.optional_integer("fromId")
    if from_id is None:
        return _rows(state, _newest(state.trades, limit))
    later = (trade for trade in _of_the_book(state.trades) if trade.trade_id >= from_id)
    return _rows(state, islice(later, limit))


def aggregate_trades(view: MarketView, sent: Parameters, now_ns: int) -> list[Row]:
    """GET /fapi/v1/aggTrades: by id, by time or the newest, none older than 48 hours.

    Raises -1128 for id and time together, -1127 for more than an hour, -4166 for what is older.
    """
    state = state_of(view, sent)
    limit, from_id = sent.limit(ROWS_DEFAULT, ROWS_MAX), sent.optional_integer("fromId")
    start_ms, end_ms = window(sent)
    if from_id is not None and (start_ms is not None or end_ms is not None):
        raise RefusalError(-1128)
    if start_ms is not None and end_ms is not None and end_ms - start_ms > HOUR_MS:
        raise RefusalError(-1127, 1)
    oldest_ms = now_ns // NS_PER_MS - AGGREGATE_LOOKBACK_MS
    named_ms = end_ms if start_ms is None else start_ms
    if named_ms is None and from_id is not None:
        named_ms = _time_of(state, from_id)
    if named_ms is not None and named_ms < oldest_ms:
        raise RefusalError(-4166, _LOOKBACK_DAYS)
    earliest_ms = oldest_ms if start_ms is None else start_ms
    chosen = [
        aggregate
        for aggregate in state.aggregates
        if aggregate.transaction_ms >= earliest_ms
        and (from_id is None or aggregate.aggregate_id >= from_id)
        and (end_ms is None or aggregate.transaction_ms <= end_ms)
    ]
    is_forward = from_id is not None or start_ms is not None
    rows = chosen[:limit] if is_forward else chosen[-limit:]
    return [_aggregate_row(state, aggregate) for aggregate in rows]


def _time_of(state: SymbolMarket, from_id: int) -> int | None:
    """When the first aggregate from an id on was traded, in ms; None where there is none."""
    later = (known for known in state.aggregates if known.aggregate_id >= from_id)
    first = next(later, None)
    return None if first is None else first.transaction_ms


def _of_the_book(known: Iterable[Trade]) -> Iterator[Trade]:
    """Trades of the order book only: those of the insurance fund are not told here."""
    return (trade for trade in known if trade.execution == MARKET_EXECUTION)


def _newest(known: Sequence[Trade], limit: int) -> list[Trade]:
    """The newest trades of the order book, oldest first."""
    return list(islice(_of_the_book(reversed(known)), limit))[::-1]


def _rows(state: SymbolMarket, chosen: Iterable[Trade]) -> list[Row]:
    return [
        {
            "id": trade.trade_id,
            "price": state.price_text(trade.price),
            "qty": state.quantity_text(trade.quantity),
            "quoteQty": state.rounded_text(trade.price * trade.quantity),
            "time": trade.transaction_ms,
            "isBuyerMaker": trade.is_buyer_maker,
            "isRPITrade": False,
        }
        for trade in chosen
    ]


def _aggregate_row(state: SymbolMarket, aggregate: AggregateTrade) -> Row:
    quantity = state.quantity_text(aggregate.quantity)
    return {
        "a": aggregate.aggregate_id,
        "p": state.price_text(aggregate.price),
        "q": quantity,
        "nq": quantity,
        "f": aggregate.first_trade_id,
        "l": aggregate.last_trade_id,
        "T": aggregate.transaction_ms,
        "m": aggregate.is_buyer_maker,
    }
