"""Candle files for the paper exchange to play: seeded walks, no two bars alike."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

START_MS: Final = 1_700_006_400_000
MINUTE_MS: Final = 60_000
FIRST_TENTHS: Final = 20_000
"""The first price, in tenths of the quote currency."""
STEP_TENTHS_MAX: Final = 30


def write_candles(folder: Path, symbols: Sequence[str], minutes: int, seed: int) -> list[Path]:
    """One file a symbol, in the layout of the venue's public data."""
    folder.mkdir(parents=True, exist_ok=True)
    dice, paths = random.Random(seed), []
    for symbol in symbols:
        path = folder / f"{symbol}-1m-2023-11-15.csv"
        price, rows = FIRST_TENTHS, []
        for number in range(minutes):
            after = max(1_000, price + dice.randint(-STEP_TENTHS_MAX, STEP_TENTHS_MAX))
            high = max(price, after) + dice.randint(0, STEP_TENTHS_MAX)
            low = min(price, after) - dice.randint(0, STEP_TENTHS_MAX)
            open_ms = START_MS + number * MINUTE_MS
            volume = dice.randint(50, 900)
            figures = ",".join(f"{one // 10}.{one % 10}" for one in (price, high, low, after))
            rows.append(
                f"{open_ms},{figures},{volume},{open_ms + MINUTE_MS - 1},{volume * 1_000},"
                f"{dice.randint(8, 60)},{volume // 2},{volume * 500},0"
            )
            price = after
        path.write_text("\n".join(rows) + "\n")
        paths.append(path)
    return paths
