"""Carries facts to the gate and its decisions into the world, in the order the promises need.

Journal, then send, then ack. Nothing here judges an order: that is core.py.
"""

import asyncio
import random
import secrets
from typing import Any

from libs.common.messages import subjects
from libs.common.messages.account import ASKED_BY_ITSELF, ReconcileReport
from libs.common.messages.codec import decode
from libs.common.messages.guard_events import LatchKind
from libs.common.model.trading_state import TradingState
from libs.common.runtime.bus import Delivery
from libs.common.runtime.clock import NS_PER_MS, wait_until_set
from libs.common.runtime.config import Mode
from libs.common.runtime.errors import BusError, BusUnavailable
from libs.common.runtime.health import Level
from libs.common.runtime.journal import WRITER_HEADER
from libs.common.runtime.log import get_logger
from libs.common.runtime.provisioning import (
    command_consumer,
    execution_consumer,
    wait_until_provisioned,
)
from libs.common.runtime.service import Context
from libs.common.runtime.venue_client import VenueClient
from libs.common.runtime.websocket import Connect, connect
from libs.common.venue.outcome_table import ThrottleKind
from libs.common.venue.user_payloads import AccountUpdate, AlgoUpdate, OrderTradeUpdate, UserEvent
from services.execution.admin_room import OperatorRoom
from services.execution.approvals import ApprovalDesk
from services.execution.arming import Arming
from services.execution.arming_checks import ArmingChecks
from services.execution.audit_export import start_export
from services.execution.changes import ChangeDesk
from services.execution.config import ExecutionConfig
from services.execution.figures import Figures
from services.execution.gap import GapCloser
from services.execution.gate import Gate
from services.execution.lookout import Lookout
from services.execution.market_ear import MarketEar
from services.execution.orders import OrderDesk
from services.execution.protection_desk import ProtectionDesk
from services.execution.reads import PatientReads
from services.execution.reports import Reports
from services.execution.telling import AccountTeller
from services.execution.upkeep import Upkeep
from services.execution.user_stream import (
    UserStream,
    count_forced_fill,
    is_changed_by_others,
    read_balance,
    read_order_update,
    read_stream_fill,
)
from services.execution.vouched import CHECK, Vouched

log = get_logger(__name__)

#: The reconciler is asked again this often until it has reported on this process's life.
RECONCILE_REQUEST_INTERVAL_S = 1.0
#: When asked to stop, an order under way has this long (wall) to be answered; then it is unknown.
STOP_WAIT_MS = 3_000
#: Random bytes that tell one process from another.
WRITER_BYTES = 4


