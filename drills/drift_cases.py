"""The cases of the drift drill: here positions and orders."""

import asyncio
from decimal import Decimal
from typing import Any

from drills import drift_deeds as deeds
from drills.drift_case import Case
from drills.drift_deeds import LOT
from drills.drift_money_cases import LAG_S, SETTINGS, STORED
from drills.drift_rig import SYMBOL, DriftRig, until
from libs.common.messages.account import DiscrepancyKind
from libs.common.messages.audit_events import OrphanCanceled
from libs.common.messages.income_events import IncomeReceived
from libs.common.messages.journal import FillReceived
from libs.common.model.order import Side

KIND = DiscrepancyKind
READ = "execution reads the trades"


async def _same_as_venue(rig: DriftRig, _: Any) -> bool:
    return rig.held() == await deeds.held_at_venue(rig)


# -- positions -------------------------------------------------------------------------------------


async def _buy(rig: DriftRig, _: Any) -> None:
    await deeds.trade(rig, "BUY", LOT)


async def _turn(rig: DriftRig, _: Any) -> None:
    await deeds.trade(rig, "SELL", 3 * LOT)


async def _close(rig: DriftRig, _: Any) -> None:
    await deeds.close_by_hand(rig)


async def _there_and_back(rig: DriftRig, _: Any) -> None:
    await deeds.trade(rig, "BUY", LOT)
    await deeds.trade(rig, "SELL", LOT)
    await asyncio.sleep(LAG_S / 2)


async def _deleverage(rig: DriftRig, _: Any) -> None:
    await rig.surprise("adl", quantity=str(LOT))


async def _liquidate(rig: DriftRig, _: Any) -> None:
    await rig.surprise("liquidation")


async def _hold_two(rig: DriftRig) -> None:
    await deeds.hold(rig, 2 * LOT)


async def _enter_unheard(rig: DriftRig, _: Any) -> None:
    await rig.approve(Side.BUY)

    async def is_filled() -> bool:
        return bool(await deeds.held_at_venue(rig))

    await until(is_filled, "an order of ours to be filled")


async def _round_trip_is_known(rig: DriftRig, _: Any) -> bool:
    fills = deeds.events_of(await rig.journal(), FillReceived)
    theirs = await rig.owner.user_trades(SYMBOL, limit=2)
    return {one.trade_id for one in theirs} <= {one.trade_id for one in fills}


async def _fee_is_known(rig: DriftRig, memo: Any) -> bool:
    rows = deeds.events_of(await rig.journal(), IncomeReceived)
    is_known = any(one.income_type == "INSURANCE_CLEAR" for one in rows)
    return is_known and await _same_as_venue(rig, memo)


POSITIONS = (
    Case(
        name="position opened by hand, told by the stream",
        deed=_buy,
        is_told=True,
        kinds=frozenset(),
        remedy="taken over from the stream",
        proof=_same_as_venue,
    ),
    Case(
        name="position opened by hand",
        deed=_buy,
        kinds=frozenset({KIND.UNTRACKED_POSITION}),
        also=frozenset({KIND.MISSED_FILL, KIND.BALANCE_DRIFT}),
        remedy=READ,
        proof=_same_as_venue,
    ),
    Case(
        name="size changed by hand",
        prepare=deeds.hold,
        deed=_buy,
        kinds=frozenset({KIND.SIZE_MISMATCH}),
        also=frozenset({KIND.MISSED_FILL, KIND.BALANCE_DRIFT}),
        remedy=READ,
        proof=_same_as_venue,
    ),
    Case(
        name="side turned by hand",
        prepare=deeds.hold,
        deed=_turn,
        kinds=frozenset({KIND.SIDE_MISMATCH}),
        also=frozenset({KIND.MISSED_FILL, KIND.BALANCE_DRIFT}),
        remedy=READ,
        proof=_same_as_venue,
    ),
    Case(
        name="position closed by hand",
        prepare=deeds.hold,
        deed=_close,
        kinds=frozenset({KIND.PHANTOM_POSITION}),
        also=frozenset({KIND.MISSED_FILL, KIND.BALANCE_DRIFT}),
        remedy=READ,
        proof=_same_as_venue,
    ),
    Case(
        name="fill events of an order of ours dropped",
        deed=_enter_unheard,
        kinds=frozenset({KIND.UNTRACKED_POSITION}),
        also=frozenset({KIND.MISSED_FILL, KIND.BALANCE_DRIFT}),
        remedy=READ,
        proof=_same_as_venue,
    ),
    Case(
        name="fill events of a round trip dropped",
        deed=_there_and_back,
        kinds=frozenset({KIND.MISSED_FILL}),
        also=frozenset({KIND.BALANCE_DRIFT}),
        remedy=READ,
        proof=_round_trip_is_known,
    ),
    Case(
        name="deleveraging by the venue",
        prepare=_hold_two,
        deed=_deleverage,
        kinds=frozenset({KIND.SIZE_MISMATCH}),
        also=frozenset({KIND.MISSED_FILL, KIND.BALANCE_DRIFT}),
        remedy=READ,
        proof=_same_as_venue,
    ),
    Case(
        name="liquidation by the venue",
        prepare=_hold_two,
        deed=_liquidate,
        kinds=frozenset({KIND.PHANTOM_POSITION}),
        also=frozenset({KIND.MISSED_FILL, KIND.BALANCE_DRIFT, KIND.MISSED_INCOME}),
        remedy=f"{READ} and the fee",
        proof=_fee_is_known,
    ),
)


