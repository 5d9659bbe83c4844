"""What became of each drill, and the table of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

TABLE_WIDTH: Final = 150
"""Columns that the table needs; a narrower terminal wraps, and a file does not mind."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One drill. Times are wall milliseconds of the monotonic clock since the fault struck.

    Attributes:
        fault: what was injected.
        seen_by: the observable that told of it, with what it said; empty if none did.
        detected_ms, healed_ms: ``None`` where it never came.
        detect_ms_max, heal_ms_max: what it is held to.
        lost: everything that differs from the venue's record; nothing, or the drill has failed.
        why_failed: what went wrong with the drill itself.
    """

    fault: str
    seen_by: str = ""
    detected_ms: float | None = None
    detect_ms_max: float
    healed_ms: float | None = None
    heal_ms_max: float
    lost: tuple[str, ...] = ()
    why_failed: str = ""

    @property
    def faults(self) -> list[str]:
        """Why this drill has not passed; empty if it has."""
        found = [self.why_failed] if self.why_failed else []
        if self.detected_ms is None:
            found.append("not detected")
        elif self.detected_ms > self.detect_ms_max:
            found.append(f"detected after {self.detected_ms:.0f} ms, not {self.detect_ms_max:.0f}")
        if self.healed_ms is None:
            found.append("not healed")
        elif self.healed_ms > self.heal_ms_max:
            found.append(f"healed after {self.healed_ms:.0f} ms, not {self.heal_ms_max:.0f}")
        return found + [f"lost: {what}" for what in self.lost]


def show(outcomes: Sequence[Outcome], title: str) -> bool:
    """Print the table and what failed; returns whether all passed."""
    console = Console(width=TABLE_WIDTH)
    table = Table(title=title)
    table.add_column("injected", max_width=44)
    table.add_column("seen by", max_width=44)
    for heading in ("detected ms", "bound", "healed ms", "bound"):
        table.add_column(heading, justify="right")
    table.add_column("lost")
    table.add_column("")
    for one in outcomes:
        table.add_row(
            escape(one.fault),
            escape(one.seen_by) or "-",
            _ms(one.detected_ms),
            _ms(one.detect_ms_max),
            _ms(one.healed_ms),
            _ms(one.heal_ms_max),
            str(len(one.lost)) if one.lost else "nothing",
            "[bold red]FAIL[/]" if one.faults else "ok",
        )
    console.print(table)
    for one in outcomes:
        for fault in one.faults:
            console.print(f"[bold red]FAIL[/] {escape(one.fault)}: {escape(fault)}", soft_wrap=True)
    return not any(one.faults for one in outcomes)


def _ms(value: float | None) -> str:
    return "never" if value is None else f"{value:,.0f}"
