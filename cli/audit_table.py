"""The report of an audit trail as a person reads it."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

NS_PER_S = 1_000_000_000
WIDTH = 34
ACTIONS_SHOWN_MAX = 20


def table(report: Mapping[str, Any]) -> str:
    """Lines of name and figure, in sections."""
    return "\n".join(_lines(report))


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"{_time(report['from_ns'])} to {_time(report['to_ns'])} (market time)"
    retries = report["retries"]
    yield from _section(
        "reads tried again",
        {
            "reads retried": retries["reads_retried"],
            "success rate": _percent(retries["success_rate"]),
            "attempts on average": _known(retries["attempts_average"]),
            "retries in all": retries["attempts"],
        },
    )
    peaks = {
        f"peak {name}": f"{used['peak']} of {used['limit']}"
        for name, used in report["usage_peaks"].items()
    }
    yield from _section(
        "the venue's limits", {"rate limit hits": report["rate_limit_hits"], **peaks}
    )
    yield from _section("errors of the venue", report["api_errors"])
    yield from _section("refusals by reason", report["refusals_by_reason"])
    yield from _section("refusals by guard", report["refusals_by_guard"])
    yield from _section("orders", report["orders"])
    unknown = report["unknown_orders"]
    yield from _section(
        "orders in doubt",
        {
            "unknown": unknown["count"],
            "still unknown": len(unknown["open"]),
            "resolved in ms, p50": _known(unknown["resolved_ms_p50"]),
            "resolved in ms, longest": _known(unknown["resolved_ms_max"]),
        },
    )
    yield from _section("holds", report["holds"])
    yield from _section(
        "configurations (hash, version)",
        {
            f"{used['config_hash']} {used['app_version']}": (
                f"{used['events']} events from {_time(used['from_ns'])} to {_time(used['to_ns'])}"
            )
            for used in report["configurations"]
        },
    )
    yield ""
    yield "halts and operators' actions"
    actions = report["actions"]
    for action in actions[-ACTIONS_SHOWN_MAX:]:
        when = _time(action["ts_event_ns"])
        yield f"  {when}  {action['actor']}: {action['what']} ({action['reason']})"
    if len(actions) > ACTIONS_SHOWN_MAX:
        yield f"  the last {ACTIONS_SHOWN_MAX} of {len(actions)}; --json shows all"
    if not actions:
        yield "  none"


def _section(title: str, rows: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield title
    for name, figure in rows.items():
        yield f"  {name:<{WIDTH}} {figure}"
    if not rows:
        yield "  none"


def _known(figure: Any) -> Any:
    return "-" if figure is None else figure


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _time(ts_ns: int) -> str:
    return datetime.fromtimestamp(ts_ns // NS_PER_S, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
