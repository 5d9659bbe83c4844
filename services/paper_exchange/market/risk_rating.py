"""GET /fapi/v1/symbolAdlRisk: how likely liquidations of a symbol end in deleveraging."""

from services.paper_exchange.market.report_view import NS_PER_MS, MarketView, Row, each_or_one
from services.paper_exchange.market.symbol_market import SymbolMarket
from services.paper_exchange.wire.parameters import Parameters


def symbol_adl_risk(view: MarketView, sent: Parameters, now_ns: int) -> Row | list[Row]:
    """One symbol, or all: `low`, `medium` or `high`, as of now."""

    def row(state: SymbolMarket) -> Row:
        return {
            "symbol": state.book.symbol,
            "adlRisk": view.adl_risk(state.book.symbol),
            "updateTime": now_ns // NS_PER_MS,
        }

    return each_or_one(view, sent, row)
