"""What goes wrong in a long run: rules of stream and request faults, drawn by seeded dice."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

SPELL_MS: Final = 120_000
"""Market time after which other faults are drawn."""
CALM_PERCENT: Final = 15
"""Spells in which nothing goes wrong: a feed that never rests could hide what it does not heal."""
RULES_MAX: Final = 8
Rule = dict[str, Any]


def draw_spell(
    dice: random.Random, symbols: Sequence[str], intervals: Sequence[str]
) -> tuple[list[Rule], list[Rule]]:
    """The stream rules and the request rules of the next spell."""
    if dice.randrange(100) < CALM_PERCENT:
        return [], []
    rules = [_stream_rule(dice, symbols, intervals) for _ in range(dice.randint(1, RULES_MAX))]
    requests: list[Rule] = []
    if dice.random() < 0.3:
        effect = dice.choice(("http_503_unavailable", "http_503_internal", "http_502", "http_429"))
        endpoint = dice.choice(("klines", "trades", "historicalTrades"))
        requests = [
            {"endpoint": f"GET /fapi/v1/{endpoint}", "effect": effect, "nth": nth}
            for nth in range(1, dice.randint(2, 4))
        ]
    return rules, requests


def _stream_rule(dice: random.Random, symbols: Sequence[str], intervals: Sequence[str]) -> Rule:
    symbol, other = dice.sample(list(symbols), 2)
    kline = f"{symbol.lower()}@kline_{dice.choice(list(intervals))}"
    mark, trade = f"{symbol.lower()}@markPrice@1s", f"{symbol.lower()}@trade"
    window: Mapping[str, object] = {
        "after_ms": dice.randrange(SPELL_MS // 2),
        "for_ms": dice.randrange(5_000, SPELL_MS // 2),
        "seed": dice.randrange(1_000_000),
    }
    bar: Mapping[str, object] = {"stream": kline, "closed_only": True}
    rare: Mapping[str, object] = {"probability": 0.05, **window}
    choices: tuple[Rule, ...] = (
        {**bar, "effect": "drop", **window},
        {**bar, "effect": "delay", "delay_ms": dice.randrange(500, 90_000), **window},
        {**bar, "effect": "duplicate", **window},
        {**bar, "effect": "reorder", **window},
        {**bar, "effect": "garbage", **window},
        {**bar, "effect": "half_frame", **window},
        {**bar, "effect": "wrong_symbol", "as_symbol": other, **window},
        {**bar, "effect": "wrong_symbol", "as_symbol": "币安人生USDT", **window},
        {"stream": kline, "effect": "corrected_bar", "delay_ms": 700, **window},
        {"stream": kline, "effect": "stall", "scope": "subscription", **window},
        {"stream": mark, "effect": "stall", "scope": "subscription", **window},
        {"stream": trade, "effect": "stall", "scope": "subscription", **window},
        {"stream": mark, "effect": "stall", "scope": "socket", "nth": 1},
        {"stream": dice.choice((mark, trade)), "effect": "close", "nth": dice.randint(1, 60)},
        {"stream": mark, "effect": "close", "nth": 5, "code": 1008, "reason": "too many requests"},
        {"stream": trade, "effect": "drop", **rare},
        {"stream": trade, "effect": "duplicate", **rare},
        {"stream": trade, "effect": "reorder", **rare},
        {"stream": trade, "effect": "delay", "delay_ms": dice.randrange(100, 5_000), **rare},
        {"stream": trade, "effect": "garbage", **rare},
        {"stream": trade, "effect": "wrong_symbol", "as_symbol": other, **rare},
    )
    return dict(dice.choice(choices))
