"""``python -m sim mutants``: plants each bug in turn and counts the seeds until it is noticed."""

import argparse
import multiprocessing
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

from sim.bugs import BUGS
from sim.plan import plan_of
from sim.run import run_plan

SEEDS_MAX = 2_000


class Caught(NamedTuple):
    """What became of one bug: the first seed that noticed it (None: none did), and how."""

    name: str
    seed: int | None
    tried: int
    violation: str


def hunt(name: str, first: int, seeds_max: int) -> Caught:
    """Run schedules with one bug planted until one violates an invariant because of it."""
    for tried, seed in enumerate(range(first, first + seeds_max), 1):
        with ExitStack() as stack:
            BUGS[name](stack)
            outcome = run_plan(plan_of(seed))
        if outcome.violations and not run_plan(plan_of(seed)).violations:
            return Caught(name, seed, tried, outcome.violations[0])
    return Caught(name, None, seeds_max, "")


def _hunt(task: tuple[str, int, int]) -> Caught:
    return hunt(*task)


def main(arguments: Sequence[str]) -> int:
    """Plant every bug (or those named); 0 when each was noticed."""
    parser = argparse.ArgumentParser(prog="python -m sim mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, help=f"per bug ({SEEDS_MAX})")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--only", default="", help="bugs whose name contains this")
    options = parser.parse_args(arguments)
    tasks = [(name, options.first, options.seeds) for name in BUGS if options.only in name]
    missed = 0
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for one in pool.imap(_hunt, tasks):
            missed += one.seed is None
            sys.stdout.write(_line(one) + "\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(tasks) - missed} of {len(tasks)} bugs were noticed\n")
    return 1 if missed else 0


def _line(one: Caught) -> str:
    if one.seed is None:
        return f"{one.name:40} NOT NOTICED in {one.tried} seeds"
    return f"{one.name:40} seed {one.seed:4}  {one.violation[:110]}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
