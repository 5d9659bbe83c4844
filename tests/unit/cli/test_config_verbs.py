"""`portcullis config`: what is in effect and from where, what is wrong and where, what differs."""

import json
from pathlib import Path

import pytest

from cli import config_commands, exits
from cli.config import SERVICES
from cli.config_commands import diff_configs, show_config, validate_config
from cli.operate import Target
from libs.common.runtime.bus_tls import tls_context
from libs.common.runtime.config import load_config
from libs.common.runtime.config_shown import show_settings
from libs.common.runtime.credentials import load_secret
from libs.common.runtime.errors import ConfigError
from libs.common.runtime.http_tokens import load_tokens
from services.execution.config import ExecutionConfig
from services.risk.config import RiskConfig

SECRET = "abcdefghijklmnopqrstuvwxyz0123456789"
SOUND = """\
symbols: [BTCUSDT]
bus:
  url: nats://bob:hunter22@127.0.0.1:4222
risk:
  limits:
    order_notional_max: 2000
execution:
  api_key_file: KEY
"""
BROKEN = """\
mode: paper
bus: {ack_wait_ms: 900}
feed:
  http_prt: 1
  warmup_bars: many
risk:
  limits:
    symbols_allowed: [BTCUSDX]
symbols: [BTCUSDT]
"""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in list(config_commands.os.environ):
        if name.startswith("PORTCULLIS_"):
            monkeypatch.delenv(name)


@pytest.fixture
def sound(tmp_path) -> Path:
    key = tmp_path / "key"
    key.write_text("k" * 64)
    key.chmod(0o600)
    path = tmp_path / "portcullis.yaml"
    path.write_text(SOUND.replace("KEY", str(key)))
    return path


def rows(capsys) -> dict[str, dict]:
    told = json.loads(capsys.readouterr().out)
    return {row["name"]: row for row in told["settings"]}


def test_every_setting_is_shown_with_its_origin(sound, capsys, monkeypatch):
    monkeypatch.setenv("PORTCULLIS_FEED__WARMUP_BARS", "7")
    assert show_config(sound, None, changed=False, as_json=True) == exits.OK
    found = rows(capsys)
    assert found["risk.limits.order_notional_max"]["origin"] == f"{sound}:6"
    assert found["feed.warmup_bars"]["value"] == 7
    assert found["feed.warmup_bars"]["origin"] == "PORTCULLIS_FEED__WARMUP_BARS"
    assert found["feed.http_port"]["origin"] == "default"
    assert found["risk.limits.daily_loss_max"]["origin"] == "default"
    sections = {name.partition(".")[0] for name in found}
    assert {*SERVICES, "runner", "bus", "venue", "mode"} <= sections


def test_a_long_path_keeps_the_line_at_its_end(sound, capsys):
    far = sound.parent / ("deep" * 20) / sound.name
    far.parent.mkdir()
    far.write_text(sound.read_text())
    assert show_config(far, "risk", changed=True, as_json=False) == exits.OK
    assert f"{far}:6" in capsys.readouterr().out


def test_a_secret_is_told_as_a_path_and_whether_it_can_be_used(sound, capsys, monkeypatch):
    monkeypatch.setenv("PORTCULLIS_HTTP_TOKENS", f"admin ops {SECRET}")
    monkeypatch.setenv("PORTCULLIS_EXECUTION__API_SECRET_FILE", "nothing")
    assert show_config(sound, "execution", changed=True, as_json=False) == exits.OK
    said = capsys.readouterr().out
    assert "hunter22" not in said
    assert SECRET not in said
    assert "k" * 64 not in said
    lines = said.splitlines()
    (key,) = [line for line in lines if line.startswith("execution.api_key_file ")]
    assert key.endswith("readable")
    assert "NOT USABLE: execution.api_secret_file cannot be read from file nothing" in said
    assert any(line.startswith("PORTCULLIS_HTTP_TOKENS") and "***" in line for line in lines)
    assert not any(line.startswith("risk.") for line in lines)


PASTED = {
    "a key of the venue": "Ab3dEfGh1jKlMnOpQrStUvWxYz0123456789" + "abcdefghijklmnopqrstuvwxyzAB",
    "a key in hex": "0123456789abcdef" * 4,
    "a seed of the broker's": "SUAB" + "C2D3" * 13 + "EF",
    "a token": "Zq3-" + "r4nd0m_T0k3n" * 3,
    "a line of tokens": "admin ops " + SECRET,
    "a PEM": "-----BEGIN PRIVATE KEY-----\n" + SECRET + "\n-----END PRIVATE KEY-----\n",
}


@pytest.mark.parametrize("secret", PASTED.values(), ids=PASTED)
@pytest.mark.parametrize(
    "setting",
    ["execution.api_secret_file", "approval_key_file", "http_tokens_file", "bus.tls_ca_file"],
)
def test_a_secret_that_stands_where_its_file_should_be_named_is_not_repeated(
    tmp_path, capsys, secret, setting
):
    tree: dict = {}
    section, _, name = setting.rpartition(".")
    (tree.setdefault(section, {}) if section else tree)[name] = secret
    path = tmp_path / "portcullis.yaml"
    path.write_text(json.dumps(tree))
    show_config(path, None, changed=False, as_json=True)
    show_config(path, None, changed=False, as_json=False)
    diff_configs(path, None, None, as_json=True)
    validate_config(path, secrets=True, as_json=False)
    common, execution, _ = load_config("execution", ExecutionConfig, path=path, environment={})
    shown = [show_settings(common), show_settings(execution, "execution.")]
    for look in (
        lambda: load_secret(common, "approval_key_file", common.approval_key_file),
        lambda: load_secret(common, "execution.api_secret_file", execution.api_secret_file),
        lambda: load_tokens(common, {}),
        lambda: tls_context(common.bus),
    ):
        try:
            look()
        except ConfigError as error:
            shown.append(str(error))
    said = capsys.readouterr()
    told = said.out + said.err + repr(shown)
    assert "looks like a secret itself" in told or setting == "bus.tls_ca_file"
    assert secret[12:-1].strip() not in told.replace("\\n", "\n")


