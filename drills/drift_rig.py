"""The processes of a drift drill, and the hands of the account's owner.

Broker, paper exchange, feed, execution and reconciler are processes of their own. The drill plays
risk, which approves orders, and the owner, who acts at the venue with a key of their own.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import yaml

from cli.supervisor import Child, child_environment
from drills.account_rig import PATIENCE_MS
from libs.common.messages import subjects
from libs.common.messages.account import AccountState, Command, OrderView, ReconcileReport, Verb
from libs.common.messages.codec import decode, encode
from libs.common.messages.intents import ApprovedIntent
from libs.common.messages.journal import JournalEvent
from libs.common.messages.market import MarketClock
from libs.common.model.intent import Purpose
from libs.common.model.order import Side
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import PaperClock, wall_ns
from libs.common.runtime.config import BusConfig
from libs.common.runtime.journal import Journal
from libs.common.runtime.provisioning import provision
from libs.common.runtime.secret import Secret
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from libs.common.testing.builders import APPROVAL_KEY, an_approval, an_intent, an_order
from libs.common.venue.market_payloads import PremiumIndex
from services.paper_exchange.demo_keys import (
    DEMO_ACCOUNT_ID,
    DEMO_READ_KEY,
    DEMO_READ_SECRET,
    DEMO_TRADE_KEY,
    DEMO_TRADE_SECRET,
)

ACCOUNT = "paper"
SYMBOL = "BTCUSDT"
SYMBOLS = ("BTCUSDT", "ETHUSDT")
TOKEN = "operate-" + 24 * "t"
STOP_MS = 5_000
WAIT_S = 60.0
#: What the venue is asked comes from the same address as what the services ask, and costs weight.
POLL_S = 0.1
#: An order's life in the drill, market time.
LIFE_MS = 600_000
#: Guards that would make a drill wait for minutes; none of them is what a drill is about.
AMPLE: dict[str, Any] = {
    "rate_symbol_orders_max": 10_000,
    "rate_global_orders_max": 10_000,
    "cooldown_failed_ms": 0,
    "cooldown_margin_ms": 0,
    "intent_ttl_market_ms": LIFE_MS,
    "intent_ttl_limit_ms": LIFE_MS,
    "price_drift_max": "0.5",
}


class DrillFailed(Exception):  # noqa: N818 - what happened to the drill
    """Something that was to happen did not; the text says what."""


async def until(
    condition: Callable[[], Awaitable[Any]], what: str, timeout_s: float = WAIT_S
) -> Any:
    """Poll until the condition answers something true, and return it.

    Raises:
        DrillFailed: it did not within the time.
    """
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    found = await condition()
                except VenueReadError:  # the weight of this minute: it comes back
                    found = None
                if found:
                    return found
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise DrillFailed(f"waited {timeout_s:.0f} s in vain for {what}") from None


class DriftRig:
    """One venue and one account, with execution and reconciler as processes."""

    def __init__(
        self,
        directory: Path,
        *,
        speed: int,
        execution: Mapping[str, Any] | None = None,
        reconciler: Mapping[str, Any] | None = None,
    ) -> None:
        self.directory = directory
        self.speed = speed
        self._changes = {"execution": execution or {}, "reconciler": reconciler or {}}
        self._broker = Broker(directory / "broker")
        self.children: dict[str, Child] = {}
        self.clock = PaperClock()
        self.state: AccountState | None = None
        self.reports: list[ReconcileReport] = []
        self.venue_url = ""
        self._count = 0

    # -- processes ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start everything and wait until execution trades.

        Raises:
            DrillFailed: it does not.
        """
        settings = BusConfig(url=await self._broker.start(), publish_timeout_ms=PATIENCE_MS)
        self.bus = await Bus.connect(settings, "drill", lambda: None)
        await provision(self.bus, ACCOUNT, settings)
        await self.bus.subscribe(subjects.MARKET_CLOCK, self._on_clock)
        await self.bus.subscribe(subjects.account_state(ACCOUNT), self._on_state)
        await self.bus.subscribe(subjects.reconcile_report(ACCOUNT), self._on_report)
        self._http = aiohttp.ClientSession()
        await self._start_venue()
        self.owner = VenueClient(
            self.venue_url,
            self.clock.now_ns,
            api_key=DEMO_TRADE_KEY,
            api_secret=Secret(DEMO_TRADE_SECRET),
        )
        self._write_config(settings.url)
        for name in ("feed", "reconciler", "execution"):
            await self.start_service(name)
        await until(self.is_trading, "execution to arm")

    async def _start_venue(self) -> None:
        options = ("--source", "generator", "--symbols", ",".join(SYMBOLS), "--seed", "7")
        command = ("services.paper_exchange", "--port", "0", "--speed", str(self.speed), *options)
        venue = Child("venue", (sys.executable, "-m", *command), self.directory / "venue.log")
        await self._begin("venue", venue)
        listening = await venue.wait_for_event("listening")
        if listening is None:
            raise DrillFailed(f"the paper exchange did not start: {venue.last_words()}")
        self.venue_url = f"http://127.0.0.1:{listening['port']}"

    async def start_service(self, name: str) -> None:
        """Start a service of ours."""
        config = str(self.directory / "config.yaml")
        command = (sys.executable, "-m", f"services.{name}", "--config", config)
        await self._begin(name, Child(name, command, self.directory / f"{name}.log"))

    async def _begin(self, name: str, child: Child) -> None:
        await child.start(child_environment({}))
        self.children[name] = child

    async def kill(self, name: str) -> None:
        """End a service as a power cut would."""
        child = self.children[name]
        if child.process_id is not None:
            os.kill(child.process_id, signal.SIGKILL)
        await child.wait()

    async def stop(self) -> None:
        """End everything."""
        for child in reversed(self.children.values()):
            await child.stop(STOP_MS)
        if hasattr(self, "owner"):
            await self.owner.close_connection()
            await self._http.close()
            await self.bus.close()
        await self._broker.stop()

    def _write_config(self, broker_url: str) -> None:
        texts = {
            "trade_key": DEMO_TRADE_KEY, "trade_secret": DEMO_TRADE_SECRET,
            "read_key": DEMO_READ_KEY, "read_secret": DEMO_READ_SECRET,
            "approval_key": APPROVAL_KEY.decode(), "tokens": f"operate drill {TOKEN}\n",
        }  # fmt: skip
        paths = {name: self.directory / name for name in texts}
        for name, text in texts.items():
            paths[name].write_text(text)
            paths[name].chmod(0o600)
        tree = {
            "account": ACCOUNT,
            "symbols": list(SYMBOLS),
            "approval_key_file": str(paths["approval_key"]),
            "http_tokens_file": str(paths["tokens"]),
            "bus": {"url": broker_url},
            "venue": {
                "rest_url": self.venue_url,
                "stream_url": self.venue_url.replace("http", "ws", 1),
            },
            "feed": {"http_port": 0},
            "execution": {
                "http_port": 0,
                "api_key_file": str(paths["trade_key"]),
                "api_secret_file": str(paths["trade_secret"]),
                "halt_file": str(self.directory / "halt"),
                **AMPLE,
                **self._changes["execution"],
            },
            "reconciler": {
                "http_port": 0,
                "api_key_file": str(paths["read_key"]),
                "api_secret_file": str(paths["read_secret"]),
                **self._changes["reconciler"],
            },
        }
        (self.directory / "config.yaml").write_text(yaml.safe_dump(tree))

    # -- ears --------------------------------------------------------------------------------------

    async def _on_clock(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        message = decode(payload, MarketClock)
        self.clock.grant(message.now_ns, message.speed, message.limit_ns)

    async def _on_state(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        self.state = decode(payload, AccountState)

    async def _on_report(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        self.reports.append(decode(payload, ReconcileReport))

    async def is_trading(self) -> bool:
        """Whether execution would take an entry now."""
        state = self.state
        return state is not None and state.armed and state.trading_state == "ACTIVE"

    def held(self, symbol: str = SYMBOL) -> Decimal:
        """The position as execution tells it, signed base units."""
        positions = self.state.positions if self.state is not None else ()
        return sum((one.quantity for one in positions if one.symbol == symbol), Decimal(0))

    def open_order(self, client_order_id: str) -> OrderView | None:
        """An open order as execution tells it."""
        orders = self.state.orders if self.state is not None else ()
        return next((one for one in orders if one.client_order_id == client_order_id), None)

    async def journal(self) -> list[JournalEvent]:
        """Every event so far."""
        reader = Journal(self.bus, ACCOUNT, "")
        return [event async for record in reader.read_tail() for event in record.events]

    # -- risk's and the operator's part ------------------------------------------------------------

    async def approve(
        self,
        side: Side,
        *,
        is_exit: bool = False,
        symbol: str = SYMBOL,
        order_changes: Mapping[str, Any] | None = None,
        **intent_changes: Any,
    ) -> ApprovedIntent:
        """Publish a signed approval of a fresh intent and return it."""
        self._count += 1
        now_ns = self.clock.now_ns()
        intent = an_intent(
            symbol=symbol,
            candle_id=f"{symbol}-{self._count}",
            side=side,
            purpose=Purpose.EXIT if is_exit else Purpose.ENTER,
            reference_price=await self.mark_price(symbol),
            created_at_ns=now_ns,
            expires_at_ns=now_ns + LIFE_MS * 1_000_000,
            **intent_changes,
        )
        changes = {"reduce_only": is_exit, **(order_changes or {})}
        approved = an_approval(intent, an_order(intent, **changes), ACCOUNT)
        await self.bus.publish_stored(
            subjects.intent_approved(ACCOUNT, symbol),
            encode(approved),
            message_id=approved.message_id,
        )
        return approved

    async def command(self, verb: Verb, target: str = "") -> None:
        """Ask execution for something, as a person."""
        self._count += 1
        message_id = f"drill-{self._count}"
        command = Command(
            message_id=message_id,
            causation_id=message_id,
            correlation_id=message_id,
            ts_event_ns=self.clock.now_ns(),
            ts_published_ns=wall_ns(),
            source="drill",
            account=ACCOUNT,
            verb=verb,
            actor="operator",
            reason="drift drill",
            target=target,
        )
        await self.bus.publish_stored(
            subjects.command(ACCOUNT, verb), encode(command), message_id=message_id
        )

    async def compare(self) -> ReconcileReport:
        """``portcullis reconcile --now``.

        Raises:
            DrillFailed: it could not compare.
        """
        listening = await self.children["reconciler"].wait_for_event("http listening")
        if listening is None:
            raise DrillFailed("the reconciler has ended")
        url = f"http://127.0.0.1:{listening['port']}/v1/reconcile"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with self._http.post(url, headers=headers) as answer:
            body = await answer.read()
            if answer.status != 200:
                raise DrillFailed(f"the reconciler could not compare: {body.decode()[:200]}")
        return msgspec.convert(json.loads(body)["report"], ReconcileReport, strict=False)

    # -- the venue's and the owner's part ----------------------------------------------------------

    async def sim(self, method: str, path: str, body: object = None) -> Any:
        """Ask the paper exchange's `/sim` doors.

        Raises:
            DrillFailed: it refused.
        """
        async with self._http.request(method, self.venue_url + path, json=body) as answer:
            told = json.loads(await answer.read())
        if "error" in told or answer.status != 200:
            raise DrillFailed(f"{method} {path}: {told}")
        return told

    async def deafen(self) -> None:
        """From now on the user stream loses every event."""
        await self.sim("POST", "/sim/event-faults", [{"event": "*", "effect": "drop"}])

    async def undeafen(self) -> None:
        """The user stream tells again what happens from now on."""
        await self.sim("DELETE", "/sim/event-faults")

    async def surprise(self, kind: str, **more: str) -> None:
        """The venue closes by force."""
        wish = {"account_id": DEMO_ACCOUNT_ID, "symbol": SYMBOL, "kind": kind, **more}
        await self.sim("POST", "/sim/surprises", wish)

    async def withdraw(self, amount: str) -> None:
        """Money leaves the wallet."""
        await self.sim(
            "POST", "/sim/withdrawals", {"account_id": DEMO_ACCOUNT_ID, "amount": amount}
        )

    async def mark_price(self, symbol: str = SYMBOL) -> Decimal:
        """The venue's mark price."""
        found = await until(lambda: self.owner.premium_index(symbol), "the mark price")
        assert isinstance(found, PremiumIndex)
        return found.mark_price
