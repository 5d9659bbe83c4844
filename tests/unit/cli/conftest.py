"""A journal made by hand, for everything that reads one."""

from decimal import Decimal

import pytest

from libs.common.messages.codec import encode
from libs.common.messages.journal import (
    GENESIS_HASH,
    BalanceObserved,
    JournalRecord,
    record_hash,
)


def make_journal(batches) -> list[bytes]:
    """Chain one record for each batch of events; returns their raw bytes."""
    raw, head = [], GENESIS_HASH
    for number, events in enumerate(batches, 1):
        record = JournalRecord(
            account="paper",
            number=number,
            prev_hash=head,
            causation_id=f"cause-{number}",
            correlation_id=f"cause-{number}",
            ts_event_ns=number,
            ts_wall_ns=number,
            app_version="0",
            config_hash="0",
            events=tuple(events),
        )
        raw.append(encode(record))
        head = record_hash(raw[-1])
    return raw


@pytest.fixture
def chain():
    return make_journal


@pytest.fixture
def journal_of_five() -> list[bytes]:
    """Five records, each with another balance."""
    return make_journal(
        [
            BalanceObserved(
                asset="USDT",
                wallet_balance=Decimal(number),
                available_balance=None,
                observed_at_ns=number,
            )
        ]
        for number in range(5)
    )
