"""A service that cannot start says why in one line and ends with the code that tells the cause."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.config import SERVICES
from cli.run_plan import free_port
from cli.supervisor import Child, child_environment
from libs.common.runtime.broker import broker_binary
from libs.common.runtime.service import EXIT_BROKER, EXIT_CONFIG

DEADLINE_S = 60
STOP_MS = 5_000
ROOT = Path(__file__).resolve().parents[2]
CONFIRMATION_VARIABLE = "PORTCULLIS_EXECUTION__LIVE_ACCOUNT_CONFIRMATION"


def write_config(folder: Path, settings: dict[str, Any]) -> Path:
    path = folder / "portcullis.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def write_secret(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def with_secrets(folder: Path) -> dict[str, Any]:
    """Settings that name a sound file for every secret, and let every port be a free one."""
    keys = {
        "api_key_file": write_secret(folder / "key", "k" * 64),
        "api_secret_file": write_secret(folder / "secret", "s" * 64 + "\n"),
    }
    ports = {name: {"http_port": 0} for name in SERVICES}
    return {
        **ports,
        "approval_key_file": write_secret(folder / "approval", "a" * 64),
        "execution": keys | ports["execution"],
        "reconciler": keys | ports["reconciler"],
    }


async def end_of(
    name: str, folder: Path, config: Path | None, variables: Mapping[str, str] | None = None
) -> tuple[int, list[dict[str, Any]]]:
    """Start a service that is not meant to live; its exit code and what it said."""
    named = () if config is None else ("--config", str(config))
    command = (sys.executable, "-m", f"services.{name}", *named)
    child = Child(name, command, folder / f"{name}.log")
    await child.start(child_environment(os.environ) | dict(variables or {}))
    try:
        code = await asyncio.wait_for(child.wait(), DEADLINE_S)
    finally:
        await child.stop(STOP_MS)
    lines = child.log_path.read_text().splitlines()
    return code, [json.loads(line) for line in lines]


async def end_of_all(folder: Path, config: Path) -> dict[str, tuple[int, list[dict[str, Any]]]]:
    ends = await asyncio.gather(*(end_of(name, folder, config) for name in SERVICES))
    return dict(zip(SERVICES, ends, strict=True))


async def test_every_service_names_an_unknown_setting_of_its_own_and_the_nearest_known(tmp_path):
    config = write_config(tmp_path, {name: {"http_prt": 1} for name in SERVICES})
    for name, (code, said) in (await end_of_all(tmp_path, config)).items():
        assert code == EXIT_CONFIG
        (line,) = said
        assert (line["level"], line["event"]) == ("error", "configuration refused")
        expected = f"unknown setting '{name}.http_prt'; did you mean 'http_port'?"
        assert line["error"] == f"{config}: {expected}"


async def test_a_configuration_that_is_not_there_is_named(tmp_path):
    config = tmp_path / "nothing.yaml"
    code, (line,) = await end_of("signal", tmp_path, config)
    assert code == EXIT_CONFIG
    assert line["error"] == f"cannot read the configuration {config}: No such file or directory"


async def test_an_image_without_a_configuration_says_which_file_it_misses(tmp_path):
    told = re.search(r"PORTCULLIS_CONFIG=(\S+)", (ROOT / "Dockerfile").read_text())
    assert told is not None
    for name in SERVICES:
        code, (line,) = await end_of(name, tmp_path, None, {"PORTCULLIS_CONFIG": told[1]})
        assert code == EXIT_CONFIG
        assert (
            line["error"] == f"cannot read the configuration {told[1]}: No such file or directory"
        )


async def test_every_service_waits_visibly_for_the_broker_and_then_gives_up(tmp_path):
    url = f"nats://127.0.0.1:{free_port()}"
    bus = {"url": url, "connect_attempts_max": 3, "connect_wait_ms": 50, "connect_timeout_ms": 300}
    config = write_config(tmp_path, {"bus": bus, **with_secrets(tmp_path)})
    for code, said in (await end_of_all(tmp_path, config)).values():
        assert code == EXIT_BROKER
        waits = [line for line in said if line["event"] == "broker not reachable, waiting"]
        last = said[-1]
        assert [line["attempt"] for line in waits] == [1, 2, 3]
        for line in waits:
            assert (line["url"], line["attempts_max"], line["wait_ms"]) == (url, 3, 50)
        assert last["event"] == "no broker"
        assert url in last["error"]
        assert "start nats-server or set bus.url" in last["error"]


async def test_live_is_refused_in_one_line_until_its_account_is_confirmed_by_name(tmp_path):
    key = tmp_path / "key"
    key.write_text("k" * 64)
    key.chmod(0o600)
    live = {
        "mode": "live",
        "account": "main",
        "venue": {"rest_url": "https://fapi.binance.com"},
        "execution": {"api_key_file": str(key), "api_secret_file": str(key)},
    }
    lines = 0
    for settings, words in (
        (live, "execution.live_account_confirmation to its name, 'main'"),
        ({**live, "execution": {}}, "mode live needs credentials: set execution.api_key_file"),
        ({**live, "mode": "paper"}, "a real venue"),
    ):
        code, said = await end_of("execution", tmp_path, write_config(tmp_path, settings))
        assert code == EXIT_CONFIG
        (line,) = said[lines:]
        lines = len(said)
        assert (line["level"], line["event"]) == ("error", "configuration refused")
        assert words in line["error"]
        assert "k" * 64 not in str(said)


def in_a_cluster(account: str) -> dict[str, str]:
    """What execution's pod is told for real money, where only the account was filled in."""
    shipped = yaml.safe_load((ROOT / "k8s" / "overlays" / "live" / "account.yaml").read_text())
    return {**shipped["data"], "PORTCULLIS_ACCOUNT": account}


