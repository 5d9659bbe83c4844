"""The services keep their promises under a few dozen schedules; `make simulate` runs more."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sim.campaign import run_seeds
from sim.mutants import hunt
from sim.plan import plan_of
from sim.run import run_plan
from sim.shrink import kind_of, shrink
from sim.story import tell

HOUSE = Path(__file__).resolve().parents[2]
SEEDS = 24


def digest_of(seed: int) -> str:
    return hashlib.sha256(b"\n".join(run_plan(plan_of(seed)).journal)).hexdigest()


def test_no_schedule_violates_an_invariant() -> None:
    total = run_seeds(range(SEEDS))

    assert total.failures == ()
    assert total.steps >= 3_000 * SEEDS
    assert total.intents["approved"] >= 3 * SEEDS
    assert total.orders >= SEEDS
    assert total.hit_in_flight.total() >= 5 * SEEDS


def test_a_seed_gives_the_same_journal_under_another_hash_seed() -> None:
    seed = 2
    command = [sys.executable, "-m", "sim", "simulate", "--seed", str(seed)]
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": str(HOUSE)}
    said = subprocess.run(
        command, cwd=HOUSE, env=environment, capture_output=True, text=True, timeout=60, check=True
    ).stdout

    assert digest_of(seed) == digest_of(seed)
    assert digest_of(seed) in said


@pytest.mark.parametrize(
    "bug",
    [
        "timeout treated as reject",
        "dedup only in memory",
        "fills not deduplicated",
        "compare-and-set skipped",
        "no cooldown after a failure",
    ],
)
def test_a_deliberate_bug_is_noticed(bug: str) -> None:
    caught = hunt(bug, first=0, seeds_max=25)

    assert caught.seed is not None


def test_a_failing_schedule_is_shrunk_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from services.execution.state import State

    monkeypatch.setattr(State, "has_trade", lambda *_: False)
    plan = plan_of(0)
    outcome = run_plan(plan)
    smaller, again = shrink(plan, outcome)

    assert len(smaller.faults) < len(plan.faults)
    assert {kind_of(one) for one in again.violations} & {kind_of(one) for one in outcome.violations}
    story = "\n".join(tell(smaller))
    assert "violations:" in story
    assert "I10 fill" in story
