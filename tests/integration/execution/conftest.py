"""Execution as a process among real ones: broker, paper exchange, feed and reconciler.

The test itself plays risk: it signs approvals with the shared key and reads what becomes of them.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from cli.supervisor import Child, child_environment
from libs.common.messages import subjects
from libs.common.messages.account import AccountState, Command, Verb
from libs.common.messages.codec import decode, decode_struct, encode
from libs.common.messages.intents import ApprovedIntent
from libs.common.messages.journal import JournalEvent, JournalRecord
from libs.common.messages.market import MarketClock
from libs.common.model.intent import Intent, Purpose
from libs.common.model.order import OrderRequest, Side
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import PaperClock, wall_ns
from libs.common.runtime.provisioning import provision
from libs.common.testing.builders import APPROVAL_KEY, an_approval, an_intent, an_order
from services.paper_exchange.demo_keys import (
    DEMO_READ_KEY,
    DEMO_READ_SECRET,
    DEMO_TRADE_KEY,
    DEMO_TRADE_SECRET,
)
from tests.integration.patience import patient

TOKENS = {scope: f"{scope}-{'t' * 24}-token" for scope in ("read", "operate", "admin")}
ACCOUNT = "paper"
SYMBOL = "BTCUSDT"
#: Market seconds per second: fast enough to wait out a receive window, slow enough for stale marks.
SPEED = 3
WAIT_S = 40
#: Guards that would make these tests wait for minutes. Where time stands still they keep to their
#: defaults: test_storms.py.
AMPLE = {
    "rate_symbol_orders_max": 1_000,
    "rate_global_orders_max": 1_000,
    "cooldown_failed_ms": 1_000,
    "cooldown_margin_ms": 1_000,
    "intent_ttl_market_ms": 60_000,
}
STOP_MS = 5_000


async def until(
    condition: Callable[[], Awaitable[Any]], what: str, timeout_s: float = WAIT_S
) -> Any:
    """Poll until the condition answers something true, and return it."""
    try:
        async with asyncio.timeout(timeout_s):
            while not (found := await condition()):
                await asyncio.sleep(0.02)
            return found
    except TimeoutError:
        raise AssertionError(f"waited {timeout_s} s in vain for {what}") from None


class World:
    """The processes of one test, and the questions it may put to them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.broker = Broker(directory / "broker")
        self.children: dict[str, Child] = {}
        self.clock = PaperClock()
        self.state: AccountState | None = None
        self.venue_url = ""
        self._count = 0
        self._records: list[JournalRecord] = []

    async def start(self) -> None:
        url = await self.broker.start()
        self.settings = patient(url)
        self.bus = await Bus.connect(self.settings, "test", lambda: None)
        await provision(self.bus, ACCOUNT, self.settings)
        await self.bus.subscribe(subjects.MARKET_CLOCK, self._on_clock)
        await self.bus.subscribe(subjects.account_state(ACCOUNT), self._on_state)
        await self._start_venue()
        self._write_config()
        for name in ("feed", "reconciler", "execution"):
            await self.start_service(name)
        await until(self._is_trading, "execution to arm")

    async def _start_venue(self) -> None:
        command = (sys.executable, "-m", "services.paper_exchange", "--port", "0")
        options = ("--source", "generator", "--symbols", SYMBOL, "--seed", "7")
        venue = Child(
            "venue", (*command, *options, "--speed", str(SPEED)), self.directory / "venue.log"
        )
        await venue.start(child_environment({}))
        self.children["venue"] = venue
        listening = await venue.wait_for_event("listening")
        assert listening is not None, venue.last_words()
        self.venue_url = f"http://127.0.0.1:{listening['port']}"

    def _write_config(self) -> None:
        keys = {
            "trade_key": DEMO_TRADE_KEY,
            "trade_secret": DEMO_TRADE_SECRET,
            "read_key": DEMO_READ_KEY,
            "read_secret": DEMO_READ_SECRET,
            "approval_key": APPROVAL_KEY.decode(),
            "http_tokens": "\n".join(f"{scope} {scope}er {TOKENS[scope]}" for scope in TOKENS),
        }
        paths = {}
        for name, value in keys.items():
            paths[name] = str(self.directory / name)
            Path(paths[name]).write_text(value)
            Path(paths[name]).chmod(0o600)
        config = {
            "account": ACCOUNT,
            "symbols": [SYMBOL],
            "approval_key_file": paths["approval_key"],
            "http_tokens_file": paths["http_tokens"],
            "bus": {"url": self.broker.url},
            "venue": {
                "rest_url": self.venue_url,
                "stream_url": self.venue_url.replace("http", "ws", 1),
            },
            "feed": {"http_port": 0},
            "risk": {"http_port": 0, "limits": {"spread_bps_max": "0.03"}},
            "execution": {
                "http_port": 0,
                "api_key_file": paths["trade_key"],
                "api_secret_file": paths["trade_secret"],
                "halt_file": str(self.directory / "halt"),
                **AMPLE,
                "kill_wait_ms": 10_000,
            },
            "reconciler": {
                "http_port": 0,
                "api_key_file": paths["read_key"],
                "api_secret_file": paths["read_secret"],
            },
        }
        (self.directory / "config.yaml").write_text(yaml.safe_dump(config))

    async def start_service(self, name: str, alias: str = "") -> Child:
        child = Child(
            name,
            (
                sys.executable,
                "-m",
                f"services.{name}",
                "--config",
                str(self.directory / "config.yaml"),
            ),
            self.directory / f"{alias or name}.log",
        )
        await child.start(child_environment({}))
        self.children[alias or name] = child
        return child

    async def kill(self, name: str) -> None:
        child = self.children[name]
        assert child.process_id is not None
        os.kill(child.process_id, signal.SIGKILL)
        await child.wait()

    async def restart_execution(self) -> None:
        self.state = None
        await self.start_service("execution")
        await until(self._is_trading, "execution to arm again")

    async def stop(self) -> None:
        for child in reversed(self.children.values()):
            await child.stop(STOP_MS)
        await self.bus.close()
        await self.broker.stop()

    async def _on_clock(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        message = decode(payload, MarketClock)
        self.clock.grant(message.now_ns, message.speed, message.limit_ns)

    async def _on_state(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        self.state = decode(payload, AccountState)

    async def _is_trading(self) -> bool:
        state = self.state
        return state is not None and state.armed and state.trading_state == "ACTIVE"

    # -- risk's part -----------------------------------------------------------------------------

    async def approve(
        self,
        side: Side = Side.BUY,
        *,
        purpose: Purpose = Purpose.ENTER,
        life_ms: int = 20_000,
        order_changes: Mapping[str, Any] | None = None,
        account: str = ACCOUNT,
    ) -> ApprovedIntent:
        """Publish a signed approval of a fresh intent and return it."""
        self._count += 1
        now_ns = self.clock.now_ns()
        price = await self.mark_price()
        intent: Intent = an_intent(
            candle_id=f"{self._count}",
            side=side,
            purpose=purpose,
            reference_price=price,
            created_at_ns=now_ns,
            expires_at_ns=now_ns + life_ms * 1_000_000,
        )
        order: OrderRequest = an_order(intent, **(order_changes or {}))
        approved = an_approval(intent, order, account)
        await self.publish(approved)
        return approved

    async def publish(self, approved: ApprovedIntent, message_id: str = "") -> None:
        await self.bus.publish_stored(
            subjects.intent_approved(ACCOUNT, approved.body.order.symbol),
            encode(approved),
            message_id=message_id or approved.message_id,
        )

    async def command(self, verb: Verb, **changes: str) -> str:
        """Ask execution for something; returns the command's id."""
        self._count += 1
        message_id = f"command-{self._count}"
        command = Command(
            **changes,
            message_id=message_id,
            causation_id=message_id,
            correlation_id=message_id,
            ts_event_ns=self.clock.now_ns(),
            ts_published_ns=wall_ns(),
            source="test",
            account=ACCOUNT,
            verb=verb,
            actor="test",
            reason="drill",
        )
        await self.bus.publish_stored(
            subjects.command(ACCOUNT, verb), encode(command), message_id=message_id
        )
        return message_id

    async def until(self, condition: Callable[[], Awaitable[Any]], what: str) -> None:
        """Poll until the condition holds."""
        await until(condition, what)

    # -- questions -------------------------------------------------------------------------------

    async def journal(self) -> list[JournalRecord]:
        """Every record, as stored; what was read is not read again."""
        last = await self.bus.read_last(subjects.JOURNAL_STREAM, subjects.journal(ACCOUNT))
        end = (last.seq or 0) + 1 if last is not None else 1
        for sequence in range(len(self._records) + 1, end):
            stored = await self.bus.read_message(subjects.JOURNAL_STREAM, sequence)
            assert stored is not None
            assert stored.data is not None
            if sequence > len(self._records):  # another may have read it meanwhile
                self._records.append(decode_struct(stored.data, JournalRecord))
        return list(self._records)

    async def events_of(self, approved: ApprovedIntent) -> list[JournalEvent]:
        """The events that belong to one intent, in order."""
        intent_id, coid, found = approved.body.intent.intent_id, "", []
        for record in await self.journal():
            for event in record.events:
                intent = getattr(event, "intent", None)
                if intent is not None and intent.intent_id == intent_id:
                    coid = getattr(event, "client_order_id", "")
                    found.append(event)
                elif coid and getattr(event, "client_order_id", "") == coid:
                    found.append(event)
        return found

    async def wait_for(self, approved: ApprovedIntent, kind: type[JournalEvent]) -> JournalEvent:
        """The first event of a kind that belongs to the intent."""

        async def look() -> JournalEvent | None:
            for event in await self.events_of(approved):
                if isinstance(event, kind):
                    return event
            return None

        try:
            found: JournalEvent = await until(look, f"{kind.__name__} of {approved.message_id}")
        except AssertionError as error:
            raise AssertionError(f"{error}; journaled: {await self.events_of(approved)}") from None
        return found

    async def sim(self, method: str, path: str, body: object = None) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.venue_url + path, json=body) as answer,
        ):
            return json.loads(await answer.read())

    async def placements(self, approved: ApprovedIntent) -> list[dict[str, Any]]:
        """What the venue itself logged of orders for the intent."""
        coids = {
            getattr(event, "client_order_id", "") for event in await self.events_of(approved)
        } - {""}
        log = await self.sim("GET", "/sim/log")
        entries = next(value for value in log.values() if isinstance(value, list))
        return [entry for entry in entries if entry.get("client_order_id") in coids]

    async def mark_price(self) -> Decimal:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.venue_url}/fapi/v1/premiumIndex?symbol={SYMBOL}") as answer,
        ):
            return Decimal(json.loads(await answer.read())["markPrice"])

    async def http(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str = "",
        key: str = "",
    ) -> tuple[int, Any]:
        """Ask execution over HTTP; returns the status and the body."""
        listening = await self.children["execution"].wait_for_event("http listening")
        assert listening is not None
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if key:
            headers["Idempotency-Key"] = key
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                method,
                f"http://127.0.0.1:{listening['port']}{path}",
                json=body,
                headers=headers,
            ) as answer,
        ):
            if answer.status >= 400 and path.startswith("/v1/"):
                assert answer.content_type == "application/problem+json", await answer.text()
            return answer.status, json.loads(await answer.read())

    def logs(self) -> str:
        return "".join(path.read_text() for path in self.directory.glob("*.log"))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A running world that trades; stopped at the end whatever happened."""
    world = World(tmp_path)
    try:
        await world.start()
        yield world
    finally:
        await world.stop()
