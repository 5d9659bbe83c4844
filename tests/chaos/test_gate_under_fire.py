"""Kill execution every few seconds while the venue loses answers, and judge the run.

Every candle is an intent, so that some order is nearly always on its way when something happens.
"""

import math
import os
import re
import signal
import sys
import time

import pytest
import yaml

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT")
MINUTES = 60
START_MS = 1_723_161_240_000
ARMED = re.compile("ACTIVE(?!, not armed)")
ARMED_S = 1.5
"""It is killed so long after it was armed again, so that orders leave between two kills."""
INTENTS_MIN = 200
KILLS_MIN = 5
DEADLINE_S = 900
PRICES = {"BTCUSDT": 60_000, "ETHUSDT": 2_500, "BNBUSDT": 500, "ADAUSDT": 0.35}
DECIMALS = {"BTCUSDT": 1, "ETHUSDT": 2, "BNBUSDT": 2, "ADAUSDT": 4}
#: A tenth of the answers lost after the order was executed, a twentieth 503 "unknown".
FAULTS = [
    {"endpoint": "POST /fapi/v1/order", "effect": effect, "probability": chance, "seed": seed}
    for seed, (effect, chance) in enumerate(
        (
            ("drop_after_execution", "0.10"),
            ("http_503_unknown", "0.05"),
            ("http_503_unknown_not_executed", "0.05"),
        )
    )
]
CONFIG = {
    "execution": {
        "rate_symbol_orders_max": 1_000,
        "rate_global_orders_max": 1_000,
        "cooldown_failed_ms": 0,
        "cooldown_failed_exit_ms": 0,
    },
    "signal": {
        "strategies": [{"id": "restless", "strategy": "restless.Restless", "intent_ttl_ms": 30_000}]
    },
    "risk": {"limits": {"positions_max": 10}},
    "runner": {"restarts_in_a_row_max": 1_000, "restart_wait_ms_max": 200},
}

pytestmark = pytest.mark.chaos


def write_klines(folder, symbol):
    path = folder / f"{symbol}-1m-2024-08-09.csv"
    decimals = DECIMALS[symbol]
    rows, last = [], PRICES[symbol]
    for minute in range(MINUTES):
        open_ms = START_MS + minute * 60_000
        close = PRICES[symbol] * (1 + 0.002 * math.sin(minute / 7))
        high, low = max(last, close) * 1.0005, min(last, close) * 0.9995
        figures = ",".join(f"{value:.{decimals}f}" for value in (last, high, low, close))
        rows.append(f"{open_ms},{figures},100000,{open_ms + 59_999},0,0,0,0,0")
        last = close
    path.write_text("\n".join(rows))
    return path


def kill_execution_again_and_again(run) -> int:
    kills, killed_last, said = 0, 0, 0
    while run.is_alive:
        found = run.process_id("execution")
        if found is not None and found != killed_last and ARMED.search(run.words, said):
            time.sleep(ARMED_S)
            if run.is_alive and run.process_id("execution") == found:
                os.kill(found, signal.SIGKILL)
                kills, killed_last, said = kills + 1, found, len(run.words)
        time.sleep(0.02)
        if run.market_ns() >= (START_MS + (MINUTES - 2) * 60_000) * 10**6:
            break
    return kills


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_execution_killed_again_and_again_while_answers_are_lost_keeps_every_promise(
    start_run, tmp_path
):
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    arguments = ["--config", str(config), "--speed", "60"]
    for symbol in SYMBOLS:
        arguments += ["--klines", str(write_klines(tmp_path, symbol))]
    run = start_run(arguments)
    run.wait_until_active()
    run.ask_venue("/sim/faults", FAULTS)
    kills = kill_execution_again_and_again(run)
    struck = [rule["struck"] for rule in run.ask_venue("/sim/faults")["faults"]]
    report = run.end(DEADLINE_S)
    sys.stdout.write(f"kills {kills}, faults struck {struck}, intents {report['intents']}\n")
    assert kills >= KILLS_MIN
    assert all(struck), "every fault has to have happened"
    assert report["intents"]["total"] >= INTENTS_MIN
    run.judge(report)
