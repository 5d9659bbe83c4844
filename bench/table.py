"""The figures of the pipeline benchmark, on a screen and as JSON."""

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.figures import (
    CANDLE_TO_ANSWER,
    CANDLE_TO_ORDER,
    INTENT_TO_ORDER,
    STAGES,
    Way,
    describe_hops,
    floor_ns,
    median_of_rounds,
    percentile,
)
from bench.hops import Samples
from bench.listener import Usage

WAYS = {
    "candle to order": CANDLE_TO_ORDER,
    "intent to order": INTENT_TO_ORDER,
    "candle to answer": CANDLE_TO_ANSWER,
}


@dataclass(frozen=True)
class Measured:
    """Everything that one benchmark measured."""

    idle: list[Samples]
    beside: Samples
    way: Way
    speed: int
    steady: Usage
    fast: Usage
    run_report: dict[str, Any]


def as_report(measured: Measured) -> dict[str, Any]:
    """The figures, in milliseconds and messages a second."""
    idle_ns = {
        name: median_of_rounds([one[name] for one in measured.idle], 50) for name in measured.beside
    }
    beside_ns = {name: percentile(samples, 50) for name, samples in measured.beside.items()}
    return {
        "load": {"speed": measured.speed, "orders": measured.run_report["venue_orders"]},
        "latency_ms_of_the_run_report": measured.run_report["latency_ms"],
        "stages_ms": {
            stage.strip(): _spread(spans)
            for stage in STAGES
            if (spans := measured.way.spans_ns(stage))
        },
        "hops_ms": {
            name: {"idle_p50": _ms(idle_ns[name]), "beside": _spread(measured.beside[name])}
            for name in measured.beside
        },
        "floor_ms": {
            name: {"idle": _ms(floor_ns(hops, idle_ns)), "beside": _ms(floor_ns(hops, beside_ns))}
            for name, hops in WAYS.items()
        },
        "messages_per_s": {
            "steady": round(measured.steady.messages_per_s),
            "flat out": round(measured.fast.messages_per_s),
        },
        "cpu_percent": {
            "steady": _rounded(measured.steady.cpu_percent()),
            "flat out": _rounded(measured.fast.cpu_percent()),
        },
    }


def show(measured: Measured) -> None:
    """Print the tables."""
    report = as_report(measured)
    console = Console(width=100)
    console.print(_ways(report))
    for name, hops in WAYS.items():
        console.print(f"  floor of {name}: {describe_hops(hops)}")
    console.print(_hops(report))
    console.print(_loads(report))


def _ways(report: dict[str, Any]) -> Table:
    orders, speed = report["load"]["orders"], report["load"]["speed"]
    table = Table(title=f"An order's way: {orders} orders, {speed} market s per wall s, in ms")
    _headings(
        table, "from .. to", "samples", "p50", "p99",
        "floor beside", "ratio", "floor idle", "ratio",
    )  # fmt: skip
    for stage in STAGES:
        row = report["stages_ms"].get(stage.strip())
        if row is None:
            continue
        cells = [stage, str(row["samples"]), f"{row['p50']:.2f}", f"{row['p99']:.2f}"]
        floors = report["floor_ms"].get(stage, {})
        for which in ("beside", "idle"):
            if which in floors:
                cells += [f"{floors[which]:.2f}", f"{row['p50'] / floors[which]:.2f}x"]
        table.add_row(*cells)
    return table


def _hops(report: dict[str, Any]) -> Table:
    table = Table(title="Bare hops, in ms")
    _headings(table, "hop", "samples", "p50 beside the run", "p99 beside", "p50 idle")
    for name, row in report["hops_ms"].items():
        beside = row["beside"]
        table.add_row(
            name,
            str(beside["samples"]),
            f"{beside['p50']:.3f}",
            f"{beside['p99']:.3f}",
            f"{row['idle_p50']:.3f}",
        )
    return table


def _loads(report: dict[str, Any]) -> Table:
    table = Table(title="Market messages a second through feed, and CPU in percent of a core")
    services = list(report["cpu_percent"]["steady"])
    _headings(table, "run", "messages/s", *services)
    for run in ("steady", "flat out"):
        cpu = report["cpu_percent"][run]
        table.add_row(
            run,
            f"{report['messages_per_s'][run]:,}",
            *(f"{cpu.get(name, 0):.0f}" for name in services),
        )
    return table


def _headings(table: Table, first: str, *others: str) -> None:
    table.add_column(first)
    for heading in others:
        table.add_column(heading, justify="right")


def _spread(spans_ns: list[int]) -> dict[str, float]:
    return {
        "samples": len(spans_ns),
        "p50": _ms(percentile(spans_ns, 50)),
        "p99": _ms(percentile(spans_ns, 99)),
    }


def _ms(span_ns: int) -> float:
    return round(span_ns / 1e6, 3)


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in figures.items()}
