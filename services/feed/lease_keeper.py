"""Carries the lease: reads and writes its record in the broker, and knows if we hold it now.

The record is a key of a KV bucket. A KV update is a publish with the expected last sequence of the
key's subject, so it is done as every other compare-and-set append, without a watcher or a buffer.
"""

import asyncio
import os
import secrets
import socket
from collections.abc import Callable
from typing import Any

from libs.common.messages import subjects
from libs.common.messages.codec import UndecodableError, decode_struct, encode
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import NS_PER_MS, NS_PER_S, monotonic_ns
from libs.common.runtime.errors import AppendConflict, BusError, BusUnavailable
from libs.common.runtime.log import get_logger
from libs.common.runtime.metrics import FEED_IS_LEADER
from services.feed.config import FeedConfig
from services.feed.lease import STRANGER, Lease, LeaseLimits, LeaseRecord, Look, Wait, Write

log = get_logger(__name__)

#: Bytes of randomness in the name of a replica: two processes never share one.
NAME_BYTES = 4


class LeaseKeeper:
    """Takes the lease when it is free, renews it while we live, gives it back when we stop.

    Attributes:
        me: the name of this replica, unique to this process.
    """

    def __init__(self, bus: Bus, settings: FeedConfig, on_change: Callable[[], None]) -> None:
        self.me = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(NAME_BYTES)}"
        self._bus = bus
        self._settings = settings
        self._on_change = on_change
        self._lease = Lease(
            self.me,
            LeaseLimits(
                length_ns=settings.lease_ms * NS_PER_MS,
                guard_ns=settings.lease_guard_ms * NS_PER_MS,
                renew_ns=settings.lease_renew_ms * NS_PER_MS,
                look_ns=settings.lease_look_ms * NS_PER_MS,
            ),
        )
        self._subject = subjects.lease(settings.lease_name)
        self._requests = asyncio.Lock()
        self._is_leaving = False
        self._has_complained = False
        self._writes = 0
        self._told: tuple[bool, int, str] = (False, 0, "")

    @property
    def holds(self) -> bool:
        """Whether we may speak now; ask again after everything that waits."""
        return self._lease.holds(monotonic_ns())

    @property
    def term(self) -> int:
        """Names our newest leadership: it changes whenever another may have spoken in between."""
        return self._lease.term

    @property
    def holder(self) -> str:
        """The replica that holds it as far as we know; empty if none."""
        return self._lease.holder

    def report(self) -> dict[str, Any]:
        """The lease as ``/v1/status`` shows it."""
        return {"replica": self.me, "holder": self._lease.holder, "term": self._lease.term}

    async def run(self) -> None:
        """Keep at it until we leave."""
        while not self._is_leaving:
            step = self._lease.next_step(monotonic_ns())
            if isinstance(step, Wait):
                await asyncio.sleep(max(0, step.until_ns - monotonic_ns()) / NS_PER_S)
            else:
                async with self._requests:
                    if not self._is_leaving:
                        await self._take(step)
            self._tell()

    async def leave(self) -> None:
        """Stop speaking and let another replica begin at once."""
        self._is_leaving = True
        self._lease.give_back()
        async with self._requests:
            write = self._lease.give_back()
            if write is not None:
                await self._take(write)
        self._lease.give_back()
        self._tell()

    async def _take(self, step: Look | Write) -> None:
        try:
            async with asyncio.timeout(self._settings.lease_request_timeout_ms / 1_000):
                if isinstance(step, Look):
                    await self._look()
                else:
                    await self._write(step)
        except AppendConflict:
            self._lease.on_refused(monotonic_ns())
        except BusUnavailable as error:
            # Nothing was sent, or nothing could be read: there is no use in asking at once.
            if self._bus.is_connected and not self._has_complained:
                self._has_complained = True
                log.warning("no lease to be had; run: portcullis provision", error=str(error))
            self._lease.on_silence(monotonic_ns(), self._settings.lease_look_ms * NS_PER_MS)
        except (BusError, TimeoutError) as error:
            log.warning("the broker did not answer about the lease", error=repr(error))
            self._lease.on_silence(monotonic_ns())

    async def _look(self) -> None:
        stored = await self._bus.read_last(subjects.LEASE_STREAM, self._subject)
        if stored is None:
            self._lease.on_seen(None, 0, monotonic_ns())
            return
        try:
            record = decode_struct(stored.data or b"", LeaseRecord)
        except UndecodableError:
            # Whoever wrote it may believe to lead: wait as long as if it did.
            record = LeaseRecord(holder=STRANGER, length_ms=self._settings.lease_ms)
        self._lease.on_seen(record, stored.seq or 0, monotonic_ns())

    async def _write(self, write: Write) -> None:
        asked_ns = monotonic_ns()
        self._writes += 1
        done = await self._bus.publish_stored(
            self._subject,
            encode(write.record),
            message_id=f"{self.me}-{self._writes}",
            expected_last_sequence=write.revision,
        )
        self._lease.on_written(write, done.seq, asked_ns)

    def _tell(self) -> None:
        """Log and pass on what has changed."""
        holds = self.holds
        FEED_IS_LEADER.set(holds)
        now = (holds, self._lease.term, self._lease.holder)
        if now == self._told:
            return
        self._told = now
        if holds:
            log.info("leading", term=self._lease.term, replica=self.me)
        else:
            log.info("standing by", holder=self._lease.holder or "nobody", replica=self.me)
        self._on_change()
