"""A broker with its streams, one service as a real process, and the test in all other roles."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from cli.streams import read_stream
from libs.common.messages import subjects
from libs.common.messages.account import AccountState, PnlDay
from libs.common.messages.codec import encode
from libs.common.messages.market import Mark, MarketClock, MarketHealth, Quote, SymbolHealth
from libs.common.model.trading_state import TradingState
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.provisioning import provision
from tests.integration.patience import keep_saying, patient

ROOT = Path(__file__).resolve().parents[3]
NOW_NS = 1_723_161_300 * 10**9
APPROVAL_KEY = "k" * 64
DEADLINE_S = 60


async def wait_for(condition, what):
    """Wait for a condition (plain or async) and return what it gave."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                found = condition()
                found = await found if asyncio.iscoroutine(found) else found
                if found:
                    return found
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {DEADLINE_S} s: {what}") from None


@dataclass
class Service:
    """A service process and every line it wrote."""

    name: str
    process: asyncio.subprocess.Process
    lines: list[dict[str, Any]] = field(default_factory=list)
    reader: asyncio.Task[None] | None = None

    async def read(self):
        """Keep its lines."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(json.loads(line) if line.startswith(b"{") else {"text": line})

    def event(self, name):
        """The first line about an event."""
        return next((line for line in self.lines if line.get("event") == name), None)

    async def started(self):
        """Wait until it has started."""
        await wait_for(lambda: self.event("started"), f"{self.name} started")

    async def status(self):
        """The body of its status page."""
        line = await wait_for(lambda: self.event("http listening"), f"{self.name}'s door")
        port = line["port"]
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/v1/status") as answer,
        ):
            return await answer.json()

    async def end(self, verb):
        """``kill`` or ``terminate`` it; returns its exit code."""
        if self.process.returncode is None:
            getattr(self.process, verb)()
        code = await asyncio.wait_for(self.process.wait(), DEADLINE_S)
        await self.reader
        return code


class World:
    """The bus, and hands to play feed, execution and strangers."""

    def __init__(self, folder, bus, url):
        self.folder = folder
        self.bus = bus
        self.key_file = folder / "approval.key"
        self.key_file.write_text(APPROVAL_KEY)
        self.key_file.chmod(0o600)
        self.tree = {
            "bus": {
                "url": url,
                "ack_wait_ms": 500,
                "publish_timeout_ms": 400,
                "fetch_expires_ms": 200,
            },
            "approval_key_file": str(self.key_file),
            "signal": {"http_port": 0},
            "risk": {"http_port": 0},
        }
        self.account_changes = {}
        self.health_changes = {}
        figures = ("realized_pnl", "commission", "funding", "liquidation", "other")
        self.day = PnlDay(day_start_ns=0, **dict.fromkeys(figures, Decimal(0)))
        self.services = []

    async def run(self, name):
        """Start a service as a process of its own."""
        config = self.folder / "portcullis.yaml"
        config.write_text(yaml.safe_dump(self.tree))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"services.{name}", "--config", str(config),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        service = Service(name, process)
        service.reader = asyncio.create_task(service.read())
        self.services.append(service)
        return service

    async def stored(self, stream, subject_prefix=""):
        """(subject, payload) of every message kept in a stream."""
        return [
            (message.subject, message.data)
            async for message in read_stream(self.bus, stream)
            if message.subject.startswith(subject_prefix)
        ]

    def envelope(self, message_id="m", ts_event_ns=NOW_NS):
        """The fields that every message has."""
        return {
            "message_id": message_id,
            "causation_id": message_id,
            "correlation_id": message_id,
            "ts_event_ns": ts_event_ns,
            "ts_published_ns": 1,
            "source": "test",
        }

    async def say_all_is_well(self):
        """Speak once for feed and execution; market time stands still at NOW_NS."""
        clock = MarketClock(
            **self.envelope(), now_ns=NOW_NS, speed=Decimal(1), limit_ns=NOW_NS, source_ended=False
        )
        await self.bus.publish(subjects.MARKET_CLOCK, encode(clock))
        for symbol in ("BTCUSDT", "ETHUSDT"):
            quote = Quote(
                **self.envelope(),
                symbol=symbol,
                bid_price=Decimal(59_999),
                bid_quantity=Decimal(1),
                ask_price=Decimal(60_000),
                ask_quantity=Decimal(1),
                update_id=1,
            )
            mark = Mark(
                **self.envelope(),
                symbol=symbol,
                mark_price=Decimal(60_000),
                index_price=Decimal(60_000),
                funding_rate=Decimal(0),
                next_funding_ns=0,
            )
            await self.bus.publish(subjects.quote(symbol), encode(quote))
            await self.bus.publish(subjects.mark(symbol), encode(mark))
        await self.bus.publish(subjects.MARKET_HEALTH, encode(self.health()))
        await self.bus.publish(subjects.account_state("paper"), encode(self.account()))

    def health(self):
        """The feed vouches for both symbols, with the changes a test made."""
        ages = dict.fromkeys(("quote_age_ms", "mark_age_ms", "trade_age_ms"), 0)
        sound = {**ages, "is_stale": False, "status": "TRADING", "refusal": ""}
        counts = {key: {} for key in ("received", "published", "conflated")}
        return MarketHealth(
            **self.envelope(),
            is_connected=True,
            symbols=tuple(
                SymbolHealth(symbol=symbol, **{**sound, **self.health_changes.get(symbol, {})})
                for symbol in ("BTCUSDT", "ETHUSDT")
            ),
            **counts,
        )

    def account(self):
        """The account as execution would tell it."""
        fields = {
            "account": "paper",
            "journal_sequence": 1,
            "trading_state": TradingState.ACTIVE,
            "armed": True,
            "unarmed_reasons": (),
            "wallet_balance": Decimal(10_000),
            "available_balance": Decimal(10_000),
            "balance_at_ns": NOW_NS,
            "changed_at_ns": NOW_NS,
            "positions": (),
            "orders": (),
            "pnl_day": self.day,
        }
        return AccountState(**self.envelope(), **{**fields, **self.account_changes})

    async def keep_saying(self):
        """Speak for feed and execution until canceled."""
        await keep_saying(self.say_all_is_well, 0.05)


@pytest.fixture(scope="session")
def until():
    """Return the way to wait for a condition."""
    return wait_for


@pytest.fixture
async def world(tmp_path):
    """A fresh broker with all streams, no service yet; ends whatever was started."""
    broker = Broker(tmp_path / "nats")
    url = await broker.start()
    settings = patient(url)
    bus = await Bus.connect(settings, "test", lambda: None)
    await provision(bus, "paper", settings)
    made = World(tmp_path, bus, url)
    try:
        yield made
    finally:
        for service in made.services:
            await service.end("kill")
        await bus.close()
        await broker.stop()
