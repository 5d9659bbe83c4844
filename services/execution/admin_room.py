"""Puts together whatever serves operators: the desks for commands, kills, local halts and HTTP."""

import secrets
from collections.abc import Awaitable, Callable

from libs.common.runtime.health import Level
from libs.common.runtime.service import Context
from libs.common.runtime.venue_client import VenueClient
from services.execution.admin import AdminDesk
from services.execution.commands import CommandDesk
from services.execution.config import ExecutionConfig
from services.execution.figures import Figures
from services.execution.gate import Gate
from services.execution.kill import KillDesk
from services.execution.kill_countdown import Countdown
from services.execution.kill_local import LocalHalt
from services.execution.lookout import Lookout
from services.execution.orders import OrderDesk
from services.execution.repair import RepairDesk

#: Random bytes that stand for an Idempotency-Key where the caller named none.
KEY_BYTES = 8


class OperatorRoom:
    """Everything between operators and the gate of one account."""

    def __init__(
        self,
        context: Context[ExecutionConfig],
        venue: VenueClient,
        gate: Gate,
        orders: OrderDesk,
        lookout: Lookout,
        figures: Figures,
        ask_reconciler: Callable[[], Awaitable[None]],
    ) -> None:
        clock, settings = context.clock, context.settings
        account = context.common.account
        self._context = context
        self._gate = gate
        self._lookout = lookout
        self._kill = KillDesk(gate, orders, venue, lookout, clock, settings, context.spawn)
        self.commands = CommandDesk(
            gate,
            orders,
            lookout,
            clock,
            account,
            context.common.mode,
            settings,
            kill=self._kill,
            ask_reconciler=ask_reconciler,
            lift_latch=venue.latches.lift,
            repair=RepairDesk(gate, orders, venue, figures, clock, context.spawn).begin,
        )
        self._local_halt = LocalHalt(
            lookout.closing, self.commands.halt, settings.halt_file, settings.tick_wall_ms
        )
        self._countdown = Countdown(gate, venue, clock, settings)
        self.admin = AdminDesk(
            context.bus,
            clock,
            account,
            gate,
            lookout,
            venue,
            self.commands,
            self._kill,
            self._local_halt,
            settings,
            context.common.symbols,
            make_key=lambda: secrets.token_hex(KEY_BYTES),
        )

    def watch_halt_file(self) -> None:
        """Obey the halt file from now on: before there is a journal, a clock or a broker."""
        self._local_halt.look()
        self._context.spawn(self._local_halt.watch_file(), "halt-file")

    def open(self) -> None:
        """The journal is read: take commands, and finish what an earlier life began."""
        self.admin.is_open = True
        self._context.spawn(self._local_halt.tell_journal(), "local-halt")
        self._context.spawn(self._kill.watch(), "kill")
        self._context.spawn(self._countdown.run(), "countdown")

    def report_health(self) -> None:
        """Say on /readyz what is being killed, what was left behind, and what keeps us shut."""
        state = self._gate.state
        told = [f"{kill.verb} under way" for kill in state.kills.values()]
        if state.kill_remains:
            told.append(f"left behind: {state.kill_remains}")
        told += sorted(self._lookout.closing)
        level = Level.WARN if told else Level.PASS
        self._context.health.set("operators", level, "; ".join(told))
