"""Whether the feed's memory stays flat: the real feed hears an hour of many symbols' frames.

    python -m bench.feed_memory [--symbols 300] [--market-minutes 60]

The venue of ``bench.feed_flood`` tells one minute of market time after the other, the last of which
ends now: each second 16 quotes, a mark and three candles of every symbol, and each minute the
candle that closed. The feed publishes to a broker of its own. Prints its resident memory after the
first minutes, in which every symbol has had its first candle, and at each quarter, and the slope in
MB per market hour over the last three quarters. A minute begins when every candle of the one before
is stored; nothing may be dropped.
"""

import argparse
import asyncio

from rich.console import Console
from rich.table import Table

from bench.feed_flood import flood_venue, own_broker
from bench.feed_world import FeedWorld
from bench.flood_frames import symbol_names
from bench.listener import resident_mb
from libs.common.runtime.clock import NS_PER_MS, wall_ns
from libs.common.runtime.log import configure_logging

QUARTERS = 4
SECONDS_PER_MINUTE = 60
MS_PER_MINUTE, MS_PER_HOUR = 60_000, 3_600_000
WARM_UP_MINUTES = 2
MINUTE_WAIT_S = 60.0
"""A minute of market time must be through in so much time."""

Look = tuple[int, float, int, int]
"""Market time in ms, resident memory in MB, messages received, candles stored."""


async def measure(symbols: int, minutes: int) -> list[Look]:
    """A look after each minute; the first is the start.

    Raises:
        RuntimeError: the feed refused or dropped something.
    """
    names = symbol_names(symbols)
    hearing_ms = (minutes + WARM_UP_MINUTES + 1) * MS_PER_MINUTE
    async with flood_venue(symbols) as (venue, http), own_broker() as (bus, settings):
        world = FeedWorld(bus, settings.url, http, venue.port)
        try:
            await world.start_feed(names, ["1m"], mode="testnet", behind_ms_max=2 * hearing_ms)
            now_ms = wall_ns() // NS_PER_MS // MS_PER_MINUTE * MS_PER_MINUTE
            looks: list[Look] = []
            frames = 0
            for number in range(minutes + WARM_UP_MINUTES):
                end_ms = now_ms - (minutes + WARM_UP_MINUTES - 1 - number) * MS_PER_MINUTE - 1
                flood = await venue.prepare_seconds(SECONDS_PER_MINUTE, end_ms)
                frames += flood["frames"]
                await venue.begin()
                looks.append(await _look(world, end_ms, frames, symbols * (number + 1)))
            return looks[WARM_UP_MINUTES - 1 :]
        finally:
            await world.end_feed()


async def _look(world: FeedWorld, market_ms: int, frames: int, candles: int) -> Look:
    """The look once so many frames were heard and so many candles stored."""

    async def is_through() -> bool:
        status = await world.status()
        if any(status["dropped"].values()):
            raise RuntimeError(f"the feed dropped {status['dropped']}")
        stored = status["published"].get("candle", 0) + status["candles"]["repeats"]
        return bool(stored == candles and sum(status["received"].values()) == frames)

    what = f"{frames} frames heard and {candles} candles stored"
    await world.until(is_through, what, MINUTE_WAIT_S)
    assert world.feed is not None, "it was started"
    return market_ms, resident_mb(world.feed.pid), frames, candles


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
    table = Table(title=f"The feed's memory, {symbols} symbols")
    for heading in ("market minutes", "RSS MB", "messages received", "candles stored"):
        table.add_column(heading, justify="right")
    quarter = max(1, len(looks) // QUARTERS)
    for market_ms, mb, received, candles in looks[::quarter]:
        minutes = (market_ms - looks[0][0]) / MS_PER_MINUTE
        table.add_row(f"{minutes:.0f}", f"{mb:.1f}", f"{received:,}", f"{candles:,}")
    console = Console(width=100)
    console.print(table)
    slope = slope_per_hour(looks[quarter:])
    console.print(f"slope of the last three quarters: {slope:+.2f} MB per market hour")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=300)
    parser.add_argument("--market-minutes", type=int, default=60)
    arguments = parser.parse_args()
    configure_logging("bench")
    show(asyncio.run(measure(arguments.symbols, arguments.market_minutes)), arguments.symbols)


if __name__ == "__main__":
    main()
