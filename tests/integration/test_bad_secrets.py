"""A secret that is missing or wrong ends the start: one line, exit code 2, nothing connected to.

No broker runs here: a service that looked for one first would wait and end with another code.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from libs.common.runtime.broker import Broker
from libs.common.runtime.service import EXIT_BROKER, EXIT_CONFIG
from tests.integration.test_bad_start import end_of, with_secrets, write_config, write_secret

Tree = dict[str, Any]
SECRET_PARTS = ("ssssss", "kkkkkk", "aaaaaa", "PRIVATE KEY-----\n")


def pem(kind: str) -> str:
    key = (
        ed25519.Ed25519PrivateKey.generate()
        if kind == "ed25519"
        else rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    )
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def of_execution(text: str, mode: int = 0o600) -> Callable[[Tree, Path], None]:
    """Put a text where execution's secret is."""

    def spoil(tree: Tree, folder: Path) -> None:
        write_secret(folder / "secret", text, mode)

    return spoil


def remove(name: str) -> Callable[[Tree, Path], None]:
    return lambda _, folder: (folder / name).unlink()


def unset(section: str, setting: str) -> Callable[[Tree, Path], None]:
    def spoil(tree: Tree, _: Path) -> None:
        del (tree[section] if section else tree)[setting]

    return spoil


def open_to_group(tree: Tree, folder: Path) -> None:
    (folder / "secret").chmod(0o640)


def a_folder(tree: Tree, folder: Path) -> None:
    (folder / "secret").unlink()
    (folder / "secret").mkdir()


def no_text(tree: Tree, folder: Path) -> None:
    (folder / "secret").write_bytes(b"\xff" * 64)


def tokens_open_to_all(tree: Tree, folder: Path) -> None:
    text = "admin ops " + "t" * 40
    tree["http_tokens_file"] = write_secret(folder / "tokens", text, 0o644)


def the_key_twice(tree: Tree, folder: Path) -> None:
    tree["execution"]["api_secret_file"] = tree["execution"]["api_key_file"]


CASES: dict[str, tuple[str, Callable[[Tree, Path], None], str]] = {
    "missing": ("execution", remove("secret"), "execution.api_secret_file cannot be read"),
    "not-named": (
        "execution",
        unset("execution", "api_secret_file"),
        "mode testnet needs credentials: set execution.api_secret_file",
    ),
    "a-folder": ("execution", a_folder, "Is a directory"),
    "empty": ("execution", of_execution("\n"), "is empty. Put the value there."),
    "group-may-read": ("execution", open_to_group, "is open to others (mode 0640). Run: chmod 600"),
    "ed25519": ("execution", of_execution(pem("ed25519")), "is a PEM key file (private key)"),
    "rsa": ("execution", of_execution(pem("rsa")), "signed with HMAC: make a key of the"),
    "pem-cut-off": ("execution", of_execution(pem("rsa")[:400]), "a PEM key file, cut off"),
    "cut-off": ("execution", of_execution("s" * 63), "is malformed (length 63)"),
    "no-text": ("execution", no_text, "is not UTF-8 text"),
    "key-twice": ("execution", the_key_twice, "hold the same: put the key into the one"),
    "approval-missing": ("risk", remove("approval"), "approval_key_file cannot be read"),
    "gate-approval": ("execution", remove("approval"), "approval_key_file cannot be read"),
    "tokens-open": ("signal", tokens_open_to_all, "http_tokens_file in file"),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_secret_that_is_missing_or_wrong_ends_the_start_in_one_line(tmp_path, case):
    service, spoil, words = CASES[case]
    tree: Tree = {
        "mode": "testnet",
        "venue": {"rest_url": "https://demo-fapi.binance.com"},
        "bus": {"url": "nats://127.0.0.1:1"},
        **with_secrets(tmp_path),
    }
    spoil(tree, tmp_path)
    code, (line,) = await end_of(service, tmp_path, write_config(tmp_path, tree))
    assert code == EXIT_CONFIG
    assert (line["level"], line["event"]) == ("error", "configuration refused")
    assert words in line["error"]
    assert "\n" not in line["error"]
    assert [part for part in SECRET_PARTS if part in str(line)] == []


async def test_a_line_end_behind_a_secret_is_no_part_of_it(tmp_path):
    secrets = with_secrets(tmp_path)
    write_secret(tmp_path / "secret", "s" * 64 + "\r\n")
    tree = {"bus": {"url": "nats://127.0.0.1:1", "connect_attempts_max": 1}, **secrets}
    code, said = await end_of("execution", tmp_path, write_config(tmp_path, tree))
    assert (code, said[-1]["event"]) == (EXIT_BROKER, "no broker")


async def test_a_file_that_is_no_configuration_ends_the_start_in_one_line(tmp_path):
    config = tmp_path / "portcullis.yaml"
    config.write_bytes(b"\xff\xfe: *hunter22\nbus: {url: [x\n")
    code, (line,) = await end_of("feed", tmp_path, config)
    assert code == EXIT_CONFIG
    assert line["error"] == f"{config} is not YAML: it is not UTF-8 text"


async def test_a_configuration_that_is_a_folder_is_named(tmp_path):
    code, (line,) = await end_of("feed", tmp_path, tmp_path)
    assert code == EXIT_CONFIG
    assert line["error"] == f"cannot read the configuration {tmp_path}: Is a directory"


#: Starts nats-server as told, and lets in nobody but one.
WITH_PASSWORD = (
    sys.executable,
    "-c",
    "import os, sys; os.execv(sys.argv[1], [*sys.argv[1:], '--user', 'bob', '--pass', 'right'])",
)


async def test_a_broker_that_does_not_let_us_in_ends_the_start_with_the_reason(tmp_path):
    broker = Broker(tmp_path / "nats", launcher=WITH_PASSWORD)
    url = (await broker.start()).replace("nats://", "nats://bob:hunter22@")
    bus = {"url": url, "connect_timeout_ms": 500, "connect_wait_ms": 50}
    tree = {"bus": bus, "signal": {"http_port": 0}}
    try:
        code, said = await end_of("signal", tmp_path, write_config(tmp_path, tree))
    finally:
        await broker.stop()
    assert (code, said[-1]["event"]) == (EXIT_BROKER, "no broker")
    assert "does not let us in (authorization violation)" in said[-1]["error"]
    assert "hunter22" not in str(said)
    assert len(said) < 6
