"""Deliberate bugs of one sort: what the journal should remember is remembered by the process."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import msgspec

from services.execution import approvals, core, holds
from services.execution.state import State
from sim.loop import LIFE


def _patch(stack: ExitStack, where: Any, name: str, value: Any) -> None:
    stack.enter_context(patch.object(where, name, value))


def rates_counted_per_process(stack: ExitStack) -> None:
    """Only what this process recorded counts toward the rates."""
    original, mine = holds._recorded, _per_life()  # noqa: SLF001

    def counted(question: Any, window_ms: int, symbol: str | None) -> int:
        known = mine()
        kept = [one for one in question.state.recent_orders if one.intent_id in known]
        state = msgspec.structs.replace(question.state, recent_orders=kept)
        return original(msgspec.structs.replace(question, state=state), window_ms, symbol)

    record = core._record  # noqa: SLF001

    def recorded(*given: Any) -> Any:
        event = record(*given)
        mine().add(event.intent.intent_id)
        return event

    _patch(stack, holds, "_recorded", counted)
    _patch(stack, core, "_record", recorded)


def _per_life() -> Callable[[], set[str]]:
    """A memory that each process has for itself, and loses with its life."""
    memories: dict[int, set[str]] = {}
    kept: list[object] = []  # so that no id is given twice

    def mine() -> set[str]:
        life = LIFE.get()
        if id(life) not in memories:
            kept.append(life)
        return memories.setdefault(id(life), set())

    return mine


def dedup_only_in_memory(stack: ExitStack) -> None:
    """Whether an intent was decided before is remembered by the process, not by the journal."""
    original, mine = core.decide_approval, _per_life()

    def forgetful(limits: Any, state: State, approved: Any, facts: Any) -> Any:
        intent_id = approved.body.intent.intent_id
        known = state.intents.pop(intent_id, None) if intent_id not in mine() else None
        decision = original(limits, state, approved, facts)
        if known is not None:
            state.intents[intent_id] = known
        mine().add(intent_id)
        return decision

    _patch(stack, approvals, "decide_approval", forgetful)
