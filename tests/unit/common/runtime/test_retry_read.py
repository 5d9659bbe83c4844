import random
import subprocess
import sys

import pytest
import stamina._core

from libs.common.runtime.retry_read import RetryLimits, retry_read
from libs.common.runtime.venue_client import VenueReadError
from libs.common.runtime.venue_transport import VenueCall
from libs.common.testing.scripted_venue import ScriptedVenue, answer, reset, stall
from libs.common.testing.venue_calls import client_of
from libs.common.venue.outcome_table import Reason, ThrottleKind
from libs.common.venue.outcomes import Outcome, Rejected, Throttled, Unknown, not_sent

INTERNAL = Rejected(503, -1001, "Internal error", Reason.INTERNAL)
OVERLOADED = Throttled(503, -1008, "", ThrottleKind.OVERLOADED)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waits asked for, without waiting them."""
    asked: list[float] = []

    async def note(delay: float) -> None:
        asked.append(delay)

    monkeypatch.setattr(stamina._core, "_smart_sleep", note)
    return asked


class Read:
    def __init__(self, *outcomes: Outcome | Exception | str) -> None:
        self.outcomes = list(outcomes)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, str):
            return outcome
        raise outcome if isinstance(outcome, Exception) else VenueReadError("GET x", outcome)


@pytest.mark.parametrize("outcome", [Unknown("timeout"), not_sent("refused"), INTERNAL, OVERLOADED])
async def test_a_passing_failure_of_a_read_is_tried_again(
    waits: list[float], outcome: Outcome
) -> None:
    read = Read(outcome, outcome, "done")
    assert await retry_read(random.Random(1))(read)() == "done"
    assert read.calls == 3
    assert len(waits) == 2


async def test_after_three_retries_the_last_failure_is_raised(waits: list[float]) -> None:
    read = Read(*[Unknown(f"{number}") for number in range(9)])
    with pytest.raises(VenueReadError, match="unknown: 3"):
        await retry_read(random.Random(1))(read)()
    assert read.calls == 4
    assert len(waits) == 3


async def test_waits_are_full_jitter_under_a_doubling_bound(waits: list[float]) -> None:
    limits = RetryLimits(retries_max=9)
    for seed in range(40):
        read = Read(*[Unknown("x") for _ in range(10)])
        with pytest.raises(VenueReadError):
            await retry_read(random.Random(seed), limits)(read)()
    bounds = [min(2**number, 60) for number in range(9)]
    for number, bound in enumerate(bounds):
        drawn = waits[number::9]
        assert len(drawn) == 40
        assert all(0 <= one <= bound for one in drawn)
        assert max(drawn) > 0.8 * bound
        assert min(drawn) < 0.2 * bound


@pytest.mark.parametrize(
    "outcome",
    [
        Rejected(400, -2019, "", Reason.MARGIN_INSUFFICIENT),
        Rejected(400, -1022, "", Reason.SIGNATURE),
        Rejected(400, -1021, "", Reason.TIMESTAMP),
        Throttled(418, -1003, "", ThrottleKind.BANNED, retry_after_ms=1_000),
        Throttled(429, -1003, "", ThrottleKind.REQUEST_LIMIT),
        Throttled(429, -1003, "", ThrottleKind.REQUEST_LIMIT, retry_after_ms=61_000),
        RuntimeError("a bug"),
    ],
)
async def test_what_another_request_cannot_help_is_raised_at_once(
    waits: list[float], outcome: Outcome | Exception
) -> None:
    read = Read(outcome)
    with pytest.raises((VenueReadError, RuntimeError)):
        await retry_read(random.Random(1))(read)()
    assert read.calls == 1
    assert waits == []


async def test_a_wait_the_venue_names_is_kept(waits: list[float]) -> None:
    throttled = Throttled(429, -1003, "", ThrottleKind.REQUEST_LIMIT, retry_after_ms=7_000)
    assert await retry_read(random.Random(1))(Read(throttled, "done"))() == "done"
    assert waits == [7.0]


async def test_every_retry_is_told(waits: list[float]) -> None:
    told: list[tuple[str, int, float, Outcome]] = []
    read = Read(INTERNAL, Unknown("x"), "done")
    await retry_read(random.Random(1), on_retry=lambda *what: told.append(what))(read)()
    assert [(what, attempt) for what, attempt, _, _ in told] == [("GET x", 1), ("GET x", 2)]
    assert [wait for _, _, wait, _ in told] == waits


async def test_two_calls_do_not_share_their_count(waits: list[float]) -> None:
    read = Read(INTERNAL, INTERNAL, INTERNAL, "one", INTERNAL, INTERNAL, INTERNAL, "two")
    patient = retry_read(random.Random(1))(read)
    assert [await patient(), await patient()] == ["one", "two"]


@pytest.mark.parametrize(
    ("outcomes", "ended"),
    [
        (["done"], []),
        ([INTERNAL, "done"], [("GET x", 2, True)]),
        ([INTERNAL, INTERNAL, INTERNAL, "done"], [("GET x", 4, True)]),
        ([INTERNAL] * 4, [("GET x", 4, False)]),
        ([INTERNAL, Rejected(400, -1022, "", Reason.SIGNATURE)], [("GET x", 2, False)]),
        ([Rejected(400, -1022, "", Reason.SIGNATURE)], []),
    ],
)
async def test_the_end_of_a_read_that_was_retried_is_told_once(
    waits: list[float], outcomes: list[Outcome | str], ended: list[tuple[str, int, bool]]
) -> None:
    told: list[tuple[str, int, bool]] = []
    patient = retry_read(random.Random(1), on_end=lambda *what: told.append(what))(Read(*outcomes))
    try:
        await patient()
    except VenueReadError:
        pass
    assert told == ended


async def test_an_observer_with_a_bug_does_not_cost_the_read(waits: list[float]) -> None:
    def broken(*facts: object) -> None:
        raise RuntimeError("a bug")

    read = Read(INTERNAL, "done")
    assert await retry_read(random.Random(1), on_retry=broken, on_end=broken)(read)() == "done"


async def test_a_read_of_the_client_is_retried_over_the_network(
    venue: ScriptedVenue, waits: list[float]
) -> None:
    venue.answers = [reset, answer(503, b'{"code":-1001,"msg":"Internal error"}'), stall]
    venue.default = answer(200, b'{"serverTime":7}')
    calls: list[VenueCall] = []
    async with client_of(venue.url, on_call=calls.append) as client:
        assert await retry_read(random.Random(1))(client.server_time)() == 7
    assert len(venue.heard) == len(calls) == 4
    assert len(waits) == 3


TOLD_ONCE = """
import asyncio, random
from libs.common.runtime.log import configure_logging
from libs.common.runtime.retry_read import RetryLimits, retry_read
from libs.common.runtime.venue_client import VenueReadError
from libs.common.venue.outcomes import Unknown

async def fails() -> None:
    raise VenueReadError("GET x", Unknown("timeout"))

configure_logging("test")
patient = retry_read(random.Random(1), RetryLimits(retries_max=1, wait_initial_s=0))
try:
    asyncio.run(patient(fails)())
except VenueReadError:
    pass
"""


def test_each_retry_is_one_line_of_the_log() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TOLD_ONCE], capture_output=True, text=True, check=True, timeout=60
    )
    assert len(done.stdout.splitlines()) == 1, done.stdout
