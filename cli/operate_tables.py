"""What execution shows, as lines a person reads: plain columns, as wide as what is in them."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

NS_PER_S = 1_000_000_000
CELL_LENGTH_MAX = 60

Row = Mapping[str, Any]
_STORY_SKIPPED = {"event", "journal_number", "ts_event_ns", "causation_id", "app_version"}
_STORY_SKIPPED |= {"verdicts", "verdicts_risk", "intent", "order"}


def render(what: str, answer: Row) -> str:
    """The answer to a verb, as text."""
    lines = _TABLES[what](answer) if what in _TABLES else _pairs(answer)
    return "\n".join(lines)


def table(
    rows: Sequence[Row], columns: Mapping[str, str], nothing: str, whole: Container[str] = ()
) -> Iterator[str]:
    """Rows under headings; numbers are not aligned apart, they are text like all else.

    Args:
        columns: heading by field.
        nothing: what to say where there is no row.
        whole: fields that are never cut short, because their end is what counts.
    """
    if not rows:
        yield nothing
        return
    cells = [
        [_text(row.get(name)) if name in whole else _cell(row.get(name)) for name in columns]
        for row in rows
    ]
    heads = list(columns.values())
    widths = [
        max(len(head), *(len(line[index]) for line in cells)) for index, head in enumerate(heads)
    ]
    for line in (heads, *cells):
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        yield "  ".join(padded).rstrip()


def _cell(value: Any) -> str:
    text = _text(value)
    is_cut = len(text) > CELL_LENGTH_MAX and not isinstance(value, dict)
    return text[: CELL_LENGTH_MAX - 3] + "..." if is_cut else text


def _text(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{amount} {asset}" for asset, amount in value.items()) or "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _guards(answer: Row) -> Iterator[str]:
    for why in answer["unarmed"]:
        yield f"NOT ARMED  {why}"
    for why in answer["closing"]:
        yield f"SHUT       {why}"
    columns = {
        "guard": "GUARD",
        "key": "KEY",
        "active": "HOLDS",
        "remaining_s": "SECONDS LEFT",
        "limit": "LIMIT",
        "observed": "OBSERVED",
        "unlock": "UNLOCK",
    }
    yield from table(answer["guards"], columns, "no guards")


def _orders(answer: Row) -> Iterator[str]:
    columns = {
        "client_order_id": "ORDER",
        "symbol": "SYMBOL",
        "side": "SIDE",
        "type": "TYPE",
        "quantity": "QUANTITY",
        "filled": "FILLED",
        "price": "PRICE",
        "reduce_only": "EXIT",
        "status": "STATUS",
        "age_s": "SECONDS OLD",
        "intent_id": "INTENT",
    }
    yield from table(answer["orders"], columns, "no orders")
    columns = {
        "client_algo_id": "ALGO ORDER",
        "kind": "KIND",
        "symbol": "SYMBOL",
        "side": "SIDE",
        "quantity": "QUANTITY",
        "trigger_price": "TRIGGER",
        "status": "STATUS",
        "age_s": "SECONDS OLD",
        "intent_id": "INTENT",
    }
    yield from table(answer["algo_orders"], columns, "no algo orders")


def _positions(answer: Row) -> Iterator[str]:
    columns = {
        "symbol": "SYMBOL",
        "quantity": "QUANTITY",
        "entry_price": "ENTRY",
        "mark_price": "MARK",
        "unrealized_pnl": "UNREALIZED",
        "realized_pnl": "REALIZED",
        "commission": "COMMISSION",
        "stops": "STOPS",
    }
    yield from table(answer["positions"], columns, "flat")


def _history(answer: Row) -> Iterator[str]:
    rows = [{**row, "at": _time(row["at_ns"])} for row in answer["changes"]]
    columns = {
        "at": "TIME (UTC)",
        "symbol": "SYMBOL",
        "cause": "CAUSE",
        "strategy_id": "STRATEGY",
        "quantity": "QUANTITY",
        "quantity_after": "HELD AFTER",
        "price": "PRICE",
        "amount": "AMOUNT",
        "asset": "ASSET",
        "commission": "COMMISSION",
        "client_order_id": "ORDER",
    }
    yield from table(rows, columns, "no changes")
    if answer["next_before"] is not None:
        yield f"older ones: --before {answer['next_before']}"


def _pnl(answer: Row) -> Iterator[str]:
    rows = [{**row, "day": row["day"] or "earlier"} for row in answer["pnl"]]
    columns = {
        "day": "UTC DAY",
        "symbol": "SYMBOL",
        "strategy_id": "STRATEGY",
        "fills": "FILLS",
        "realized_pnl": "REALIZED",
        "commission": "COMMISSION",
        "funding": "FUNDING",
        "liquidation": "LIQUIDATION",
        "other": "OTHER",
        "net": f"NET {answer['quote_asset']}",
    }
    yield from table(rows, columns, "nothing traded")


def _figures(answer: Row) -> Iterator[str]:
    columns = {
        "strategy_id": "STRATEGY",
        "orders": "ORDERS",
        "slippage_realized_bps": "SLIPPAGE BPS",
        "slippage_predicted_bps": "PREDICTED BPS",
        "round_trips": "ROUND TRIPS",
        "hit_ratio": "HIT RATIO",
        "outcomes": "WITH CONFIDENCE",
        "calibration_error": "CALIBRATION ERROR",
    }
    yield f"the last {answer['window_ms'] // 3_600_000} hours"
    yield from table(answer["figures"], columns, "nothing traded")


def _budget(answer: Row) -> Iterator[str]:
    rows = [{"window": name, **row} for name, row in answer["windows"].items()]
    columns = {
        "window": "WINDOW",
        "used": "USED",
        "limit": "LIMIT",
        "used_percent": "PERCENT",
        "peak": "PEAK",
        "refused_above_ordinary": "ENTRIES UP TO",
        "refused_above_reserved": "EXITS UP TO",
    }
    yield from table(rows, columns, "no windows")
    columns = {"kind": "LATCH", "remaining_s": "SECONDS LEFT"}
    yield from table(answer["latches"], columns, "no latches")


def _intents(answer: Row) -> Iterator[str]:
    rows = [{**row, "decided": _time(row["decided_at_ns"])} for row in answer["intents"]]
    columns = {"decided": "DECIDED", "intent_id": "INTENT", "outcome": "OUTCOME"}
    yield from table(rows, columns, "no intents")


def _report(answer: Row) -> Iterator[str]:
    kinds = ("positions", "orders", "algo_orders", "balances", "trades", "settings", "income")
    compared = ", ".join(f"{answer[f'{name}_compared']} {name.replace('_', ' ')}" for name in kinds)
    in_flight = answer["in_flight"]
    yield (
        f"compared {_time(answer['ts_event_ns'])} in {answer['duration_ms']} ms: {compared};"
        f" in flight: {in_flight}"
    )
    columns = {
        "kind": "DIFFERENCE",
        "subject": "SUBJECT",
        "ours": "OURS",
        "theirs": "VENUE",
        "is_confirmed": "CONFIRMED",
        "policy": "POLICY",
    }
    nothing = "nothing is proven to differ" if in_flight else "nothing differs"
    yield from table(answer["discrepancies"], columns, nothing)
    if in_flight:
        yield f"STILL IN FLIGHT: {in_flight}; nothing is proven for them, ask again"
    for remedy in answer["remedies"]:
        yield f"asked of execution: {remedy}"


def _story(answer: Row) -> Iterator[str]:
    yield f"intent {answer['intent_id']} of account {answer['account']}"
    risk = answer.get("risk")
    if risk:
        yield f"{'risk':<10} {_time(risk['ts_event_ns'])}  {risk['reason'] or risk['decision']}"
    for event in answer["events"]:
        told = {name: value for name, value in event.items() if name not in _STORY_SKIPPED}
        order = event.get("order")
        if order:
            told = {"side": order["side"], "quantity": order["quantity"], **told}
        words = ", ".join(f"{name} {_cell(value)}" for name, value in told.items() if value)
        number = f"#{event['journal_number']}"
        yield f"{number:<10} {_time(event['ts_event_ns'])}  {event['event']}: {words}"
        for verdict in event.get("verdicts", ()):
            if not verdict["passed"]:
                yield (
                    f"{'':<10} {verdict['check']}: {verdict['observed']} (limit {verdict['limit']})"
                )


def _pairs(answer: Row) -> Iterator[str]:
    for name, value in answer.items():
        if isinstance(value, dict):
            yield from (f"{name}.{inner}: {_cell(text)}" for inner, text in value.items())
        elif value not in (None, ""):
            yield f"{name}: {_cell(value)}"


def _time(ns: int) -> str:
    moment = datetime.fromtimestamp(ns // NS_PER_S, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{moment}.{ns % NS_PER_S // 1_000_000:03d}"


_TABLES: dict[str, Callable[[Row], Iterator[str]]] = {
    "guards": _guards,
    "orders": _orders,
    "positions": _positions,
    "positions/history": _history,
    "pnl": _pnl,
    "figures": _figures,
    "budget": _budget,
    "intents": _intents,
    "intent": _story,
    "report": _report,
}
