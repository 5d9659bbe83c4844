"""How many candles there were, and whether each came once: counted from the MARKET stream."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from libs.common.messages.market import Candle


@dataclass(frozen=True)
class SeriesCount:
    """One symbol and interval."""

    published: int
    distinct: int
    missing: int
    out_of_order: int


@dataclass(frozen=True)
class CandleCount:
    """All series, and how many candles signal has settled."""

    series: dict[str, SeriesCount]
    through_signal: int

    def as_report(self) -> dict[str, Any]:
        """The figures by name."""
        counts = self.series.values()
        return {
            "published": sum(count.published for count in counts),
            "distinct": sum(count.distinct for count in counts),
            "duplicate": sum(count.published - count.distinct for count in counts),
            "missing": sum(count.missing for count in counts),
            "out_of_order": sum(count.out_of_order for count in counts),
            "by_series": {name: vars(count) for name, count in sorted(self.series.items())},
        }


def count_candles(candles: Iterable[Candle], through_signal: int) -> CandleCount:
    """Count published candles, and the bars missing between the first and the last of a series."""
    opens: dict[str, list[int]] = defaultdict(list)
    lengths: dict[str, int] = {}
    for candle in candles:
        name = f"{candle.symbol} {candle.interval}"
        opens[name].append(candle.open_ns)
        lengths[name] = candle.close_ns - candle.open_ns
    series = {name: _count(times, lengths[name]) for name, times in opens.items()}
    return CandleCount(series, through_signal)


def _count(open_times: list[int], length_ns: int) -> SeriesCount:
    distinct = Counter(open_times)
    expected = (max(distinct) - min(distinct)) // length_ns + 1
    return SeriesCount(
        published=len(open_times),
        distinct=len(distinct),
        missing=expected - len(distinct),
        out_of_order=sum(after <= before for before, after in pairwise(open_times)),
    )
