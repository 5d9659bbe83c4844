"""The venue's own record of what it was asked: the oracle that others are judged by.

Every request that could change something is written down in the order it arrived, with what became
of it, whether or not its sender ever heard. Bounded: the oldest rows go first, and say so.
"""

from __future__ import annotations

from collections import deque

import msgspec


class LoggedRequest(msgspec.Struct, kw_only=True, gc=False):
    """One request; `outcome` is what the venue did, `told` what the sender was told.

    `outcome` is accepted, refused or not_executed; `told` is answered, dropped or another answer
    of the fault script.
    """

    sequence: int
    ts_ns: int
    method: str
    path: str
    account_id: str
    symbol: str
    client_order_id: str
    outcome: str
    status: int
    code: int
    order_id: int
    told: str = "answered"


class RequestLog:
    """The newest rows of the record, at most `rows_max` of them."""

    def __init__(self, rows_max: int) -> None:
        self._rows: deque[LoggedRequest] = deque(maxlen=rows_max)
        self.received = 0

    def add(self, row: LoggedRequest) -> None:
        """Write a row down; its sequence must be `next_sequence`."""
        self.received = row.sequence
        self._rows.append(row)

    @property
    def next_sequence(self) -> int:
        """The sequence of the next row, counted from 1."""
        return self.received + 1

    @property
    def forgotten(self) -> int:
        """How many of the oldest rows are gone."""
        return self.received - len(self._rows)

    def rows_after(self, sequence: int, limit: int) -> list[LoggedRequest]:
        """Rows after a sequence, oldest first."""
        skipped = max(0, sequence - self.forgotten)
        return [self._rows[i] for i in range(skipped, min(skipped + limit, len(self._rows)))]
