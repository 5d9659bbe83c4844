"""The wallet as stream and REST tell it: what is older never takes the place of what is newer."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from libs.common.messages.journal import BalanceObserved
from libs.common.runtime.bus import Bus
from tests.integration.execution.desks import (
    NOW_NS,
    Parameters,
    Replica,
    running_venue,
    until,
)

S = 1_000_000_000
DAY_S = 86_400


@pytest.fixture
async def replica(bus: Bus) -> AsyncIterator[Replica]:
    async with running_venue() as venue:
        replica = Replica(bus, venue)
        await replica.get_ready()
        yield replica
        await replica.close()


def row(balance: str) -> dict[str, str]:
    return {
        "asset": "USDT",
        "balance": balance,
        "crossWalletBalance": balance,
        "crossUnPnl": "0",
        "availableBalance": "7",
    }


async def tell(replica: Replica, wallet: str, second: float) -> None:
    """The stream tells what the wallet was at this second."""
    await replica.figures.hear_wallet(
        BalanceObserved(
            asset="USDT",
            wallet_balance=Decimal(wallet),
            available_balance=None,
            observed_at_ns=NOW_NS + int(second * S),
        )
    )


def wallet(replica: Replica) -> Decimal:
    return replica.gate.state.wallet_balance


async def test_a_word_that_comes_late_does_not_undo_a_newer_one(replica: Replica) -> None:
    replica.at(5)
    await tell(replica, "98", 4)
    await tell(replica, "99", 3)
    assert wallet(replica) == 98
    await tell(replica, "97", 4)  # two of one moment: the order in which they came
    assert wallet(replica) == 97


async def test_a_late_word_is_old_even_if_the_newer_one_was_no_news(replica: Replica) -> None:
    replica.at(5)
    before = wallet(replica)
    await tell(replica, str(before), 4)
    await tell(replica, "99", 3)
    assert wallet(replica) == before


async def test_a_word_from_the_far_future_keeps_no_other_from_being_heard(
    replica: Replica,
) -> None:
    await tell(replica, "98", DAY_S)
    await tell(replica, "99", 1)
    assert wallet(replica) == 99


async def test_an_answer_that_the_stream_overtook_tells_only_what_is_available(
    replica: Replica,
) -> None:
    answer = asyncio.Event()

    async def slowly(_: Parameters) -> tuple[int, Any]:
        await answer.wait()
        return 200, [row("100")]

    replica.venue.answers = {"balance": slowly}
    replica.at(5)
    asking = asyncio.create_task(replica.figures.refresh_balance())
    await until(lambda: replica.venue.paths() == ["balance"])
    await tell(replica, "99", 5.01)
    answer.set()
    await asking
    assert wallet(replica) == 99
    assert replica.gate.state.available_balance == 7
    replica.venue.answers = {"balance": (200, [row("100")])}
    replica.at(10)
    await replica.figures.refresh_balance()
    assert wallet(replica) == 100