class Execution:
    """The running service: one account, one gate, one venue.

    ``dice`` spread reconnects and guard nothing; ``writer`` names this process among its replicas.
    """

    def __init__(
        self,
        context: Context[ExecutionConfig],
        venue: VenueClient,
        approval_key: bytes,
        *,
        connect_stream: Connect = connect,
        dice: random.Random | None = None,
        writer: str | None = None,
    ) -> None:
        self._context = context
        self._common = context.common
        self._settings = context.settings
        self._bus = context.bus
        self._clock = context.clock
        self._venue = venue
        self._connect_stream = connect_stream
        self._dice = dice or random.Random()  # noqa: S311 - spreads reconnects, guards nothing
        self._arming = Arming()
        self._heard = asyncio.Event()
        self._started_at_ns = 0
        self._is_stopping = False
        self._latches_kept: set[LatchKind] = set()
        writer = writer or secrets.token_hex(WRITER_BYTES)
        account, settings, clock = context.common.account, context.settings, context.clock
        self._gate = Gate(
            context.bus, clock, account, settings, context.config_hash, self._on_change, writer
        )
        self._lookout = Lookout(
            venue, clock, self._arming, account, writer, context.common.venue.recv_window_ms
        )
        self._reports = Reports(clock, settings.reports_queued_max)
        self._reports.watch(venue)
        reads = PatientReads(venue, self._dice, self._reports.on_retry, self._reports.on_retry_end)
        self._desk = OrderDesk(self._gate, venue, self._lookout, clock, settings, reads)
        self.changes = ChangeDesk(self._gate, venue, self._desk, self._lookout)
        self._protection = ProtectionDesk(
            self._gate, venue, self._desk, self.changes, self._lookout, clock, settings
        )
        self._figures = Figures(
            self._gate, venue, clock, self._arming, context.common, settings, reads
        )
        self._operators = self._make_operators()
        self._commands = self._operators.commands
        self.admin = self._operators.admin
        self._gaps = GapCloser(
            self._gate,
            self._desk,
            self._protection,
            self._figures,
            self._arming,
            clock,
            context.common.symbols,
            settings,
        )
        self._stream = self._make_stream()
        self._vouched = self._make_vouched()
        self._teller = self._make_teller()
        self._upkeep = self._make_upkeep()
        self._approvals = ApprovalDesk(
            context.bus,
            clock,
            self._gate,
            self._desk,
            self._figures,
            self._lookout,
            settings,
            account,
            approval_key,
        )

    def _make_operators(self) -> OperatorRoom:
        return OperatorRoom(
            self._context,
            self._venue,
            self._gate,
            self._desk,
            self._lookout,
            self._figures,
            self._request_reconciliation,
        )

    def _make_teller(self) -> AccountTeller:
        return AccountTeller(
            self._bus,
            self._gate,
            self._gaps,
            self._arming,
            self._figures,
            self._clock,
            self._common,
            self._settings,
        )

    def _make_stream(self) -> UserStream:
        return UserStream(
            self._venue,
            self._clock,
            self._common,
            self._settings,
            on_event=self._on_user_event,
            on_up=self._gaps.close,
            on_down=lambda why: self._arming.failed("user_stream", why),
            dice=self._dice,
            connect=self._connect_stream,
        )

    def _make_vouched(self) -> Vouched:
        return Vouched(
            self._arming,
            self._gaps.suspect,
            self._figures.income.suspect_late_row,
            self._settings.reconciled_age_wall_ms_max,
        )

    def _make_upkeep(self) -> Upkeep:
        return Upkeep(
            self._gate,
            self._desk,
            self._figures,
            self._gaps,
            self._commands,
            self._reports,
            self._arming,
            self._clock,
            self._settings,
        )

    async def start(self) -> None:
        """Recover, then plug everything in; what is not ready yet keeps us unarmed."""
        context, account = self._context, self._common.account
        self._operators.watch_halt_file()
        await wait_until_provisioned(self._bus, account, self._common.bus)
        await wait_until_set(self._clock)
        self._started_at_ns = self._clock.now_ns()
        folded = await self._gate.recover()
        log.info("journal verified", records=self._gate.journal.number, folded=folded)
        self._arming.passed("journal")
        self._keep_latches()
        if self._common.mode is Mode.LIVE:
            await self._commands.halt_at_boot()
        ear = MarketEar(self._bus, self._lookout, self._arming, self._common.symbols)
        await ear.listen()
        await self._bus.subscribe(subjects.reconcile_report(account), self._on_report)
        await self._bus.subscribe(subjects.journal(account), self._on_journal)
        await self._teller.listen()
        await self._desk.doubt_orphans()
        context.spawn(self._teller.run(self._report_health), "state")
        context.spawn(self._follow_journal(), "follow-journal")
        checks = ArmingChecks(
            self._bus,
            self._venue,
            self._arming,
            self._common.mode,
            self._settings,
            self._figures.check_clock,
        )
        context.spawn(checks.run(), "arming-checks")
        context.spawn(self._gate.verify_past(), "journal-past")
        context.spawn(self._protection.run(), "protection")
        self._operators.open()
        for name, work in self._upkeep.works():
            context.spawn(work, name)
        context.spawn(self._stream.run(), "user-stream")
        context.spawn(self._ask_reconciler(), "ask-reconciler")
        context.spawn(self._consume_approved(), "approved")
        context.spawn(
            context.consume(subjects.COMMANDS_STREAM, command_consumer(account), self._on_command),
            "commands",
        )
        context.on_stop.append(self._say_goodbye)
        start_export(context)

    async def _consume_approved(self) -> None:
        """Take approvals once armed; another replica that is armed takes them meanwhile.

        After ``arming_wait_wall_ms`` they are taken all the same, to be refused with the reason.
        """
        waited_ms = 0
        while self._arming.unarmed and waited_ms < self._settings.arming_wait_wall_ms:
            await asyncio.sleep(self._settings.tick_wall_ms / 1000)
            waited_ms += self._settings.tick_wall_ms
        await self._context.consume(
            subjects.INTENTS_STREAM,
            execution_consumer(self._common.account),
            self._on_approved,
            in_flight_max=self._settings.in_flight_max,
        )

    async def _on_approved(self, delivery: Delivery) -> None:
        if self._is_stopping:
            raise BusUnavailable("stopping: whoever comes next takes it")
        await self._approvals.hear(delivery)

    def _keep_latches(self) -> None:
        """What an earlier life or another replica was told by the venue holds for our calls too."""
        latches = self._gate.state.latches
        for kind in self._latches_kept - latches.keys():  # a person lifted it, perhaps elsewhere
            self._venue.latches.lift(ThrottleKind(kind.value))
        for kind, until_ns in latches.items():
            self._venue.latch(ThrottleKind(kind.value), until_ns // NS_PER_MS)
        self._latches_kept = set(latches)

    def _on_change(self) -> None:
        self._keep_latches()
        self._teller.notice()
        self._protection.notice()

    # -- facts from outside ----------------------------------------------------------------------

    async def _on_journal(self, _: str, __: bytes, headers: dict[str, str]) -> None:
        """Another replica appended: what it did must hold for us too, as soon as can be."""
        if headers.get(WRITER_HEADER) != self._gate.writer:
            self._heard.set()

    async def _follow_journal(self) -> None:
        while True:
            await self._heard.wait()
            self._heard.clear()
            try:
                await self._gate.catch_up()
            except BusError as error:
                log.warning("journal not followed", error=str(error))

    async def _on_report(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        report = decode(payload, ReconcileReport)
        if report.ts_event_ns >= self._started_at_ns:
            self._vouched.hear(report)

    async def _on_command(self, delivery: Delivery) -> None:
        await self._commands.hear(delivery.subject, delivery.payload, delivery.stream_sequence)

    async def _on_user_event(self, event: UserEvent) -> None:
        if isinstance(event, OrderTradeUpdate):
            if event.order.is_fill:
                count_forced_fill(event.order)
                fill = read_stream_fill(event.order)
                await self._desk.journal_fills([fill], f"stream-{event.event_ms}")
            update = read_order_update(event.order)
            if update is not None:
                await self._desk.journal_update(update)
            if is_changed_by_others(self._gate.state, event.order):
                await self._request_reconciliation()
        elif isinstance(event, AlgoUpdate):
            await self._protection.hear(event)
        elif isinstance(event, AccountUpdate):
            balance = read_balance(event, self._common.venue.quote_asset)
            if balance is not None:
                await self._figures.hear_wallet(balance)
            self._figures.income.hear(event)
        self._gaps.hear(event)

    # -- what happens by itself ------------------------------------------------------------------

    async def _ask_reconciler(self) -> None:
        while True:
            self._vouched.notice_silence()
            if self._arming.is_failing(CHECK):
                try:
                    await self._request_reconciliation(ASKED_BY_ITSELF)
                except BusUnavailable as error:
                    log.warning("reconciler not asked", error=str(error))
            await asyncio.sleep(RECONCILE_REQUEST_INTERVAL_S)

    async def _request_reconciliation(self, words: bytes = b"{}") -> None:
        await self._bus.publish(subjects.reconcile_request(self._common.account), words)

    def _report_health(self) -> None:
        state, unarmed = self._gate.state, self._arming.unarmed
        trading = state.trading_state is TradingState.ACTIVE and not unarmed
        self._context.health.set(
            "trading",
            Level.PASS if trading else Level.WARN,
            "; ".join((str(state.trading_state), state.trading_reason, *unarmed)),
        )
        fault = self._gate.fault
        self._context.health.set(
            "journal",
            Level.FAIL if fault else Level.PASS,
            f"nothing can be appended, so nothing is sent: {fault}" if fault else "",
        )
        self._operators.report_health()
        self._stream.measure_age()

    def status(self) -> dict[str, Any]:
        """The body of /v1/status."""
        state = self._gate.state
        return {
            "account": self._common.account,
            "mode": self._common.mode,
            "trading_state": state.trading_state,
            "trading_reason": state.trading_reason,
            "armed": not self._arming.unarmed,
            "unarmed": list(self._arming.unarmed),
            "journal_records": self._gate.journal.number,
            "journal_head": self._gate.journal.head_hash,
            "wallet_balance": state.wallet_balance,
            "available_balance": state.available_balance,
            "margin_reserved": state.margin_reserved(),
            "orders_open": [order.client_order_id for order in state.open_orders()],
            "positions": {
                symbol: position.quantity
                for symbol, position in state.positions.items()
                if position.quantity
            },
        }

    async def _say_goodbye(self) -> None:
        """Take no more approvals, and let the orders under way be answered."""
        self._is_stopping = True
        waited_ms = 0
        while (self._desk.sending or self._protection.is_sending) and waited_ms < STOP_WAIT_MS:
            await asyncio.sleep(self._settings.tick_wall_ms / 1000)
            waited_ms += self._settings.tick_wall_ms
        await self._venue.close_connection()
