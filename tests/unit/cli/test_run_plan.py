"""What is wrong with a wish is said before anything is started, with the place and the cure."""

import gzip
import socket
from pathlib import Path

import pytest

from cli import exits
from cli.config import RunnerConfig
from cli.run_plan import RunOptions, effective_tree, ensure_port_is_free, plan_run
from cli.supervisor import child_environment, describe_end, restart_wait_ms

TRADE = (
    '1723161255030314667 {"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256299,'
    '"T":1723161256298,"s":"BTCUSDT","t":1,"p":"61000.1","q":"0.1","X":"MARKET","m":false}}\n'
)


@pytest.fixture
def tape(tmp_path):
    path = tmp_path / "btcusdt.gz"
    path.write_bytes(gzip.compress(TRADE.encode()))
    return path


def refusal(options, environment=None):
    with pytest.raises(exits.CommandFailed) as failure:
        plan_run(options, environment or {})
    return failure.value


def test_a_tape_tells_its_symbol_and_a_finite_run_takes_free_ports(tape):
    plan = plan_run(RunOptions(tapes=(tape,), until_end=True, speed="20"), {})
    assert plan.market.symbols == ("BTCUSDT",)
    assert plan.venue_port not in (0, 8300)
    files = dict.fromkeys(
        (
            "approval_key", "feed_api_key", "execution_api_key", "execution_api_secret",
            "reconciler_api_key", "reconciler_api_secret", "http_tokens",
        ),
        tape,
    )  # fmt: skip
    tree = effective_tree(plan, "nats://127.0.0.1:1", files, Path("audit"))
    assert tree["symbols"] == tree["risk"]["limits"]["symbols_allowed"] == ["BTCUSDT"]
    assert tree["execution"]["http_port"] == 0
    assert tree["http_tokens_file"] == str(tape)
    assert tree["execution"]["halt_file"] == str(tape.with_name("halt"))


def test_a_text_from_a_variable_is_handed_to_the_services_as_text(tape):
    options = RunOptions(tapes=(tape,), until_end=True, speed="20")
    assert plan_run(options, {"PORTCULLIS_ACCOUNT": "12345"}).tree["account"] == "12345"


def test_tape_and_klines_exclude_each_other(tape):
    failure = refusal(RunOptions(tapes=(tape,), klines=(tape,)))
    assert failure.code == exits.BAD_USAGE
    assert "--tape and --klines" in str(failure)


def test_a_generated_market_has_no_end():
    assert "never ends" in str(refusal(RunOptions(until_end=True)))


def test_a_missing_tape_is_named(tmp_path):
    failure = refusal(RunOptions(tapes=(tmp_path / "nothing.gz",)))
    assert failure.code == exits.BAD_USAGE
    assert "nothing.gz" in str(failure)


def test_a_corrupt_gzip_is_named(tmp_path):
    path = tmp_path / "broken.gz"
    path.write_bytes(gzip.compress(TRADE.encode() * 50)[:40])
    assert "broken.gz" in str(refusal(RunOptions(tapes=(path,))))


@pytest.mark.parametrize("speed", ["0", "-1", "NaN", "fast", "2000000"])
def test_a_speed_that_is_none_is_refused(tape, speed):
    failure = refusal(RunOptions(tapes=(tape,), until_end=True, speed=speed))
    assert speed in str(failure)


def test_an_unknown_setting_is_named_with_the_nearest_known(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("runner: {sped: 3}\n")
    failure = refusal(RunOptions(config=path))
    assert failure.code == exits.BAD_USAGE
    assert "runner.sped" in str(failure)
    assert "speed" in str(failure)


def test_a_setting_of_a_service_is_judged_before_anything_starts(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("execution: {leverage: many}\n")
    assert "execution.leverage" in str(refusal(RunOptions(config=path)))


def test_a_real_venue_is_not_for_this_command():
    failure = refusal(RunOptions(), {"PORTCULLIS_MODE": "live"})
    assert "paper" in str(failure)


def test_a_taken_port_is_named_with_the_setting_that_moves_it():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(exits.CommandFailed) as failure:
            ensure_port_is_free(port, "feed", "feed.http_port")
    assert failure.value.code == exits.NOT_AVAILABLE
    for word in (str(port), "feed.http_port", "PORTCULLIS_FEED__HTTP_PORT"):
        assert word in str(failure.value)


def test_services_take_their_settings_from_the_run_and_nowhere_else():
    kept = child_environment({"PORTCULLIS_BUS__URL": "nats://elsewhere:1", "HOME": "/tmp"})
    assert "PORTCULLIS_BUS__URL" not in kept
    assert kept["HOME"] == "/tmp"
    assert kept["PYTHONSAFEPATH"] == "1"


def test_the_wait_before_a_restart_doubles_up_to_its_limit():
    settings = RunnerConfig()
    waits = [restart_wait_ms(deaths, settings) for deaths in range(1, 9)]
    assert waits == [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]


def test_an_end_is_told_in_words():
    assert describe_end(-9) == "killed by SIGKILL"
    assert describe_end(3) == "exit code 3"
