"""What an audit trail adds up to: retries, limits, refusals, orders, doubts, holds, people."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from libs.common.messages.account import Verb
from libs.common.messages.audit import AuditEvent

NS_PER_MS = 1_000_000
#: What ends the doubt about an order.
_EVIDENCE = ("order.", "fill.")
#: Words on an order that are not outcomes.
_NO_OUTCOME = {
    "order.recorded",
    "order.resigned",
    "order.cancel_requested",
    "order.modify_requested",
    "order.unknown",
}
_PEOPLE = {
    "trading.halted",
    "trading.reduced",
    "trading.resumed",
    "operator.acted",
    "guard.cleared",
    "kill.proven",
    "kill.incomplete",
    "risk_limits.set",
}


@dataclass
class AuditFigures:
    """The sums, gathered event by event."""

    events: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    guards: Counter[str] = field(default_factory=Counter)
    orders: dict[str, str] = field(default_factory=dict)
    unknown_since: dict[str, int] = field(default_factory=dict)
    unknown_ms: list[int] = field(default_factory=list)
    reads_attempts: list[int] = field(default_factory=list)
    peaks: dict[str, tuple[int, int]] = field(default_factory=dict)
    holds: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    people: list[dict[str, Any]] = field(default_factory=list)
    configurations: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    first_ns: int = 0
    last_ns: int = 0

    def add(self, event: AuditEvent) -> None:
        """Count one event in."""
        self.events[event.event_type] += 1
        self.first_ns = self.first_ns or event.ts_event_ns
        self.last_ns = max(self.last_ns, event.ts_event_ns)
        used = self.configurations.setdefault(
            (event.config_hash, event.app_version), {"from_ns": event.ts_event_ns, "events": 0}
        )
        used["to_ns"], used["events"] = event.ts_event_ns, used["events"] + 1
        payload = msgspec.json.decode(event.payload)
        adder = _ADDERS.get(event.event_type)
        if adder is not None:
            adder(self, event, payload)
        if event.client_order_id and event.event_type.startswith(_EVIDENCE):
            self._add_order(event)
        if event.event_type in _PEOPLE:
            self._add_person(event, payload)

    def _add_order(self, event: AuditEvent) -> None:
        order, kind = event.client_order_id, event.event_type
        if kind == "order.unknown":
            self.unknown_since.setdefault(order, event.ts_event_ns)
        elif kind not in _NO_OUTCOME and (since := self.unknown_since.pop(order, None)) is not None:
            self.unknown_ms.append((event.ts_event_ns - since) // NS_PER_MS)
        if kind == "order.recorded":
            self.orders[order] = "recorded"
        elif order in self.orders and kind.startswith("order.") and kind not in _NO_OUTCOME:
            self.orders[order] = kind.removeprefix("order.")
        elif order in self.orders and kind == "order.unknown":
            self.orders[order] = "unknown"

    def _add_person(self, event: AuditEvent, payload: dict[str, Any]) -> None:
        what = event.event_type
        if what == "operator.acted" and payload["verb"] == Verb.LIMITS:
            return  # the limits are told by an event of their own
        if what == "operator.acted":
            what = f"{payload['verb']} {payload['target']}".strip()
        elif what == "guard.cleared":
            what = f"unlock {payload['guard']} {payload['key']}".strip()
        elif what == "risk_limits.set":
            told = {name: value for name, value in payload["after"].items() if value is not None}
            named = ", ".join(f"{name} {value}" for name, value in told.items())
            what = f"limits {named or 'as configured'}"
        elif what.startswith("kill."):
            what = f"{what} {payload['verb']}, {payload['took_ms']} ms"
        entry = {"ts_event_ns": event.ts_event_ns, "actor": event.actor}
        self.people.append(
            {**entry, "what": what, "reason": event.reason, "event_id": event.event_id}
        )

    def to_report(self) -> dict[str, Any]:
        """The figures as JSON may hold them."""
        succeeded = self.events["retry.succeeded"]
        ended = succeeded + self.events["retry.gave_up"]
        waits = sorted(self.unknown_ms)
        return {
            "from_ns": self.first_ns,
            "to_ns": self.last_ns,
            "events": dict(sorted(self.events.items())),
            "retries": {
                "attempts": self.events["retry.attempted"],
                "reads_retried": ended,
                "succeeded": succeeded,
                "success_rate": round(succeeded / ended, 4) if ended else None,
                "attempts_average": (round(sum(self.reads_attempts) / ended, 2) if ended else None),
            },
            "rate_limit_hits": self.events["rate_limit.hit"],
            "usage_peaks": {
                name: {"peak": peak, "limit": limit} for name, (peak, limit) in self.peaks.items()
            },
            "api_errors": dict(self.errors.most_common()),
            "refusals_by_reason": dict(self.refusals.most_common()),
            "refusals_by_guard": dict(self.guards.most_common()),
            "orders": dict(Counter(self.orders.values()).most_common()),
            "unknown_orders": {
                "count": len(waits) + len(self.unknown_since),
                "open": sorted(self.unknown_since),
                "resolved_ms_p50": waits[len(waits) // 2] if waits else None,
                "resolved_ms_max": waits[-1] if waits else None,
            },
            "holds": dict(self.holds.most_common()),
            "actions": self.people,
            "configurations": [
                {"config_hash": config_hash, "app_version": version, **used}
                for (config_hash, version), used in self.configurations.items()
            ],
        }


Payload = dict[str, Any]


def _add_refusal(figures: AuditFigures, _: AuditEvent, payload: Payload) -> None:
    figures.refusals[payload["reason"]] += 1
    for verdict in payload["verdicts"]:
        if not verdict["passed"]:
            figures.guards[verdict["check"]] += 1


def _add_recovered(figures: AuditFigures, _: AuditEvent, payload: Payload) -> None:
    figures.reads_attempts.append(payload["attempts"])


def _add_usage(figures: AuditFigures, _: AuditEvent, payload: Payload) -> None:
    for name in ("weight", "orders_10s", "orders_1m"):
        peak, limit = payload[f"{name}_peak"], payload[f"{name}_limit"]
        figures.peaks[name] = max(figures.peaks.get(name, (0, limit)), (peak, limit))


def _add_error(figures: AuditFigures, _: AuditEvent, payload: Payload) -> None:
    what = payload["code"] or payload["status"] or payload["outcome"]
    figures.errors[f"{payload['method']} {payload['path']} {what}".strip()] += 1


def _add_hold(figures: AuditFigures, event: AuditEvent, payload: Payload) -> None:
    kind = payload.get("scope") or payload.get("kind") or ""
    figures.holds[f"{event.event_type} {kind}".strip()] += 1


_ADDERS: dict[str, Callable[[AuditFigures, AuditEvent, Payload], None]] = {
    "intent.refused": _add_refusal,
    "retry.succeeded": _add_recovered,
    "retry.gave_up": _add_recovered,
    "venue.usage": _add_usage,
    "api.error": _add_error,
    "rate_limit.hit": _add_error,
    "cooldown.started": _add_hold,
    "safe_mode.entered": _add_hold,
    "venue.latched": _add_hold,
}


def gather_figures(events: Iterable[AuditEvent]) -> AuditFigures:
    """Add up events in their order."""
    figures = AuditFigures()
    for event in events:
        figures.add(event)
    return figures
