"""What is asked of execution for what was found, as the policies say. Pure.

The reconciler never orders: every remedy is a command. Nothing is asked for at first sight but for
hard facts: the difference has to be confirmed in this comparison and in the one before. What others
have open or hold is never ended by us, whatever the policy: only an order with an id of ours is.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec
from pydantic import model_validator

from libs.common.messages.account import Discrepancy, DiscrepancyKind, Verb
from libs.common.model.ids import is_derived_id
from libs.common.model.settings import Section
from libs.common.model.trading_state import TradingState
from services.reconciler.core import HARD_FACTS, Key

#: Reasons of commands have at most 500 characters.
_REASON_LENGTH_MAX = 480
#: Commands that one comparison may ask for; the next one asks for the rest.
WISHES_MAX = 20


class Policy(StrEnum):
    """What follows from a difference, besides the report.

    REPORT: nothing. ADOPT: execution takes over what the venue holds. REPAIR: execution makes the
    venue, or its own view, as it has to be. REDUCE, HALT: the trading state.
    """

    REPORT = "report"
    ADOPT = "adopt"
    REPAIR = "repair"
    REDUCE = "reduce"
    HALT = "halt"


_ADOPTABLE = (Policy.REPORT, Policy.ADOPT, Policy.REDUCE, Policy.HALT)
_REPAIRABLE = (Policy.REPORT, Policy.REPAIR, Policy.REDUCE, Policy.HALT)
_NOT_REPAIRABLE = (Policy.REPORT, Policy.REDUCE, Policy.HALT)
#: What may be chosen. Execution reads what it missed after every report, so that lost orders,
#: missed fills and balances need no further repair; a naked position it protects or closes itself.
CHOICES: dict[DiscrepancyKind, tuple[Policy, ...]] = {
    DiscrepancyKind.PHANTOM_POSITION: _ADOPTABLE,
    DiscrepancyKind.UNTRACKED_POSITION: _ADOPTABLE,
    DiscrepancyKind.SIZE_MISMATCH: _ADOPTABLE,
    DiscrepancyKind.SIDE_MISMATCH: _ADOPTABLE,
    DiscrepancyKind.ORPHAN_ORDER: _REPAIRABLE,
    DiscrepancyKind.ORPHAN_ALGO_ORDER: _REPAIRABLE,
    DiscrepancyKind.LOST_ORDER: _NOT_REPAIRABLE,
    DiscrepancyKind.LOST_ALGO_ORDER: _NOT_REPAIRABLE,
    DiscrepancyKind.MISSED_FILL: _NOT_REPAIRABLE,
    DiscrepancyKind.NAKED_POSITION: _NOT_REPAIRABLE,
    DiscrepancyKind.BALANCE_DRIFT: _NOT_REPAIRABLE,
    DiscrepancyKind.SETTING_DRIFT: _REPAIRABLE,
    DiscrepancyKind.ORDER_CHANGED: _ADOPTABLE,
    DiscrepancyKind.MISSED_INCOME: _NOT_REPAIRABLE,
    DiscrepancyKind.INCOME_DRIFT: _NOT_REPAIRABLE,
}
#: What only changes the trading state.
_STATES = frozenset({Verb.HALT, Verb.REDUCE})
_ORPHANS = frozenset({DiscrepancyKind.ORPHAN_ORDER, DiscrepancyKind.ORPHAN_ALGO_ORDER})


class Policies(Section):
    """The policy of each kind of difference."""

    phantom_position: Policy = Policy.HALT
    untracked_position: Policy = Policy.HALT
    size_mismatch: Policy = Policy.HALT
    side_mismatch: Policy = Policy.HALT
    orphan_order: Policy = Policy.REPAIR
    orphan_algo_order: Policy = Policy.REPAIR
    lost_order: Policy = Policy.REPORT
    lost_algo_order: Policy = Policy.REPORT
    missed_fill: Policy = Policy.REPORT
    naked_position: Policy = Policy.REDUCE
    balance_drift: Policy = Policy.REPORT
    setting_drift: Policy = Policy.REPAIR
    order_changed: Policy = Policy.ADOPT
    missed_income: Policy = Policy.REPORT
    income_drift: Policy = Policy.REDUCE

    @model_validator(mode="after")
    def _can_be_done(self) -> "Policies":
        for kind, choices in CHOICES.items():
            if self.of(kind) not in choices:
                raise ValueError(
                    f"{kind.lower()} cannot be '{self.of(kind)}': choose {', '.join(choices)}"
                )
        return self

    def of(self, kind: DiscrepancyKind) -> Policy:
        """The policy of a kind."""
        policy: Policy = getattr(self, kind.lower())
        return policy


class Asked:
    """The tightening that was asked for, and for which difference.

    It is asked for once while the same differs: a person who resumes has seen what does. A repair
    is asked for until it is done.
    """

    def __init__(self) -> None:
        self._names: frozenset[tuple[Verb, str]] = frozenset()

    def news_of(self, wishes: Iterable["Wish"]) -> tuple["Wish", ...]:
        """What has to be said of the wishes of a comparison."""
        return tuple(
            wish
            for wish in wishes
            if wish.verb not in _STATES or not self._names.issuperset(wish.names)
        )

    def remember(
        self, said: Iterable["Wish"], found: Iterable[Discrepancy], *, in_flight: int
    ) -> None:
        """Remember what was said now and before, as long as it differs.

        Args:
            in_flight: how much was in doubt; what is not seen among it may differ as before.
        """
        differs = {_name_of(one) for one in found}
        kept = {one for one in self._names if in_flight or one[1] in differs}
        news = {name for wish in said if wish.verb in _STATES for name in wish.names}
        self._names = frozenset(kept | news)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A command to ask for."""

    verb: Verb
    target: str
    reason: str
    subjects: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[tuple[Verb, str]]:
        """What is wished, apart by the difference it is wished for."""
        return frozenset((self.verb, subject) for subject in self.subjects)

    @property
    def text(self) -> str:
        """The wish in one word, or two."""
        return f"{self.verb} {self.target}".rstrip()


