"""What margin assets are worth in dollars: GET /fapi/v1/assetIndex.

Composite indices are traded by nobody here: GET /fapi/v1/indexInfo lists none.
"""

from typing import Final

from services.paper_exchange.market.asset_indices import ASSET_INDICES, index_figures
from services.paper_exchange.market.report_view import NS_PER_MS, MarketView, Row, state_of
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError

_KEYS: Final = (
    "index", "bidBuffer", "askBuffer", "bidRate", "askRate", "autoExchangeBidBuffer",
    "autoExchangeAskBuffer", "autoExchangeBidRate", "autoExchangeAskRate",
)  # fmt: skip


def asset_index(_view: MarketView, sent: Parameters, now_ns: int) -> Row | list[Row]:
    """GET /fapi/v1/assetIndex: of one margin asset or of all; raises -1121."""
    symbol = sent.optional_text("symbol")
    if symbol is None:
        return [_row(known, now_ns) for known in ASSET_INDICES]
    if symbol not in ASSET_INDICES:
        raise RefusalError(-1121)
    return _row(symbol, now_ns)


def index_info(view: MarketView, sent: Parameters, _now_ns: int) -> list[Row]:
    """GET /fapi/v1/indexInfo: what composite indices are made of, of which none is listed here."""
    if "symbol" in sent:
        state_of(view, sent)
    return []


def _row(symbol: str, now_ns: int) -> Row:
    told = dict(zip(_KEYS, index_figures(symbol), strict=True))
    return {"symbol": symbol, "time": now_ns // NS_PER_MS, **told}
