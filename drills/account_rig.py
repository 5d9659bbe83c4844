"""A world that trades: broker, paper exchange, feed, reconciler, execution; and what it is asked.

Fills, positions and the wallet are read twice: from execution's journal, and from the venue's own
signed record. Orders are the owner's own, placed at the venue: what the stream tells of them is all
that execution learns by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

from cli.supervisor import Child, child_environment
from libs.common.messages import subjects
from libs.common.messages.codec import decode_struct
from libs.common.messages.journal import FillReceived, JournalRecord
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.config import BusConfig
from libs.common.runtime.provisioning import provision
from libs.common.testing.builders import APPROVAL_KEY
from services.paper_exchange.demo_keys import (
    DEMO_ACCOUNT_ID,
    DEMO_READ_KEY,
    DEMO_READ_SECRET,
    DEMO_TRADE_KEY,
    DEMO_TRADE_SECRET,
)

ACCOUNT: Final = "paper"
SYMBOL: Final = "BTCUSDT"
SPEED: Final = 3
"""Market seconds per wall second."""
STOP_MS: Final = 5_000
PATIENCE_MS: Final = 20_000
"""How long a drill's own questions to the broker may take: a busy machine is no failure."""
TOKEN: Final = f"read-{'t' * 24}-token"


class AccountRig:
    """The processes, and the questions that a drill may put to them."""

    def __init__(self, folder: Path, broker: Broker, http: aiohttp.ClientSession) -> None:
        self._folder = folder
        self._broker = broker
        self._http = http
        self._children: dict[str, Child] = {}
        self._urls: dict[str, str] = {}
        self._read_up_to = 0
        self._fills: list[FillReceived] = []
        self.bus: Bus

    async def start(self) -> None:
        """Start everything; returns once the processes listen."""
        settings = BusConfig(url=await self._broker.start(), publish_timeout_ms=PATIENCE_MS)
        self.bus = await Bus.connect(settings, "drill", lambda: None)
        await provision(self.bus, ACCOUNT, settings)
        command = ("-m", "services.paper_exchange", "--port", "0", "--source", "generator")
        await self._run(
            "venue", *command, "--symbols", SYMBOL, "--seed", "7", "--speed", str(SPEED),
            says="listening",
        )  # fmt: skip
        config = self._write_config()
        for name in ("feed", "reconciler", "execution"):
            await self._run(name, "-m", f"services.{name}", "--config", str(config))

    async def stop(self) -> None:
        """End what was started, whatever became of it."""
        for child in reversed(self._children.values()):
            if child.process_id is not None:
                os.kill(child.process_id, signal.SIGKILL)
                await child.wait()
        if hasattr(self, "bus"):
            await self.bus.close()

    async def _run(self, name: str, *arguments: str, says: str = "http listening") -> None:
        child = Child(name, (sys.executable, *arguments), self._folder / f"{name}.log")
        self._children[name] = child
        await child.start(child_environment({}))
        told = await child.wait_for_event(says)
        if told is None:
            raise RuntimeError(f"{name} did not start: {child.last_words()}")
        self._urls[name] = f"http://127.0.0.1:{told['port']}"

    def _write_config(self) -> Path:
        def secret(name: str, value: str) -> str:
            path = self._folder / name
            path.write_text(value)
            path.chmod(0o600)
            return str(path)

        def keys(name: str, key: str, secret_text: str) -> dict[str, object]:
            return {
                "http_port": 0,
                "api_key_file": secret(f"{name}_key", key),
                "api_secret_file": secret(f"{name}_secret", secret_text),
            }

        venue = self._urls["venue"]
        config = {
            "account": ACCOUNT,
            "symbols": [SYMBOL],
            "approval_key_file": secret("approval_key", APPROVAL_KEY.decode()),
            "http_tokens_file": secret("tokens", f"read reader {TOKEN}"),
            "bus": {"url": self._broker.url},
            "venue": {"rest_url": venue, "stream_url": venue.replace("http", "ws", 1)},
            "feed": {"http_port": 0},
            "execution": {
                **keys("trade", DEMO_TRADE_KEY, DEMO_TRADE_SECRET),
                "halt_file": str(self._folder / "halt"),
                "stream_heartbeat_ms": 1_000,
            },
            "reconciler": keys("read", DEMO_READ_KEY, DEMO_READ_SECRET),
        }
        path = self._folder / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    # -- what a drill does -----------------------------------------------------------------------

    async def sim(self, path: str, body: object = None, method: str = "POST") -> Any:
        """Ask a door of the simulation."""
        url = self._urls["venue"] + path
        async with self._http.request(method, url, json=body) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def befall(self, action: str) -> None:
        """Let something befall the user stream; nothing where it has no listen key just now."""
        with contextlib.suppress(aiohttp.ClientResponseError):
            await self.sim("/sim/user-stream", {"account_id": DEMO_ACCOUNT_ID, "action": action})

    async def owner_trades(self, side: str, quantity: str = "0.010") -> None:
        """The owner trades by hand at the venue."""
        order = {"account_id": DEMO_ACCOUNT_ID, "symbol": SYMBOL, "kind": "manual_order"}
        await self.sim("/sim/surprises", {**order, "side": side, "quantity": quantity})

    # -- what it asks ----------------------------------------------------------------------------

    async def status(self) -> Any:
        """What execution says of itself."""
        return await self._ask_execution("/v1/status")

    async def metrics(self) -> dict[str, float]:
        """Execution's metrics by name with labels."""
        url = self._urls["execution"] + "/metrics"
        async with self._http.get(url) as answer:
            lines = (await answer.text()).splitlines()
        rows = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in rows}

    async def _ask_execution(self, path: str) -> Any:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with self._http.get(self._urls["execution"] + path, headers=headers) as answer:
            return await answer.json()

    async def fills(self) -> list[FillReceived]:
        """Every fill in the journal."""
        last = await self.bus.read_last(subjects.JOURNAL_STREAM, subjects.journal(ACCOUNT))
        upto = last.seq or 0 if last is not None else 0
        for sequence in range(self._read_up_to + 1, upto + 1):
            stored = await self.bus.read_message(subjects.JOURNAL_STREAM, sequence)
            if stored is None or stored.data is None:
                continue
            record = decode_struct(stored.data, JournalRecord)
            self._fills += [one for one in record.events if isinstance(one, FillReceived)]
        self._read_up_to = upto
        return self._fills

    async def venue_account(self) -> dict[str, Any]:
        """The venue's own books of our account."""
        told = await self.sim("/sim/accounts", method="GET")
        found: dict[str, Any] = next(
            one for one in told["accounts"] if one["account_id"] == DEMO_ACCOUNT_ID
        )
        return found

    async def differences(self) -> list[str]:
        """Where the journal's position, fills or wallet are not the venue's."""
        status, venue, found = await self.status(), await self.venue_account(), []
        ours = Decimal(str(status["positions"].get(SYMBOL, "0")))
        theirs = venue_position(venue)
        if ours != theirs:
            found.append(f"position {ours}, the venue's {theirs}")
        fills = await self.fills()
        seen = [(one.symbol, one.trade_id) for one in fills]
        if len(seen) != len(set(seen)):
            found.append("a fill is journaled twice")
        total = sum(
            (one.quantity if one.side.value == "BUY" else -one.quantity for one in fills),
            Decimal(0),
        )
        if total != theirs:
            found.append(f"fills add up to {total}, the venue's position is {theirs}")
        wallet = Decimal(str(status["wallet_balance"]))
        if wallet != venue_wallet(venue):
            found.append(f"wallet {wallet}, the venue's {venue_wallet(venue)}")
        return found


def venue_position(account: dict[str, Any]) -> Decimal:
    """What the venue says we hold of the symbol, signed."""
    held = (one for one in account["positions"] if one["symbol"] == SYMBOL)
    return sum((Decimal(str(one["quantity"])) for one in held), Decimal(0))


def venue_wallet(account: dict[str, Any]) -> Decimal:
    """What the venue says our wallet holds."""
    return Decimal(str(account["wallet"]))


@contextlib.asynccontextmanager
async def account_rig(folder: Path) -> AsyncIterator[AccountRig]:
    """A world that trades; ended whatever happened."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    broker = Broker(folder / "broker")
    async with aiohttp.ClientSession() as http:
        rig = AccountRig(folder, broker, http)
        try:
            await rig.start()
            yield rig
        finally:
            await rig.stop()
            await broker.stop()
