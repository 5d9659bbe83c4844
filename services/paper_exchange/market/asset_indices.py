"""What margin assets are worth in dollars, and the event that tells it.

USDT is the only margin asset here and what all money is counted in, so that it is worth one dollar
without a discount.
"""

from decimal import Decimal
from typing import Final

from services.paper_exchange.market.payloads import NS_PER_MS, Payload, price_text

ASSET_INDICES: Final = {"USDTUSD": Decimal(1)}
"""Dollars per unit of each margin asset, by the name of its index."""
ALL_INDICES: Final = "!assetIndex@arr"
INDEX_STREAMS: Final = {symbol: f"{symbol.lower()}@assetIndex" for symbol in ASSET_INDICES}
_DISCOUNT: Final = Decimal(0)
_EVENT_KEYS: Final = "ibaBAqgQG"


def asset_index_update(symbol: str, ts_ns: int) -> Payload:
    """Return an assetIndexUpdate."""
    told = dict(zip(_EVENT_KEYS, index_figures(symbol), strict=True))
    return {"e": "assetIndexUpdate", "E": ts_ns // NS_PER_MS, "s": symbol, **told}


def index_figures(symbol: str) -> list[str]:
    """Index; discount and rate of bid and ask as margin, then the same for being exchanged."""
    index = ASSET_INDICES[symbol]
    side = (_DISCOUNT, _DISCOUNT, index * (1 - _DISCOUNT), index * (1 + _DISCOUNT))
    return [price_text(figure) for figure in (index, *side, *side)]
