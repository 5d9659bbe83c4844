"""The paper exchange with more symbols than it lists: copies of one of its own.

python -m bench.wide_venue COUNT [options of the paper exchange]
"""

import sys
from decimal import Decimal
from typing import cast

import msgspec

from bench.flood_frames import symbol_names
from services.paper_exchange.__main__ import main
from services.paper_exchange.market.instruments import INSTRUMENTS, Instrument
from services.paper_exchange.sources.generator import STARTING_PRICES

MODEL = "SOLUSDT"


def list_symbols(count: int) -> str:
    """Make the venue list so many symbols; returns their names with commas."""
    names = symbol_names(count)
    listed = cast("dict[str, Instrument]", INSTRUMENTS)
    prices = cast("dict[str, Decimal]", STARTING_PRICES)
    for name in names:
        if name not in listed:
            listed[name] = msgspec.structs.replace(
                listed[MODEL], symbol=name, base_asset=name.removesuffix("USDT")
            )
            prices[name] = prices[MODEL]
    return ",".join(names)


if __name__ == "__main__":
    sys.exit(main([f"--symbols={list_symbols(int(sys.argv[1]))}", *sys.argv[2:]]))
