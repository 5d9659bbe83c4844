"""Which strategies run, as the configuration tells it."""

import pytest

from libs.common.runtime.config import CommonConfig, load_config
from libs.common.runtime.errors import ConfigError
from services.signal.config import SignalConfig, build_series
from services.signal.loading import load_strategy
from services.signal.strategies.ema_cross import EmaCross


def settings(*strategies, **others):
    return SignalConfig.model_validate({"strategies": list(strategies), **others})


def test_the_defaults_run_both_strategies_on_every_symbol():
    series = build_series(CommonConfig(), SignalConfig())
    assert {key: [run.strategy_id for run in own.runs] for key, own in series.items()} == {
        ("BTCUSDT", "1s"): ["rsi", "ema"],
        ("ETHUSDT", "1s"): ["rsi", "ema"],
    }


def test_strategies_follow_the_first_interval_of_the_common_configuration():
    common = CommonConfig(symbols=("ADAUSDT",), candle_intervals=("1m", "1h"))
    series = build_series(common, SignalConfig())
    assert {key: len(own.runs) for key, own in series.items()} == {
        ("ADAUSDT", "1m"): 2,
        ("ADAUSDT", "1h"): 0,
    }


def test_a_strategy_is_found_by_its_dotted_path():
    path = "services.signal.strategies.ema_cross.EmaCross"
    assert load_strategy(path) == load_strategy("ema_cross") == (path, EmaCross)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ema", "known are rsi_crossover, ema_cross"),
        ("no.such.module.Class", "no strategy at"),
        ("services.signal.strategies.ema_cross.Missing", "no strategy at"),
        ("services.signal.strategies.ema_cross.Side", "is no strategy"),
    ],
)
def test_a_name_that_is_no_strategy_is_refused_with_advice(name, words):
    with pytest.raises(ValueError, match=words):
        load_strategy(name)


def test_the_configuration_file_is_refused_where_a_parameter_is_wrong(tmp_path):
    path = tmp_path / "portcullis.yaml"
    path.write_text(
        "signal:\n  strategies:\n"
        "    - {id: mine, strategy: rsi_crossover, parameters: {perod: 14}}\n"
    )
    with pytest.raises(ConfigError, match=r"rsi_crossover: parameters\.perod"):
        load_config("signal", SignalConfig, path=path, environment={})


def test_two_strategies_of_one_id_are_refused():
    with pytest.raises(ValueError, match="different ids"):
        settings({"id": "a", "strategy": "ema_cross"}, {"id": "a", "strategy": "rsi_crossover"})


@pytest.mark.parametrize(
    ("entry", "others", "words"),
    [
        ({"symbols": ["XRPUSDT"]}, {}, "wants 1s candles of XRPUSDT"),
        ({"interval": "5m"}, {}, "wants 5m candles of BTCUSDT"),
        ({}, {"warmup_bars": 5}, "needs 22 candles to warm up"),
    ],
)
def test_candles_that_nobody_makes_are_refused(entry, others, words):
    chosen = settings({"id": "a", "strategy": "ema_cross", **entry}, **others)
    with pytest.raises(ConfigError, match=words):
        build_series(CommonConfig(), chosen)
