"""Faults of user streams: events that are lost, doubled, late or out of order, and silent stalls.

Pure: `pass_on` takes the events said and gives those that go out now, so that a shell and a
simulation can lie in the same way. What a rule holds back comes out of a later call.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import Enum
from random import Random
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator

from services.paper_exchange.state.venue_state import NS_PER_MS, UserEvent

REORDER_MS_MAX: Final = 1_000
"""How long an event waits for a later one to overtake it, where the rule says nothing."""


class EventEffect(Enum):
    """What happens to an event; `reorder` lets the next one of its stream overtake it."""

    DROP = "drop"
    DUPLICATE = "duplicate"
    DELAY = "delay"
    REORDER = "reorder"


class EventRule(BaseModel):
    """One rule: a kind of event (`*` for any), when it strikes, and what it does.

    `nth` and `probability` are those of `FaultRule`; `delay_ms` is market time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: str = Field(default="*", pattern=r"^(\*|[A-Za-z_]{1,40})$")
    effect: EventEffect
    delay_ms: int = Field(default=0, ge=0, le=600_000)
    nth: int | None = Field(default=None, ge=1)
    probability: Decimal | None = Field(default=None, ge=0, le=1)
    seed: int = 0

    @field_validator("probability", mode="before")
    @classmethod
    def _through_text(cls, value: object) -> object:
        """Keep a JSON number's digits instead of its binary neighbor."""
        return value if value is None else str(value)

    @model_validator(mode="after")
    def _is_whole(self) -> EventRule:
        if self.nth is not None and self.probability is not None:
            raise ValueError("a rule has `nth` or `probability`, not both")
        if self.effect is EventEffect.DELAY and not self.delay_ms:
            raise ValueError("a delay needs `delay_ms`")
        return self


EventRules = TypeAdapter(Annotated[list[EventRule], Field(max_length=1_000)])


class EventFaults:
    """The rules in force, the stalled streams, and the events held back."""

    def __init__(self) -> None:
        self._rules: list[tuple[EventRule, Random]] = []
        self._seen: list[int] = []
        self._struck: list[int] = []
        self._late: list[tuple[int, int, UserEvent]] = []
        self._overtaken: dict[str, list[tuple[int, UserEvent]]] = {}
        self._sequence = 0
        self.stalled: set[str] = set()
        self.struck: Counter[str] = Counter()

    def set_rules(self, rules: Sequence[EventRule]) -> None:
        """Replace all rules and start counting them anew; what is held back still comes."""
        # S311: seeded dice for repeatable faults, not for secrets.
        self._rules = [(rule, Random(rule.seed)) for rule in rules]  # noqa: S311
        self._seen = [0] * len(rules)
        self._struck = [0] * len(rules)

    @property
    def is_holding(self) -> bool:
        """Whether some event is still to come out."""
        return bool(self._late or self._overtaken)

    def pass_on(self, events: Iterable[UserEvent], now_ns: int) -> list[UserEvent]:
        """The events that go out now, in their order."""
        out = self._due(now_ns)
        for event in events:
            if event.listen_key in self.stalled:
                self.struck["stall"] += 1
                continue
            out += self._judge(event, now_ns)
        return out

    def describe(self) -> list[dict[str, object]]:
        """The rules with how many events each has seen and struck."""
        rows = zip(self._rules, self._seen, self._struck, strict=True)
        return [
            rule.model_dump(mode="json") | {"seen": seen, "struck": struck}
            for (rule, _), seen, struck in rows
        ]

    def _judge(self, event: UserEvent, now_ns: int) -> list[UserEvent]:
        rule = self._strike(str(event.event["e"])) if self._rules else None
        if rule is None:
            return [event, *self._let_overtaken(event.listen_key)]
        self.struck[rule.effect.value] += 1
        match rule.effect:
            case EventEffect.DROP:
                return []
            case EventEffect.DUPLICATE:
                return [event, *self._let_overtaken(event.listen_key), event]
            case EventEffect.DELAY:
                self._sequence += 1
                due_ns = now_ns + rule.delay_ms * NS_PER_MS
                heapq.heappush(self._late, (due_ns, self._sequence, event))
            case EventEffect.REORDER:
                due_ns = now_ns + (rule.delay_ms or REORDER_MS_MAX) * NS_PER_MS
                self._overtaken.setdefault(event.listen_key, []).append((due_ns, event))
        return []

    def _strike(self, kind: str) -> EventRule | None:
        struck: EventRule | None = None
        for index, (rule, dice) in enumerate(self._rules):
            if rule.event not in ("*", kind):
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

    def _let_overtaken(self, listen_key: str) -> list[UserEvent]:
        return [event for _, event in self._overtaken.pop(listen_key, ())]

    def _due(self, now_ns: int) -> list[UserEvent]:
        """What has been held back long enough."""
        out: list[UserEvent] = []
        while self._late and self._late[0][0] <= now_ns:
            out.append(heapq.heappop(self._late)[2])
        for listen_key, held in list(self._overtaken.items()):
            if held[0][0] <= now_ns:
                del self._overtaken[listen_key]
                out += [event for _, event in held]
        return [event for event in out if event.listen_key not in self.stalled]
