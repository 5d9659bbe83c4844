"""Execution's parts without its process: real broker, a venue that answers what a test says.

Several replicas may stand on one journal. Time is what the test says it is, except where a halt or
a fence waits for real time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, NamedTuple, cast

from aiohttp import web

from libs.common.messages import subjects
from libs.common.messages.account import Command, Verb
from libs.common.messages.codec import encode
from libs.common.messages.intents import ApprovedIntent
from libs.common.messages.journal import (
    BalanceObserved,
    InstrumentsLoaded,
    JournalEvent,
    JournalRecord,
    LeverageAsserted,
    OrderRecorded,
    TradingStateChanged,
)
from libs.common.model.intent import Intent
from libs.common.model.order import OrderStatus
from libs.common.model.trading_state import TradingState
from libs.common.runtime.bus import Bus, Delivery
from libs.common.runtime.clock import PaperClock
from libs.common.runtime.config import CommonConfig, Mode
from libs.common.runtime.secret import Secret
from libs.common.runtime.venue_client import VenueClient
from libs.common.runtime.venue_transport import VenueLimits
from libs.common.testing.builders import (
    APPROVAL_KEY,
    NOW_NS,
    S,
    an_approval,
    an_instrument,
    an_intent,
    an_order,
)
from services.execution.approvals import ApprovalDesk
from services.execution.arming import CHECKS, Arming
from services.execution.changes import ChangeDesk
from services.execution.commands import CommandDesk
from services.execution.config import ExecutionConfig
from services.execution.core import Decision
from services.execution.figures import Figures
from services.execution.gap import GapCloser
from services.execution.gate import Gate
from services.execution.kill import KillDesk
from services.execution.lookout import Lookout
from services.execution.orders import OrderDesk
from services.execution.protection_desk import ProtectionDesk
from services.execution.question import MarkSeen
from services.execution.reports import Reports
from services.execution.upkeep import Upkeep
from sim.vouching import vouch_for

ACCOUNT = "paper"
NOW_MS = NOW_NS // 1_000_000
LAG_MS = 3_000
GONE = (400, {"code": -2013, "msg": "Order does not exist."})
SYMBOLS = ("BTCUSDT", "ETHUSDT", "ADAUSDT", "XRPUSDT", "SOLUSDT", "BNBUSDT")

Parameters = dict[str, str]
Reply = tuple[int, Any] | Callable[[Parameters], Awaitable[tuple[int, Any]]]


class Brought(NamedTuple):
    """An approval as the bus delivers it, as far as the desk looks."""

    payload: bytes


class Venue:
    """Answers each path with what it was told to, and keeps what it was asked.

    A key of ``answers`` is "POST order", "order BTCUSDT" or "order"; the first that fits counts.
    """

    def __init__(self) -> None:
        self.url = ""
        self.answers: dict[str, Reply] = {}
        self.asked: list[tuple[str, Parameters]] = []
        self.posted: list[Parameters] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.rpartition("/")[2]
        form = {name: str(value) for name, value in (await request.post()).items()}
        told = {**request.query, **form}
        self.asked.append((path, told))
        if request.method == "POST" and path == "order":
            self.posted.append(told)
        keys = (f"{request.method} {path}", f"{path} {told.get('symbol', '')}", path)
        reply: Reply = next((self.answers[key] for key in keys if key in self.answers), (200, []))
        status, body = await reply(told) if callable(reply) else reply
        if status == 0:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(body, status=status or 200)

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


@asynccontextmanager
async def running_venue() -> AsyncIterator[Venue]:
    """A venue on a free port."""
    venue, app = Venue(), web.Application()
    app.router.add_route("*", "/{rest:.*}", venue.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    venue.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield venue
    finally:
        await runner.cleanup()


def an_answer(
    client_order_id: str, status: str = "FILLED", symbol: str = "BTCUSDT"
) -> dict[str, object]:
    """What the venue says of an order: 0.020 bought."""
    return {
        "orderId": 7,
        "symbol": symbol,
        "status": status,
        "clientOrderId": client_order_id,
        "price": "0",
        "origQty": "0.020",
        "executedQty": "0.020" if status == "FILLED" else "0",
        "type": "MARKET",
        "side": "BUY",
        "updateTime": NOW_MS,
    }


async def take(told: Parameters) -> tuple[int, Any]:
    """Fill whatever is placed."""
    return 200, an_answer(told["newClientOrderId"], symbol=told["symbol"])


class Replica:
    """One process's gate and desks, at a time that only the test moves."""

    def __init__(
        self,
        bus: Bus,
        venue: Venue,
        settings: ExecutionConfig | None = None,
        *,
        writer: str = "w1",
        mode: Mode = Mode.PAPER,
        limits: VenueLimits | None = None,
    ) -> None:
        self.bus, self.venue, self.settings = bus, venue, settings or ExecutionConfig()
        self.clock = PaperClock(lambda: 0)
        self.clock.grant(NOW_NS, Decimal(1), None)
        self.kills: list[str] = []
        self.is_feed_silent = False
        self.client = VenueClient(
            venue.url,
            self.clock.now_ns,
            api_key="a" * 64,
            api_secret=Secret("b" * 64),
            limits=limits,
        )
        self.arming = Arming()
        for check in CHECKS:
            self.arming.passed(check)
        common = CommonConfig(symbols=SYMBOLS)
        self.gate = Gate(bus, self.clock, ACCOUNT, self.settings, "hash", lambda: None, writer)
        self.lookout = Lookout(self.client, self.clock, self.arming, ACCOUNT, writer, 5_000)
        self.reports = Reports(self.clock, self.settings.reports_queued_max)
        self.reports.watch(self.client)
        self.desk = OrderDesk(self.gate, self.client, self.lookout, self.clock, self.settings)
        self.figures = Figures(
            self.gate, self.client, self.clock, self.arming, common, self.settings
        )
        kill = KillDesk(
            self.gate, self.desk, self.client, self.lookout, self.clock, self.settings, self._spawn
        )
        self.commands = CommandDesk(
            self.gate,
            self.desk,
            self.lookout,
            self.clock,
            ACCOUNT,
            mode,
            self.settings,
            kill=kill,
            ask_reconciler=self._ask,
            lift_latch=self.client.latches.lift,
        )
        self.approvals = ApprovalDesk(
            bus,
            self.clock,
            self.gate,
            self.desk,
            self.figures,
            self.lookout,
            self.settings,
            ACCOUNT,
            APPROVAL_KEY,
        )
        self.upkeep = self._make_upkeep()
        self.at(0)

    def _make_upkeep(self) -> Upkeep:
        changes = ChangeDesk(self.gate, self.client, self.desk, self.lookout)
        protection = ProtectionDesk(
            self.gate, self.client, self.desk, changes, self.lookout, self.clock, self.settings
        )
        gaps = GapCloser(
            self.gate,
            self.desk,
            protection,
            self.figures,
            self.arming,
            self.clock,
            SYMBOLS,
            self.settings,
        )
        return Upkeep(
            self.gate,
            self.desk,
            self.figures,
            gaps,
            self.commands,
            self.reports,
            self.arming,
            self.clock,
            self.settings,
        )

    async def _ask(self) -> None:
        """There is no reconciler here."""

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        work.close()
        self.kills.append(name)

    @property
    def now_ns(self) -> int:
        return self.clock.now_ns()

    def at(self, seconds: float) -> None:
        """It is so long after NOW_NS, the marks are fresh, and the feed vouches for them."""
        self.clock.grant(NOW_NS + round(seconds * S), Decimal(1), None)
        for symbol in SYMBOLS:
            self.lookout.marks[symbol] = MarkSeen(price=Decimal(60_000), at_ns=self.now_ns)
        self.vouch()

    def vouch(self, *more: str) -> None:
        """The feed says now that these symbols are sound, unless a test has silenced it."""
        if not self.is_feed_silent:
            self.lookout.hear_health(vouch_for((*SYMBOLS, *more), self.now_ns))

    async def journal(self, *events: JournalEvent) -> None:
        await self.gate.transact(
            lambda: Decision(events=events), causation_id="test", correlation_id="test"
        )

    async def get_ready(self, available: str = "10000") -> None:
        """Trade: active, filters and leverage known, a balance stated now."""
        await self.journal(
            TradingStateChanged(state=TradingState.ACTIVE, actor="test", reason="ready"),
            InstrumentsLoaded(
                instruments=tuple(an_instrument(symbol=symbol) for symbol in SYMBOLS),
                loaded_at_ns=self.now_ns,
            ),
            *(
                LeverageAsserted(symbol=symbol, leverage=10, margin_type="CROSSED")
                for symbol in SYMBOLS
            ),
        )
        await self.state_balance(available)

    async def state_balance(self, available: str = "10000") -> None:
        """The venue stated the balance now."""
        await self.journal(
            BalanceObserved(
                asset="USDT",
                wallet_balance=Decimal(available),
                available_balance=Decimal(available),
                observed_at_ns=self.now_ns,
            )
        )

    def an_intent(self, name: str, **changes: Any) -> Intent:
        """A wish made now; signed for a minute."""
        lives = {"created_at_ns": self.now_ns, "expires_at_ns": self.now_ns + 60 * S}
        return an_intent(candle_id=name, **{**lives, **changes})

    async def hear(self, approval: ApprovedIntent | Intent) -> str:
        """Take an approval as from the bus; returns the intent's id."""
        if isinstance(approval, Intent):
            approval = an_approval(approval)
        self.vouch(approval.body.order.symbol)
        await self.approvals.hear(cast("Delivery", Brought(encode(approval))))
        return approval.body.intent.intent_id

    async def command(self, verb: Verb, sequence: int) -> None:
        """A person asks."""
        command = Command(
            message_id=f"c-{sequence}",
            causation_id="c",
            correlation_id="c",
            ts_event_ns=self.now_ns,
            ts_published_ns=0,
            source="test",
            account=ACCOUNT,
            verb=verb,
            actor="person",
            reason="drill",
        )
        await self.commands.hear(subjects.command(ACCOUNT, verb), encode(command), sequence)

    async def leave_in_doubt(self, symbol: str = "BTCUSDT", **changes: Any) -> str:
        """An order that an earlier life recorded, and nobody knows more."""
        intent = an_intent(symbol=symbol, **changes)
        recorded = OrderRecorded(
            client_order_id=f"pc-{symbol}",
            attempt=1,
            intent=intent,
            order=an_order(intent),
            reference_price=Decimal(60_000),
            margin_reserved=Decimal(150),
            timestamp_ms=NOW_MS,
            recv_window_ms=5_000,
            lock_until_ns=NOW_NS + 30 * S,
            verdicts_risk=(),
            verdicts=(),
            writer=self.gate.writer,
            expires_at_ns=intent.expires_at_ns,
        )
        await self.journal(recorded)
        await self.desk.doubt_orphans()
        assert self.status(recorded.client_order_id) is OrderStatus.UNKNOWN
        return recorded.client_order_id

    def status(self, client_order_id: str) -> OrderStatus:
        return self.gate.state.orders[client_order_id].status

    def order_of(self, intent_id: str) -> str:
        """The order that executes the intent."""
        return self.gate.state.intents[intent_id].client_order_id

    async def records(self) -> list[JournalRecord]:
        """The whole journal, as a reader that starts now finds it."""
        reader = Replica(self.bus, self.venue, writer="reader").gate.journal
        return [record async for record in reader.read_tail()]

    async def events(self) -> list[JournalEvent]:
        """Every event, in order."""
        return [event for record in await self.records() for event in record.events]

    async def close(self) -> None:
        await self.client.close_connection()


async def until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    """Poll until the condition holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)
