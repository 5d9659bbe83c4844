"""``python -m sim simulate``: many schedules, or one seed with its whole story."""

import argparse
import hashlib
import sys
from collections.abc import Sequence

from sim.campaign import never_hit, report, run_campaign
from sim.plan import plan_of
from sim.run import run_plan
from sim.shrink import shrink
from sim.story import tell

STORIES_MAX = 2
FAILURES_SHOWN_MAX = 20


def main(arguments: Sequence[str]) -> int:
    """Run; 0 when nothing was violated and every kind of fault hit an order in flight."""
    parser = argparse.ArgumentParser(prog="python -m sim simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many schedules (200)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--seed", type=int, help="run this seed alone and tell its story")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        return run_one(options.seed)
    return run_many(options.first, options.seeds)


def run_one(seed: int) -> int:
    """Run one seed; a violation is told as a story of the smallest schedule that still has it."""
    outcome = run_plan(plan_of(seed))
    digest = hashlib.sha256(b"\n".join(outcome.journal)).hexdigest()
    say(f"seed {seed}: {outcome.steps} steps, {len(outcome.journal)} journal records, {digest}")
    if not outcome.violations:
        return 0
    tell_failure(seed)
    return 1


def run_many(first: int, count: int) -> int:
    """Run a campaign and report it."""
    total = run_campaign(first, count)
    for line in report(total):
        say(line)
    for seed, violation in total.failures[:FAILURES_SHOWN_MAX]:
        say(f"seed {seed}: {violation}")
    for seed, _ in total.failures[:STORIES_MAX]:
        tell_failure(seed)
    missing = never_hit(total)
    if missing:
        say(f"never hit an order in flight: {', '.join(missing)}")
    say(f"{len(total.failures)} of {total.schedules} schedules violate an invariant")
    return 1 if total.failures or missing else 0


def tell_failure(seed: int) -> None:
    """Shrink a failing seed and tell what is left."""
    plan = plan_of(seed)
    smaller, _ = shrink(plan, run_plan(plan))
    say(f"shrunk from {len(plan.faults)} to {len(smaller.faults)} faults:")
    for line in tell(smaller):
        say(line)


def say(line: str) -> None:
    """Write a line for a person."""
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
