"""What may be started: paper needs nothing, live needs credentials and a confirmed account."""

from pathlib import Path
from typing import Any

import pytest

from libs.common.runtime.config import CommonConfig, Mode, VenueConfig
from libs.common.runtime.errors import ConfigError
from services.execution.arming import check_mode
from services.execution.config import ExecutionConfig

KEYS: dict[str, Any] = {"api_key_file": Path("key"), "api_secret_file": Path("secret")}
PAPER, TESTNET, LIVE = "http://127.0.0.1:8300", "https://demo-fapi.binance.com", ""
LIVE = "https://fapi.binance.com"


def refusal(mode: Mode, url: str, **settings: Any) -> str:
    common = CommonConfig(mode=mode, account="main", venue=VenueConfig(rest_url=url))
    try:
        check_mode(common, ExecutionConfig(**settings))
    except ConfigError as error:
        return str(error)
    return ""


def test_paper_needs_nothing_and_never_talks_to_a_real_venue_whatever_keys_it_has() -> None:
    assert refusal(Mode.PAPER, PAPER) == ""
    assert refusal(Mode.PAPER, "http://paper-exchange:8300", **KEYS) == ""
    for url in (LIVE, TESTNET, "https://testnet.binancefuture.com", "https://FAPI.BINANCE.COM"):
        assert "a real venue" in refusal(Mode.PAPER, url, **KEYS)


@pytest.mark.parametrize("mode", [Mode.TESTNET, Mode.LIVE])
@pytest.mark.parametrize("missing", ["api_key_file", "api_secret_file"])
def test_real_modes_need_both_halves_of_the_credentials(mode: Mode, missing: str) -> None:
    settings = {**KEYS, missing: None, "live_account_confirmation": "main"}
    assert refusal(mode, TESTNET, **settings).endswith(f"set execution.{missing}")


def test_testnet_does_not_trade_where_real_money_does() -> None:
    assert refusal(Mode.TESTNET, TESTNET, **KEYS) == ""
    assert refusal(Mode.TESTNET, "https://testnet.binancefuture.com", **KEYS) == ""
    assert "real money" in refusal(Mode.TESTNET, LIVE, **KEYS)


def test_live_is_refused_until_its_account_is_confirmed_by_name() -> None:
    assert "confirm the account" in refusal(Mode.LIVE, LIVE, **KEYS)
    assert "'main'" in refusal(Mode.LIVE, LIVE, **KEYS, live_account_confirmation="yes")
    assert refusal(Mode.LIVE, LIVE, **KEYS, live_account_confirmation="main") == ""
