"""Reads the history of positions back from the journal, a page at a time."""

from typing import Any

from services.execution.history import Wanted, changes_of
from services.execution.state import State
from services.execution.story import MARGIN_NS, Storyteller

#: Records that one page may read; most of them tell of no change.
RECORDS_READ_MAX = 4_096
#: A place in the journal: of a record, and where it tells of several changes, in that record.
PLACE_PATTERN = r"^([1-9][0-9]{0,17}(\.[0-9]{1,6})?)?$"


async def read_page(
    stories: Storyteller, state: State, wanted: Wanted, before: str, limit: int
) -> dict[str, Any]:
    """Changes before a place, newest first: ``limit`` of them at most.

    A change is journaled after it happened, so that nothing is looked for in records from before
    ``wanted.since_ns``.

    Raises:
        UndecodableError: a record cannot be read.
        BusUnavailable: the broker did not answer.
    """
    number, _, inside = before.partition(".")
    within = int(number) if inside else 0
    start = None if not number else int(number) + (1 if inside else 0)
    found: list[dict[str, Any]] = []
    read = 0
    async for place, record in stories.past(start):
        if record.ts_event_ns < wanted.since_ns - MARGIN_NS:
            break
        for change in changes_of(record, state, wanted):
            if place == within and change["journal_index"] >= int(inside):
                continue
            if len(found) == limit:
                return {"changes": found, "next_before": f"{place}.{change['journal_index'] + 1}"}
            found.append(change)
        read += 1
        if read >= RECORDS_READ_MAX:
            return {"changes": found, "next_before": str(place) if place > 1 else None}
    return {"changes": found, "next_before": None}
