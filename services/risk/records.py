"""Puts a decision into the messages that record it and tell it."""

from libs.common.messages.intents import (
    ApprovalBody,
    ApprovedIntent,
    IntentVerdict,
    ProposedIntent,
    RefusalStage,
    RefusedIntent,
    sign_approval,
)
from services.risk.core import Refusal


def verdict_of(
    decision: ApprovalBody | Refusal,
    proposed: ProposedIntent,
    *,
    approval_key: bytes,
    source: str,
    now_ns: int,
    now_wall_ns: int,
) -> IntentVerdict:
    """The record of a decision, with the message that will tell it inside.

    Args:
        approval_key: proves to execution that the approval is ours.
        source: our name.
        now_ns: market time of the decision.
        now_wall_ns: wall time of the decision.
    """
    intent = proposed.intent
    approved: ApprovedIntent | None = None
    refused: RefusedIntent | None = None
    if isinstance(decision, Refusal):
        refused = RefusedIntent(
            message_id=f"refused-risk-{intent.intent_id}",
            causation_id=proposed.message_id,
            correlation_id=intent.intent_id,
            ts_event_ns=now_ns,
            ts_published_ns=now_wall_ns,
            source=source,
            intent_id=intent.intent_id,
            strategy_id=intent.strategy_id,
            symbol=intent.symbol,
            stage=RefusalStage.RISK,
            reason=decision.reason,
            verdicts=decision.verdicts,
        )
    else:
        approved = ApprovedIntent(
            message_id=f"approved-{intent.intent_id}",
            causation_id=proposed.message_id,
            correlation_id=intent.intent_id,
            ts_event_ns=now_ns,
            ts_published_ns=now_wall_ns,
            source=source,
            body=decision,
            mac=sign_approval(approval_key, decision),
        )
    return IntentVerdict(
        message_id=f"verdict-{intent.intent_id}",
        causation_id=proposed.message_id,
        correlation_id=intent.intent_id,
        ts_event_ns=now_ns,
        ts_published_ns=now_wall_ns,
        source=source,
        intent_id=intent.intent_id,
        approved=approved,
        refused=refused,
    )
