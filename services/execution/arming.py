"""What has to hold before anything risk-increasing may be sent, and what may be started at all."""

from urllib.parse import urlsplit

from libs.common.runtime.config import CommonConfig, Mode
from libs.common.runtime.errors import ConfigError
from services.execution.config import ExecutionConfig

CHECKS = (
    "journal",
    "filters",
    "settings",
    "user_stream",
    "clock",
    "market",
    "reconciled",
    "account_mode",
    "withdrawal",
    "versions",
)
#: Hosts of the real venue; what stands before them tells its test networks.
REAL_VENUES = ("binance.com", "binancefuture.com", "binance.us")
_TEST_WORDS = ("testnet", "demo")


class Arming:
    """The checks of this process's life. All start as not passed; each says why."""

    def __init__(self) -> None:
        self._failing = dict.fromkeys(CHECKS, "not checked yet")

    def passed(self, check: str) -> None:
        """The check holds now."""
        assert check in CHECKS, check
        self._failing.pop(check, None)

    def failed(self, check: str, why: str) -> None:
        """The check does not hold (any more)."""
        assert check in CHECKS, check
        self._failing[check] = why

    def is_failing(self, check: str) -> bool:
        """Whether the check does not hold, or was not made yet."""
        assert check in CHECKS, check
        return check in self._failing

    @property
    def unarmed(self) -> tuple[str, ...]:
        """The checks that do not hold, with the reason; empty when armed."""
        return tuple(f"{check}: {why}" for check, why in sorted(self._failing.items()))


def check_mode(common: CommonConfig, settings: ExecutionConfig) -> None:
    """Refuse a start whose mode, venue, credentials and confirmation do not agree.

    Credentials alone switch nothing on: paper never talks to a real venue, whatever keys it has.

    Raises:
        ConfigError: what contradicts what, and what to set.
    """
    mode, host = common.mode, urlsplit(common.venue.rest_url).hostname or ""
    is_real = any(host == name or host.endswith(f".{name}") for name in REAL_VENUES)
    is_test = is_real and (
        any(word in host for word in _TEST_WORDS) or host.endswith("binancefuture.com")
    )
    if mode is Mode.PAPER:
        if is_real:
            raise ConfigError(
                f"mode is paper and venue.rest_url is {host}, a real venue: set mode to testnet or"
                " live, or venue.rest_url to a paper exchange"
            )
        return
    for name in ("api_key_file", "api_secret_file"):
        if getattr(settings, name) is None:
            raise ConfigError(f"mode {mode} needs credentials: set execution.{name}")
    if mode is Mode.TESTNET and is_real and not is_test:
        raise ConfigError(
            f"mode is testnet and venue.rest_url is {host}, where real money trades: set"
            " venue.rest_url to the test network, or mode to live"
        )
    if mode is Mode.LIVE and settings.live_account_confirmation != common.account:
        raise ConfigError(
            "mode live trades real money: confirm the account by setting"
            f" execution.live_account_confirmation to its name, {common.account!r}"
            " (variable PORTCULLIS_EXECUTION__LIVE_ACCOUNT_CONFIRMATION)"
        )
