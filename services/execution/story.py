"""The whole story of an intent, read back from the journal in order, with its record numbers.

All ids of an intent's orders are derived from its own, so whatever names one of them is found by
looking at the raw bytes; only those records are decoded. A journal can be long: how much of it is
read at once, and for how long, is bounded.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from libs.common.messages import subjects
from libs.common.messages.codec import UndecodableError, decode_struct
from libs.common.messages.journal import (
    FillReceived,
    JournalEvent,
    JournalRecord,
    OrderAnswered,
    OrderUpdated,
)
from libs.common.model.algo_order import AlgoKind
from libs.common.model.ids import check_intent_id, derive_client_algo_id, derive_client_order_id
from libs.common.runtime.bus import Bus

READ_AHEAD_MAX = 128
EVENTS_MAX = 1_000
#: A story is over when so many records in a row have not gone on with it.
QUIET_MAX = 50_000
#: Clocks are set anew now and then: how far the times of neighbors may be out of order.
MARGIN_NS = 60_000_000_000
STORY_WAIT_S = 20.0
#: One at a time: a story costs the broker as much as a recovery.
STORIES_AT_ONCE_MAX = 1


class StoryTooLong(Exception):  # noqa: N818 - what it turned out to be
    """The journal was not read to its end in time."""


class Storyteller:
    """Reads an account's journal for people. The gate's own reader is not touched by it."""

    def __init__(self, bus: Bus, account: str) -> None:
        self._bus = bus
        self._account = account
        self._turn = asyncio.Semaphore(STORIES_AT_ONCE_MAX)

    async def tell(self, intent_id: str, since_ns: int = 0) -> list[dict[str, Any]]:
        """Every event that belongs to an intent; empty if the journal has none.

        Args:
            since_ns: market time before which nothing belongs to it, where that is known: an old
                intent in a long journal is then found without reading all of it.

        Raises:
            ValueError: that cannot be an intent's id.
            StoryTooLong: the journal could not be read through in time.
            BusUnavailable: the broker did not answer.
        """
        names = Names(self._account, check_intent_id(intent_id))
        story: list[dict[str, Any]] = []
        quiet = 0
        try:
            async with self._turn, asyncio.timeout(STORY_WAIT_S):
                start = await self._first_since(since_ns - MARGIN_NS)
                async for raw in self._records(start):
                    found = names.pick(raw)
                    story += found
                    quiet = 0 if found else quiet + 1
                    if len(story) >= EVENTS_MAX or (story and quiet >= QUIET_MAX):
                        return story[:EVENTS_MAX]
        except TimeoutError:
            raise StoryTooLong(
                f"the journal was not read to its end within {STORY_WAIT_S:.0f} s;"
                " export it and look there"
            ) from None
        return story

    async def _first_since(self, oldest_ns: int) -> int:
        """About the first sequence of a market time: the journal is in the order of its times."""
        low, high = 1, max(1, await self._last())
        while oldest_ns > 0 and high - low > READ_AHEAD_MAX:
            middle = (low + high) // 2
            stored = await self._bus.read_message(subjects.JOURNAL_STREAM, middle)
            if stored is None or stored.data is None:
                break
            if decode_struct(stored.data, JournalRecord).ts_event_ns < oldest_ns:
                low = middle
            else:
                high = middle
        return low

    async def since(self, oldest_ns: int) -> AsyncIterator[JournalRecord]:
        """Records, newest first, back to a market time.

        Raises:
            UndecodableError: a record cannot be read.
            BusUnavailable: the broker did not answer.
        """
        async for _, record in self.past():
            if record.ts_event_ns < oldest_ns:
                return
            yield record

    async def past(self, before: int | None = None) -> AsyncIterator[tuple[int, JournalRecord]]:
        """Records and their places in the stream, newest first.

        Args:
            before: begin with the record before this place, instead of with the last one.

        Raises:
            UndecodableError: a record cannot be read.
            BusUnavailable: the broker did not answer.
        """
        last = await self._last()
        end = last if before is None else min(before - 1, last)
        while end > 0:
            start = max(1, end - READ_AHEAD_MAX + 1)
            for place, raw in reversed(await self._read_placed(start, end)):
                yield place, decode_struct(raw, JournalRecord)
            end = start - 1

    async def _last(self) -> int:
        last = await self._bus.read_last(subjects.JOURNAL_STREAM, subjects.journal(self._account))
        return (last.seq or 0) if last is not None else 0

    async def _records(self, start: int) -> AsyncIterator[bytes]:
        end = await self._last()
        while start <= end:
            stop = min(start + READ_AHEAD_MAX - 1, end)
            for raw in await self._read(start, stop):
                yield raw
            start = stop + 1

    async def _read(self, start: int, stop: int) -> list[bytes]:
        return [raw for _, raw in await self._read_placed(start, stop)]

    async def _read_placed(self, start: int, stop: int) -> list[tuple[int, bytes]]:
        subject = subjects.journal(self._account)
        found = await asyncio.gather(
            *(
                self._bus.read_message(subjects.JOURNAL_STREAM, sequence)
                for sequence in range(start, stop + 1)
            )
        )
        return [
            (place, stored.data)
            for place, stored in zip(range(start, stop + 1), found, strict=True)
            if stored is not None and stored.data is not None and stored.subject == subject
        ]


class Names:
    """Whatever an event can be recognised by as belonging to one intent."""

    def __init__(self, account: str, intent_id: str) -> None:
        self.intent_id = intent_id
        # Without the number of the attempt: all of them belong to the intent.
        orders = derive_client_order_id(account, intent_id, 1)[:-1]
        stops = [derive_client_algo_id(account, intent_id, kind, 1)[:-1] for kind in AlgoKind]
        self._prefixes = (orders, *stops)
        self._venue_order_ids: set[int] = set()

    def pick(self, raw: bytes) -> list[dict[str, Any]]:
        """The events of a record that belong to the intent."""
        words = (self.intent_id, *self._prefixes)
        ids = self._venue_order_ids
        if not any(word.encode() in raw for word in words) and not any(
            f'"venue_order_id":{order_id}'.encode() in raw for order_id in ids
        ):
            return []
        try:
            record = decode_struct(raw, JournalRecord)
        except UndecodableError:
            return []
        return [
            {
                "journal_number": record.number,
                "ts_event_ns": record.ts_event_ns,
                "causation_id": record.causation_id,
                "app_version": record.app_version,
                **msgspec.to_builtins(event, str_keys=True),
            }
            for event in record.events
            if self._is_mine(event)
        ]

    def _is_mine(self, event: JournalEvent) -> bool:
        intent = getattr(event, "intent", None)
        if getattr(intent, "intent_id", None) == self.intent_id:
            return True
        if getattr(event, "intent_id", None) == self.intent_id:
            return True
        names = (getattr(event, "client_order_id", ""), getattr(event, "client_algo_id", ""))
        mine = any(name.startswith(self._prefixes) for name in names if name)
        if mine and isinstance(event, OrderAnswered | OrderUpdated) and event.venue_order_id:
            self._venue_order_ids.add(event.venue_order_id)
        if isinstance(event, FillReceived) and not event.client_order_id:
            return event.venue_order_id in self._venue_order_ids
        return mine
