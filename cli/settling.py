"""After the data of a finite run has ended: let the last intents end, then ask for one more look.

The reconciler's last word counts only if it was said after the last change of the account.
"""

from cli.pacer import Pacer
from cli.world import World
from libs.common.messages import subjects
from libs.common.runtime.clock import monotonic_ns, wall_ns

NS_PER_MS = 1_000_000
SETTLING_INTERVAL_NS = 1_000_000_000
STEPS_MIN = 3
REPORT_WAIT_MS = 5_000


async def settle(world: World, pacer: Pacer) -> bool:
    """Let market time flow second by second until nothing is open and ours is the venue's.

    Returns:
        Whether it came to that within ``settle_ms_max``.
    """
    end_ns = monotonic_ns() + world.plan.settings.settle_ms_max * NS_PER_MS
    steps = 0
    while monotonic_ns() < end_ns:
        await pacer.step(SETTLING_INTERVAL_NS)
        steps += 1
        if steps < STEPS_MIN or not await pacer.wait_until_quiet():
            continue
        state = world.ear.state
        if state is None or state.orders:
            continue
        if await _compare(world, state.journal_sequence):
            return True
    return False


async def _compare(world: World, journal_sequence: int) -> bool:
    """Ask for a comparison; true if it is clean and as new as the journal."""
    asked_ns = wall_ns()
    await world.bus.publish(subjects.reconcile_request(world.plan.common.account), b"run report")
    ear = world.ear

    def has_answered() -> bool:
        report = ear.report
        return (
            report is not None
            and report.ts_published_ns >= asked_ns
            and report.journal_sequence >= journal_sequence
        )

    await ear.wait_until(has_answered, REPORT_WAIT_MS)
    return has_answered() and ear.report is not None and ear.report.is_clean
