"""`python -m services.paper_exchange`: read the options, serve the venue, stop cleanly.

Exit codes: 0 after SIGTERM or SIGINT, 2 for options or a source that cannot be used (one line on
stderr says why).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

import uvloop
from pydantic import ValidationError

from libs.common.runtime.log import configure_logging
from services.paper_exchange.clock import ClockError
from services.paper_exchange.config import Limits, Moods, Quirks, Settings
from services.paper_exchange.faults.scenarios import ScenarioError
from services.paper_exchange.kept_state import KeptStateError
from services.paper_exchange.market.instruments import UnknownSymbolError
from services.paper_exchange.options import OptionError, describe_names, read_names
from services.paper_exchange.shell import PaperExchange, open_venue
from services.paper_exchange.sources.event import SourceError

_BAD_START = 2
_NAMED = (("--mood", Moods), ("--quirk", Quirks), ("--limit", Limits))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the venue until a signal; return the exit code."""
    try:
        settings = parse_settings(arguments)
        exchange = open_venue(settings)
    except (
        ValidationError,
        OptionError,
        ScenarioError,
        ClockError,
        KeptStateError,
        SourceError,
        UnknownSymbolError,
        OSError,
    ) as error:
        return _refuse(error)
    configure_logging("paper_exchange")
    gc.freeze()  # modules live as long as the process: walking them was a pause of 20 ms and more
    try:
        uvloop.run(_serve(exchange))
    except (KeptStateError, SourceError, OSError) as error:
        return _refuse(error)
    return 0


def parse_settings(arguments: Sequence[str] | None) -> Settings:
    """Parse command-line options; raises `ValidationError`, or exits 2 as argparse does."""
    parser = argparse.ArgumentParser(
        prog="python -m services.paper_exchange",
        description="A Binance USD-M Futures venue on this machine: a simulation, no real money.",
        epilog="\n\n".join(describe_names(model, option) for option, model in _NAMED),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: loopback only)")
    add("--port", type=int, default=0, help="port for REST and WebSocket; 0 takes any free one")
    add("--source", choices=("generator", "tape", "klines"), default="generator")
    add("--path", type=Path, action="append", default=[], help="file of the source; repeatable")
    add("--speed", type=_decimal, default=Decimal(1), help="market seconds per wall second")
    add("--hold", action="store_true", help="stand still until POST /sim/clock moves the limit")
    add("--seed", type=int, default=1, help="of the generator and of keys")
    add("--symbols", default="", help="comma-separated symbols of the generator")
    add("--balance", type=_decimal, default=Decimal(10_000), help="USDT of the demo account")
    add("--loop", action="store_true", help="start the files over at their end")
    add("--scenario", help="what goes wrong: the name of one that ships, or a YAML file")
    add("--state", type=Path, help="keep accounts and orders in this file, and go on from it")
    add(
        "--mood", action="append", default=[], metavar="NAME=VALUE",
        help="change how the generator behaves; repeatable, names below",
    )  # fmt: skip
    add(
        "--quirk", action="append", default=[], metavar="NAME=VALUE",
        help="switch a quirk of the venue; repeatable, names below",
    )  # fmt: skip
    add(
        "--limit", action="append", default=[], metavar="NAME=VALUE",
        help="change a limit of the venue; repeatable, names below",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    return Settings(
        host=options.host,
        port=options.port,
        source=options.source,
        paths=tuple(options.path),
        speed=options.speed,
        hold=options.hold,
        seed=options.seed,
        symbols=tuple(name.strip() for name in options.symbols.split(",") if name.strip()),
        demo_balance=options.balance,
        loop=options.loop,
        scenario=options.scenario,
        state=options.state,
        moods=read_names(Moods, "--mood", options.mood),
        quirks=read_names(Quirks, "--quirk", options.quirk),
        limits=read_names(Limits, "--limit", options.limit),
    )


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from error
    if not value.is_finite():
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return value


def _refuse(error: Exception) -> int:
    if isinstance(error, ValidationError):
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        text = f"--{where}: {fault['msg']}" if where else fault["msg"]
    else:
        text = str(error)
    sys.stderr.write(f"paper_exchange: {text}\n")
    return _BAD_START


async def _serve(exchange: PaperExchange) -> None:
    """Serve until SIGTERM or SIGINT, or until the venue fails."""
    loop = asyncio.get_running_loop()
    serving = asyncio.create_task(exchange.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


if __name__ == "__main__":
    sys.exit(main())
