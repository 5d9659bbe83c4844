"""Carries out what operators and services ask of the account: halt, reduce, resume.

A command may be handled late (redelivered, or by a process that stood still) and by another replica
than the last one. Tightening is always obeyed. Loosening is obeyed only if nobody spoke after it,
and outside the paper world only while it is fresh.
"""

import asyncio
from collections.abc import Callable

from libs.common.messages import subjects
from libs.common.messages.account import Command, Verb
from libs.common.messages.codec import UndecodableError, decode
from libs.common.model.trading_state import TradingState
from libs.common.runtime.clock import NS_PER_MS, Clock, monotonic_ns
from libs.common.runtime.config import Mode
from libs.common.runtime.log import get_logger
from services.execution.config import ExecutionConfig
from services.execution.core import Decision
from services.execution.gate import Gate
from services.execution.lookout import Lookout
from services.execution.orders import OrderDesk
from services.execution.state import BOOT
from services.execution.trading import decide_paper_arming, decide_trading_state

log = get_logger(__name__)

DRAIN_POLL_S = 0.005

WANTED = {
    Verb.HALT: TradingState.HALTED,
    Verb.REDUCE: TradingState.REDUCING,
    Verb.RESUME: TradingState.ACTIVE,
}


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
    return command


class CommandDesk:
    """Changes the trading state of one account, through its gate."""

    def __init__(
        self,
        gate: Gate,
        orders: OrderDesk,
        lookout: Lookout,
        clock: Clock,
        account: str,
        mode: Mode,
        settings: ExecutionConfig,
    ) -> None:
        self._gate = gate
        self._orders = orders
        self._lookout = lookout
        self._clock = clock
        self._account = account
        self._mode = mode
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
            await self._obey(_read(subject, payload, self._account), sequence)
        except UndecodableError as error:
            if halts:
                await self._set(TradingState.HALTED, "unreadable halt", str(error), sequence)
            raise

    async def _obey(self, command: Command, sequence: int) -> None:
        """Do what the command asks, unless a later one has spoken.

        Args:
            sequence: its place in the stream of commands.

        Raises:
            UndecodableError: it is a resume that was asked too long ago.
            BusError: it could not be journaled, or not be known whether it still counts.
        """
        age_ms = (self._clock.now_ns() - command.ts_event_ns) // NS_PER_MS
        is_fresh = self._mode is Mode.PAPER or abs(age_ms) <= self._resume_age_ms_max
        if command.verb is Verb.RESUME and not is_fresh:
            raise UndecodableError(
                f"resume was asked {age_ms} ms ago, more than {self._resume_age_ms_max}: ask again"
            )
        await self._set(WANTED[command.verb], command.actor, command.reason, sequence)

    async def _set(self, wanted: TradingState, actor: str, reason: str, sequence: int) -> None:
        closing = f"command {sequence}"
        if wanted is not TradingState.ACTIVE:
            self._lookout.closing.add(closing)
        try:
            if wanted is not TradingState.ACTIVE:
                await self._drain()
            # "It is so already" must not be judged by what we knew before another replica spoke.
            await self._gate.catch_up()
            await self._change(
                lambda: decide_trading_state(self._gate.state, wanted, actor, reason, sequence),
                f"command-{sequence}",
            )
        finally:
            self._lookout.closing.discard(closing)

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
        if self._mode is not Mode.PAPER or not decide_paper_arming(self._gate.state, unarmed()):
            return
        await self._change(
            lambda: Decision(events=decide_paper_arming(self._gate.state, unarmed())), "arming"
        )

    async def _change(self, decide: Callable[[], Decision], causation_id: str) -> None:
        await self._gate.transact(decide, causation_id=causation_id, correlation_id=causation_id)
        state = self._gate.state
        log.info("trading state", state=state.trading_state, actor=state.trading_actor)
