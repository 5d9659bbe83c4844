"""Intents on their way: proposed by strategies, decided by risk, refused or executed."""

import hashlib
import hmac
from decimal import Decimal
from enum import StrEnum

import msgspec

from libs.common.messages.codec import encode
from libs.common.messages.envelope import Envelope
from libs.common.model.intent import Intent
from libs.common.model.order import OrderRequest
from libs.common.model.verdict import Reason, Verdict


class ProposedIntent(Envelope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An intent as a producer publishes it. Strangers may: risk reads it with a stricter door."""

    intent: Intent


class ApprovalBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What risk approves and signs: the order, for which account, until when, and why.

    Attributes:
        reference_price: the price risk sized against, in quote currency.
        slippage_predicted_bps: by how much the fills are expected to be worse than the intent's
            reference price, by the quote at the decision; ``None`` where it does not tell.
        limits_change: the change of risk's limits that it was decided under; 0: none was made.
        decided_at_ns: market time of the decision.
        decided_wall_ns: wall time of the decision; for latency figures only.
    """

    account: str
    intent: Intent
    order: OrderRequest
    reference_price: Decimal
    verdicts: tuple[Verdict, ...]
    decided_at_ns: int
    decided_wall_ns: int
    expires_at_ns: int
    slippage_predicted_bps: Decimal | None = None
    limits_change: int = 0


class ApprovedIntent(Envelope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The only thing execution acts on. ``mac`` is risk's proof that it wrote the body."""

    body: ApprovalBody
    mac: str


class RefusalStage(StrEnum):
    """Who refused."""

    RISK = "RISK"
    GATE = "GATE"


class RefusedIntent(Envelope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An intent that was refused, by whom, why, and everything that was found."""

    intent_id: str
    strategy_id: str
    symbol: str
    stage: RefusalStage
    reason: Reason
    verdicts: tuple[Verdict, ...]


class IntentVerdict(Envelope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Risk's decision on an intent, recorded once under the intent's own subject.

    Exactly one of ``approved`` and ``refused`` is set; a redelivered proposal follows the record.
    """

    intent_id: str
    approved: ApprovedIntent | None = None
    refused: RefusedIntent | None = None


def sign_approval(key: bytes, body: ApprovalBody) -> str:
    """Risk's authentication code over the canonical bytes of the body (HMAC-SHA256, hex)."""
    return hmac.new(key, encode(body), hashlib.sha256).hexdigest()


def approval_is_genuine(key: bytes, approved: ApprovedIntent) -> bool:
    """Whether the code was made with risk's key over exactly this body; constant time."""
    # As bytes: the comparison of texts raises where a stranger's code holds other than ASCII.
    return hmac.compare_digest(sign_approval(key, approved.body).encode(), approved.mac.encode())
