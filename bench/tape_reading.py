"""A tape read by its own rules, independently of the venue: what a replay must have said.

Lines are `<local_ns> <json>`, a combined-stream message or a REST depth snapshot. The book is the
documented one: start from the snapshot, drop updates that end before it, quantities are absolute,
zero deletes. Quotes run ahead of depth, so the top of the book is the last quote.
"""

import gzip
import json
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

KINDS = {"depthUpdate": "depth", "bookTicker": "quote", "trade": "trade"}


@dataclass
class Reading:
    """One tape: lines by kind, the book at its end, and the last quote (bid, ask)."""

    symbol: str = ""
    lines: Counter[str] = field(default_factory=Counter)
    bids: dict[Decimal, Decimal] = field(default_factory=dict)
    asks: dict[Decimal, Decimal] = field(default_factory=dict)
    quote: tuple[Decimal, Decimal] = (Decimal(0), Decimal(0))
    last_update_id: int = 0

    @property
    def all_lines(self) -> int:
        """Lines of every kind."""
        return self.lines.total()

    def behind_quote(self) -> tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]:
        """Bids below and asks above the last quote: what depth alone decides."""
        bid, ask = self.quote
        return (
            {price: quantity for price, quantity in self.bids.items() if price < bid},
            {price: quantity for price, quantity in self.asks.items() if price > ask},
        )


def read_tape(path: Path) -> Reading:
    """Read a whole tape."""
    reading = Reading()
    early: list[dict[str, Any]] | None = []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            said = json.loads(line.partition(" ")[2])
            data = said.get("data")
            if data is None:
                reading.lines["snapshot"] += 1
                _apply(reading, said["bids"], said["asks"])
                reading.last_update_id = said["lastUpdateId"]
                for update in early or ():
                    if update["u"] >= said["lastUpdateId"]:
                        _apply_update(reading, update)
                early = None
                continue
            reading.symbol = data["s"]
            kind = KINDS[data["e"]]
            reading.lines[kind] += 1
            if kind == "quote":
                reading.quote = Decimal(data["b"]), Decimal(data["a"])
            elif kind == "depth" and early is not None:
                early.append(data)
            elif kind == "depth" and data["u"] >= reading.last_update_id:
                _apply_update(reading, data)
    return reading


def _apply_update(reading: Reading, data: dict[str, Any]) -> None:
    _apply(reading, data["b"], data["a"])
    reading.last_update_id = data["u"]


def _apply(reading: Reading, bids: list[list[str]], asks: list[list[str]]) -> None:
    for side, levels in ((reading.bids, bids), (reading.asks, asks)):
        for price_text, quantity_text in levels:
            price, quantity = Decimal(price_text), Decimal(quantity_text)
            if quantity:
                side[price] = quantity
            else:
                side.pop(price, None)
