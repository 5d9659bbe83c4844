"""What a person can do with the simulated world.

``python -m sim --klines FILE [--out JOURNAL]`` replays candles through the cores;
``python -m sim simulate`` runs the services under faults; ``python -m sim mutants`` plants bugs.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from cli.journal_file import footer_line
from libs.common.messages.codec import decode_struct
from libs.common.messages.journal import FillReceived, JournalRecord, record_hash
from libs.common.messages.market import Candle, CandleOrigin
from libs.common.model.ids import candle_id
from libs.common.model.money import ZERO
from libs.common.model.pnl import by_asset
from libs.common.runtime.config import CommonConfig, load_config
from libs.common.runtime.errors import ConfigError
from libs.common.venue.payloads import ExchangeInfo, decode_payload
from services.execution.config import ExecutionConfig
from services.paper_exchange.market.candles import INTERVALS_MS
from services.paper_exchange.market.instruments import exchange_info, select_instruments
from services.paper_exchange.sources.event import ClosedBar, SourceError
from services.paper_exchange.sources.klines import KlineSource
from services.risk.config import RiskConfig
from services.signal.config import SignalConfig, build_series
from sim import mutants, simulate
from sim.replay import Replay, gate_refusals

NS_PER_MS = 1_000_000
EXIT_BAD_INPUT = 2


def read_candles(source: KlineSource) -> Iterator[Candle]:
    """The closed candles of the files, as feed would publish them.

    Raises:
        SourceError: a row cannot be read; names file and line.
    """
    for bar in source.events():
        if isinstance(bar, ClosedBar):
            open_ns = bar.open_ms * NS_PER_MS
            identity = candle_id(bar.symbol, bar.interval, open_ns)
            yield Candle(
                message_id=identity,
                causation_id=identity,
                correlation_id=identity,
                ts_event_ns=bar.ts_ns,
                ts_published_ns=0,
                source="replay",
                symbol=bar.symbol,
                interval=bar.interval,
                open_ns=open_ns,
                close_ns=open_ns + INTERVALS_MS[bar.interval] * NS_PER_MS,
                open=bar.open,
                high=bar.high,
                low=bar.low,
                close=bar.close,
                volume=bar.volume,
                trade_count=0,
                origin=CandleOrigin.REST,
            )


def build_replay(source: KlineSource, interval: str, config: Path | None) -> Replay:
    """A replay of the source's symbols under the configuration.

    Raises:
        ConfigError: the configuration is wrong.
    """
    common, signal, _ = load_config("signal", SignalConfig, path=config)
    _, risk, _ = load_config("risk", RiskConfig, path=config)
    _, execution, _ = load_config("execution", ExecutionConfig, path=config)
    limits = risk.limits.model_copy(update={"symbols_allowed": source.symbols})
    own: CommonConfig = common.model_copy(
        update={"symbols": source.symbols, "candle_intervals": (interval,)}
    )
    listed = exchange_info(0, select_instruments(source.symbols).values())
    info = decode_payload(json.dumps(listed).encode(), ExchangeInfo)
    return Replay(
        build_series(own, signal),
        info.instruments().values(),
        risk.model_copy(update={"limits": limits}),
        execution,
    )


def summary(replayed: Replay) -> dict[str, object]:
    """What a person asks first: how much was decided, and what it would have earned."""
    events = [
        event for raw in replayed.journal for event in decode_struct(raw, JournalRecord).events
    ]
    positions = replayed.state.positions.values()
    realized: Decimal = sum((item.realized_pnl for item in positions), ZERO)
    commission = by_asset(paid for item in positions for paid in item.commissions.items())
    return {
        "candles": replayed.candles,
        "fills": sum(isinstance(event, FillReceived) for event in events),
        "refused_by_risk": replayed.refused,
        "refused_by_gate": gate_refusals(events),
        "realized_pnl": str(realized),
        "commission": {asset: str(amount) for asset, amount in sorted(commission.items())},
        "journal_records": len(replayed.journal),
    }


def main(arguments: list[str] | None = None) -> int:
    """Do what the first argument names; without a name, replay."""
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] == "simulate":
        return simulate.main(given[1:])
    if given and given[0] == "mutants":
        return mutants.main(given[1:])
    return replay(given)


def replay(arguments: list[str]) -> int:
    """Replay, write the journal if asked to, print the summary as JSON."""
    parser = argparse.ArgumentParser(prog="python -m sim", description=__doc__)
    parser.add_argument("--klines", type=Path, action="append", required=True, metavar="FILE")
    parser.add_argument("--config", type=Path, help="YAML settings (or PORTCULLIS_CONFIG)")
    parser.add_argument("--out", type=Path, help="write the journal here")
    options = parser.parse_args(arguments)
    try:
        source = KlineSource(options.klines)
        interval = options.klines[0].name.split("-")[1]
        replayed = build_replay(source, interval, options.config)
        replayed.run(read_candles(source))
    except (SourceError, ConfigError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_BAD_INPUT
    if options.out is not None:
        head = record_hash(replayed.journal[-1])
        content = b"".join(raw + b"\n" for raw in replayed.journal)
        options.out.write_bytes(content + footer_line(head, len(replayed.journal)))
    sys.stdout.write(json.dumps(summary(replayed), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
