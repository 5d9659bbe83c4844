"""What is done behind execution's back, by the owner's hand, by the venue, or to what we stored."""

import gzip
from decimal import Decimal
from typing import Any

import msgspec

from drills.drift_rig import ACCOUNT, SYMBOL, DriftRig, DrillFailed, until
from libs.common.messages import subjects
from libs.common.messages.codec import decode_struct, encode
from libs.common.messages.income_events import IncomeReceived
from libs.common.model.ids import derive_client_algo_id
from libs.common.model.order import OrderType, Side, TimeInForce
from libs.common.model.position import Position
from libs.common.runtime.journal import SNAPSHOT_BYTES_MAX, Journal, Snapshot
from libs.common.venue.outcomes import Accepted, Outcome, describe
from services.execution.state import State

#: What a position of the drill is, base units.
LOT = Decimal("0.010")
#: What a forger adds to one.
FORGED = Decimal("0.500")


def accepted(outcome: Outcome) -> None:
    """Check that the venue did it.

    Raises:
        DrillFailed: it did not.
    """
    if not isinstance(outcome, Accepted):
        raise DrillFailed(f"the venue did not do what the drill asked: {describe(outcome)}")


def refused(outcome: Outcome) -> None:
    """Check that the venue did not do it.

    Raises:
        DrillFailed: it did.
    """
    if isinstance(outcome, Accepted):
        raise DrillFailed("the venue did what it was to refuse")


# -- the owner trades ------------------------------------------------------------------------------


async def trade(rig: DriftRig, side: str, quantity: Decimal, symbol: str = SYMBOL) -> None:
    """An order at the market, as from the owner's app."""
    stamp = rig.owner.timestamp_ms()
    wish = {
        "symbol": symbol, "side": side, "type": "MARKET", "quantity": str(quantity),
        "newClientOrderId": f"web_{stamp}",
    }  # fmt: skip
    accepted(await rig.owner.place_order(wish, timestamp_ms=stamp))


async def held_at_venue(rig: DriftRig, symbol: str = SYMBOL) -> Decimal:
    """The position, signed base units."""
    rows = await rig.owner.position_risk(symbol)
    return sum((row.quantity for row in rows if row.symbol == symbol), Decimal(0))


async def hold(rig: DriftRig, quantity: Decimal = LOT) -> None:
    """The owner opens a position, and execution is told."""
    await trade(rig, "BUY", quantity)

    async def is_known() -> bool:
        return rig.held() == quantity

    await until(is_known, "the stream to tell of the owner's position")


async def close_by_hand(rig: DriftRig, symbol: str = SYMBOL) -> None:
    """The owner closes whatever is held."""
    held = await held_at_venue(rig, symbol)
    if held:
        await trade(rig, "SELL" if held > 0 else "BUY", abs(held), symbol)


# -- orders of ours --------------------------------------------------------------------------------


async def rest_an_order(rig: DriftRig) -> str:
    """An order of ours that waits far from the market; returns its id."""
    price = (await rig.mark_price() * Decimal("0.97")).quantize(Decimal(1))
    approved = await rig.approve(
        Side.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        price=price,
    )
    intent_id = approved.body.intent.intent_id

    async def waits() -> str:
        orders = rig.state.orders if rig.state is not None else ()
        mine = [one for one in orders if one.intent_id == intent_id and one.status == "OPEN"]
        return mine[0].client_order_id if mine else ""

    return str(await until(waits, "an order of ours to rest at the venue"))


async def enter_with_stop(rig: DriftRig) -> str:
    """An entry of ours, and its stop acknowledged; returns the stop's id."""
    stop_price = (await rig.mark_price() * Decimal("0.9")).quantize(Decimal(1))
    await rig.approve(Side.BUY, stop_price=stop_price)

    async def is_protected() -> str:
        algos = rig.state.algo_orders if rig.state is not None else ()
        return next((one.client_algo_id for one in algos if one.status == "WORKING"), "")

    return str(await until(is_protected, "an entry to be protected"))


