"""The report of a finite run, judged from the venue and the journal, never from memory.

Pure: `gather.py` asks, this file counts and compares. What the services say of themselves appears
only as figures beside the verdict (latencies, restarts, accounting of the feed).
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from cli.candle_count import CandleCount
from cli.journal_file import JournalCheck
from libs.common.messages.account import ReconcileReport
from libs.common.messages.intents import ApprovedIntent, IntentVerdict
from libs.common.messages.journal import (
    FillReceived,
    IntentRefusedByGate,
    JournalRecord,
    OrderAnswered,
    OrderBecameUnknown,
    OrderNotPlaced,
    OrderRecorded,
    OrderRejected,
    OrderUpdated,
)
from libs.common.model.money import MONEY_QUANTUM, ZERO, plain
from libs.common.model.order import OrderStatus
from libs.common.model.pnl import by_asset
from libs.common.model.position import Position
from libs.common.venue.payloads import Income, UserTrade, VenueOrder

NS_PER_MS = 1_000_000
REFUSED_BY_RISK = "REFUSED_BY_RISK"
REFUSED_BY_GATE = "REFUSED_BY_GATE"


@dataclass(frozen=True)
class Facts:
    """What was asked of the venue, the broker and the runner at the end of a run.

    Attributes:
        verdicts: risk's decisions, one for each intent it read.
        undecided: ids of intents still in the queue.
        forged: ids of approvals whose authentication code is not risk's.
        proposed_wall_ns: wall time of publication of each proposal that was heard.
        venue_requests: order requests in the venue's own record.
    """

    records: tuple[JournalRecord, ...]
    journal: JournalCheck
    verdicts: tuple[IntentVerdict, ...]
    undecided: tuple[str, ...]
    forged: tuple[str, ...]
    proposed_wall_ns: Mapping[str, int]
    orders: tuple[VenueOrder, ...]
    fills: tuple[UserTrade, ...]
    income: tuple[Income, ...]
    venue_requests: tuple[Mapping[str, Any], ...]
    reconciled: ReconcileReport | None
    candles: CandleCount
    market: Mapping[str, Any]
    feed: Mapping[str, Any]
    dead_letters: int
    restarts: Mapping[str, int]
    pacing: Mapping[str, int]


@dataclass
class Story:
    """What the journal tells, folded by intent and order, independently of execution's own fold."""

    recorded: dict[str, OrderRecorded] = field(default_factory=dict)
    status: dict[str, OrderStatus] = field(default_factory=dict)
    sent_wall_ns: dict[str, int] = field(default_factory=dict)
    rejections: dict[str, str] = field(default_factory=dict)
    refusals: dict[str, IntentRefusedByGate] = field(default_factory=dict)
    fills: dict[tuple[str, int], FillReceived] = field(default_factory=dict)
    events: int = 0

    def note_sending(self, event: OrderAnswered | OrderRejected | OrderBecameUnknown) -> None:
        """Keep when an order's request first left, where the event knows it."""
        if event.sent_wall_ns:
            self.sent_wall_ns.setdefault(event.client_order_id, event.sent_wall_ns)


def read_story(records: Iterable[JournalRecord]) -> Story:
    """Fold the journal."""
    story = Story()
    for record in records:
        for event in record.events:
            story.events += 1
            match event:
                case IntentRefusedByGate():
                    story.refusals[event.intent.intent_id] = event
                case OrderRecorded():
                    story.recorded[event.client_order_id] = event
                    story.status[event.client_order_id] = OrderStatus.RECORDED
                case OrderAnswered() | OrderUpdated():
                    story.status[event.client_order_id] = event.status
                case OrderRejected():
                    story.status[event.client_order_id] = OrderStatus.REJECTED
                    story.rejections[event.client_order_id] = event.reason
                case OrderBecameUnknown():
                    story.status[event.client_order_id] = OrderStatus.UNKNOWN
                case OrderNotPlaced():
                    story.status[event.client_order_id] = OrderStatus.NOT_PLACED
                case FillReceived():
                    story.fills.setdefault((event.symbol, event.trade_id), event)
                case _:
                    pass
            if isinstance(event, OrderAnswered | OrderRejected | OrderBecameUnknown):
                story.note_sending(event)
    return story


