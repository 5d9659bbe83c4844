"""From options and settings to the plan of a run: which market, which ports, which configuration.

Everything that can be wrong with a wish is found here, before anything is started.
"""

import importlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from cli import exits
from cli.config import SERVICE_PORTS, SERVICES, RunnerConfig
from cli.config_check import SECTIONS, ensure_agreement
from cli.run_directory import HALT_FILE
from libs.common.model.settings import ServiceConfig
from libs.common.runtime.config import CommonConfig, Mode, load_config, read_sources
from libs.common.runtime.errors import ConfigError

INTERVAL_NS = {"s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}
INTERVAL_NS["d"] = 24 * INTERVAL_NS["h"]
HOST = "127.0.0.1"
FINITE_STATE_INTERVAL_WALL_MS = 100


@dataclass(frozen=True)
class RunOptions:
    """The command line of `portcullis run`."""

    tapes: tuple[Path, ...] = ()
    klines: tuple[Path, ...] = ()
    speed: str | None = None
    until_end: bool = False
    report: Path | None = None
    config: Path | None = None
    seed: int | None = None
    data_dir: Path | None = None


@dataclass(frozen=True)
class MarketPlan:
    """Where the market comes from."""

    source: str
    paths: tuple[Path, ...]
    symbols: tuple[str, ...]
    interval: str

    @property
    def interval_ns(self) -> int:
        """The length of a candle."""
        return int(self.interval[:-1]) * INTERVAL_NS[self.interval[-1]]


@dataclass(frozen=True)
class RunPlan:
    """Everything decided before the first process starts."""

    options: RunOptions
    market: MarketPlan
    common: CommonConfig
    settings: RunnerConfig
    speed: Decimal
    tree: dict[str, Any]
    venue_port: int
    broker_port: int

    @property
    def is_finite(self) -> bool:
        """Whether the run ends with its data."""
        return self.options.until_end

    @property
    def venue_url(self) -> str:
        """The paper exchange."""
        return f"http://{HOST}:{self.venue_port}"


def plan_run(options: RunOptions, environment: Mapping[str, str]) -> RunPlan:
    """Check the wish and decide.

    Raises:
        CommandFailed: bad usage or configuration (2), or a port is taken (3).
    """
    market = plan_market(options)
    try:
        tree = read_sources(_config_path(options, environment), environment, SECTIONS).tree
        common, settings, _ = load_config(
            "runner", RunnerConfig, path=options.config, environment=environment
        )
        for name in SERVICES:
            load_config(name, service_settings(name), path=options.config, environment=environment)
        ensure_agreement(_config_path(options, environment), environment)
    except ConfigError as error:
        raise exits.CommandFailed(str(error), exits.BAD_USAGE) from error
    if common.mode is not Mode.PAPER:
        raise exits.CommandFailed(
            f"mode is {common.mode}: `run` starts the paper world; start the services themselves"
            " for a real venue",
            exits.BAD_USAGE,
        )
    if not market.symbols:
        market = MarketPlan(market.source, market.paths, common.symbols, market.interval)
    tree.setdefault("symbols", list(market.symbols))
    tree.setdefault("candle_intervals", [market.interval])
    plan = RunPlan(
        options=options,
        market=market,
        common=common,
        settings=settings,
        speed=_speed(options, settings),
        tree=tree,
        venue_port=_port_of(common.venue.rest_url),
        broker_port=_port_of(common.bus.url),
    )
    return _with_free_ports(plan) if plan.is_finite else _with_fixed_ports(plan)


def plan_market(options: RunOptions) -> MarketPlan:
    """Open the data far enough to know what it is.

    Raises:
        CommandFailed: the options contradict one another, or a file cannot be used.
    """
    if options.tapes and options.klines:
        raise exits.CommandFailed("--tape and --klines exclude each other", exits.BAD_USAGE)
    if options.until_end and not (options.tapes or options.klines):
        raise exits.CommandFailed(
            "--until-end needs --tape or --klines: the generated market never ends", exits.BAD_USAGE
        )
    if not (options.tapes or options.klines):
        return MarketPlan("generator", (), (), "1s")
    from services.paper_exchange.market.instruments import UnknownSymbolError
    from services.paper_exchange.sources.event import SourceError
    from services.paper_exchange.sources.klines import KlineSource
    from services.paper_exchange.sources.tape import TapeSource

    try:
        if options.tapes:
            symbols = TapeSource(options.tapes).symbols
            return MarketPlan("tape", _absolute(options.tapes), symbols, "1s")
        symbols = KlineSource(options.klines).symbols
    except (SourceError, UnknownSymbolError) as error:
        raise exits.CommandFailed(str(error), exits.BAD_USAGE) from error
    intervals = {path.name.split("-")[1] for path in options.klines}
    if len(intervals) > 1:
        raise exits.CommandFailed(
            f"kline files of one interval, please, not {', '.join(sorted(intervals))}",
            exits.BAD_USAGE,
        )
    return MarketPlan("klines", _absolute(options.klines), symbols, intervals.pop())


def service_settings(name: str) -> type[ServiceConfig]:
    """The settings class of a service: the one its config module defines."""
    module = importlib.import_module(f"services.{name}.config")
    for found in vars(module).values():
        is_settings = isinstance(found, type) and issubclass(found, ServiceConfig)
        if is_settings and found is not ServiceConfig:
            return found  # type: ignore[no-any-return]
    raise TypeError(f"services.{name}.config defines no ServiceConfig")


def effective_tree(
    plan: RunPlan, broker_url: str, files: Mapping[str, Path], audit: Path
) -> dict[str, Any]:
    """The configuration of this run's services, complete.

    Args:
        files: where the keys are, by the names in cli/run.py.
        audit: where the audit trail goes, if the settings do not say.
    """
    tree: dict[str, Any] = {name: _copy(value) for name, value in plan.tree.items()}
    tree.pop("runner", None)
    tree["bus"] = {**tree.get("bus", {}), "url": broker_url}
    tree["venue"] = {
        **tree.get("venue", {}),
        "rest_url": plan.venue_url,
        "stream_url": f"ws://{HOST}:{plan.venue_port}",
    }
    tree["approval_key_file"] = str(files["approval_key"])
    tree.setdefault("http_tokens_file", str(files["http_tokens"]))
    for name in SERVICES:
        section = tree[name] = dict(tree.get(name) or {})
        section["http_port"] = 0 if plan.is_finite else service_port(plan, name)
    tree["feed"]["api_key_file"] = str(files["feed_api_key"])
    for name in ("execution", "reconciler"):
        tree[name]["api_key_file"] = str(files[f"{name}_api_key"])
        tree[name]["api_secret_file"] = str(files[f"{name}_api_secret"])
    tree["execution"].setdefault("audit_directory", str(audit))
    tree["execution"].setdefault("halt_file", str(files["http_tokens"].with_name(HALT_FILE)))
    limits = dict(tree["risk"].get("limits") or {})
    limits.setdefault("symbols_allowed", list(plan.market.symbols))
    tree["risk"]["limits"] = limits
    if plan.is_finite:
        # Wall time must not decide how old the account looks in a market that runs fast.
        tree["execution"].setdefault("state_interval_wall_ms", FINITE_STATE_INTERVAL_WALL_MS)
    return tree


def write_config(path: Path, tree: Mapping[str, Any]) -> None:
    """Write a configuration as YAML."""
    text = yaml.safe_dump(dict(tree), sort_keys=True, default_flow_style=False)
    path.write_text("# What this run's services read; written by `portcullis run`.\n" + text)


def service_port(plan: RunPlan, name: str) -> int:
    """The HTTP port a service is given."""
    return int((plan.tree.get(name) or {}).get("http_port", SERVICE_PORTS[name]))


def _copy(value: Any) -> Any:
    return dict(value) if isinstance(value, dict) else value


def _config_path(options: RunOptions, environment: Mapping[str, str]) -> Path | None:
    named = environment.get("PORTCULLIS_CONFIG")
    return options.config or (Path(named) if named else None)


def _absolute(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    return tuple(path.resolve() for path in paths)


def _speed(options: RunOptions, settings: RunnerConfig) -> Decimal:
    if options.speed is None:
        return settings.speed
    try:
        speed = Decimal(options.speed)
    except InvalidOperation:
        speed = Decimal(0)
    if not (speed.is_finite() and 0 < speed <= 1_000_000):
        raise exits.CommandFailed(
            f"--speed must be above 0 and at most 1000000, not {options.speed}", exits.BAD_USAGE
        )
    return speed


def _port_of(url: str) -> int:
    try:
        port = urlsplit(url).port
    except ValueError:
        port = None
    if port is None:
        raise exits.CommandFailed(f"{url} names no port", exits.BAD_USAGE)
    return port


def _with_free_ports(plan: RunPlan) -> RunPlan:
    return replace(plan, venue_port=free_port(), broker_port=-1)


def _with_fixed_ports(plan: RunPlan) -> RunPlan:
    ensure_port_is_free(plan.broker_port, "the broker", "bus.url")
    ensure_port_is_free(plan.venue_port, "the paper exchange", "venue.rest_url")
    for name in SERVICES:
        ensure_port_is_free(service_port(plan, name), name, f"{name}.http_port")
    return plan


def ensure_port_is_free(port: int, what: str, setting: str) -> None:
    """Check that a port can be bound.

    Raises:
        CommandFailed: naming the port and the setting that moves it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            variable = "PORTCULLIS_" + setting.upper().replace(".", "__")
            raise exits.CommandFailed(
                f"port {port} for {what} is taken ({error.strerror}): is another run going on?"
                f" End it, or set {setting} (or {variable}) to another port",
                exits.NOT_AVAILABLE,
            ) from error


def free_port() -> int:
    """A port nothing is bound to at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
