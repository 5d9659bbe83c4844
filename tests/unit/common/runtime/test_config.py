"""What is wrong with a configuration is named, with the cure, and never with its values."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.config_check import SECTIONS
from libs.common.model.settings import Section
from libs.common.runtime.config import CommonConfig, Mode, load_config
from libs.common.runtime.config_shown import shown
from libs.common.runtime.errors import ConfigError
from services.execution.config import ExecutionConfig
from services.feed.config import FeedConfig

SECRET = "abcdefghijklmnopqrstuvwxyz0123456789"


def load(path: Path | None = None, **environment: str):
    return load_config("feed", FeedConfig, path=path, environment=environment)


def refusal(path: Path | None = None, **environment: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, **environment)
    return str(caught.value)


@pytest.fixture
def file(tmp_path):
    """Write a configuration file."""

    def write(text: str) -> Path:
        path = tmp_path / "portcullis.yaml"
        path.write_text(text)
        return path

    return write


def test_without_a_file_the_defaults_are_paper():
    for variables in ({}, {"PORTCULLIS_CONFIG": ""}):
        common, _, _ = load(**variables)
        assert common.mode is Mode.PAPER


def test_a_file_is_read_and_the_environment_wins(file):
    path = file("symbols: [BTCUSDT]\nfeed: {http_port: 9001, warmup_bars: 5}\n")
    common, feed, _ = load(path, PORTCULLIS_FEED__HTTP_PORT="9002")
    assert common.symbols == ("BTCUSDT",)
    assert (feed.http_port, feed.warmup_bars) == (9002, 5)


def test_the_file_may_be_named_by_the_environment(file):
    _, feed, _ = load(PORTCULLIS_CONFIG=str(file("feed: {http_port: 9001}\n")))
    assert feed.http_port == 9001


def test_the_hash_changes_with_a_setting_of_ours_and_not_with_one_of_another_service(file):
    hashes = [load(file(text))[2] for text in (
        "{}", "feed: {http_port: 9001}", "risk: {http_port: 9001}", "symbols: [ETHUSDT]",
    )]  # fmt: skip
    assert hashes[0] == hashes[2]
    assert len(set(hashes)) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("feed: {warmup_bar: 5}", "unknown setting 'feed.warmup_bar'; did you mean 'warmup_bars'?"),
        ("symbol: [BTCUSDT]", "unknown setting 'symbol'; did you mean 'symbols'?"),
        ("fed: {}", "unknown setting 'fed'; did you mean 'feed'?"),
        ("bus: {uri: x}", "unknown setting 'bus.uri'; did you mean 'url'?"),
        ("bus: {zzzzzz: x}", "unknown setting 'bus.zzzzzz'; known here: url, "),
    ],
)
def test_an_unknown_setting_is_named_with_the_nearest_known(file, text, words):
    path = file(text)
    said = refusal(path)
    assert said.startswith(f"{path}: ")
    assert words in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("feed: {warmup_bars: many}", "feed.warmup_bars: Input should be a valid integer"),
        ("feed: {http_port: 70000}", "feed.http_port: Input should be less than or equal to 65535"),
        ("bus: {url: [1]}", "bus.url: Input should be a valid string"),
        ("mode: real", "mode: Input should be 'paper', 'testnet' or 'live'"),
        ("feed: 5", "feed must be a section of settings"),
        ("- feed", "must hold settings by name, not list"),
        ("feed: [", "is not YAML"),
    ],
)
def test_a_wrong_type_is_named_with_what_would_be_right(file, text, words):
    assert words in refusal(file(text))


def test_all_faults_are_told_at_once(file):
    said = refusal(file("feed: {warmup_bars: many, http_port: -1}"))
    assert "feed.warmup_bars" in said
    assert "feed.http_port" in said


def test_a_missing_file_is_named_with_the_reason(tmp_path):
    path = tmp_path / "nothing.yaml"
    expected = f"cannot read the configuration {path}: No such file or directory"
    assert refusal(path) == expected
    assert refusal(PORTCULLIS_CONFIG=str(path)) == expected


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("PORTCULLIS_FEED__WARMUP_BAR", "did you mean 'warmup_bars'?"),
        ("PORTCULLIS_SYMBOL", "did you mean 'symbols'?"),
        ("PORTCULLIS_MODE__KIND", "PORTCULLIS_MODE__KIND: mode is a single setting"),
    ],
)
def test_a_variable_that_sets_nothing_is_refused_like_the_file(file, name, words):
    assert words in refusal(file("mode: paper"), **{name: "5"})


def test_a_refusal_never_repeats_a_value(file):
    path = file(
        f"execution: {{api_secret: {SECRET}, http_port: {SECRET}}}\nbus: {{url: [{SECRET}]}}"
    )
    for service, settings in (("feed", FeedConfig), ("execution", ExecutionConfig)):
        with pytest.raises(ConfigError) as caught:
            load_config(service, settings, path=path, environment={})
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"mode: paper\nmode: live\n", "mode is set twice, on lines 1 and 2"),
        (b"bus:\n  url: a\n  url: b\n", "bus.url is set twice, on lines 2 and 3"),
        (b"on: 1\n", "line 1: the name of a setting must be text; put it in quotes"),
        (b"bus: {url: 'nats://x\n", "is not YAML: line 2, found unexpected end of stream"),
        (b"\xff\xfe\x00", "is not YAML: it is not UTF-8 text"),
        (b"feed: {http_port: 2026-13-45}\n", "is not YAML: a value in it cannot be read"),
        (b"[" * 5_000, "is not YAML: a value in it cannot be read"),
        (b"execution: {api_key: *hunter22}\n", "is not YAML: line 1, found undefined alias ..."),
        (b"x: !hunter22 1\n", "line 1, could not determine a constructor for the tag ..."),
        (b"feed: false\n", "feed must be a section of settings"),
        (b"# x\n" * 300_000, "is longer than 1048576 bytes: is it the right file?"),
        (b"symbols: [btcusdt]\n", "symbols: Value error, a symbol is 2 to 32 capital letters"),
        (b"symbols: [BTCUSDT, BTCUSDT]\n", "a symbol is named twice"),
        (
            b"bus: {ack_wait_ms: 600}\nfeed: {silence_ms_max: 2000}\n",
            "stored; feed.quiet_ms_max (3000) must be below feed.silence_ms_max (2000)",
        ),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_in_one_line_without_its_values(
    tmp_path, raw, words
):
    path = tmp_path / "portcullis.yaml"
    path.write_bytes(raw)
    said = refusal(path)
    assert said.startswith(f"{path}")
    assert words in said
    assert "\n" not in said
    assert "hunter22" not in said


def test_a_variable_that_is_no_yaml_is_named_and_not_repeated():
    said = refusal(PORTCULLIS_BUS__URL="[hunter22")
    assert said == "PORTCULLIS_BUS__URL: its value is not YAML; put it in quotes"


@pytest.mark.parametrize("name", ["12345", "no", "1e5", "0x1F", "null", "2026-01-01", "2026-13-45"])
def test_a_text_in_a_variable_stays_text_whatever_yaml_sees_in_it(name):
    variables = {
        "PORTCULLIS_ACCOUNT": name,
        "PORTCULLIS_EXECUTION__LIVE_ACCOUNT_CONFIRMATION": f'"{name}"',
        "PORTCULLIS_BUS__URL": name,
    }
    common, execution, _ = load_config("execution", ExecutionConfig, environment=variables)
    assert common.account == execution.live_account_confirmation == common.bus.url == name


def test_only_texts_are_taken_as_they_are():
    common, feed, _ = load(
        PORTCULLIS_SYMBOLS="[ETHUSDT]",
        PORTCULLIS_BUS__REPLICAS="3",
        PORTCULLIS_BUS__IDENTITY_FILE="",
        PORTCULLIS_FEED__RECORD_FOLDER="null",
        PORTCULLIS_FEED="{warmup_bars: 5}",
        PORTCULLIS_MODE="testnet",
        PORTCULLIS_EXECUTION__LEVERAGE="5",
    )
    assert (common.symbols, common.bus.replicas, common.mode) == (("ETHUSDT",), 3, Mode.TESTNET)
    assert (common.bus.identity_file, feed.record_folder, feed.warmup_bars) == (None, None, 5)
    assert "feed.warmup_bars" in refusal(PORTCULLIS_FEED__WARMUP_BARS="")
    assert "account: Input should be a valid string" in refusal(PORTCULLIS_ACCOUNT="[main]")


def texts(model: type[Section], prefix: str) -> Iterator[tuple[str, str]]:
    """The name of every setting that is a text, and its default."""
    for name, known in model.model_fields.items():
        if known.annotation is str:
            yield f"{prefix}{name}", known.default
        elif isinstance(known.annotation, type) and issubclass(known.annotation, Section):
            yield from texts(known.annotation, f"{prefix}{name}.")


def test_an_empty_variable_is_refused_where_a_text_must_not_be_empty():
    known = [(None, name, default) for name, default in texts(CommonConfig, "")]
    for service, model in SECTIONS.items():
        known += [(service, name, default) for name, default in texts(model, f"{service}.")]
    assert len(known) > 10
    for service, name, default in known:
        variable = "PORTCULLIS_" + name.replace(".", "__").upper()
        section = service or "feed"
        if default == "":
            load_config(section, SECTIONS[section], environment={variable: ""})
            continue
        with pytest.raises(ConfigError, match=re.escape(f"{name}: ")) as caught:
            load_config(section, SECTIONS[section], environment={variable: ""})
        assert str(caught.value).endswith(f" (set by {variable})")


def test_a_refused_setting_is_told_with_the_variable_it_came_from_and_without_its_value(file):
    path = file("feed: {warmup_bars: many}")
    said = refusal(path, PORTCULLIS_BUS__REPLICAS="hunter22", PORTCULLIS_BUS__ACK_WAIT_MS="900")
    replicas, warmup_bars = said.removeprefix(f"{path}: ").split("; ")
    assert replicas.startswith("bus.replicas: Input should be a valid integer")
    assert replicas.endswith(" (set by PORTCULLIS_BUS__REPLICAS)")
    assert "set by" not in warmup_bars
    assert "hunter22" not in said
    said = refusal(PORTCULLIS_BUS__PUBLISH_TIMEOUT_MS="1000", PORTCULLIS_BUS__ACK_WAIT_MS="900")
    assert said.endswith(
        " (set by PORTCULLIS_BUS__PUBLISH_TIMEOUT_MS and PORTCULLIS_BUS__ACK_WAIT_MS)"
    )


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [
        ("bus.url", "nats://bob:hunter22@broker:4222", "nats://***@broker:4222"),
        ("bus.url", "nats://hunter22@broker:4222", "nats://***@broker:4222"),
        ("execution.live_account_confirmation", "k" * 64, "***"),
        ("signal.strategies.0.parameters.api_token", "hunter22", "***"),
        ("x", "-----BEGIN PRIVATE KEY-----\nhunter22", "***"),
        ("x", "SU" + "A" * 56, "***"),
        ("execution.api_secret_file", Path("/keys/secret"), "/keys/secret"),
        ("symbols", ("BTCUSDT", "ETHUSDT"), ["BTCUSDT", "ETHUSDT"]),
        ("mode", Mode.LIVE, "live"),
    ],
)
def test_what_is_shown_of_a_setting_is_no_secret(name, value, seen):
    assert shown(name, value) == seen