def build_report(facts: Facts) -> dict[str, Any]:
    """The report as it is written."""
    story = read_story(facts.records)
    outcomes, reasons, conflicts = intent_outcomes(facts, story)
    by_outcome = Counter(outcomes.values())
    nonterminal = sorted(name for name, outcome in outcomes.items() if not is_terminal(outcome))
    ours = realized_by_us(story)
    report: dict[str, Any] = {
        "market_messages": sum(facts.market.get("applied", {}).values()),
        "candles": facts.candles.through_signal,
        "intents": {
            "total": len(outcomes),
            "by_outcome": dict(sorted(by_outcome.items())),
            "by_reason": dict(sorted(Counter(reasons.values()).items())),
        },
        "nonterminal_intents": len(nonterminal),
        "venue_orders": len(facts.orders),
        "fills": len(facts.fills),
        "unapproved_venue_orders": len(unapproved_orders(facts, story)),
        "duplicate_venue_orders": duplicate_orders(facts.orders, story),
        "discrepancies": len(facts.reconciled.discrepancies) if facts.reconciled else -1,
        "journal_events": story.events,
        "journal_verified": facts.journal.is_whole,
        "realized_pnl": {
            "ours": money(sum((p.realized_pnl for p in ours.values()), ZERO)),
            "venue": money(sum((fill.realized_pnl for fill in facts.fills), ZERO)),
        },
        "latency_ms": latencies(facts, story),
    }
    report["proposals_without_outcome"] = len(facts.proposed_wall_ns.keys() - outcomes.keys())
    report.update(_details(facts, story, ours, nonterminal, conflicts))
    return report


def _details(
    facts: Facts,
    story: Story,
    ours: Mapping[str, Position],
    nonterminal: Sequence[str],
    conflicts: Sequence[str],
) -> dict[str, Any]:
    income = by_asset((row.income_type, row.income) for row in facts.income)
    return {
        "commission": {
            "ours": _paid(item for p in ours.values() for item in p.commissions.items()),
            "venue": _paid((fill.commission_asset, fill.commission) for fill in facts.fills),
        },
        "income_realized_pnl": money(income.get("REALIZED_PNL", ZERO)),
        "fills_missing": len({(f.symbol, f.trade_id) for f in facts.fills} - story.fills.keys()),
        "fills_unknown_to_venue": len(
            story.fills.keys() - {(f.symbol, f.trade_id) for f in facts.fills}
        ),
        "intents_with_two_outcomes": list(conflicts),
        "nonterminal_intent_ids": list(nonterminal),
        "journal": {
            "records": len(facts.records),
            "head": facts.journal.head,
            "fault": facts.journal.fault,
        },
        "venue_log": venue_log(facts.venue_requests, story),
        "reconciled": {
            "is_clean": facts.reconciled.is_clean if facts.reconciled else None,
            "cycles": facts.reconciled.cycle if facts.reconciled else 0,
            "balances_compared": facts.reconciled.balances_compared if facts.reconciled else 0,
        },
        "market_accounting": {
            "venue": dict(facts.market),
            "feed": dict(facts.feed),
            "unaccounted": unaccounted(facts),
        },
        "candles_detail": facts.candles.as_report(),
        "dead_letters": facts.dead_letters,
        "restarts": dict(facts.restarts),
        "pacing": dict(facts.pacing),
    }


def unaccounted(facts: Facts) -> dict[str, int] | None:
    """Quotes and trades the venue published that feed neither published nor replaced by a newer.

    ``None`` where feed was restarted (its counts began anew) or said nothing.
    """
    if not facts.feed or facts.restarts.get("feed"):
        return None
    said = facts.market.get("applied", {})
    passed, replaced = facts.feed["published"], facts.feed["conflated"]
    return {
        kind: said.get(kind, 0) - passed.get(kind, 0) - replaced.get(kind, 0)
        for kind in ("quote", "trade")
    }


