"""One case of the drift drill: what is done, how it has to be called, and how it has to end."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from drills.drift_deeds import close_by_hand, held_at_venue
from drills.drift_rig import SYMBOLS, DriftRig, DrillFailed, until
from libs.common.messages.account import DiscrepancyKind, ReconcileReport, Verb
from libs.common.runtime.clock import monotonic_ns
from libs.common.runtime.venue_client import VenueReadError

NS_PER_S = 1_000_000_000

Deed = Callable[[DriftRig, Any], Awaitable[Any]]
Proof = Callable[[DriftRig, Any], Awaitable[bool]]


async def nothing(_: DriftRig, __: Any = None) -> None:
    """There is nothing to prepare, or to do."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One thing done behind our back.

    Attributes:
        prepare: brings the account to where it begins; what it returns is handed to the deed.
        deed: what is done; what it returns is handed to the proof.
        is_told: the user stream tells of it, as it should.
        kinds: what the first comparison after it has to find, confirmed; none: it is clean.
        also: what it may find besides.
        asks: how the command begins that has to be asked for before all is well; empty: none is.
        remedy: the remedy in words.
        proof: whether the remedy is done.
        ends_clean: false where only a person can end it.
    """

    name: str
    deed: Deed
    kinds: frozenset[DiscrepancyKind]
    remedy: str
    proof: Proof
    prepare: Callable[[DriftRig], Awaitable[Any]] = nothing
    is_told: bool = False
    also: frozenset[DiscrepancyKind] = frozenset()
    asks: str = ""
    ends_clean: bool = True


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a case; ``fault`` is empty where all was as it has to be."""

    name: str
    found: str
    detected_s: float
    remedy: str
    healed_s: float
    fault: str = ""


async def run_case(rig: DriftRig, case: Case) -> Row:
    """Do it, and see what becomes of it."""
    detected_s = healed_s = 0.0
    found = ""
    try:
        await settle(rig)
        begun = len(rig.reports)
        memo = await case.prepare(rig)
        if not case.is_told:
            await rig.deafen()
        try:
            memo = await case.deed(rig, memo)
            done_ns = monotonic_ns()
        finally:
            await rig.undeafen()
        report = await _first_report(rig, begun, case)
        detected_s = (monotonic_ns() - done_ns) / NS_PER_S
        found = ", ".join(sorted({one.kind for one in report.discrepancies})) or "nothing"
        fault = _judge(case, report)
        await until(lambda: case.proof(rig, memo), f"the remedy of '{case.name}'")
        if case.ends_clean:
            await _until_clean(rig)
        healed_s = (monotonic_ns() - done_ns) / NS_PER_S
        asked = [what for one in rig.reports[begun:] for what in one.remedies]
        fault = fault or _judge_asked(case, asked)
    except (DrillFailed, VenueReadError) as error:
        fault = str(error)
    return Row(
        name=case.name,
        found=found,
        detected_s=detected_s,
        remedy=case.remedy,
        healed_s=healed_s,
        fault=fault,
    )


async def _first_report(rig: DriftRig, begun: int, case: Case) -> ReconcileReport:
    """One comparison. Where execution itself asked for one already, that is the first."""
    if case.is_told and case.kinds:

        async def speaks() -> ReconcileReport | None:
            return next((one for one in rig.reports[begun:] if one.discrepancies), None)

        report = await until(speaks, "a report that nobody asked for")
        assert isinstance(report, ReconcileReport)
        return report
    return await rig.compare()


def _judge(case: Case, report: ReconcileReport) -> str:
    """What is wrong with the first report; empty if nothing is."""
    confirmed = {one.kind for one in report.discrepancies if one.is_confirmed}
    kinds = {one.kind for one in report.discrepancies}
    if missing := case.kinds - confirmed:
        return f"not found within one comparison: {', '.join(sorted(missing))}"
    if wrong := kinds - case.kinds - case.also:
        told = "; ".join(
            f"{one.kind} {one.subject}: ours {one.ours}, venue {one.theirs}"
            for one in report.discrepancies
            if one.kind in wrong
        )
        return f"found what is not: {told}"
    return ""


def _judge_asked(case: Case, asked: list[str]) -> str:
    if not case.asks:
        return f"asked for what was not to be: {asked[0]}" if asked else ""
    if not any(what.startswith(case.asks) for what in asked):
        return f"'{case.asks}' was not asked for, but {asked or 'nothing'}"
    if strange := [what for what in asked if not what.startswith(case.asks)]:
        return f"asked for what was not to be: {strange[0]}"
    return ""


async def _until_clean(rig: DriftRig) -> None:
    """Wait for the reconciler's own next comparison that finds nothing to wait for."""

    async def is_clean() -> bool:
        report = rig.reports[-1]
        return all(one.is_tolerated for one in report.discrepancies)

    await until(is_clean, "a clean comparison")


async def settle(rig: DriftRig) -> None:
    """Bring the account back to nothing held, nothing open, and trading.

    Raises:
        DrillFailed: it does not settle.
    """
    for symbol in SYMBOLS:
        for order in await rig.owner.open_orders(symbol):
            await rig.owner.cancel_order(symbol, order.client_order_id)
        await close_by_hand(rig, symbol)
        for algo in await rig.owner.open_algo_orders(symbol):
            await rig.owner.cancel_algo_order(algo.client_algo_id)

    async def is_flat() -> bool:
        state = rig.state
        if state is None or state.orders or state.algo_orders:
            return False
        theirs = [await held_at_venue(rig, symbol) for symbol in SYMBOLS]
        return not any(theirs) and not any(map(rig.held, SYMBOLS))

    await until(is_flat, "the account to be flat")
    await rig.compare()
    await _until_clean(rig)
    if rig.state is not None and rig.state.trading_state != "ACTIVE":
        await rig.command(Verb.RESUME)
    await until(rig.is_trading, "execution to trade again")