# -- orders ----------------------------------------------------------------------------------------


async def _cancel(rig: DriftRig, client_order_id: str) -> str:
    deeds.accepted(await rig.owner.cancel_order(SYMBOL, client_order_id))
    return client_order_id


async def _is_ended(rig: DriftRig, client_order_id: str) -> bool:
    return rig.open_order(client_order_id) is None


async def _change(rig: DriftRig, client_order_id: str) -> tuple[str, Decimal, Decimal]:
    terms = await deeds.change_order(rig, client_order_id, "0.030", "0.96")
    return (client_order_id, *terms)


async def _terms_are_known(rig: DriftRig, memo: tuple[str, Decimal, Decimal]) -> bool:
    client_order_id, quantity, price = memo
    order = rig.open_order(client_order_id)
    return order is not None and (order.quantity, order.price) == (quantity, price)


async def _place_by_hand(rig: DriftRig, _: Any) -> str:
    stamp = rig.owner.timestamp_ms()
    price = (await rig.mark_price() * Decimal("0.97")).quantize(Decimal(1))
    name = f"web_{stamp}"
    wish = {
        "symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "quantity": str(LOT),
        "price": str(price), "timeInForce": "GTC", "newClientOrderId": name,
    }  # fmt: skip
    deeds.accepted(await rig.owner.place_order(wish, timestamp_ms=stamp))
    return name


async def _still_waits(rig: DriftRig, name: str) -> bool:
    return name in {one.client_order_id for one in await rig.owner.open_orders(SYMBOL)}


async def _remove_stop(rig: DriftRig, client_algo_id: str) -> str:
    deeds.accepted(await rig.owner.cancel_algo_order(client_algo_id))
    return client_algo_id


async def _has_another_stop(rig: DriftRig, client_algo_id: str) -> bool:
    waiting = {one.client_algo_id for one in await rig.owner.open_algo_orders(SYMBOL)}
    return bool(waiting) and client_algo_id not in waiting


async def _place_orphan(rig: DriftRig, _: Any) -> str:
    name = deeds.orphan_of_ours(rig)
    await deeds.place_foreign_stop(rig, name)
    return name


async def _orphan_is_gone(rig: DriftRig, name: str) -> bool:
    waiting = {one.client_algo_id for one in await rig.owner.open_algo_orders(SYMBOL)}
    canceled = deeds.events_of(await rig.journal(), OrphanCanceled)
    return name not in waiting and name in {one.client_id for one in canceled}


ORDERS = (
    Case(
        name="order cancelled by hand",
        prepare=deeds.rest_an_order,
        deed=_cancel,
        kinds=frozenset({KIND.LOST_ORDER}),
        remedy="execution asks after it",
        proof=_is_ended,
    ),
    Case(
        name="order's price and quantity changed by hand",
        prepare=deeds.rest_an_order,
        deed=_change,
        kinds=frozenset({KIND.ORDER_CHANGED}),
        remedy="adopted by command",
        asks="adopt",
        proof=_terms_are_known,
    ),
    Case(
        name="the same, told by the stream: nobody asks",
        prepare=deeds.rest_an_order,
        deed=_change,
        is_told=True,
        kinds=frozenset({KIND.ORDER_CHANGED}),
        remedy="adopted by command",
        asks="adopt",
        proof=_terms_are_known,
    ),
    Case(
        name="order placed by hand",
        deed=_place_by_hand,
        kinds=frozenset({KIND.ORPHAN_ORDER}),
        remedy="reported and left alone",
        proof=_still_waits,
    ),
    Case(
        name="stop removed by hand",
        prepare=deeds.enter_with_stop,
        deed=_remove_stop,
        kinds=frozenset({KIND.LOST_ALGO_ORDER, KIND.NAKED_POSITION}),
        remedy="execution places another",
        proof=_has_another_stop,
    ),
    Case(
        name="stop of an earlier life left behind",
        deed=_place_orphan,
        kinds=frozenset({KIND.ORPHAN_ALGO_ORDER}),
        remedy="cancelled by command",
        asks="cancel-orphan",
        proof=_orphan_is_gone,
    ),
)

CASES = (*POSITIONS, *ORDERS, *SETTINGS, *STORED)