def intent_outcomes(
    facts: Facts, story: Story
) -> tuple[dict[str, str], dict[str, str], tuple[str, ...]]:
    """The outcome of each intent, the reason where there is one, and intents with two outcomes."""
    outcomes: dict[str, str] = dict.fromkeys(facts.undecided, "UNDECIDED")
    reasons: dict[str, str] = {}
    conflicts: list[str] = []
    for verdict in facts.verdicts:
        if verdict.refused is not None:
            outcomes[verdict.intent_id] = REFUSED_BY_RISK
            reasons[verdict.intent_id] = verdict.refused.reason
        else:
            outcomes[verdict.intent_id] = "APPROVED"
    for intent_id, refusal in story.refusals.items():
        if outcomes.get(intent_id) == REFUSED_BY_RISK:
            conflicts.append(intent_id)
        outcomes[intent_id] = REFUSED_BY_GATE
        reasons[intent_id] = refusal.reason
    for client_order_id, recorded in story.recorded.items():
        intent_id = recorded.intent.intent_id
        if outcomes.get(intent_id) in (REFUSED_BY_RISK, REFUSED_BY_GATE):
            conflicts.append(intent_id)
        outcomes[intent_id] = story.status[client_order_id]
        reasons.pop(intent_id, None)
        if client_order_id in story.rejections:
            reasons[intent_id] = story.rejections[client_order_id]
    return outcomes, reasons, tuple(sorted(set(conflicts)))


def is_terminal(outcome: str) -> bool:
    """Whether nothing more can become of an intent with this outcome."""
    if outcome in (REFUSED_BY_RISK, REFUSED_BY_GATE):
        return True
    return outcome in OrderStatus.__members__ and OrderStatus(outcome).is_terminal


def unapproved_orders(facts: Facts, story: Story) -> list[str]:
    """Orders at the venue that no genuine approval of risk and no record of the gate explains."""
    approved = {
        verdict.intent_id: verdict.approved
        for verdict in facts.verdicts
        if verdict.approved is not None and verdict.intent_id not in facts.forged
    }
    return [
        order.client_order_id
        for order in facts.orders
        if not _is_explained(order, story.recorded.get(order.client_order_id), approved)
    ]


def _is_explained(
    order: VenueOrder, recorded: OrderRecorded | None, approved: Mapping[str, ApprovedIntent]
) -> bool:
    if recorded is None:
        return False
    approval = approved.get(recorded.intent.intent_id)
    if approval is None:
        return False
    allowed = approval.body.order
    return (
        order.symbol == allowed.symbol
        and order.side == allowed.side
        and order.quantity <= allowed.quantity
        and order.symbol == recorded.order.symbol
        and order.side == recorded.order.side
        and order.quantity == recorded.order.quantity
        and order.reduce_only == allowed.reduce_only
    )


def duplicate_orders(orders: Iterable[VenueOrder], story: Story) -> int:
    """Orders at the venue beyond the first for the same intent (or the same client order id)."""
    per_intent: Counter[str] = Counter()
    for order in orders:
        recorded = story.recorded.get(order.client_order_id)
        per_intent[recorded.intent.intent_id if recorded else order.client_order_id] += 1
    return sum(count - 1 for count in per_intent.values())


def realized_by_us(story: Story) -> dict[str, Position]:
    """Positions folded from the journal's fills, in the order of trade ids."""
    positions: dict[str, Position] = {}
    for (symbol, _), fill in sorted(story.fills.items()):
        position = positions.get(symbol) or Position(symbol=symbol)
        paid = (fill.commission, fill.commission_asset)
        positions[symbol] = position.with_fill(fill.side, fill.quantity, fill.price, *paid)
    return positions


def venue_log(requests: Iterable[Mapping[str, Any]], story: Story) -> dict[str, int]:
    """The second witness: order requests as they arrived at the venue."""
    placed = [row for row in requests if is_placement(row)]
    ids = Counter(str(row.get("client_order_id") or "") for row in placed)
    ids.pop("", None)
    return {
        "placements": len(placed),
        "placements_repeated": sum(count - 1 for count in ids.values()),
        "placements_unrecorded": sum(name not in story.recorded for name in ids),
    }