def in_compose(account: str) -> dict[str, str]:
    """What execution's container is told for real money, where only the account was filled in."""
    lines = (ROOT / "deploy" / "live.env").read_text().splitlines()
    chosen = dict(line.split("=", 1) for line in lines if line and line[0] != "#")
    chosen["PORTCULLIS_ACCOUNT"] = account
    # Knows no tags, so compose's own do not disturb it, and no merge key.
    shipped = yaml.load((ROOT / "compose.live.yaml").read_text(), Loader=yaml.BaseLoader)
    told = shipped["services"]["execution"]["environment"]
    told = {**told.pop("<<"), **told}
    return {
        name: re.sub(r"\$\{(\w+)[^}]*\}", lambda found: chosen[found[1]], value)
        for name, value in told.items()
    }


ACCOUNT = "account: Value error, empty; name the account: 1 to 32 letters, digits, - and _"
CONFIRMATION = (
    "mode live trades real money: confirm the account by setting"
    " execution.live_account_confirmation to its name, '{}' (variable {})"
)


@pytest.mark.parametrize("told", [in_a_cluster, in_compose])
@pytest.mark.parametrize("account", ["", "main", "12345"])
async def test_live_as_it_is_shipped_says_what_to_set(tmp_path, told, account):
    variables = told(account)
    assert variables[CONFIRMATION_VARIABLE] == ""
    tokens = write_secret(tmp_path / "tokens", f"read ops {'t' * 32}\n")
    variables["PORTCULLIS_HTTP_TOKENS_FILE"] = tokens
    live = ROOT / "config" / "live.yaml"
    code, (line,) = await end_of("execution", tmp_path, live, variables)
    assert code == EXIT_CONFIG
    assert line["event"] == "configuration refused"
    if account:
        assert line["error"] == CONFIRMATION.format(account, CONFIRMATION_VARIABLE)
    else:
        assert line["error"] == f"{live}: {ACCOUNT} (set by PORTCULLIS_ACCOUNT)"


async def test_a_door_that_other_machines_reach_is_not_opened_without_a_token(tmp_path):
    config = write_config(tmp_path, {"http_host": "0.0.0.0"})
    for code, said in (await end_of_all(tmp_path, config)).values():
        assert code == EXIT_CONFIG
        (line,) = said
        assert "http_tokens_file" in line["error"]


def end_on_a_full_volume(folder: Path, config: Path) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "services.feed", "--config", str(config))
    with Path("/dev/full").open("wb") as full:
        return subprocess.run(
            command,
            stdout=full,
            stderr=subprocess.PIPE,
            env=child_environment(os.environ),
            cwd=folder,
            text=True,
            timeout=DEADLINE_S,
        )


def test_a_log_on_a_full_volume_changes_no_end_of_a_service(tmp_path):
    ended = end_on_a_full_volume(tmp_path, tmp_path / "nothing.yaml")
    assert (ended.returncode, ended.stderr) == (EXIT_CONFIG, "")
    bus = {"url": f"nats://127.0.0.1:{free_port()}", "connect_attempts_max": 2}
    bus |= {"connect_wait_ms": 50, "connect_timeout_ms": 300}
    config = write_config(tmp_path, {"bus": bus, "feed": {"http_port": 0}})
    ended = end_on_a_full_volume(tmp_path, config)
    assert (ended.returncode, ended.stderr) == (EXIT_BROKER, "")


async def test_a_broker_that_does_not_know_our_password_is_not_called_absent(tmp_path):
    """Told once however often it is tried, and the password never."""
    ports = tmp_path / "ports"
    ports.mkdir()
    conf = tmp_path / "broker.conf"
    conf.write_text(
        f'listen: "127.0.0.1:-1"\nports_file_dir: {json.dumps(str(ports))}\n'
        "authorization { user: portcullis, password: right-right-right }\n"
    )
    broker = await asyncio.create_subprocess_exec(
        broker_binary(), "-c", str(conf), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not (found := list(ports.glob("*.ports"))) or not found[0].read_text():
                await asyncio.sleep(0.02)
        address = json.loads(found[0].read_text())["nats"][0].removeprefix("nats://")
        bus = {"url": f"nats://portcullis:wrong-wrong-wrong@{address}"}
        bus |= {"connect_attempts_max": 2, "connect_wait_ms": 50, "connect_timeout_ms": 500}
        config = write_config(tmp_path, {"bus": bus, "feed": {"http_port": 0}})
        code, said = await end_of("feed", tmp_path, config)
    finally:
        broker.terminate()
        await broker.wait()
    assert code == EXIT_BROKER
    assert said[-1]["event"] == "no broker"
    assert said[-1]["error"] == (
        f"the broker at nats://***@{address} does not let us in (authorization violation): it does"
        " not know the password in bus.url, or the key in bus.identity_file"
    )
    told = [line["error"] for line in said if line["event"] == "broker error"]
    assert len(told) == len(set(told)), "the same told twice"
    assert "wrong-wrong" not in (tmp_path / "feed.log").read_text()
