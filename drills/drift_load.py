"""Comparisons while the account is busy: none of them may raise an alarm for nothing.

Entries with stops, exits, orders that end unfilled, answers and user events that come late: all the
time something is in flight.
"""

import asyncio
import random
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

from drills.drift_deeds import held_at_venue
from drills.drift_rig import SYMBOLS, DriftRig, DrillFailed
from libs.common.messages.account import AccountState
from libs.common.messages.journal import FillReceived
from libs.common.model.order import OrderType, Side, TimeInForce
from libs.common.runtime.clock import monotonic_ns
from libs.common.runtime.venue_client import VenueReadError

#: Market time by which a user event comes late.
EVENT_LAG_MS = 1_500
#: Wall time by which an answer to an order comes late.
ANSWER_LAG_MS = 150
#: Wall time between two orders of a symbol.
PAUSE_S = 0.4
NS_PER_S = 1_000_000_000


async def run_load(directory: Path, cycles: int, speed: int) -> int:
    """Make so many comparisons under load; returns how many raised an alarm.

    Raises:
        DrillFailed: the account was not busy, or could not be compared.
    """
    # A stall of these processes is wall time, the limits are market time.
    reconciler = {
        "weight_per_minute_max": 2_400,
        "weight_unasked_max": 2_400,
        "second_look_wall_ms": 500,
        "event_lag_ms": 3_000 + 200 * speed,
        "fill_lag_ms": 3_000 + 200 * speed,
        "naked_grace_ms": 15_000 + 500 * speed,
        "looks_max": 50,
        "look_again_wall_ms": 10,
        "compare_now_wall_ms_max": 60_000,
    }
    rig = DriftRig(
        directory, speed=speed, execution={"stop_grace_ms": 30_000}, reconciler=reconciler
    )
    try:
        await rig.start()
        await _let_lag(rig)
        return await _compare_often(rig, cycles)
    finally:
        await rig.stop()


async def _let_lag(rig: DriftRig) -> None:
    late: dict[str, Any] = {"event": "*", "effect": "delay", "delay_ms": EVENT_LAG_MS}
    await rig.sim("POST", "/sim/event-faults", [{**late, "probability": "0.5", "seed": 1}])
    slow = {"effect": "delay", "delay_ms": ANSWER_LAG_MS, "probability": "0.3", "seed": 2}
    endpoints = ("POST /fapi/v1/order", "POST /fapi/v1/algoOrder", "DELETE /fapi/v1/algoOrder")
    await rig.sim("POST", "/sim/faults", [{"endpoint": one, **slow} for one in endpoints])


async def _compare_often(rig: DriftRig, cycles: int) -> int:
    is_over = asyncio.Event()
    trading = [asyncio.create_task(_trade(rig, symbol, is_over)) for symbol in SYMBOLS]
    begun_ns = monotonic_ns()
    alarms: Counter[str] = Counter()
    compared: Counter[str] = Counter()
    in_flight = 0
    try:
        for number in range(1, cycles + 1):
            report = await rig.compare()
            state = rig.state
            in_flight += state is not None and _has_in_flight(state)
            compared["trades"] += report.trades_compared
            compared["orders"] += report.orders_compared + report.algo_orders_compared
            compared["income"] += report.income_compared
            for one in report.discrepancies:
                alarms[one.kind] += 1
                print(
                    f"  alarm in comparison {number}: {one.kind} {one.subject}: ours {one.ours},"
                    f" venue {one.theirs}, confirmed {one.is_confirmed}",
                    flush=True,
                )
            if number % 50 == 0:
                print(f"  {number} comparisons, {sum(alarms.values())} alarms", flush=True)
            failed = next((task for task in trading if task.done()), None)
            if failed is not None:
                failed.result()
    finally:
        is_over.set()
        await asyncio.gather(*trading, return_exceptions=True)
    fills = sum(isinstance(event, FillReceived) for event in await rig.journal())
    unasked = [one for one in rig.reports if one.trigger != "demand" and not one.is_clean]
    print(
        f"{cycles} comparisons in {(monotonic_ns() - begun_ns) / NS_PER_S:.0f} s at speed"
        f" {rig.speed}: {fills} fills journaled meanwhile, {in_flight} with an order in flight when"
        f" they ended; compared: {dict(compared)}; false alarms: {sum(alarms.values())}"
        f" {dict(alarms) or ''}, by itself: {len(unasked)}"
    )
    if fills < cycles / 10:
        raise DrillFailed(f"{fills} fills are no load")
    return sum(alarms.values()) + len(unasked)


def _has_in_flight(state: AccountState) -> bool:
    """Whether an order or a stop is recorded and not answered."""
    orders = {one.status.value for one in state.orders}
    algos = {one.status.value for one in state.algo_orders}
    return bool((orders | algos) & {"RECORDED", "UNKNOWN"})


async def _trade(rig: DriftRig, symbol: str, is_over: asyncio.Event) -> None:
    """Go in with a stop, add a resting order, go out; for ever."""
    dice = random.Random(symbol)
    quantity = Decimal("0.020") if symbol == "BTCUSDT" else Decimal("0.400")
    while not is_over.is_set():
        try:
            mark = await rig.mark_price(symbol)
            held = await held_at_venue(rig, symbol)
        except VenueReadError:  # the weight of this minute: it comes back
            await asyncio.sleep(PAUSE_S)
            continue
        if held > 2 * quantity:
            await rig.approve(
                Side.SELL, is_exit=True, symbol=symbol, order_changes={"quantity": held}
            )
        elif dice.random() < 0.3:
            await rig.approve(
                Side.BUY,
                symbol=symbol,
                order_type=OrderType.LIMIT,
                time_in_force=TimeInForce.IOC,
                price=(mark * Decimal("0.999")).quantize(Decimal(1)),
                order_changes={"quantity": quantity},
            )
        else:
            stop_price = (mark * Decimal("0.95")).quantize(Decimal(1))
            await rig.approve(
                Side.BUY, symbol=symbol, stop_price=stop_price, order_changes={"quantity": quantity}
            )
        await asyncio.sleep(PAUSE_S * (0.5 + dice.random()))
