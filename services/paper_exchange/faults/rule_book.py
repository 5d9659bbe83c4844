"""What all fault rules share: when they strike, and the counts of what they have seen and struck.

Each rule has its own seeded dice and its own count of what it matches, so that the same rules and
the same traffic give the same faults. The first rule that strikes decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from random import Random
from typing import Final, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

RULES_MAX: Final = 1_000
"""Rules of one kind in force at once."""
DELAY_MS_MAX: Final = 600_000
INTEGER_MAX: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps: bound of counts and seeds."""


class StrikingRule(BaseModel):
    """When a rule strikes what it matches.

    `nth` strikes the nth match (1 is the next) and no other; `probability` strikes each with that
    chance, by dice of this `seed`; neither strikes every one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    nth: int | None = Field(default=None, ge=1, le=INTEGER_MAX)
    probability: Decimal | None = Field(default=None, ge=0, le=1, decimal_places=6)
    seed: int = Field(default=0, ge=-INTEGER_MAX, le=INTEGER_MAX)

    @field_validator("probability", mode="before")
    @classmethod
    def _through_text(cls, value: object) -> object:
        """Keep a JSON number's digits instead of its binary neighbor."""
        if isinstance(value, bool) or not isinstance(value, float | int | str):
            return value
        try:
            return Decimal(str(value))
        except InvalidOperation as error:
            raise ValueError("it is no number") from error

    @model_validator(mode="after")
    def _strikes_in_one_way(self) -> StrikingRule:
        if self.nth is not None and self.probability is not None:
            raise ValueError("a rule has `nth` or `probability`, not both")
        return self


Rule = TypeVar("Rule", bound=StrikingRule)


class RuleBook(Generic[Rule]):
    """The rules in force; `struck` counts by effect since the start, whatever rules came and went.

    Whoever strikes counts into `struck`, because only they know that the effect came about.
    """

    def __init__(self) -> None:
        self._rules: list[tuple[Rule, Random]] = []
        self._seen: list[int] = []
        self._struck: list[int] = []
        self.struck: Counter[str] = Counter()

    def set_rules(self, rules: Sequence[Rule]) -> None:
        """Replace all rules and start counting them anew."""
        # S311: seeded dice for repeatable faults, not for secrets.
        self._rules = [(rule, Random(rule.seed)) for rule in rules]  # noqa: S311
        self._seen = [0] * len(rules)
        self._struck = [0] * len(rules)

    @property
    def has_rules(self) -> bool:
        """Whether any rule is in force."""
        return bool(self._rules)

    def describe(self) -> list[dict[str, object]]:
        """The rules with how much each has seen and struck."""
        rows = zip(self._rules, self._seen, self._struck, strict=True)
        return [
            rule.model_dump(mode="json") | {"seen": seen, "struck": struck}
            for (rule, _), seen, struck in rows
        ]

    def judge(
        self, matches: Callable[[Rule], bool], spares: Callable[[Rule], bool] | None = None
    ) -> Rule | None:
        """Count one thing against the rules it matches, and return the one that strikes it.

        A rule that would strike but spares this one leaves it to the rules behind it.
        """
        struck: Rule | None = None
        for index, (rule, dice) in enumerate(self._rules):
            if not matches(rule):
                continue
            self._seen[index] += 1
            if not _strikes(rule, self._seen[index], dice) or struck is not None:
                continue
            if spares is None or not spares(rule):
                struck = rule
                self._struck[index] += 1
        return struck


def _strikes(rule: StrikingRule, seen: int, dice: Random) -> bool:
    if rule.nth is not None:
        return rule.nth == seen
    if rule.probability is not None:
        return Decimal(dice.randrange(1_000_000)) < rule.probability * 1_000_000
    return True
