"""Carries out what operators and services ask of the account, from the bus and from HTTP alike.

A command may be handled late (redelivered, or by a process that stood still) and by another replica
than the last one. Tightening is always obeyed. Loosening is obeyed only if nobody spoke after it,
never while the halt file exists, and outside the paper world only while it is fresh and every
arming check holds.
"""

import asyncio
from collections.abc import Awaitable, Callable

from libs.common.messages import subjects
from libs.common.messages.account import Command, Verb
from libs.common.messages.codec import UndecodableError, decode
from libs.common.messages.guard_events import Guard, GuardCleared
from libs.common.model.risk_limits import looser_names
from libs.common.model.trading_state import TradingState
from libs.common.runtime.clock import NS_PER_MS, Clock, monotonic_ns
from libs.common.runtime.config import Mode
from libs.common.runtime.errors import PortcullisError
from libs.common.runtime.log import get_logger
from libs.common.venue.outcome_table import ThrottleKind
from services.execution.admin_core import (
    REPAIRS,
    WANTED,
    decide_command,
    fault_of,
    key_of,
    limits_after,
)
from services.execution.admin_fold import KILLS
from services.execution.config import ExecutionConfig
from services.execution.core import Decision
from services.execution.gate import Gate
from services.execution.kill import KillDesk
from services.execution.lookout import Lookout
from services.execution.orders import OrderDesk
from services.execution.state import BOOT
from services.execution.trading import decide_paper_arming, decide_trading_state

log = get_logger(__name__)

DRAIN_POLL_S = 0.005
#: Why nothing may leave while the halt file exists.
HALT_FILE = "halt file"
#: Verbs that let more through than before, or may.
_LOOSENS = (Verb.RESUME, Verb.REDUCE)


class CommandRefused(PortcullisError):  # noqa: N818 - it is what happened to the command
    """A command that is understood and may not be obeyed now; the text says why."""


def _read(subject: str, payload: bytes, account: str) -> Command:
    """The command, if it says what its subject says.

    Raises:
        UndecodableError: it cannot be read, or contradicts its subject.
    """
    command = decode(payload, Command)
    if command.account != account:
        raise UndecodableError(f"the command is for account {command.account!r}")
    if subject != subjects.command(account, command.verb):
        raise UndecodableError(f"{command.verb} was asked on {subject}")
    fault = fault_of(command)
    if fault:
        raise UndecodableError(fault)
    return command


