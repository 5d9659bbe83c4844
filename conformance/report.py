"""The table of clients and capabilities, and below it every exception and failure in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from conformance.capabilities import CAPABILITIES
from conformance.judge import Outcome

TABLE_WIDTH: Final = 130
"""Columns that five clients need; a narrower terminal wraps, and a file does not mind."""
_CELLS: Final = {
    "pass": "pass",
    "fail": "[bold red]FAIL[/]",
    "skip": "[yellow]skip[/]",
    "absent": "-",
}


def show(outcomes: Sequence[Outcome]) -> None:
    """Print the table, the reasons of what was skipped, and the details of what failed."""
    console = Console(width=max(TABLE_WIDTH, Console().width))
    console.print(_table(outcomes))
    _show_exceptions(console, outcomes)
    for row in (row for row in outcomes if row.outcome == "fail"):
        console.print(f"\n[bold red]FAIL[/] {row.client}: {row.capability}")
        console.print(escape(row.reason), soft_wrap=True)
        console.print(escape(row.detail), soft_wrap=True, style="dim")


def _table(outcomes: Sequence[Outcome]) -> Table:
    clients = list(dict.fromkeys(row.client for row in outcomes))
    cells = {(row.capability, row.client): _CELLS[row.outcome] for row in outcomes}
    table = Table(title="What real clients make of the paper exchange")
    table.add_column("capability", no_wrap=True)
    for client in clients:
        table.add_column(client, justify="center")
    group = ""
    for name in (name for name in CAPABILITIES if any((name, one) in cells for one in clients)):
        if group and group != name.partition(".")[0]:
            table.add_section()
        group = name.partition(".")[0]
        table.add_row(name, *(cells.get((name, client), "") for client in clients))
    table.add_section()
    for outcome, cell in _CELLS.items():
        counts = Counter(row.client for row in outcomes if row.outcome == outcome)
        table.add_row(f"total {cell}", *(str(counts[client]) for client in clients))
    return table


def _show_exceptions(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Print what a client cannot do, one line per reason and client."""
    why: dict[tuple[str, str, str], list[str]] = {}
    for row in outcomes:
        if row.outcome in {"skip", "absent"}:
            why.setdefault((row.client, row.outcome, row.reason), []).append(row.capability)
    if why:
        console.print("\nWhat a client cannot show, and why (none of it is the venue's):")
    for (client, outcome, reason), names in why.items():
        console.print(f"  {_CELLS[outcome]} {client}: {', '.join(names)}", soft_wrap=True)
        console.print(f"       {escape(reason)}", soft_wrap=True)
