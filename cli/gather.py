"""Asks the venue, the broker and the services for the facts a report is built from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nats.errors import Error as NatsError

from cli.candle_count import CandleCount, count_candles
from cli.ear import Ear
from cli.journal_commands import read_journal
from cli.journal_file import check_records
from cli.report import Facts
from cli.streams import read_stream
from cli.venue_control import VenueControl
from cli.world import World
from libs.common.messages import subjects
from libs.common.messages.codec import UndecodableError, decode, decode_struct
from libs.common.messages.intents import (
    ApprovedIntent,
    IntentVerdict,
    ProposedIntent,
    approval_is_genuine,
)
from libs.common.messages.journal import JournalRecord
from libs.common.messages.market import Candle, MarketHealth
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import wall_ns
from libs.common.runtime.provisioning import SIGNAL_CONSUMER
from libs.common.runtime.secret import secret_from_file
from libs.common.runtime.venue_client import VenueClient
from libs.common.venue.payloads import Income, UserTrade, VenueOrder

PAGE_ROWS = 1_000
LOG_ROWS = 10_000
NS_PER_MS = 1_000_000
HEALTH_WAIT_MS = 5_000


async def gather(world: World, pacing: Mapping[str, int], files: Mapping[str, Path]) -> Facts:
    """Collect everything.

    Raises:
        CommandFailed, BusUnavailable, VenueReadError: somebody did not answer.
    """
    account = world.plan.common.account
    raw = [record async for record in read_journal(world.bus, account)]
    verdicts = await _read_verdicts(world.bus)
    key = files["approval_key"].read_text().strip().encode()
    venue = await _ask_venue(world, files)
    ear = world.ear
    health = await _hear_health(ear)
    return Facts(
        records=tuple(_readable(raw)),
        journal=check_records(raw),
        verdicts=verdicts,
        undecided=await _read_undecided(world.bus),
        forged=tuple(
            verdict.intent_id
            for verdict in verdicts
            if verdict.approved is not None and not approval_is_genuine(key, verdict.approved)
        ),
        proposed_wall_ns=ear.proposed_wall_ns,
        orders=venue[0],
        fills=venue[1],
        income=venue[2],
        venue_requests=await _read_venue_log(world.venue),
        reconciled=ear.report,
        candles=await _count_candles(world.bus),
        market=await world.venue.facts("/sim/stats"),
        feed={}
        if health is None
        else {
            "received": health.received,
            "published": health.published,
            "conflated": health.conflated,
        },
        dead_letters=ear.dead_letters,
        restarts={child.name: child.restarts for child in world.supervisor.children},
        pacing=pacing,
    )


async def _hear_health(ear: Ear) -> MarketHealth | None:
    """What feed counted, said after now: its word of a moment ago may lack the last messages."""
    asked_ns = wall_ns()
    await ear.wait_until(
        lambda: ear.health is not None and ear.health.ts_published_ns > asked_ns, HEALTH_WAIT_MS
    )
    return ear.health


def _readable(raw: list[bytes]) -> list[JournalRecord]:
    records = []
    for line in raw:
        try:
            records.append(decode_struct(line, JournalRecord))
        except UndecodableError:
            break  # check_records names it
    return records


async def _read_verdicts(bus: Bus) -> tuple[IntentVerdict, ...]:
    prefix = subjects.intent_verdict("")
    return tuple(
        [
            decode(message.data, IntentVerdict)
            async for message in read_stream(bus, subjects.INTENTS_DONE_STREAM)
            if message.data is not None and (message.subject or "").startswith(prefix)
        ]
    )


async def _read_undecided(bus: Bus) -> tuple[str, ...]:
    """Ids of intents nobody has settled: proposals without a verdict, approvals not executed."""
    ids: list[str] = []
    async for message in read_stream(bus, subjects.INTENTS_STREAM):
        if message.data is None:
            continue
        try:
            if (message.subject or "").startswith(subjects.intent_proposed("")):
                ids.append(decode(message.data, ProposedIntent).intent.intent_id)
            else:
                ids.append(decode(message.data, ApprovedIntent).body.intent.intent_id)
        except UndecodableError:
            continue  # no intent: it is on its way to the dead letters
    return tuple(ids)


async def _count_candles(bus: Bus) -> CandleCount:
    candles: list[Candle] = []
    sequences: list[int] = []
    async for message in read_stream(bus, subjects.MARKET_STREAM):
        if message.data is not None:
            candles.append(decode(message.data, Candle))
            sequences.append(message.seq or 0)
    try:
        info = await bus.jetstream.consumer_info(subjects.MARKET_STREAM, SIGNAL_CONSUMER)
    except (NatsError, TimeoutError):
        return count_candles(candles, 0)
    floor = info.ack_floor.stream_seq if info.ack_floor is not None else 0
    return count_candles(candles, sum(sequence <= (floor or 0) for sequence in sequences))


async def _read_venue_log(venue: VenueControl) -> tuple[Mapping[str, Any], ...]:
    rows: list[Mapping[str, Any]] = []
    while True:
        after = rows[-1]["sequence"] if rows else 0
        page = (await venue.facts(f"/sim/log?after={after}&limit={LOG_ROWS}"))["requests"]
        rows += page
        if len(page) < LOG_ROWS:
            return tuple(rows)


async def _ask_venue(
    world: World, files: Mapping[str, Path]
) -> tuple[tuple[VenueOrder, ...], tuple[UserTrade, ...], tuple[Income, ...]]:
    """Orders, fills and income of the account, by the key that can only read."""
    now_ns = (await world.venue.clock()).now_ns
    key = secret_from_file(files["reconciler_api_key"], name="the reconciler's API key")
    secret = secret_from_file(files["reconciler_api_secret"], name="the reconciler's API secret")
    client = VenueClient(world.venue.url, lambda: now_ns, api_key=key.reveal(), api_secret=secret)
    try:
        orders: list[VenueOrder] = []
        fills: list[UserTrade] = []
        for symbol in world.plan.market.symbols:
            orders += await _read_orders(client, symbol)
            fills += await _read_fills(client, symbol)
        return tuple(orders), tuple(fills), await _read_income(client)
    finally:
        await client.close_connection()


async def _read_orders(client: VenueClient, symbol: str) -> list[VenueOrder]:
    """Every order, page by page; a page begins at the time at which the last one ended."""
    found: dict[int, VenueOrder] = {}
    start_ms: int | None = None
    while True:
        page = await client.all_orders(symbol, start_ms=start_ms, limit=PAGE_ROWS)
        fresh = [order for order in page if order.order_id not in found]
        found.update({order.order_id: order for order in page})
        if len(page) < PAGE_ROWS or not fresh:
            return list(found.values())
        start_ms = page[-1].created_ms


async def _read_fills(client: VenueClient, symbol: str) -> list[UserTrade]:
    """Every fill, page by page by trade id."""
    found: dict[int, UserTrade] = {}
    from_id = 0
    while True:
        page = await client.user_trades(symbol, from_id=from_id, limit=PAGE_ROWS)
        found.update({fill.trade_id: fill for fill in page})
        if len(page) < PAGE_ROWS:
            return list(found.values())
        from_id = page[-1].trade_id + 1


async def _read_income(client: VenueClient) -> tuple[Income, ...]:
    """Every row of realized profit, page by page by time."""
    found: dict[tuple[object, ...], Income] = {}
    start_ms: int | None = None
    while True:
        page = await client.income(income_type="REALIZED_PNL", start_ms=start_ms, limit=PAGE_ROWS)
        count = len(found)
        found.update({(row.transaction_id, row.trade_id, row.symbol): row for row in page})
        if len(page) < PAGE_ROWS or len(found) == count:
            return tuple(found.values())
        start_ms = page[-1].time_ms
