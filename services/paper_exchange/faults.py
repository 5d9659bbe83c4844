"""Faults on request: which requests go wrong, and how.

Each rule has its own seeded dice and its own count of the requests it matches, so that the same
rules and the same requests give the same faults. The first rule that strikes decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import Enum
from random import Random
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator

DELAY_MS_MAX = 600_000


class Effect(Enum):
    """What happens to a request.

    A dropped request's connection is reset without an answer. The 503 "Unknown error" may or may
    not have executed: `http_503_unknown` executes first, `http_503_unknown_not_executed` does not.
    """

    DROP_AFTER_EXECUTION = "drop_after_execution"
    DROP_BEFORE_EXECUTION = "drop_before_execution"
    HTTP_503_UNKNOWN = "http_503_unknown"
    HTTP_503_UNKNOWN_NOT_EXECUTED = "http_503_unknown_not_executed"
    HTTP_503_UNAVAILABLE = "http_503_unavailable"
    DELAY = "delay"

    @property
    def executes(self) -> bool:
        """Whether the request is carried out."""
        return self in (Effect.DROP_AFTER_EXECUTION, Effect.HTTP_503_UNKNOWN, Effect.DELAY)


class FaultRule(BaseModel):
    """One rule: an endpoint such as `POST /fapi/v1/order`, when it strikes, and what it does.

    `nth` strikes the nth matching request (1 is the next) and no other; `probability` strikes each
    with that chance; neither strikes every one. `delay_ms` is wall time between carrying out the
    request and answering it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str = Field(pattern=r"^(GET|POST|PUT|DELETE) /\S+$")
    effect: Effect = Effect.DELAY
    delay_ms: int = Field(default=0, ge=0, le=DELAY_MS_MAX)
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
    def _one_trigger(self) -> FaultRule:
        if self.nth is not None and self.probability is not None:
            raise ValueError("a rule has `nth` or `probability`, not both")
        if self.effect is Effect.DELAY and not self.delay_ms:
            raise ValueError("a delay needs `delay_ms`")
        return self


class Faults:
    """The rules in force, with their counters."""

    def __init__(self) -> None:
        self._rules: list[tuple[FaultRule, Random]] = []
        self._seen: list[int] = []
        self._struck: list[int] = []

    def set_rules(self, rules: Sequence[FaultRule]) -> None:
        """Replace all rules and start counting anew."""
        # S311: seeded dice for repeatable faults, not for secrets.
        self._rules = [(rule, Random(rule.seed)) for rule in rules]  # noqa: S311
        self._seen = [0] * len(rules)
        self._struck = [0] * len(rules)

    def strike(self, endpoint: str) -> FaultRule | None:
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
            if strikes and struck is None:
                struck = rule
                self._struck[index] += 1
        return struck

    def describe(self) -> list[dict[str, object]]:
        """The rules with how many requests each has seen and struck."""
        rows = zip(self._rules, self._seen, self._struck, strict=True)
        return [
            rule.model_dump(mode="json") | {"seen": seen, "struck": struck}
            for (rule, _), seen, struck in rows
        ]


FaultRules = TypeAdapter(Annotated[list[FaultRule], Field(max_length=1_000)])