def policy_of(policies: Policies, found: Discrepancy) -> Policy:
    """The policy that holds for one difference.

    What others have open is only reported, and so is a stop that alone guards a position.
    """
    policy = policies.of(found.kind)
    is_foreign = found.kind in _ORPHANS and not is_derived_id(found.subject)
    is_left = is_foreign or found.is_needed
    return Policy.REPORT if is_left and policy is Policy.REPAIR else policy


def is_tolerated(policies: Policies, found: Discrepancy) -> bool:
    """Whether a difference is none that trading must wait for, since it is only to be reported.

    Others' orders are theirs to end, a stop that is needed ends with its position; and neither the
    journal nor the venue's list can be changed.
    """
    is_endless = found.kind in _ORPHANS or found.kind is DiscrepancyKind.INCOME_DRIFT
    return is_endless and policy_of(policies, found) is Policy.REPORT


def decide_remedies(
    policies: Policies,
    discrepancies: Iterable[Discrepancy],
    *,
    before: frozenset[Key],
    trading_state: TradingState,
) -> tuple[Wish, ...]:
    """What to ask for now.

    Args:
        before: what was confirmed in the comparison before this one.
        trading_state: as execution said it; a reduction is asked for only of an active account.
    """
    by_policy: dict[Policy, list[Discrepancy]] = {policy: [] for policy in Policy}
    for found in discrepancies:
        is_due = (found.kind, found.subject) in before or found.kind in HARD_FACTS
        if found.is_confirmed and is_due:
            by_policy[policy_of(policies, found)].append(found)
    wishes: list[Wish] = []
    if by_policy[Policy.HALT]:
        wishes.append(_wish(Verb.HALT, by_policy[Policy.HALT]))
    elif by_policy[Policy.REDUCE] and trading_state is TradingState.ACTIVE:
        wishes.append(_wish(Verb.REDUCE, by_policy[Policy.REDUCE]))
    wishes += [_wish(Verb.ADOPT, [found], _adopted(found)) for found in by_policy[Policy.ADOPT]]
    settings = [
        found for found in by_policy[Policy.REPAIR] if found.kind is DiscrepancyKind.SETTING_DRIFT
    ]
    if settings:
        wishes.append(_wish(Verb.ASSERT_SETTINGS, settings))
    wishes += [
        _wish(Verb.CANCEL_ORPHAN, [found], f"{found.symbol}:{found.subject}")
        for found in by_policy[Policy.REPAIR]
        if found.kind in _ORPHANS
    ]
    return tuple(wishes[:WISHES_MAX])


def _adopted(found: Discrepancy) -> str:
    """The position of a symbol, or the terms of one order."""
    is_order = found.kind is DiscrepancyKind.ORDER_CHANGED
    return f"{found.symbol}:{found.subject}" if is_order else found.subject


def _wish(verb: Verb, found: list[Discrepancy], target: str = "") -> Wish:
    return Wish(
        verb=verb,
        target=target,
        reason=_reason(found),
        subjects=tuple(map(_name_of, found)),
    )


def _name_of(found: Discrepancy) -> str:
    return f"{found.kind} {found.subject}"


def _reason(found: Iterable[Discrepancy]) -> str:
    """The differences in words, cut to what a command may carry."""
    text = "; ".join(
        f"{one.kind} {one.subject}: ours {one.ours}, venue {one.theirs}" for one in found
    )
    return text if len(text) <= _REASON_LENGTH_MAX else text[: _REASON_LENGTH_MAX - 3] + "..."
