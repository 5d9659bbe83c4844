"""What an entry may cost beside its price, on a market that crashes: real feed, venue and risk."""

from decimal import Decimal
from typing import TYPE_CHECKING

from libs.common.messages import subjects
from libs.common.messages.codec import decode, encode
from libs.common.messages.intents import IntentVerdict, ProposedIntent
from libs.common.model.order import Side
from libs.common.model.verdict import Reason, Verdict
from libs.common.runtime.clock import wall_ns
from libs.common.testing.builders import an_intent

if TYPE_CHECKING:
    from tests.integration.execution.conftest import World

SYMBOL = "BTCUSDT"


async def propose(world: "World", name: str, reference_price: Decimal, side: Side) -> IntentVerdict:
    """Wish for an entry; returns risk's verdict."""
    now_ns = world.clock.now_ns()
    intent = an_intent(
        candle_id=name, symbol=SYMBOL, side=side, quantity=Decimal("0.002"),
        reference_price=reference_price, created_at_ns=now_ns,
        expires_at_ns=now_ns + 20_000_000_000,
    )  # fmt: skip
    proposed = ProposedIntent(
        message_id=name, causation_id=name, correlation_id=name, ts_event_ns=now_ns,
        ts_published_ns=wall_ns(), source="test", intent=intent,
    )  # fmt: skip
    await world.bus.publish_stored(
        subjects.intent_proposed(SYMBOL), encode(proposed), message_id=name
    )
    subject = subjects.intent_verdict(intent.intent_id)
    found: IntentVerdict | None = None

    async def is_judged() -> bool:
        nonlocal found
        stored = await world.bus.read_last(subjects.INTENTS_DONE_STREAM, subject)
        if stored is not None and stored.data is not None:
            found = decode(stored.data, IntentVerdict)
        return found is not None

    await world.until(is_judged, f"a verdict on {name}")
    assert found is not None
    return found


def verdict_of(found: IntentVerdict, check: str) -> Verdict:
    """What one check found."""
    told = found.refused.verdicts if found.refused else None
    if told is None:
        assert found.approved is not None
        told = found.approved.body.verdicts
    (verdict,) = [one for one in told if one.check == check]
    return verdict


async def test_a_crash_that_widens_the_market_and_runs_from_the_price_lets_nothing_in(
    world: "World",
) -> None:
    await world.start_service("risk")
    before = await world.mark_price()
    calm = await propose(world, "calm", before, Side.BUY)
    assert verdict_of(calm, "spread").passed
    assert verdict_of(calm, "slippage").passed

    await world.sim("POST", "/sim/scenarios", {"name": "flash-crash"})
    tries = 0

    async def is_wide() -> bool:
        nonlocal tries
        tries += 1
        found = await propose(world, f"wide-{tries}", await world.mark_price(), Side.BUY)
        verdict = verdict_of(found, "spread")
        if verdict.passed:
            return False
        assert found.refused is not None
        assert (verdict.reason, verdict.limit) == (Reason.SPREAD, "0.03 bps")
        return Decimal(verdict.observed.removesuffix(" bps")) > Decimal("0.03")

    await world.until(is_wide, "the spread to widen")

    async def has_run_away() -> bool:
        nonlocal tries
        tries += 1
        found = await propose(world, f"late-{tries}", before, Side.SELL)
        return verdict_of(found, "slippage").reason is Reason.SLIPPAGE

    await world.until(has_run_away, "the price to run from what was decided on")
