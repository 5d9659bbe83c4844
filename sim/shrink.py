"""Makes a failing schedule small: drops every fault that the violation does not need."""

from collections.abc import Callable

from sim.plan import Fault, Plan
from sim.run import Outcome, run_plan

RUNS_MAX = 120


def kind_of(violation: str) -> str:
    """The invariant a violation is of."""
    return violation.split(" ", 1)[0]


def shrink(
    plan: Plan, outcome: Outcome, run: Callable[[Plan], Outcome] = run_plan
) -> tuple[Plan, Outcome]:
    """The smallest plan found that still breaks the same invariant, and its outcome.

    Halves of the faults are dropped first, then quarters, down to one by one.
    """
    wanted = {kind_of(violation) for violation in outcome.violations}
    faults, runs = list(plan.faults), 0
    size = max(1, len(faults) // 2)
    while faults and runs < RUNS_MAX:
        smaller = _drop_one_block(plan, faults, size, wanted, run)
        runs += 1 if smaller is None else smaller[2]
        if smaller is not None:
            faults, outcome = smaller[0], smaller[1]
        elif size == 1:
            break
        else:
            runs += -(-len(faults) // size)
            size = max(1, size // 2)
    return plan._replace(faults=tuple(faults)), outcome


def _drop_one_block(
    plan: Plan,
    faults: list[Fault],
    size: int,
    wanted: set[str],
    run: Callable[[Plan], Outcome],
) -> tuple[list[Fault], Outcome, int] | None:
    for tries, begin in enumerate(range(0, len(faults), size), 1):
        kept = faults[:begin] + faults[begin + size :]
        outcome = run(plan._replace(faults=tuple(kept)))
        if wanted & {kind_of(violation) for violation in outcome.violations}:
            return kept, outcome, tries
    return None
