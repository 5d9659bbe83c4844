"""The mechanism: fold, decide, append with compare-and-set, and only then act.

One ``Gate`` per account and process. Everything that changes what we know goes through
``transact``, so that within the process decisions are made one after the other, and between
processes the broker lets only one of two win.
"""

import asyncio
from collections.abc import Callable

from libs.common.messages.codec import UndecodableError, decode_struct
from libs.common.messages.journal import IntentRefusedByGate, OrderRecorded
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import NS_PER_MS, Clock, monotonic_ns
from libs.common.runtime.errors import AppendConflict, BusUnavailable, PublishUnknown
from libs.common.runtime.journal import READ_AHEAD_MAX, SNAPSHOT_BYTES_MAX, Journal
from libs.common.runtime.log import get_logger
from libs.common.runtime.metrics import JOURNAL_APPEND_SECONDS, JOURNAL_CONFLICTS
from services.execution.config import ExecutionConfig
from services.execution.core import Decision
from services.execution.fold import apply, forget
from services.execution.state import STATE_SHAPE, State

log = get_logger(__name__)


class Gate:
    """The folded state of an account and the only way to change it."""

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        account: str,
        settings: ExecutionConfig,
        config_hash: str,
        on_change: Callable[[], None],
        writer: str = "",
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._settings = settings
        self._config_hash = config_hash
        self._on_change = on_change
        self._lock = asyncio.Lock()
        self._snapshot_number = self._recovered_number = 0
        self._known_at_monotonic_ns = 0
        self._head_number = 0
        self._head_at_monotonic_ns = 0
        self.fault = ""  # why nothing can be appended at the moment
        self.writer = writer
        self.journal = Journal(bus, account, config_hash, writer)
        self.state = State()

    async def recover(self) -> int:
        """Fold the snapshot and the tail, verifying the chain; returns the records folded.

        Raises:
            JournalBroken: the chain does not hold; nothing may be sent.
            BusUnavailable: the broker did not answer.
        """
        await self.journal.check_head()
        saved = await self.journal.load_snapshot(STATE_SHAPE)
        if saved is not None:
            try:
                self.state = decode_struct(saved, State, SNAPSHOT_BYTES_MAX)
            except UndecodableError as error:
                log.warning("snapshot of another shape, replaying everything", error=str(error))
                self.journal = Journal(
                    self._bus, self.journal.account, self._config_hash, self.writer
                )
        self._snapshot_number = self._recovered_number = self.journal.number
        return await self._fold_tail()

    async def catch_up(self) -> None:
        """Fold what other replicas appended.

        Raises:
            BusUnavailable: the broker did not answer.
        """
        async with self._lock:
            await self._fold_tail()

    @property
    def known_age_ms(self) -> int:
        """How long ago (monotonic) it was asked for what proved our state to be the newest.

        A process that stood still between an append and a send finds a large figure here: others
        may have halted meanwhile, so it has to catch up before it sends.
        """
        return (monotonic_ns() - self._known_at_monotonic_ns) // NS_PER_MS

    async def _fold_tail(self) -> int:
        folded = 0
        asked_ns = monotonic_ns()
        async for record in self.journal.read_tail():
            apply(self.state, record)
            folded += 1
        self._known_at_monotonic_ns = asked_ns
        if folded:
            self._on_change()
        return folded

    async def transact(
        self, decide: Callable[[], Decision], *, causation_id: str, correlation_id: str
    ) -> Decision:
        """Decide, and append what was decided; on a lost race fold the winner and decide again.

        Raises:
            BusUnavailable: nothing was appended.
            PublishUnknown: it is not known whether it was appended: do not act on it.
        """
        async with self._lock:
            for _ in range(self._settings.append_attempts_max):
                decision = decide()
                if not decision.events:
                    return decision
                started = monotonic_ns()
                try:
                    record = await self.journal.append(
                        decision.events,
                        causation_id=causation_id,
                        correlation_id=correlation_id,
                        ts_event_ns=self._clock.now_ns(),
                    )
                except AppendConflict:
                    JOURNAL_CONFLICTS.inc()
                    await self._fold_tail()
                    continue
                except (BusUnavailable, PublishUnknown) as error:
                    self.fault = str(error)
                    raise
                self.fault = ""
                JOURNAL_APPEND_SECONDS.observe((monotonic_ns() - started) / 1e9)
                self._known_at_monotonic_ns = started
                apply(self.state, record)
                self._on_change()
                return decision
        raise BusUnavailable(
            f"the journal append lost {self._settings.append_attempts_max} races in a row"
        )

    async def save_head_if_due(self) -> None:
        """Keep a witness of how far the journal has come, now and then."""
        age_ns = monotonic_ns() - self._head_at_monotonic_ns
        is_due = age_ns >= self._settings.journal_head_wall_ms * NS_PER_MS
        if is_due and self.journal.number != self._head_number:
            self._head_number, self._head_at_monotonic_ns = self.journal.number, monotonic_ns()
            await self.journal.save_head()

    async def verify_past(self) -> None:
        """Verify, in its own time, the records that recovery skipped because of the snapshot.

        Raises:
            JournalBroken: one of them is missing or was altered.
        """
        until = self._recovered_number
        reader = Journal(self._bus, self.journal.account, self._config_hash)
        while reader.number < until:
            try:
                async for _ in reader.read_tail():
                    if reader.number >= until:
                        break
                    if reader.number % READ_AHEAD_MAX == 0:  # orders come first
                        await asyncio.sleep(self._settings.journal_verify_pause_wall_ms / 1000)
            except BusUnavailable as error:
                log.warning("past not verified yet", record=reader.number, error=str(error))
                await asyncio.sleep(self._settings.journal_verify_pause_wall_ms / 1000)
        if until:
            log.info("journal's past verified", records=until)

    async def save_snapshot_if_due(self) -> None:
        """Save the fold every so many records, and forget what may be forgotten."""
        if self.journal.number - self._snapshot_number < self._settings.snapshot_interval_records:
            return
        async with self._lock:
            forget(self.state, self._clock.now_ns(), self._settings.idempotency_ms)
            self._snapshot_number = self.journal.number
            await self.journal.save_snapshot(self.state, STATE_SHAPE)

    async def was_decided(self, intent_id: str) -> bool:
        """Whether the journal, however old, holds a decision on the intent.

        Reads all of it: only for approvals older than the idempotency memory.
        """
        reader = Journal(self._bus, self.journal.account, self._config_hash)
        async for record in reader.read_tail():
            for event in record.events:
                if (
                    isinstance(event, OrderRecorded | IntentRefusedByGate)
                    and event.intent.intent_id == intent_id
                ):
                    return True
        return False
