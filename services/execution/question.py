"""What a guard is asked, and the shape of its answer."""

from decimal import Decimal

import msgspec

from libs.common.messages.intents import ApprovalBody
from libs.common.messages.vouching import HealthSeen
from libs.common.model.instrument import Instrument
from libs.common.model.money import is_reckonable
from libs.common.model.order import OrderRequest
from libs.common.model.verdict import Reason, Verdict
from services.execution.config import ExecutionConfig
from services.execution.state import State

NS_PER_MS = 1_000_000


class MarkSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The newest mark price heard: quote currency, and the market time it was made."""

    price: Decimal
    at_ns: int

    @property
    def is_usable(self) -> bool:
        """Whether the price is a number that can be reckoned with."""
        return is_reckonable(self.price)


class BudgetSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the venue's own limits leave room for one more order of a kind.

    Attributes:
        refusal: why not; empty where there is room.
        limit, observed: the figures, with their units, for the verdict.
    """

    refusal: str = ""
    limit: str = ""
    observed: str = ""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a guard may look at.

    Attributes:
        limits: as they hold for the symbol.
        order: already made to fit the filters, where the filters are known.
        health: the feed's newest word on the symbol; ``None`` where none was heard.
        unarmed: arming checks that have not passed; empty means armed.
        budget: the venue's room for this kind of order.
        leverage: what the margin is reckoned with.
        again: the intent's earlier attempt was proven absent; its own bookings do not count.
    """

    limits: ExecutionConfig
    state: State
    body: ApprovalBody
    order: OrderRequest
    instrument: Instrument | None
    mark: MarkSeen | None
    health: HealthSeen | None
    unarmed: tuple[str, ...]
    budget: BudgetSeen
    leverage: int
    now_ns: int
    again: bool = False

    def is_own(self, intent_id: str) -> bool:
        """Whether something is the earlier attempt that is being tried again."""
        return self.again and intent_id == self.body.intent.intent_id


def judge(check: str, passed: bool, limit: str, observed: str, reason: Reason) -> Verdict:
    """A guard's verdict; the reason is told only where it did not pass."""
    return Verdict(
        check=check,
        passed=passed,
        limit=limit,
        observed=observed,
        reason=None if passed else reason,
    )


def exempt(check: str, limit: str) -> Verdict:
    """The verdict on an exit that a guard lets through because refusing would trap a position."""
    return Verdict(check=check, passed=True, limit=limit, observed="exempt: reduce-only")
