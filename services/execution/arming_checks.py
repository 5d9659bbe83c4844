"""Makes the arming checks that nobody else makes: account mode, key, versions, a drifting clock."""

import asyncio
from collections.abc import Awaitable, Callable

from libs.common import __version__
from libs.common.messages import subjects
from libs.common.messages.codec import decode
from libs.common.messages.hello import Hello
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import NS_PER_MS, monotonic_ns
from libs.common.runtime.config import Mode
from libs.common.runtime.errors import BusUnavailable
from libs.common.runtime.log import get_logger
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from services.execution.arming import Arming
from services.execution.config import ExecutionConfig

log = get_logger(__name__)

#: How long services have to answer the roll call before their silence counts as absence.
ROLL_CALL_WAIT_S = 0.3
INTERVAL_S = 1.0
#: A service not heard of for this long (three hellos) is gone; its version binds nobody.
HELLO_AGE_MS_MAX = 15_000
SERVICES_MAX = 100


class ArmingChecks:
    """Asks the venue and the other services, again and again, until each check has held."""

    def __init__(
        self,
        bus: Bus,
        venue: VenueClient,
        arming: Arming,
        mode: Mode,
        settings: ExecutionConfig,
        check_clock: Callable[[], Awaitable[None]],
    ) -> None:
        self._bus = bus
        self._venue = venue
        self._arming = arming
        self._mode = mode
        self._settings = settings
        self._check_clock = check_clock
        self._heard: dict[str, tuple[str, int]] = {}
        self._clock_checked_ns = monotonic_ns()

    async def run(self) -> None:
        """Check for ever: a version may change, and a clock drifts."""
        await self._bus.subscribe(subjects.HELLOS, self._on_hello)
        try:
            await self._bus.publish(subjects.ROLL_CALL, b"{}")
        except BusUnavailable as error:
            log.warning("roll not called", error=str(error))
        await asyncio.sleep(ROLL_CALL_WAIT_S)
        while True:
            self._judge_versions()
            await self._attempt("account_mode", self._check_account_mode)
            await self._attempt("withdrawal", self._check_withdrawal)
            await self._measure_clock()
            await asyncio.sleep(INTERVAL_S)

    async def _attempt(self, check: str, make: Callable[[], Awaitable[None]]) -> None:
        if not self._arming.is_failing(check):
            return
        try:
            await make()
        except VenueReadError as error:
            self._arming.failed(check, str(error))

    async def _check_account_mode(self) -> None:
        """One-way and single-asset: everything here reckons with one position per symbol."""
        account = await self._venue.account_config()
        if account.hedge_mode:
            self._arming.failed("account_mode", "the account is in hedge mode: set it to one-way")
        elif account.multi_assets_margin:
            self._arming.failed("account_mode", "the account is in multi-assets mode: turn it off")
        else:
            self._arming.passed("account_mode")

    async def _check_withdrawal(self) -> None:
        """A key that may withdraw has no business here. In live, not knowing it needs a waiver."""
        if self._mode is Mode.PAPER:
            self._arming.passed("withdrawal")
            return
        told = await self._venue.api_restrictions()
        if told is not None and told.may_withdraw:
            self._arming.failed("withdrawal", "the key may withdraw: make one that may not")
        elif told is not None or self._mode is Mode.TESTNET or self._settings.withdrawal_waived:
            log.info("key permissions", withdrawal="no" if told is not None else "not told")
            self._arming.passed("withdrawal")
        else:
            self._arming.failed(
                "withdrawal",
                "the venue does not tell whether the key may withdraw: look yourself, then set"
                " execution.withdrawal_waived",
            )

    async def _measure_clock(self) -> None:
        """Outside of paper our clock is our own, and may drift while we trade."""
        age_ms = (monotonic_ns() - self._clock_checked_ns) // NS_PER_MS
        if self._mode is Mode.PAPER or age_ms < self._settings.clock_check_ms:
            return
        self._clock_checked_ns = monotonic_ns()
        try:
            await self._check_clock()
        except VenueReadError as error:
            log.warning("clock not measured", error=str(error))

    # -- versions --------------------------------------------------------------------------------

    async def _on_hello(self, _: str, payload: bytes, __: dict[str, str]) -> None:
        hello = decode(payload, Hello)
        if hello.service in self._heard or len(self._heard) < SERVICES_MAX:
            self._heard[hello.service] = (hello.version, monotonic_ns())
        if hello.version != __version__:
            self._judge_versions()

    def _judge_versions(self) -> None:
        horizon_ns = monotonic_ns() - HELLO_AGE_MS_MAX * NS_PER_MS
        others = [
            f"{service} {version}"
            for service, (version, heard_ns) in sorted(self._heard.items())
            if heard_ns >= horizon_ns and version != __version__
        ]
        if others:
            self._arming.failed("versions", f"execution {__version__}, but {', '.join(others)}")
        else:
            self._arming.passed("versions")