def test_a_secret_that_stands_where_a_name_should_be_is_not_repeated(tmp_path, capsys):
    secret = PASTED["a key of the venue"]
    path = tmp_path / "portcullis.yaml"
    for text in (f"{secret}: 1", f"{secret}: 1\n{secret}: 2", f"day_time_zone: {secret}"):
        path.write_text(f"execution:\n  {text}\n" if "zone" not in text else text)
        assert validate_config(path, secrets=False, as_json=False) == exits.BAD_USAGE
    said = capsys.readouterr()
    assert secret not in said.out + said.err


def test_the_hash_shown_is_the_one_that_the_service_journals(sound, capsys):
    _, _, expected = load_config("risk", RiskConfig, path=sound, environment={})
    show_config(sound, "risk", changed=True, as_json=True)
    assert json.loads(capsys.readouterr().out)["config_hash"] == {"risk": expected}


def test_everything_that_is_wrong_is_told_at_once_each_with_its_place(tmp_path, capsys):
    path = tmp_path / "portcullis.yaml"
    path.write_text(BROKEN)
    assert validate_config(path, secrets=False, as_json=True) == exits.BAD_USAGE
    problems = json.loads(capsys.readouterr().out)["problems"]
    told = {problem["name"]: problem for problem in problems}
    assert list(told) == [
        "bus.publish_timeout_ms",
        "feed.http_prt",
        "feed.warmup_bars",
        "risk.limits.symbols_allowed",
    ]
    assert [told[name]["place"] for name in told] == [
        f"{path}:2",
        f"{path}:4",
        f"{path}:5",
        f"{path}:8 and {path}:9",
    ]
    assert "did you mean 'http_port'?" in told["feed.http_prt"]["text"]
    assert "did you mean 'BTCUSDT'?" in told["risk.limits.symbols_allowed"]["text"]
    assert validate_config(path, secrets=False, as_json=False) == exits.BAD_USAGE
    assert len(capsys.readouterr().out.splitlines()) == 4


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("mode: live\n", "mode", "mode live needs credentials"),
        ("candle_intervals: [7s]\n", "candle_intervals", "does not divide a day"),
        ("signal: {warmup_bars: 1}\n", "signal.warmup_bars", "candles to warm up"),
        ("feed: [\n", "", "is not YAML: line 2"),
    ],
)
def test_what_a_service_would_refuse_at_its_start_is_refused_here(
    tmp_path, capsys, text, name, words
):
    path = tmp_path / "portcullis.yaml"
    path.write_text(text)
    assert validate_config(path, secrets=False, as_json=True) == exits.BAD_USAGE
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert any(one["name"] == name and words in one["text"] for one in problems), problems


def test_secrets_are_looked_into_when_asked(sound, capsys):
    assert validate_config(sound, secrets=True, as_json=False) == exits.OK
    Path(sound.parent / "key").write_text("short")
    assert validate_config(sound, secrets=False, as_json=False) == exits.OK
    assert validate_config(sound, secrets=True, as_json=False) == exits.BAD_USAGE
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith(f"{sound}:8: execution.api_key_file in file")
    assert "short" not in said


def test_two_files_differ_by_settings_and_not_by_how_they_are_written(sound, tmp_path, capsys):
    other = tmp_path / "other.yaml"
    other.write_text("# the same\n" + sound.read_text())
    assert diff_configs(sound, other, None, as_json=False) == exits.OK
    other.write_text("risk: {limits: {order_notional_max: 2000}}\n")
    assert diff_configs(sound, other, None, as_json=True) == exits.FAILED
    told = json.loads(capsys.readouterr().out.partition("\n")[2])["differences"]
    assert [row["name"] for row in told] == ["symbols", "bus.url", "execution.api_key_file"]
    assert "hunter22" not in str(told)


def test_a_file_is_compared_with_the_defaults_and_with_a_running_service(
    sound, capsys, monkeypatch
):
    assert diff_configs(sound, None, None, as_json=False) == exits.FAILED
    assert "risk.limits.order_notional_max" in capsys.readouterr().out
    common, risk, _ = load_config("risk", RiskConfig, path=sound, environment={})
    running = show_settings(common) | show_settings(risk, "risk.")
    monkeypatch.setattr(config_commands, "ask", lambda *_: {"settings": running})
    target = Target(None, None, None, 1.0, service="risk")
    assert diff_configs(sound, None, target, as_json=False) == exits.OK
    running["risk.limits.positions_max"] = 9
    assert diff_configs(sound, None, target, as_json=False) == exits.FAILED
    assert "risk.limits.positions_max  5" in capsys.readouterr().out


def test_what_cannot_be_read_is_wrong_usage_and_no_difference(tmp_path):
    with pytest.raises(exits.CommandFailed, match="cannot read the configuration") as failure:
        diff_configs(tmp_path / "nothing", None, None, as_json=False)
    assert failure.value.code == exits.BAD_USAGE
