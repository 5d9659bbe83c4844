"""What a configuration comes to, for all services at once, and everything that is wrong with it.

A service reads its own section alone, and stops at its start. Here every section is read, every
fault is told with its place, and limits of different services are held against each other.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cli.config import SERVICES, RunnerConfig
from libs.common.model.agreement import Relation, Setting, find_clashes, flatten
from libs.common.model.settings import Section
from libs.common.runtime.config import (
    CONFIG_VARIABLE,
    SERVICE_SECTIONS,
    CommonConfig,
    Sources,
    hash_of,
    read_sources,
)
from libs.common.runtime.config_faults import Fault, faults_of, judge
from libs.common.runtime.errors import ConfigError
from services.execution.arming import check_mode
from services.execution.config import ExecutionConfig
from services.feed.config import FeedConfig
from services.feed.intervals import interval_ns
from services.reconciler.config import ReconcilerConfig
from services.risk.config import RiskConfig
from services.signal.config import SignalConfig, build_series

SECTIONS: Mapping[str, type[Section]] = {
    "feed": FeedConfig,
    "signal": SignalConfig,
    "risk": RiskConfig,
    "execution": ExecutionConfig,
    "reconciler": ReconcilerConfig,
    "runner": RunnerConfig,
}
DEFAULT = "default"
S = TypeVar("S", bound=Section)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        place: ``file:line``, or the environment variable; both where two settings clash.
        name: the setting; empty where it is the file as a whole.
        text: what is wrong and what would be right.
    """

    place: str
    name: str
    text: str


@dataclass(frozen=True)
class Origins:
    """Where each setting comes from."""

    path: Path | None
    sources: Sources

    def of(self, name: str) -> str:
        """A variable, a line of the file, or the default, of a setting that somebody set."""
        variable = _nearest(self.sources.variables, name)
        if variable is not None:
            return str(variable)
        line = _nearest(self.sources.lines, name)
        return DEFAULT if line is None else f"{self.path}:{line}"

    def place_of(self, names: Iterable[str]) -> str:
        """Where to look for a fault about some settings."""
        places = [place for name in names if name and (place := self.of(name)) != DEFAULT]
        return " and ".join(dict.fromkeys(places)) or str(self.path or "the defaults")


def _nearest(known: Mapping[str, Any], name: str) -> Any:
    """What is known of a setting, or of the table it is in."""
    while name:
        if name in known:
            return known[name]
        name = name.rpartition(".")[0]
    return None


@dataclass
class Examined:
    """A configuration, as far as it could be read.

    Attributes:
        common, sections: what is sound; a section with a fault is missing.
    """

    path: Path | None
    origins: Origins | None = None
    common: CommonConfig | None = None
    sections: dict[str, Section] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def settings(self) -> dict[str, Setting]:
        """Every sound setting by its full name."""
        found = {} if self.common is None else flatten(self.common)
        for name, section in self.sections.items():
            found.update(flatten(section, f"{name}."))
        return found

    def hashes(self) -> dict[str, str]:
        """What each service would call its configuration, in logs and in the journal."""
        if self.common is None:
            return {}
        known = {name: self.sections[name] for name in SERVICES if name in self.sections}
        return {name: hash_of(self.common, section) for name, section in known.items()}


def all_relations() -> tuple[Relation, ...]:
    """Every relation between settings that anybody declares."""
    found = list(CommonConfig.relations)
    for section in SECTIONS.values():
        found += section.relations
    return tuple(found)


def config_path(path: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The file that was named, by an option or by the environment."""
    named = environment.get(CONFIG_VARIABLE)
    return path or (Path(named) if named else None)


def examine(path: Path | None, environment: Mapping[str, str]) -> Examined:
    """Read a file and the environment and judge them; never raises."""
    found = Examined(path)
    try:
        sources = read_sources(path, environment, SECTIONS)
    except ConfigError as error:
        found.problems.append(Problem(str(path or "the environment"), "", str(error)))
        return found
    found.origins = Origins(path, sources)
    common_tree = {
        name: value for name, value in sources.tree.items() if name not in SERVICE_SECTIONS
    }
    found.common, faults = _judge_leniently(CommonConfig, common_tree, "", SERVICE_SECTIONS)
    for name, model in SECTIONS.items():
        tree = sources.tree.get(name)
        section, more = _judge_leniently(model, {} if tree is None else tree, f"{name}.", ())
        faults += more
        if section is not None:
            found.sections[name] = section
    wrong = {fault.names[0] for fault in faults}
    clashes = find_clashes(all_relations(), found.settings())
    faults += faults_of(clash for clash in clashes if not wrong & set(clash.names))
    lines = sources.lines
    found.problems += [
        Problem(found.origins.place_of(fault.names), fault.names[0], fault.sentence)
        for fault in sorted(faults, key=lambda fault: _nearest(lines, fault.names[0]) or 0)
    ]
    _ask_services(found)
    return found


def ensure_agreement(path: Path | None, environment: Mapping[str, str]) -> None:
    """Check that limits of different services agree, which no service sees by itself.

    Raises:
        ConfigError: all those that do not.
    """
    found = examine(path, environment)
    clashes = find_clashes(all_relations(), found.settings())
    if clashes:
        where = str(path) if path else "the defaults"
        raise ConfigError(f"{where}: " + "; ".join(clash.sentence for clash in clashes))


def _judge_leniently(
    model: type[S], tree: Any, prefix: str, known_extra: tuple[str, ...]
) -> tuple[S | None, list[Fault]]:
    """Judge a section, then what is left of it without what was wrong, to find what else is."""
    section, faults = judge(model, tree, prefix=prefix, known_extra=known_extra)
    if section is None and isinstance(tree, dict):
        rest = copy.deepcopy(tree)
        for fault in faults:
            _remove(rest, fault.names[0].removeprefix(prefix).split("."))
        section, _ = judge(model, rest, prefix=prefix, known_extra=known_extra)
    return section, list(faults)


def _remove(tree: dict[str, Any], path: list[str]) -> None:
    """Take a setting out of a tree; of a list, all of it."""
    for index, key in enumerate(path):
        inner = tree.get(key)
        if index == len(path) - 1 or not isinstance(inner, dict):
            tree.pop(key, None)
            return
        tree = inner


def _ask_services(found: Examined) -> None:
    """What a service checks at its start besides its settings' shape."""
    common = found.common
    if common is None or found.origins is None:
        return
    checks: dict[str, Callable[[Any], object]] = {
        "execution": lambda settings: check_mode(common, settings),
        "signal": lambda settings: build_series(common, settings),
        "feed": lambda _: _check_intervals(common),
    }
    for name, check in checks.items():
        if name not in found.sections:
            continue
        try:
            check(found.sections[name])
        except ConfigError as error:
            settings = [one for one in found.settings() if one in str(error)]
            where = found.origins.place_of(settings or [name])
            found.problems.append(Problem(where, settings[0] if settings else name, str(error)))


def _check_intervals(common: CommonConfig) -> None:
    for interval in common.candle_intervals:
        try:
            interval_ns(interval)
        except ValueError as error:
            raise ConfigError(f"candle_intervals: {error}") from None
