"""Tells a failing schedule so that a person can follow it."""

import re
from collections.abc import Iterator

from libs.common.model.ids import derive_client_order_id
from sim.plan import Plan
from sim.run import Outcome, run_plan
from sim.settings import ACCOUNT

LINES_MAX = 220
_NAMES = re.compile(r"(?:pc|pa)-[a-z2-7]{26}-\d+|\b[a-z2-7]{26}\b")


def tell(plan: Plan) -> Iterator[str]:
    """Run a plan once more and tell what happened around what was violated."""
    outcome = run_plan(plan, with_story=True)
    replicas = "two executors" if plan.has_two_executors else "one executor"
    yield f"seed {plan.seed}, {replicas}, {len(plan.faults)} faults:"
    for fault in plan.faults:
        when = f", {fault.in_flight} steps into the next order" if fault.in_flight else ""
        yield f"    from {fault.at_ns / 1e9:7.3f} s  {fault.kind}{when}"
    yield "violations:"
    yield from (f"    {violation}" for violation in outcome.violations)
    yield "what happened:"
    yield from _lines_about(outcome)


def _lines_about(outcome: Outcome) -> Iterator[str]:
    """The lines that name what is violated, every fault, and who lived when."""
    named = {name for violation in outcome.violations for name in _NAMES.findall(violation)}
    digests = {name.split("-")[1] if "-" in name else name for name in named}
    digests |= {derive_client_order_id(ACCOUNT, name, 1).split("-")[1] for name in digests}
    kept = [
        line
        for line in outcome.story
        if not digests or "FAULT" in line or " is killed" in line or " starts " in line
        or " says " in line or "exits" in line or any(digest in line for digest in digests)
    ]  # fmt: skip
    if len(kept) > LINES_MAX:
        yield f"    ... {len(kept) - LINES_MAX} earlier lines left out"
    yield from (f"    {line}" for line in kept[-LINES_MAX:])
