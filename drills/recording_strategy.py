"""A strategy that wants nothing and writes down every candle that signal shows it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from libs.common.messages.market import Candle
from services.signal.strategies import contract


class RecordingParameters(contract.Parameters):
    """Where to write, one file for each symbol and interval."""

    folder: Path


class RecordingStrategy:
    """One line for each candle, in the order they come; built anew after a gap, as any strategy."""

    Parameters = RecordingParameters
    warmup_bars = 0

    def __init__(self, parameters: RecordingParameters) -> None:
        self._folder = parameters.folder

    def on_candle(self, candle: Candle) -> tuple[contract.Wish, ...]:
        """Write it down; there is nothing to wish for."""
        path = recording(self._folder, candle.symbol, candle.interval)
        with path.open("ab") as sink:
            sink.write(msgspec.json.encode(candle) + b"\n")
        return ()


def recording(folder: Path, symbol: str, interval: str) -> Path:
    """The file of one series."""
    return folder / f"{symbol}-{interval}.jsonl"


def read_recording(path: Path) -> list[Candle]:
    """Every candle that was shown, in order; none where nothing was written."""
    if not path.exists():
        return []
    return [msgspec.json.decode(line, type=Candle) for line in path.read_bytes().splitlines()]
