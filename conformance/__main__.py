"""`make conformance`: clients written by others against the real venue judge ours.

Exit codes: 0 when nothing failed, 1 when something did, 2 when the run could not start.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from conformance import venue
from conformance.environments import InstallError, prepare
from conformance.judge import Outcome, judge, selected
from conformance.report import show
from conformance.roster import CLIENTS, Client

_AT_ONCE: Final = 2
_BAD_START: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the environments, start the venue, drive every client, print the table."""
    options = _parse(arguments)
    clients = [client for client in CLIENTS if fnmatch.fnmatchcase(client.name, options.client)]
    if not clients or not selected(options.capability):
        known = ", ".join(client.name for client in CLIENTS)
        sys.stderr.write(f"nothing to do; the clients are: {known}\n")
        return _BAD_START
    try:
        outcomes = _judge_all(clients, options.capability, options.venue)
    except (InstallError, venue.VenueError, OSError) as error:
        sys.stderr.write(f"conformance: {error}\n")
        return _BAD_START
    show(outcomes)
    if options.json is not None:
        rows = [outcome.as_json() for outcome in outcomes]
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 1 if any(outcome.outcome == "fail" for outcome in outcomes) else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m conformance", description=__doc__)
    add = parser.add_argument
    add("--client", default="*", metavar="PATTERN", help="only these clients, as in 'ccxt'")
    add("--capability", default="*", metavar="PATTERN", help="only these, as in 'order.*'")
    add("--venue", metavar="URL", help="use a paper exchange that already runs")
    add("--json", type=Path, metavar="FILE", help="write every outcome there, too")
    return parser.parse_args(arguments)


def _judge_all(clients: Sequence[Client], pattern: str, url: str | None) -> list[Outcome]:
    pythons = {}
    for lock in dict.fromkeys(client.lock for client in clients):
        sys.stderr.write(f"environment of {lock} ...\n")
        pythons[lock] = prepare(lock)

    with venue.running(url) as address, ThreadPoolExecutor(_AT_ONCE) as pool:

        def drive(client: Client) -> list[Outcome]:
            sys.stderr.write(f"driving {client.name} ...\n")
            account = venue.open_account(address)
            return judge(client, pythons[client.lock], address, account, pattern)

        return [outcome for outcomes in pool.map(drive, clients) for outcome in outcomes]


if __name__ == "__main__":
    sys.exit(main())
