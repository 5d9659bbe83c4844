"""The cases of the drift drill about money, settings and what is stored."""

import asyncio
from decimal import Decimal
from typing import Any

from drills import drift_deeds as deeds
from drills.drift_case import Case
from drills.drift_deeds import LOT
from drills.drift_rig import SYMBOL, DriftRig, until
from libs.common.messages.account import DiscrepancyKind, Verb
from libs.common.messages.audit_events import PositionAdopted
from libs.common.messages.income_events import IncomeReceived

KIND = DiscrepancyKind
#: Longer than a row of income may be under way, and an event of a trade (wall seconds).
LAG_S = 4.0


async def _settings_are_back(rig: DriftRig, _: Any) -> bool:
    config = await rig.owner.account_config()
    return await deeds.setting_of(rig) == (10, "CROSSED") and not config.hedge_mode


# -- money and settings ----------------------------------------------------------------------------


async def _withdraw(rig: DriftRig, _: Any) -> int:
    begun = len(deeds.events_of(await rig.journal(), IncomeReceived))
    await rig.withdraw("10.25")
    return begun


async def _withdraw_and_wait(rig: DriftRig, _: Any) -> int:
    begun = await _withdraw(rig, None)
    await asyncio.sleep(LAG_S)
    return begun


async def _transfer_is_known(rig: DriftRig, begun: int) -> bool:
    rows = deeds.events_of(await rig.journal(), IncomeReceived)[begun:]
    return any(row.amount == Decimal("-10.25") for row in rows)


async def _set_leverage(rig: DriftRig, _: Any) -> None:
    deeds.accepted(await rig.owner.set_leverage(SYMBOL, 7))


async def _isolate(rig: DriftRig, _: Any) -> None:
    deeds.accepted(await rig.owner.set_margin_type(SYMBOL, "ISOLATED"))


async def _isolate_under_position(rig: DriftRig, _: Any) -> None:
    deeds.refused(await rig.owner.set_margin_type(SYMBOL, "ISOLATED"))


async def _isolate_and_buy(rig: DriftRig, _: Any) -> None:
    await _isolate(rig, None)
    await deeds.trade(rig, "BUY", LOT)


async def _waits_for_the_end(rig: DriftRig, _: Any) -> bool:
    """Entries stay shut while the venue refuses; once the owner has closed, it is set back."""
    is_told = any("assert-settings" in one.remedies for one in rig.reports[-3:])
    if not is_told or rig.state is None or rig.state.armed:
        return False
    if (await deeds.setting_of(rig))[1] != "ISOLATED":
        return False
    await deeds.close_by_hand(rig)
    await until(lambda: _settings_are_back(rig, None), "the margin type to be set back")
    return True


async def _hedge(rig: DriftRig, _: Any) -> None:
    deeds.accepted(await deeds.ask_for_hedge_mode(rig))


async def _hedge_under_position(rig: DriftRig, _: Any) -> None:
    deeds.refused(await deeds.ask_for_hedge_mode(rig))


SETTINGS = (
    Case(
        name="balance transferred",
        deed=_withdraw,
        kinds=frozenset({KIND.BALANCE_DRIFT}),
        remedy="execution reads balance and income",
        proof=_transfer_is_known,
    ),
    Case(
        name="income of a transfer missed",
        deed=_withdraw_and_wait,
        kinds=frozenset({KIND.MISSED_INCOME}),
        also=frozenset({KIND.BALANCE_DRIFT}),
        remedy="execution reads the income",
        proof=_transfer_is_known,
    ),
    Case(
        name="leverage changed",
        deed=_set_leverage,
        kinds=frozenset({KIND.SETTING_DRIFT}),
        remedy="set back by command",
        asks="assert-settings",
        proof=_settings_are_back,
    ),
    Case(
        name="margin type changed",
        deed=_isolate,
        kinds=frozenset({KIND.SETTING_DRIFT}),
        remedy="set back by command",
        asks="assert-settings",
        proof=_settings_are_back,
    ),
    Case(
        name="margin type asked to change under a position",
        prepare=deeds.hold,
        deed=_isolate_under_position,
        kinds=frozenset(),
        remedy="the venue refused",
        proof=_settings_are_back,
    ),
    Case(
        name="margin type changed, then a position by hand",
        deed=_isolate_and_buy,
        kinds=frozenset({KIND.SETTING_DRIFT, KIND.UNTRACKED_POSITION}),
        also=frozenset({KIND.MISSED_FILL, KIND.BALANCE_DRIFT}),
        remedy="no entries; set back once it is closed",
        asks="assert-settings",
        proof=_waits_for_the_end,
    ),
    Case(
        name="position mode changed",
        deed=_hedge,
        kinds=frozenset({KIND.SETTING_DRIFT}),
        remedy="set back by command",
        asks="assert-settings",
        proof=_settings_are_back,
    ),
    Case(
        name="position mode asked to change under a position",
        prepare=deeds.hold,
        deed=_hedge_under_position,
        kinds=frozenset(),
        remedy="the venue refused",
        proof=_settings_are_back,
    ),
)


# -- what we stored --------------------------------------------------------------------------------


async def _change_snapshot(rig: DriftRig, _: Any) -> Decimal:
    return await deeds.tamper_with_snapshot(rig)


async def _halted_then_adopted(rig: DriftRig, _: Any) -> bool:
    """No trade explains it, so trading halts; a person lets the venue's word count, and resumes."""
    if rig.state is None or rig.state.trading_state != "HALTED":
        return False
    await rig.command(Verb.ADOPT, SYMBOL)

    async def is_adopted() -> bool:
        return bool(deeds.events_of(await rig.journal(), PositionAdopted)) and rig.held() == 0

    await until(is_adopted, "the venue's position to be adopted")
    await rig.command(Verb.RESUME)
    return True


async def _forge_income(rig: DriftRig, _: Any) -> None:
    await deeds.tamper_with_journal(rig, "FUNDING_FEE", "12.5")


async def _is_reducing(rig: DriftRig, _: Any) -> bool:
    return rig.state is not None and rig.state.trading_state == "REDUCING"


STORED = (
    Case(
        name="local snapshot tampered with",
        deed=_change_snapshot,
        kinds=frozenset({KIND.PHANTOM_POSITION}),
        also=frozenset({KIND.MISSED_FILL, KIND.BALANCE_DRIFT}),
        remedy="halted; a person adopts and resumes",
        asks="halt",
        proof=_halted_then_adopted,
    ),
    Case(
        name="income forged in the journal",
        deed=_forge_income,
        kinds=frozenset({KIND.INCOME_DRIFT}),
        remedy="entries end until a person decides",
        asks="reduce-only",
        proof=_is_reducing,
        ends_clean=False,
    ),
)
