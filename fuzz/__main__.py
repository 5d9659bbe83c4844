"""Ask the venue anything: no request may break it.

    python -m fuzz requests [--seed N] [--count 100000]
    python -m fuzz sockets [--seed N] [--seconds 20]
    python -m fuzz simulation [--seed N]

`requests` asks the pure core, with several accounts in a market that moves. `sockets` throws bytes
at a running venue. `simulation` has schemathesis ask the OpenAPI of `/sim`. Each prints its seed
first: the same seed asks the same things again.
"""

import argparse
import sys
import time

from fuzz.schema import ask_simulation
from fuzz.sockets import throw_bytes
from fuzz.venue import FuzzedVenue, RuleBrokenError
from libs.common.runtime.clock import wall_ns

_BROKEN = 1


def main() -> int:
    """Run one kind of fuzzing; 0 where nothing broke."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Ask the venue anything.")
    parser.add_argument("kind", choices=("requests", "sockets", "simulation"))
    parser.add_argument("--seed", type=int, default=wall_ns() // 1_000 % 1_000_000_000)
    parser.add_argument("--count", type=int, default=100_000, help="requests to the core")
    parser.add_argument("--seconds", type=int, default=20, help="of bytes on sockets")
    options = parser.parse_args()
    sys.stdout.write(f"{options.kind}: seed {options.seed}\n")
    sys.stdout.flush()
    try:
        if options.kind == "requests":
            ask_core(options.seed, options.count)
        elif options.kind == "sockets":
            throw_bytes(options.seed, options.seconds)
        else:
            ask_simulation(options.seed)
    except RuleBrokenError as error:
        cause = f" ({error.__cause__!r})" if error.__cause__ is not None else ""
        sys.stdout.write(f"BROKEN: {error}{cause}\n")
        return _BROKEN
    return 0


def ask_core(seed: int, count: int) -> None:
    """Ask the pure core so many things, and say what came of them."""
    venue = FuzzedVenue(seed)
    started = time.perf_counter()
    for number in range(1, count + 1):
        try:
            venue.step()
        except RuleBrokenError as error:
            raise RuleBrokenError(f"request {number}: {error}") from error.__cause__
    seconds = time.perf_counter() - started
    codes = ", ".join(f"{code} x {times}" for code, times in venue.told.most_common())
    sys.stdout.write(
        f"{count} requests in {seconds:.1f} s, ledger {venue.exchange.ledger.total()}\n"
    )
    sys.stdout.write(f"{codes}\n")


if __name__ == "__main__":
    sys.exit(main())