async def change_order(
    rig: DriftRig, client_order_id: str, quantity: str, price_part: str
) -> tuple[Decimal, Decimal]:
    """PUT another quantity and price; returns both."""
    price = (await rig.mark_price() * Decimal(price_part)).quantize(Decimal(1))
    wish = {
        "symbol": SYMBOL, "side": "BUY", "origClientOrderId": client_order_id,
        "quantity": quantity, "price": str(price),
    }  # fmt: skip
    accepted(await rig.owner.modify_order(wish))
    return Decimal(quantity), price


async def place_foreign_stop(rig: DriftRig, name: str) -> None:
    """A conditional order that execution knows nothing of."""
    trigger = (await rig.mark_price() * Decimal("0.8")).quantize(Decimal(1))
    stamp = rig.owner.timestamp_ms()
    wish = {
        "symbol": SYMBOL, "side": "SELL", "type": "STOP_MARKET", "quantity": str(LOT),
        "triggerPrice": str(trigger), "clientAlgoId": name, "reduceOnly": "true",
    }  # fmt: skip
    accepted(await rig.owner.place_algo_order(wish, timestamp_ms=stamp))


def orphan_of_ours(rig: DriftRig) -> str:
    """The id of a stop as an earlier life of ours would have named it."""
    return derive_client_algo_id(ACCOUNT, f"another life {len(rig.reports)}", "STOP", 1)


# -- settings --------------------------------------------------------------------------------------


async def ask_for_hedge_mode(rig: DriftRig) -> Outcome:
    """Ask for two positions a symbol."""
    wish = {"dualSidePosition": "true"}
    return await rig.owner._call("post", "positionSide/dual", wish)


async def setting_of(rig: DriftRig) -> tuple[int, str]:
    """Leverage and margin type at the venue."""
    (row,) = [one for one in await rig.owner.symbol_settings() if one.symbol == SYMBOL]
    return row.leverage, row.margin_type


# -- what we stored --------------------------------------------------------------------------------


async def tamper_with_snapshot(rig: DriftRig) -> Decimal:
    """Change a position in execution's snapshot, kill execution, and let it start from that.

    Returns the position as it stands in the snapshot now.

    Raises:
        DrillFailed: there is no snapshot to change.
    """
    await rig.kill("execution")
    subject = subjects.snapshot(ACCOUNT)
    stored = await rig.bus.read_last(subjects.SNAPSHOTS_STREAM, subject)
    if stored is None or stored.data is None:
        raise DrillFailed("execution saved no snapshot yet")
    snapshot = decode_struct(gzip.decompress(stored.data), Snapshot, SNAPSHOT_BYTES_MAX)
    state = decode_struct(bytes(snapshot.state), State, SNAPSHOT_BYTES_MAX)
    known = state.positions.get(SYMBOL) or Position(symbol=SYMBOL)
    state.positions[SYMBOL] = msgspec.structs.replace(
        known, quantity=known.quantity + FORGED, cost=known.cost + FORGED * 60_000
    )
    forged = msgspec.structs.replace(snapshot, state=msgspec.Raw(encode(state)))
    await rig.bus.publish_stored(
        subject, gzip.compress(encode(forged)), message_id="forged snapshot"
    )
    rig.state = None
    await rig.start_service("execution")

    async def speaks() -> bool:
        return rig.state is not None and rig.held() != Decimal(0)

    await until(speaks, "execution to start from the changed snapshot")
    return rig.held()


async def tamper_with_journal(rig: DriftRig, income_type: str, amount: str) -> None:
    """Append a row of income that the venue never booked, as a process with our rights could."""
    journal = Journal(rig.bus, ACCOUNT, "", writer="forger")
    async for _ in journal.read_tail():
        pass
    event = IncomeReceived(
        income_type=income_type,
        symbol=SYMBOL,
        asset="USDT",
        amount=Decimal(amount),
        transaction_id="999999999",
        ts_income_ns=rig.clock.now_ns() - 20_000_000_000,
    )
    await journal.append(
        [event], causation_id="forged", correlation_id="forged", ts_event_ns=rig.clock.now_ns()
    )


def events_of(events: list[Any], kind: type[Any]) -> list[Any]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]
