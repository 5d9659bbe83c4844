"""Folds what operators asked for: keys honoured, and kills until they are proven."""

from libs.common.messages.account import Verb
from libs.common.messages.audit_events import KillProven, OperatorActed
from services.execution.state import PendingKill, State

#: Verbs that are only done once the venue was asked again until nothing was left.
KILLS = (Verb.CANCEL_ALL, Verb.FLATTEN)


def apply_operator(state: State, event: OperatorActed | KillProven, now_ns: int) -> None:
    """Fold what was asked, or what came of a kill."""
    match event:
        case OperatorActed():
            state.operator_keys[event.key] = now_ns
            if event.verb in KILLS:
                state.kills[event.key] = PendingKill(
                    verb=event.verb,
                    target=event.target,
                    actor=event.actor,
                    reason=event.reason,
                    began_at_ns=now_ns,
                )
        case KillProven():
            state.kills.pop(event.key, None)
            state.kill_remains = event.remaining
