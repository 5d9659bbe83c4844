"""Faults on request: which requests go wrong, and how.

Nothing here does any I/O: a shell or a simulation asks `strike`, and `told_instead` for what to
say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, TypeAdapter, model_validator

from services.paper_exchange.faults.effects import (
    AMBIGUOUS_EFFECTS,
    DELAYED_EFFECTS,
    EXECUTED_EFFECTS,
    Effect,
)
from services.paper_exchange.faults.rule_book import (
    DELAY_MS_MAX,
    RULES_MAX,
    RuleBook,
    StrikingRule,
)
from services.paper_exchange.wire.refusals import TEXTS

DELAY_TEXT = "delay_ms:"


class FaultRule(StrikingRule):
    """One rule: an endpoint such as `POST /fapi/v1/order`, when it strikes, and what it does.

    `symbol` narrows it to requests that name this one. `delay_ms` is wall time for `delay`, market
    time for the late arrivals and for how long a 418 says to stay away. `executes` says whether the
    request is carried out, for effects that leave it open. `code` is what `refuse` refuses with.
    """

    endpoint: str = Field(pattern=r"^(\*|(GET|POST|PUT|DELETE) /[!-~]+)$", max_length=200)
    symbol: str | None = Field(default=None, max_length=40)
    effect: Effect = Effect.DELAY
    delay_ms: int = Field(default=0, ge=0, le=DELAY_MS_MAX)
    executes: bool | None = None
    code: int | None = Field(default=None, ge=-9_999, le=-1)

    @model_validator(mode="before")
    @classmethod
    def _delay_as_effect(cls, value: object) -> object:
        """Take `"effect": {"delay_ms": 200}` and `"effect": "delay_ms:200"` for a delay, too."""
        if not isinstance(value, dict):
            return value
        effect = value.get("effect")
        if isinstance(effect, dict) and effect.keys() == {"delay_ms"}:
            return value | {"effect": "delay", "delay_ms": effect["delay_ms"]}
        if isinstance(effect, str) and effect.startswith(DELAY_TEXT):
            digits = effect.removeprefix(DELAY_TEXT)
            delay_ms = int(digits) if digits.isdecimal() and len(digits) < 10 else digits
            return value | {"effect": "delay", "delay_ms": delay_ms}
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> FaultRule:
        if self.effect in DELAYED_EFFECTS and not self.delay_ms:
            raise ValueError(f"{self.effect.value} needs `delay_ms`")
        if (self.effect is Effect.REFUSE) != (self.code in TEXTS):
            raise ValueError("`refuse`, and nothing else, needs a `code` that this venue knows")
        if self.executes is not None and self.effect not in AMBIGUOUS_EFFECTS:
            raise ValueError(f"{self.effect.value} leaves no choice of `executes`")
        return self

    @property
    def carries_out(self) -> bool:
        """Whether the request is carried out."""
        return self.effect in EXECUTED_EFFECTS if self.executes is None else self.executes


class Faults(RuleBook[FaultRule]):
    """The rules in force, with their counters; `struck` counts by effect since the start."""

    def strike(self, endpoint: str, values: Mapping[str, str]) -> FaultRule | None:
        """Count a request against the rules and return the one that strikes it, if any."""
        if not self.has_rules:
            return None
        symbol = values.get("symbol")
        rule = self.judge(
            lambda rule: (
                rule.endpoint in ("*", endpoint) and (rule.symbol is None or rule.symbol == symbol)
            ),
            lambda rule: _is_exempt(rule.effect, endpoint, values),
        )
        if rule is not None:
            self.struck[rule.effect.value] += 1
        return rule


def _is_exempt(effect: Effect, endpoint: str, values: Mapping[str, str]) -> bool:
    """The venue's protection (-1008) lets cancels and whatever only reduces through."""
    if effect is not Effect.HTTP_503_THROTTLED:
        return False
    is_reducing = any(
        values.get(name, "").lower() == "true" for name in ("reduceOnly", "closePosition")
    )
    return is_reducing or endpoint.startswith("DELETE ")


FaultRules = TypeAdapter(Annotated[list[FaultRule], Field(max_length=RULES_MAX)])
