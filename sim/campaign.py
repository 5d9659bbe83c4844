"""Runs many schedules on every core, counts what happened, and judges the whole."""

import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sim.plan import BLOWS, STRIKES, plan_of
from sim.run import Outcome, run_plan

SEEDS_PER_TASK = 8
TASKS_PER_PROCESS = 25
SEEDS_FOR_COUNTERS = 400
"""From so many schedules on, a fault that never hit anything fails the campaign."""
BAR_WIDTH = 32


class Tally(NamedTuple):
    """What some schedules added up to. `failures` are (seed, first violation)."""

    schedules: int
    steps: int
    orders: int
    cpu_s: float
    intents: Counter[str]
    hit: Counter[str]
    hit_in_flight: Counter[str]
    failures: tuple[tuple[int, str], ...]

    def plus(self, other: "Tally") -> "Tally":
        """Both together."""
        return Tally(
            self.schedules + other.schedules,
            self.steps + other.steps,
            self.orders + other.orders,
            self.cpu_s + other.cpu_s,
            self.intents + other.intents,
            self.hit + other.hit,
            self.hit_in_flight + other.hit_in_flight,
            self.failures + other.failures,
        )


class BrokenWorldError(Exception):
    """The simulation itself failed: its text names the seed."""


NOTHING = Tally(0, 0, 0, 0.0, Counter(), Counter(), Counter(), ())


def run_seeds(seeds: Iterable[int]) -> Tally:
    """Run schedules one after the other in this process."""
    total, started_s = NOTHING, time.process_time()
    for seed in seeds:
        try:
            outcome = run_plan(plan_of(seed))
        except Exception as error:  # one that cannot be pickled would hang the pool
            raise BrokenWorldError(f"seed {seed}: {error!r}") from None
        total = total.plus(_tally(outcome))
    return total._replace(cpu_s=time.process_time() - started_s)


def _tally(outcome: Outcome) -> Tally:
    failures = ((outcome.seed, outcome.violations[0]),) if outcome.violations else ()
    return Tally(
        schedules=1,
        steps=outcome.steps,
        orders=outcome.orders,
        cpu_s=0.0,
        intents=outcome.intents,
        hit=outcome.hit,
        hit_in_flight=outcome.hit_in_flight,
        failures=failures,
    )


def run_campaign(first: int, count: int) -> Tally:
    """Run `count` schedules from seed `first` on, on every core, with a bar on stderr."""
    blocks = [
        range(begin, min(begin + SEEDS_PER_TASK, first + count))
        for begin in range(first, first + count, SEEDS_PER_TASK)
    ]
    total, started_s = NOTHING, time.monotonic()
    with multiprocessing.get_context("spawn").Pool(
        os.cpu_count(), maxtasksperchild=TASKS_PER_PROCESS
    ) as pool:
        for part in pool.imap_unordered(run_seeds, blocks):
            total = total.plus(part)
            _show(total, count, time.monotonic() - started_s)
    return total._replace(failures=tuple(sorted(total.failures)))


def _show(total: Tally, count: int, elapsed_s: float) -> None:
    if not sys.stderr.isatty():
        return  # a file would keep every step of the bar
    done = total.schedules
    filled = BAR_WIDTH * done // count
    sys.stderr.write(
        f"\r[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {done}/{count}"
        f"  {done / max(elapsed_s, 0.001):.1f}/s  {len(total.failures)} failed"
        + ("\n" if done == count else "")
    )
    sys.stderr.flush()


def report(total: Tally) -> Iterator[str]:
    """The figures, a line each."""
    schedules = max(1, total.schedules)
    yield (
        f"{total.schedules} schedules, {total.steps} steps ({total.steps // schedules} each),"
        f" {total.intents['proposed']} intents proposed, {total.intents['approved']} approved,"
        f" {total.orders} orders at the venue"
    )
    yield (
        f"{total.hit.total()} faults hit, {total.hit_in_flight.total()} of them an order in"
        f" flight; {total.schedules / max(total.cpu_s, 0.001):.1f} schedules per CPU second"
    )
    yield f"{'fault':32}{'hit':>10}{'in flight':>12}"
    for kind in sorted(kinds()):
        yield f"{kind:32}{total.hit[kind]:10}{total.hit_in_flight[kind]:12}"


def kinds() -> set[str]:
    """Every kind of fault there is."""
    return {*STRIKES, *(kind for kind, _ in BLOWS), "query_lagged"}


def never_hit(total: Tally) -> list[str]:
    """The faults that never hit an order in flight, where there were schedules enough to."""
    if total.schedules < SEEDS_FOR_COUNTERS:
        return []
    return sorted(kind for kind in kinds() if not total.hit_in_flight[kind])
