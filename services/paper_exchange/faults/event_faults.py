"""Faults of user streams: events that are lost, doubled, late or out of order, and silent stalls.

Pure: `pass_on` takes the events said and gives those that go out now, so that a shell and a
simulation can lie in the same way. What a rule holds back comes out of a later call.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from enum import Enum
from typing import Annotated, Final

from pydantic import Field, TypeAdapter, model_validator

from services.paper_exchange.faults.rule_book import (
    DELAY_MS_MAX,
    RULES_MAX,
    RuleBook,
    StrikingRule,
)
from services.paper_exchange.state.venue_state import NS_PER_MS, UserEvent

REORDER_MS_MAX: Final = 1_000
"""How long an event waits for a later one to overtake it, where the rule says nothing."""


class EventEffect(Enum):
    """What happens to an event; `reorder` lets the next one of its stream overtake it."""

    DROP = "drop"
    DUPLICATE = "duplicate"
    DELAY = "delay"
    REORDER = "reorder"


class EventRule(StrikingRule):
    """One rule: a kind of event (`*` for any), when it strikes, and what it does.

    `delay_ms` is market time.
    """

    event: str = Field(default="*", pattern=r"^(\*|[A-Za-z_]{1,40})$")
    effect: EventEffect
    delay_ms: int = Field(default=0, ge=0, le=DELAY_MS_MAX)

    @model_validator(mode="after")
    def _is_whole(self) -> EventRule:
        if self.effect is EventEffect.DELAY and not self.delay_ms:
            raise ValueError("a delay needs `delay_ms`")
        return self


EventRules = TypeAdapter(Annotated[list[EventRule], Field(max_length=RULES_MAX)])


class EventFaults(RuleBook[EventRule]):
    """The rules in force, the stalled streams, and the events held back.

    What is held back when rules are replaced still comes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._late: list[tuple[int, int, UserEvent]] = []
        self._overtaken: dict[str, list[tuple[int, UserEvent]]] = {}
        self._sequence = 0
        self.stalled: set[str] = set()

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
            out += self._pass_one(event, now_ns)
        return out

    def _pass_one(self, event: UserEvent, now_ns: int) -> list[UserEvent]:
        kind = str(event.event["e"])
        rule = self.judge(lambda rule: rule.event in ("*", kind)) if self.has_rules else None
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