def is_placement(row: Mapping[str, Any]) -> bool:
    """Whether a request in the venue's record asked for an order."""
    return row.get("method") == "POST" and str(row.get("path", "")).endswith("/order")


def latencies(facts: Facts, story: Story) -> dict[str, dict[str, float | None]]:
    """From the candle, and from the proposal, to the request that left for the venue."""
    spans: dict[str, list[int]] = defaultdict(list)
    decided = {
        verdict.intent_id: verdict.approved.body.decided_wall_ns
        for verdict in facts.verdicts
        if verdict.approved is not None
    }
    for client_order_id, sent_ns in story.sent_wall_ns.items():
        intent = story.recorded[client_order_id].intent
        if intent.caused_wall_ns:
            spans["candle_to_order"].append(sent_ns - intent.caused_wall_ns)
        proposed_ns = facts.proposed_wall_ns.get(intent.intent_id, decided.get(intent.intent_id))
        if proposed_ns:
            spans["intent_to_order"].append(sent_ns - proposed_ns)
    return {
        name: {"p50": percentile_ms(spans[name], 50), "p99": percentile_ms(spans[name], 99)}
        for name in ("candle_to_order", "intent_to_order")
    }


def percentile_ms(spans_ns: Sequence[int], percent: int) -> float | None:
    """The nearest-rank percentile in milliseconds; ``None`` of nothing."""
    if not spans_ns:
        return None
    rank = max(1, -(-len(spans_ns) * percent // 100))
    return round(sorted(spans_ns)[rank - 1] / NS_PER_MS, 3)


def money(value: Decimal) -> str:
    """Quote currency to the venue's eight decimals; more where there are more."""
    rounded = value.quantize(MONEY_QUANTUM)
    return plain(rounded if rounded == value else value)


def _paid(amounts: Iterable[tuple[str, Decimal]]) -> dict[str, str]:
    return {asset: money(amount) for asset, amount in sorted(by_asset(amounts).items())}


def broken_invariants(report: Mapping[str, Any]) -> list[str]:
    """What must hold after every run and does not; empty when all is well."""
    pnl, detail = report["realized_pnl"], report["candles_detail"]
    checks = {
        f"{report['nonterminal_intents']} intents without an outcome": (
            report["nonterminal_intents"] == 0
        ),
        f"{report['proposals_without_outcome']} proposals were heard and lost": (
            report["proposals_without_outcome"] == 0
        ),
        f"{report['unapproved_venue_orders']} orders at the venue without an approval": (
            report["unapproved_venue_orders"] == 0
        ),
        f"{report['duplicate_venue_orders']} orders placed twice": (
            report["duplicate_venue_orders"] == 0
        ),
        f"{report['discrepancies']} discrepancies in the last comparison": (
            report["discrepancies"] == 0
        ),
        f"the journal is not whole: {report['journal']['fault']}": report["journal_verified"],
        f"realized profit: ours {pnl['ours']}, the venue's {pnl['venue']}": (
            Decimal(pnl["ours"]) == Decimal(pnl["venue"])
        ),
        f"{report['fills_missing']} fills of the venue are not in the journal": (
            report["fills_missing"] == 0
        ),
        f"{report['fills_unknown_to_venue']} fills in the journal are not the venue's": (
            report["fills_unknown_to_venue"] == 0
        ),
        f"intents with two outcomes: {report['intents_with_two_outcomes']}": (
            not report["intents_with_two_outcomes"]
        ),
        f"candles: {detail['missing']} missing, {detail['duplicate']} duplicate": (
            detail["missing"] == 0 and detail["duplicate"] == 0
        ),
        "the last comparison was not clean in time": report.get("settled", True),
    }
    return [text for text, holds in checks.items() if not holds]


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Write the report as JSON, creating its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2, default=str) + "\n")
