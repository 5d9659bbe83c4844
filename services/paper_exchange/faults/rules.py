"""Faults on request: which requests go wrong, and how.

Each rule has its own seeded dice and its own count of the requests it matches, so that the same
rules and the same requests give the same faults. The first rule that strikes decides. Nothing here
does any I/O: a shell or a simulation asks `strike`, and `told_instead` for what to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator

from services.paper_exchange.faults.effects import (
    AMBIGUOUS_EFFECTS,
    DELAYED_EFFECTS,
    EXECUTED_EFFECTS,
    Effect,
)
from services.paper_exchange.wire.refusals import TEXTS

DELAY_MS_MAX = 600_000


class FaultRule(BaseModel):
    """One rule: an endpoint such as `POST /fapi/v1/order`, when it strikes, and what it does.

    `nth` strikes the nth matching request (1 is the next) and no other; `probability` strikes each
    with that chance; neither strikes every one. `delay_ms` is wall time for `delay`, market time
    for the late arrivals and for how long a 418 says to stay away. `executes` says whether the
    request is carried out, for effects that leave it open. `code` is what `refuse` refuses with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str = Field(pattern=r"^(GET|POST|PUT|DELETE) /\S+$")
    effect: Effect = Effect.DELAY
    delay_ms: int = Field(default=0, ge=0, le=DELAY_MS_MAX)
    executes: bool | None = None
    code: int | None = None
    nth: int | None = Field(default=None, ge=1)
    probability: Decimal | None = Field(default=None, ge=0, le=1)
    seed: int = 0

    @field_validator("probability", mode="before")
    @classmethod
    def _through_text(cls, value: object) -> object:
        """Keep a JSON number's digits instead of its binary neighbor."""
        return value if value is None else str(value)

    @model_validator(mode="before")
    @classmethod
    def _delay_as_effect(cls, value: object) -> object:
        """Take `"effect": {"delay_ms": 200}` and `"effect": "delay_ms:200"` for a delay, too."""
        if not isinstance(value, dict):
            return value
        effect = value.get("effect")
        if isinstance(effect, dict) and effect.keys() == {"delay_ms"}:
            return value | {"effect": "delay", "delay_ms": effect["delay_ms"]}
        if isinstance(effect, str) and effect.startswith("delay_ms:"):
            return value | {"effect": "delay", "delay_ms": effect.removeprefix("delay_ms:")}
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> FaultRule:
        if self.nth is not None and self.probability is not None:
            raise ValueError("a rule has `nth` or `probability`, not both")
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


class Faults:
    """The rules in force, with their counters; `struck` counts by effect since the start."""

    def __init__(self) -> None:
        self._rules: list[tuple[FaultRule, Random]] = []
        self._seen: list[int] = []
        self._struck: list[int] = []
        self.struck: Counter[str] = Counter()

    def set_rules(self, rules: Sequence[FaultRule]) -> None:
        """Replace all rules and start counting them anew."""
        # S311: seeded dice for repeatable faults, not for secrets.
        self._rules = [(rule, Random(rule.seed)) for rule in rules]  # noqa: S311
        self._seen = [0] * len(rules)
        self._struck = [0] * len(rules)

    def strike(self, endpoint: str, values: Mapping[str, str]) -> FaultRule | None:
        """Count a request against the rules and return the one that strikes it, if any."""
        struck: FaultRule | None = None
        for index, (rule, dice) in enumerate(self._rules):
            if rule.endpoint != endpoint:
                continue
            self._seen[index] += 1
            if rule.nth is not None:
                strikes = rule.nth == self._seen[index]
            elif rule.probability is not None:
                strikes = Decimal(dice.randrange(1_000_000)) < rule.probability * 1_000_000
            else:
                strikes = True
            if strikes and struck is None and not _is_exempt(rule.effect, endpoint, values):
                struck = rule
                self._struck[index] += 1
                self.struck[rule.effect.value] += 1
        return struck

    def describe(self) -> list[dict[str, object]]:
        """The rules with how many requests each has seen and struck."""
        rows = zip(self._rules, self._seen, self._struck, strict=True)
        return [
            rule.model_dump(mode="json") | {"seen": seen, "struck": struck}
            for (rule, _), seen, struck in rows
        ]


def _is_exempt(effect: Effect, endpoint: str, values: Mapping[str, str]) -> bool:
    """The venue's protection (-1008) lets cancels and whatever only reduces through."""
    if effect is not Effect.HTTP_503_THROTTLED:
        return False
    is_reducing = any(
        values.get(name, "").lower() == "true" for name in ("reduceOnly", "closePosition")
    )
    return is_reducing or endpoint.startswith("DELETE ")


FaultRules = TypeAdapter(Annotated[list[FaultRule], Field(max_length=1_000)])
