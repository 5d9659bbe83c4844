"""Runs one schedule from beginning to end and says what came of it."""

import gc
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, NamedTuple
from unittest.mock import patch

import stamina

from libs.common.runtime import clock as clock_module
from libs.common.runtime import service as service_module
from services.execution import shell as execution_shell
from services.reconciler import shell as reconciler_shell
from sim.invariants import Judge
from sim.loop import LIFE, NS_PER_S, SpinningError
from sim.plan import Plan
from sim.settings import EPOCH_NS
from sim.silence import silenced
from sim.world import World

SETTLE_NS = 9 * NS_PER_S
"""Quiet time before convergence is judged for the first time."""
LOOK_NS = 3 * NS_PER_S
CONVERGED_WITHIN_NS = 90 * NS_PER_S


class _WorldTime:
    """The clocks of whichever process runs just now."""

    def __init__(self, world: World) -> None:
        self._loop = world.loop

    def wall_ns(self) -> int:
        life = LIFE.get()
        return EPOCH_NS + self._loop.now_ns + (0 if life is None else life.offset_ns)

    def monotonic_ns(self) -> int:
        return self._loop.now_ns


def _no_span(*_: object) -> Any:
    return nullcontext()


@contextmanager
def ports_replaced(world: World) -> Iterator[None]:
    """Give the services the world's time, silence their logs, and slow what only polls."""
    with ExitStack() as stack:
        stack.enter_context(silenced(world))
        hooks = stamina.instrumentation.get_on_retry_hooks()
        stack.callback(stamina.instrumentation.set_on_retry_hooks, hooks)
        stamina.instrumentation.set_on_retry_hooks(())
        previous = clock_module.use_time_source(_WorldTime(world))
        stack.callback(clock_module.use_time_source, previous)
        for module, name, value in (
            (service_module, "span", _no_span),
            (reconciler_shell, "DUE_LOOK_INTERVAL_S", 1.0),
            (execution_shell, "RECONCILE_REQUEST_INTERVAL_S", 2.0),
        ):
            if hasattr(module, name):
                stack.enter_context(patch.object(module, name, value))
        yield


class Outcome(NamedTuple):
    """What came of a schedule."""

    seed: int
    violations: tuple[str, ...]
    journal: tuple[bytes, ...]
    steps: int
    intents: Counter[str]
    hit: Counter[str]
    hit_in_flight: Counter[str]
    orders: int
    story: tuple[str, ...] = ()


def run_plan(plan: Plan, *, with_story: bool = False) -> Outcome:
    """Run a schedule; the same plan gives the same journal, byte for byte."""
    was_collecting = gc.isenabled()
    gc.freeze()  # tidying up after the world need not look at what was there before
    gc.disable()  # a killed life must not be tidied up in the middle of another's step
    try:
        outcome = _run(plan, [] if with_story else None)
        with _complaints_ignored():
            gc.collect()
    finally:
        gc.unfreeze()
        if was_collecting:
            gc.enable()
    return outcome


@contextmanager
def _complaints_ignored() -> Iterator[None]:
    """What lives on when its world ends complains: a task cut off, a coroutine never begun."""
    with warnings.catch_warnings(), patch.object(sys, "unraisablehook", _ignored):
        warnings.simplefilter("ignore")
        yield


def _ignored(_: object) -> None:
    """A killed life's coroutine that cannot be closed quietly is no defect of it."""


def _run(plan: Plan, story: list[str] | None) -> Outcome:
    world = World(plan, story)
    judge = Judge(world)
    with ports_replaced(world):
        violations = judge.verdict(_converge(world, judge))
        with _complaints_ignored():
            world.loop.close()
    return Outcome(
        seed=plan.seed,
        violations=tuple(violations),
        journal=tuple(message.data for message in world.journal),
        steps=world.loop.steps,
        intents=world.intents,
        hit=world.fate.hit,
        hit_in_flight=world.fate.hit_in_flight,
        orders=sum(1 for sent in world.venue.log if sent.order_id and sent.method == "POST"),
        story=tuple(story or ()),
    )


def _converge(world: World, judge: Judge) -> list[str]:
    """Run the faults, then wait for calm; returns what has not converged when time is up."""
    loop, end_ns = world.loop, world.plan.end_ns
    try:
        loop.run(end_ns)
        world.calm_down()
        found = ["not judged"]
        next_ns = end_ns + SETTLE_NS
        while found and next_ns <= end_ns + CONVERGED_WITHIN_NS:
            loop.run(next_ns)
            found = judge.unsettled()
            world.venue.cancel_by_hand()  # a late order may rest: it has to end, too
            next_ns += LOOK_NS
    except SpinningError as error:
        return [f"LIVE somebody is spinning: {error}"]
    return found