class CommandDesk:
    """Does what is asked of one account, through its gate."""

    def __init__(
        self,
        gate: Gate,
        orders: OrderDesk,
        lookout: Lookout,
        clock: Clock,
        account: str,
        mode: Mode,
        settings: ExecutionConfig,
        *,
        kill: KillDesk,
        ask_reconciler: Callable[[], Awaitable[None]],
        lift_latch: Callable[[ThrottleKind | None], None],
        repair: Callable[[Command], None] | None = None,
    ) -> None:
        self._gate = gate
        self._orders = orders
        self._lookout = lookout
        self._clock = clock
        self._account = account
        self._mode = mode
        self._kill = kill
        self._ask_reconciler = ask_reconciler
        self._lift_latch = lift_latch
        self._repair = repair
        self._resume_age_ms_max = settings.resume_age_ms_max
        self._halt_drain_wall_ms = settings.halt_drain_wall_ms

    async def hear(self, subject: str, payload: bytes, sequence: int) -> None:
        """Read a command and do what it asks. What is said on the subject of halting halts.

        Raises:
            UndecodableError: it cannot be read or may not be obeyed; if it was a halt, we halted.
            BusError: it could not be journaled, or not be known whether it still counts.
        """
        halts = subject == subjects.command(self._account, Verb.HALT)
        try:
            await self.obey(_read(subject, payload, self._account), sequence)
        except CommandRefused as error:
            raise UndecodableError(str(error)) from error
        except UndecodableError as error:
            if halts:
                await self.halt("unreadable halt", str(error), sequence)
            raise

    async def obey(self, command: Command, sequence: int) -> Decision:
        """Do what a sound command asks, unless a later one has spoken; a kill is only begun.

        Args:
            sequence: its place in the stream of commands; 0 if it did not come through it.

        Raises:
            CommandRefused: it may not be obeyed now.
            BusError: it could not be journaled, or not be known whether it still counts.
        """
        self._check(command, sequence)
        decision = await self._decide(
            lambda: decide_command(self._gate.state, command, sequence),
            key_of(command) or f"command-{sequence}",
            WANTED.get(command.verb),
        )
        if command.verb is Verb.RECONCILE:
            await self._ask_reconciler()
        elif command.verb in KILLS and decision.events:
            self._kill.begin(key_of(command))
        elif command.verb in REPAIRS and decision.events and self._repair is not None:
            self._repair(command)
        for event in decision.events:
            if isinstance(event, GuardCleared) and event.guard is Guard.LATCH:
                self._lift_latch(ThrottleKind(event.key) if event.key else None)
        return decision

    def _check(self, command: Command, sequence: int) -> None:
        if command.verb in _LOOSENS and HALT_FILE in self._lookout.closing:
            raise CommandRefused("the halt file exists: remove it first")
        loosens = self._loosens_limits(command, sequence)
        if (command.verb is not Verb.RESUME and not loosens) or self._mode is Mode.PAPER:
            return
        age_ms = (self._clock.now_ns() - command.ts_event_ns) // NS_PER_MS
        if abs(age_ms) > self._resume_age_ms_max:
            raise CommandRefused(
                f"{command.verb} was asked {age_ms} ms ago, more than {self._resume_age_ms_max}:"
                " ask again"
            )
        if loosens:
            return
        unarmed = self._lookout.facts("").unarmed
        if unarmed:
            raise CommandRefused(f"not armed: {'; '.join(unarmed)}")

    def _loosens_limits(self, command: Command, sequence: int) -> bool:
        if command.limits is None:
            return False
        state = self._gate.state
        after = limits_after(state, command, sequence)
        return bool(looser_names(after, state.limits.limits))

    async def halt(self, actor: str, reason: str, sequence: int = 0) -> None:
        """Halt, whoever asks.

        Raises:
            BusError: it could not be journaled.
        """
        await self._decide(
            lambda: decide_trading_state(
                self._gate.state, TradingState.HALTED, actor, reason, sequence
            ),
            f"command-{sequence}" if sequence else actor,
            TradingState.HALTED,
        )

    async def _decide(
        self, decide: Callable[[], Decision], causation_id: str, wanted: TradingState | None
    ) -> Decision:
        closing = f"{causation_id} under way"
        doors: tuple[set[str], ...] = ()
        if wanted is TradingState.HALTED:
            doors = (self._lookout.closing,)
        elif wanted is TradingState.REDUCING:
            doors = (self._lookout.closing_to_entries,)
        for door in doors:
            door.add(closing)
        try:
            if doors:
                await self._drain()
            # "It is so already" must not be judged by what we knew before another replica spoke.
            await self._gate.catch_up()
            return await self._change(decide, causation_id)
        finally:
            for door in doors:
                door.discard(closing)

    async def _drain(self) -> None:
        """Nothing leaves any more: wait for the answers to what has left.

        So that no order is accepted by the venue after the journal says that we halted. An answer
        that does not come in time leaves its order unknown, which no wait of ours could change.
        """
        deadline_ns = monotonic_ns() + self._halt_drain_wall_ms * NS_PER_MS
        while self._orders.sending and monotonic_ns() < deadline_ns:
            await asyncio.sleep(DRAIN_POLL_S)

    async def halt_at_boot(self) -> None:
        """Live starts halted: a person has to arm it."""
        state = self._gate.state
        await self._change(
            lambda: decide_trading_state(state, TradingState.HALTED, BOOT, "live boots halted"),
            BOOT,
        )

    async def arm_paper(self, unarmed: Callable[[], tuple[str, ...]]) -> None:
        """Paper trades as soon as every check holds, unless a person halted it."""
        if self._mode is not Mode.PAPER or HALT_FILE in self._lookout.closing:
            return
        if not decide_paper_arming(self._gate.state, unarmed()):
            return
        await self._change(
            lambda: Decision(events=decide_paper_arming(self._gate.state, unarmed())), "arming"
        )

    async def _change(self, decide: Callable[[], Decision], causation_id: str) -> Decision:
        decision = await self._gate.transact(
            decide, causation_id=causation_id, correlation_id=causation_id
        )
        if decision.events:
            state = self._gate.state
            log.info("command", trading_state=state.trading_state, asked=causation_id)
        return decision
