"""Which symbols may take new risk, as far as the feed can tell, and why the others may not."""

from collections.abc import Iterable
from typing import Any

import msgspec

from libs.common.messages.market import SymbolHealth
from services.feed.depth_desk import DepthDesk
from services.feed.instrument_reader import InstrumentReader
from services.feed.skew import SkewWatch


class Fitness:
    """What is known besides the age of the data: the venue's word, our clock, the books."""

    def __init__(self, reader: InstrumentReader, skew: SkewWatch, depth: DepthDesk) -> None:
        self._reader = reader
        self._skew = skew
        self._depth = depth

    def mark(self, ages: Iterable[SymbolHealth], now_ns: int | None) -> tuple[SymbolHealth, ...]:
        """Say of each symbol whether it trades; one that takes no new risk counts as stale."""
        instruments, clock_refusal = self._reader.instruments, self._skew.refusal
        marked: list[SymbolHealth] = []
        for one in ages:
            state = instruments.states[one.symbol]
            refusal = state.refusal if now_ns is None else instruments.refusal(one.symbol, now_ns)
            refusal = refusal or clock_refusal
            marked.append(
                msgspec.structs.replace(
                    one,
                    status=state.status,
                    refusal=refusal,
                    is_stale=one.is_stale or bool(refusal),
                )
            )
        return tuple(marked)

    def status(self) -> dict[str, Any]:
        """Parts of ``/v1/status``."""
        return {
            "instruments": self._reader.status(),
            "clock": self._skew.status(),
            "depth": self._depth.status(),
        }
