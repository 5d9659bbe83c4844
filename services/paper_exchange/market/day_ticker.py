"""The rolling 24-hour statistics of one symbol, from its minutes."""

from decimal import Decimal
from typing import Final

from services.paper_exchange.market.candles import ZERO
from services.paper_exchange.market.market import SymbolMarket

DAY_MS: Final = 86_400_000
HUNDRED: Final = Decimal(100)


def day_ticker(state: SymbolMarket, now_ms: int) -> dict[str, object]:
    """Return the body of GET /fapi/v1/ticker/24hr for one symbol at market time ``now_ms``."""
    minutes = [minute for minute in state.candles.recent("1m") if minute.open_ms > now_ms - DAY_MS]
    opened = minutes[0].open if minutes else ZERO
    last = minutes[-1].close if minutes else ZERO
    volume = sum((minute.volume for minute in minutes), ZERO)
    quote_volume = sum((minute.quote_volume for minute in minutes), ZERO)
    percent = (last - opened) * HUNDRED / opened if opened else ZERO
    traded = [minute for minute in minutes if minute.count]
    average = quote_volume / volume if volume and quote_volume else last
    return {
        "symbol": state.book.symbol,
        "priceChange": f"{last - opened:f}",
        "priceChangePercent": f"{percent:.3f}",
        "weightedAvgPrice": f"{average:.{state.instrument.price_precision}f}",
        "lastPrice": f"{last:f}",
        "lastQty": f"{state.trades[-1].quantity:f}" if state.trades else "0",
        "openPrice": f"{opened:f}",
        "highPrice": f"{max((minute.high for minute in minutes), default=ZERO):f}",
        "lowPrice": f"{min((minute.low for minute in minutes), default=ZERO):f}",
        "volume": f"{volume:f}",
        "quoteVolume": f"{quote_volume:f}",
        "openTime": minutes[0].open_ms if minutes else now_ms,
        "closeTime": now_ms,
        "firstId": traded[0].first_trade_id if traded else -1,
        "lastId": traded[-1].last_trade_id if traded else -1,
        "count": sum(minute.count for minute in minutes),
    }
