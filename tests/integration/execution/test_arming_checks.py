"""Arming checks over a real broker, with a venue that says what the test wants it to say."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from libs.common import __version__
from libs.common.messages import subjects
from libs.common.messages.codec import encode
from libs.common.messages.hello import Hello
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.config import Mode
from libs.common.runtime.venue_client import VenueReadError
from libs.common.venue.outcomes import Unknown
from libs.common.venue.settings_payloads import AccountConfig, ApiRestrictions
from services.execution.arming import Arming
from services.execution.arming_checks import ArmingChecks
from services.execution.config import ExecutionConfig
from tests.integration.patience import patient

WAIT_S = 10


class Venue:
    """Says of the account and the key what it was told to say."""

    def __init__(self) -> None:
        self.hedge_mode = False
        self.restrictions: ApiRestrictions | None = None
        self.is_silent = False

    async def account_config(self) -> AccountConfig:
        if self.is_silent:
            raise VenueReadError("GET accountConfig", Unknown("nobody answers"))
        return AccountConfig(can_trade=True, hedge_mode=self.hedge_mode, multi_assets_margin=False)

    async def api_restrictions(self) -> ApiRestrictions | None:
        return self.restrictions


def restrictions(*, may_withdraw: bool) -> ApiRestrictions:
    return ApiRestrictions(
        ip_restricted=True, may_read=True, may_trade_futures=True, may_withdraw=may_withdraw
    )


class Checked:
    """The checks, running."""

    def __init__(self, bus: Bus, venue: Venue, mode: Mode, settings: ExecutionConfig) -> None:
        self.arming = Arming()
        self.measured = 0
        checks = ArmingChecks(
            bus,
            venue,  # type: ignore[arg-type]
            self.arming,
            mode,
            settings,
            self._measure,
        )
        self.task = asyncio.create_task(checks.run())

    async def _measure(self) -> None:
        self.measured += 1

    async def until(self, check: str, words: str) -> None:
        """Wait until a check fails with these words, or (without any) holds."""
        async with asyncio.timeout(WAIT_S):
            while True:
                told = next((why for why in self.arming.unarmed if why.startswith(check)), "")
                if (not words and not told) or (words and words in told):
                    return
                await asyncio.sleep(0.02)


@pytest.fixture
async def bus(nats_server: Broker) -> AsyncIterator[Bus]:
    bus = await Bus.connect(patient(nats_server.url), "test", lambda: None)
    yield bus
    await bus.close()


async def say_hello(bus: Bus, service: str, version: str) -> None:
    hello = Hello(
        message_id=service,
        causation_id=service,
        correlation_id=service,
        ts_event_ns=0,
        ts_published_ns=0,
        source=service,
        service=service,
        version=version,
        config_hash="",
    )
    await bus.publish(subjects.hello(service), encode(hello))


async def test_a_service_of_another_version_unarms_and_is_named_with_both(bus: Bus) -> None:
    checked = Checked(bus, Venue(), Mode.PAPER, ExecutionConfig())
    await checked.until("versions", "")
    await say_hello(bus, "feed", __version__)
    await say_hello(bus, "risk", "0.0.1")
    await checked.until("versions", f"execution {__version__}, but risk 0.0.1")
    await say_hello(bus, "risk", __version__)
    await checked.until("versions", "")
    checked.task.cancel()


async def test_hedge_mode_is_not_armed_and_is_looked_at_again(bus: Bus) -> None:
    venue = Venue()
    venue.hedge_mode, venue.is_silent = True, True
    checked = Checked(bus, venue, Mode.PAPER, ExecutionConfig())
    await checked.until("account_mode", "nobody answers")
    venue.is_silent = False
    await checked.until("account_mode", "hedge mode")
    venue.hedge_mode = False
    await checked.until("account_mode", "")
    checked.task.cancel()


@pytest.mark.parametrize(
    ("mode", "told", "waived", "words"),
    [
        (Mode.PAPER, None, False, ""),
        (Mode.TESTNET, None, False, ""),
        (Mode.LIVE, None, False, "does not tell"),
        (Mode.LIVE, None, True, ""),
        (Mode.LIVE, False, False, ""),
        (Mode.LIVE, True, True, "may withdraw"),
        (Mode.TESTNET, True, False, "may withdraw"),
    ],
)
async def test_a_key_that_may_withdraw_is_not_armed_and_in_live_not_knowing_needs_a_waiver(
    bus: Bus, mode: Mode, told: bool | None, waived: bool, words: str
) -> None:
    venue = Venue()
    venue.restrictions = None if told is None else restrictions(may_withdraw=told)
    checked = Checked(bus, venue, mode, ExecutionConfig(withdrawal_waived=waived))
    await checked.until("withdrawal", words)
    checked.task.cancel()


async def test_outside_of_paper_the_clock_is_measured_again_and_again(bus: Bus) -> None:
    checked = Checked(bus, Venue(), Mode.LIVE, ExecutionConfig(clock_check_ms=1_000))
    async with asyncio.timeout(WAIT_S):
        while checked.measured < 2:
            await asyncio.sleep(0.05)
    checked.task.cancel()
