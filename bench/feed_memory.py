"""Whether the feed's memory stays flat: the real feed on the real paper exchange, for market hours.

    python -m bench.feed_memory [--symbols 300] [--market-minutes 60] [--speed 120]

The paper exchange lists so many symbols (copies of one of its own beyond the seven) and goes as
fast as it can, up to the speed; the feed takes quotes, marks, trades and 1m candles of all. Prints
the feed's resident memory at the start (once every series has had a candle), at each quarter, and
the slope in MB per market hour over the last three quarters.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.feed_world import FeedWorld, feed_world
from bench.flood_frames import symbol_names
from bench.listener import resident_mb
from libs.common.runtime.log import configure_logging

QUARTERS = 4
LOOKS_PER_QUARTER = 15
MS_PER_MINUTE, MS_PER_HOUR = 60_000, 3_600_000
WARM_UP_MS = 2 * MS_PER_MINUTE
POLL_S = 0.2

Look = tuple[int, float, int]
"""Market time in ms, resident memory in MB, messages received."""


async def measure(symbols: int, minutes: int, speed: int) -> list[Look]:
    """The looks, evenly spread in market time; the first is the start."""
    with tempfile.TemporaryDirectory() as folder:
        options = (str(symbols), f"--speed={speed}")
        async with feed_world(Path(folder), *options, venue_module="bench.wide_venue") as world:
            await world.start_feed(symbol_names(symbols), ["1m"])
            start_ms = await _market_ms(world) + WARM_UP_MS
            steps = QUARTERS * LOOKS_PER_QUARTER
            return [
                await _look(world, start_ms + minutes * MS_PER_MINUTE * step // steps)
                for step in range(steps + 1)
            ]


async def _look(world: FeedWorld, due_ms: int) -> Look:
    while (now_ms := await _market_ms(world)) < due_ms:
        await asyncio.sleep(POLL_S)
    assert world.feed is not None, "it was started"
    received = sum(
        int(value)
        for name, value in (await world.metrics()).items()
        if name.startswith("feed_received_total")
    )
    return now_ms, resident_mb(world.feed.pid), received


async def _market_ms(world: FeedWorld) -> int:
    answer = await world.sim("/fapi/v1/time", method="GET")
    return int(answer["serverTime"])


def slope_per_hour(looks: list[Look]) -> float:
    """MB per market hour, by least squares.

    Raises:
        ZeroDivisionError: all looks are of one moment.
    """
    hours = [look[0] / MS_PER_HOUR for look in looks]
    middle = sum(hours) / len(hours)
    mean_mb = sum(look[1] for look in looks) / len(looks)
    spread = sum((hour - middle) ** 2 for hour in hours)
    rise = sum(
        (hour - middle) * (look[1] - mean_mb) for hour, look in zip(hours, looks, strict=True)
    )
    return rise / spread


def show(looks: list[Look], symbols: int) -> None:
    """Print the quarters and the slope."""
    table = Table(title=f"The feed's memory, {symbols} symbols of the paper exchange")
    for heading in ("market minutes", "RSS MB", "messages received"):
        table.add_column(heading, justify="right")
    for market_ms, mb, received in looks[::LOOKS_PER_QUARTER]:
        minutes = (market_ms - looks[0][0]) / MS_PER_MINUTE
        table.add_row(f"{minutes:.1f}", f"{mb:.1f}", f"{received:,}")
    console = Console(width=100)
    console.print(table)
    slope = slope_per_hour(looks[LOOKS_PER_QUARTER:])
    console.print(f"slope of the last three quarters: {slope:+.2f} MB per market hour")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=300)
    parser.add_argument("--market-minutes", type=int, default=60)
    parser.add_argument("--speed", type=int, default=120)
    arguments = parser.parse_args()
    configure_logging("bench")
    looks = asyncio.run(measure(arguments.symbols, arguments.market_minutes, arguments.speed))
    show(looks, arguments.symbols)


if __name__ == "__main__":
    main()
