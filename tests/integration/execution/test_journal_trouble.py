"""Execution beside a journal that is full, or damaged: nothing leaves, and it says why."""

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec

from libs.common.messages import subjects
from libs.common.messages.account import DeadLetter
from libs.common.messages.codec import decode
from libs.common.messages.intents import ApprovedIntent, sign_approval
from libs.common.messages.journal import FillReceived, IntentRefusedByGate, OrderRecorded
from libs.common.model.intent import Purpose
from libs.common.model.order import Side
from libs.common.model.verdict import Reason
from libs.common.runtime.service import EXIT_JOURNAL
from libs.common.testing.builders import APPROVAL_KEY

if TYPE_CHECKING:
    from tests.integration.execution.conftest import World


async def http_port(world: "World") -> int:
    line = await world.children["execution"].wait_for_event("http listening")
    assert line is not None
    return int(line["port"])


async def readiness(port: int) -> tuple[int, dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/readyz") as answer,
    ):
        return answer.status, json.loads(await answer.read())


async def orders_at_the_venue(world: "World") -> int:
    log = await world.sim("GET", "/sim/log")
    entries = next(value for value in log.values() if isinstance(value, list))
    return sum(str(entry.get("client_order_id") or "").startswith("pc-") for entry in entries)


async def test_while_the_journal_is_full_no_order_leaves_and_readiness_says_why(
    world: "World",
) -> None:
    port, jetstream = await http_port(world), world.bus.jetstream
    info = await jetstream.stream_info(subjects.JOURNAL_STREAM)
    roomy = info.config.max_bytes
    info.config.max_bytes = info.state.bytes + 10
    await jetstream.update_stream(info.config)
    before = await orders_at_the_venue(world)
    waiting = await world.approve(Side.BUY, life_ms=120_000)

    async def is_unready() -> bool:
        status, body = await readiness(port)
        told = body["checks"]["journal"]
        return status == 503 and "maximum bytes exceeded" in told["output"]

    await world.until(is_unready, "readiness to fail")
    assert await orders_at_the_venue(world) == before
    info.config.max_bytes = roomy
    await jetstream.update_stream(info.config)

    async def is_ready() -> bool:
        return (await readiness(port))[0] == 200

    await world.until(is_ready, "readiness to recover by itself")
    # The approval was never acknowledged, so it came again; it still lived.
    await world.wait_for(waiting, FillReceived)
    assert len(await world.placements(waiting)) == 1


async def test_a_damaged_journal_ends_execution_and_every_start_of_it_by_sequence(
    world: "World",
) -> None:
    last = await world.bus.read_last(subjects.JOURNAL_STREAM, subjects.journal("paper"))
    assert last is not None
    running = world.children["execution"]
    # Somebody who may write to the broker is not somebody who can continue the chain.
    await world.bus.publish_stored(subjects.journal("paper"), b"{}", message_id="damage")
    assert await running.wait() == EXIT_JOURNAL
    again = await world.start_service("execution", alias="again")
    assert await again.wait() == EXIT_JOURNAL
    for name in ("execution", "again"):
        log = (world.directory / f"{name}.log").read_text()
        assert "journal damaged, nothing is sent any more" in log
        assert "journal message at sequence" in log
    before = await orders_at_the_venue(world)
    await world.approve(Side.BUY)
    assert await orders_at_the_venue(world) == before


def signed(approved: ApprovedIntent, **changes: Any) -> ApprovedIntent:
    """The approval with another body, signed with risk's key: risk itself is wrong."""
    body = msgspec.structs.replace(approved.body, **changes)
    return msgspec.structs.replace(approved, body=body, mac=sign_approval(APPROVAL_KEY, body))


async def test_a_quantity_that_is_none_is_refused_though_risk_signed_it(world: "World") -> None:
    for quantity in ("-0.020", "0", "NaN", "Infinity", "1E+30"):
        approved = await world.approve(order_changes={"quantity": Decimal(quantity)})
        refused = await world.wait_for(approved, IntentRefusedByGate)
        assert isinstance(refused, IntentRefusedByGate), quantity
        assert refused.reason in (Reason.INTENT_INVALID, Reason.FILTER_QUANTITY), quantity
    assert await orders_at_the_venue(world) == 0


async def test_an_approval_with_anything_changed_after_risk_signed_it_is_set_aside(
    world: "World",
) -> None:
    genuine = await world.approve(life_ms=-5_000)
    await world.wait_for(genuine, IntentRefusedByGate)
    bodies = {
        "quantity": {"order": msgspec.structs.replace(genuine.body.order, quantity=Decimal(1))},
        "side": {"order": msgspec.structs.replace(genuine.body.order, side=Side.SELL)},
        "expiry": {"expires_at_ns": genuine.body.expires_at_ns + 10**12},
        "account": {"account": "another"},
    }
    for name, changes in bodies.items():
        body = msgspec.structs.replace(genuine.body, **changes)
        await world.publish(msgspec.structs.replace(genuine, body=body), f"forged {name}")

    async def are_set_aside() -> bool:
        found = set()
        info = await world.bus.jetstream.stream_info(subjects.DEAD_STREAM)
        for sequence in range(1, info.state.last_seq + 1):
            stored = await world.bus.read_message(subjects.DEAD_STREAM, sequence)
            if stored is not None and stored.data is not None:
                letter = decode(stored.data, DeadLetter)
                if "not signed by risk" in letter.reason:
                    found.add(letter.payload)
        return len(found) == len(bodies)

    await world.until(are_set_aside, "the forged approvals to be set aside")
    assert await orders_at_the_venue(world) == 0
    assert not any(
        isinstance(event, OrderRecorded)
        for record in await world.journal()
        for event in record.events
    )
    # The key of another is no key of risk's.
    stranger = msgspec.structs.replace(
        genuine, mac=sign_approval(b"f" * 64, genuine.body), message_id="a stranger's"
    )
    await world.publish(stranger)
    exits = signed(genuine, account="another")
    await world.publish(exits, "another account, signed")
    entered = await world.approve(Side.BUY, purpose=Purpose.ENTER)
    await world.wait_for(entered, FillReceived)
    assert await orders_at_the_venue(world) == 1
