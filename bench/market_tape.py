"""A market that turns every second bar, as tapes: enough orders for percentiles in a short run."""

from pathlib import Path

START_MS = 1_760_000_000_000
#: Price in ticks of its symbol, and the tick's decimals.
PRICES = {"BTCUSDT": (618_000, 1), "ETHUSDT": (267_000, 2)}
QUOTE_INTERVAL_MS = 6
TRADE_INTERVAL_MS = 20
BAR_MS = 1_000
#: Bars up, then as many down: an average over one bar crosses that over two at each turn.
BARS_PER_LEG = 2


def write_tapes(folder: Path, seconds: int) -> list[Path]:
    """Write one tape per symbol with so many seconds of market; returns their paths."""
    return [_write(folder, symbol, seconds) for symbol in PRICES]


def messages(seconds: int) -> int:
    """Lines of all tapes together."""
    per_symbol = sum(
        -(-seconds * BAR_MS // interval) for interval in (QUOTE_INTERVAL_MS, TRADE_INTERVAL_MS)
    )
    return per_symbol * len(PRICES)


def ticks_at(ms: int) -> int:
    """How far the price is from where it began: a sawtooth of one tick each tenth of a second."""
    leg, inside = divmod(ms // 100, BARS_PER_LEG * BAR_MS // 100)
    return inside if leg % 2 == 0 else BARS_PER_LEG * BAR_MS // 100 - inside


def _write(folder: Path, symbol: str, seconds: int) -> Path:
    path = folder / f"{symbol.lower()}_bench.tape"
    ticks, decimals = PRICES[symbol]
    # Turns of the two symbols fall on different bars.
    shift_ms = list(PRICES).index(symbol) * BAR_MS
    with path.open("w") as tape:
        for ms in range(seconds * BAR_MS):
            price = ticks + 10 * ticks_at(ms + shift_ms)
            if ms % QUOTE_INTERVAL_MS == 0:
                tape.write(_quote(symbol, ms, _text(price, decimals), _text(price + 1, decimals)))
            if ms % TRADE_INTERVAL_MS == 0:
                tape.write(_trade(symbol, ms, _text(price, decimals)))
    return path


def _text(ticks: int, decimals: int) -> str:
    whole, part = divmod(ticks, 10**decimals)
    return f"{whole}.{part:0{decimals}d}"


def _quote(symbol: str, ms: int, bid: str, ask: str) -> str:
    at = START_MS + ms
    return (
        f'{at}000000 {{"stream":"{symbol.lower()}@bookTicker","data":{{"e":"bookTicker",'
        f'"u":{ms + 1},"s":"{symbol}","b":"{bid}","B":"250.000","a":"{ask}","A":"250.000",'
        f'"T":{at},"E":{at}}}}}\n'
    )


def _trade(symbol: str, ms: int, price: str) -> str:
    at = START_MS + ms
    return (
        f'{at}000000 {{"stream":"{symbol.lower()}@trade","data":{{"e":"trade","E":{at},"T":{at},'
        f'"s":"{symbol}","t":{ms // TRADE_INTERVAL_MS + 1},"p":"{price}","q":"0.050",'
        f'"X":"MARKET","m":false}}}}\n'
    )
