"""Scenarios: what goes wrong at which market time, written down in YAML.

A scenario is a list of steps; each says when (`at_ms`, market time since the start) and what, in
the words of `/sim`. Names we do not know are refused by name. The ones that ship are read by name,
others from a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from services.paper_exchange.faults.event_faults import EventRule
from services.paper_exchange.faults.rule_book import RULES_MAX
from services.paper_exchange.faults.rules import FaultRule
from services.paper_exchange.faults.stream_faults import StreamRule

NS_PER_MS: Final = 1_000_000
SHIPPED: Final = "services.paper_exchange.scenarios"
FILE_BYTES_MAX: Final = 1_048_576
STEPS_MAX: Final = 1_000
DAY_MS: Final = 86_400_000


class ScenarioError(ValueError):
    """A scenario that is not there or cannot be used; says where and why."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _through_text(cls, value: object) -> object:
        """Keep the digits of a number with a point instead of its binary neighbor."""
        return str(value) if isinstance(value, float) else value


Symbols = Annotated[tuple[str, ...], Field(max_length=1_000)]


class PricePart(_Part):
    """Prices go to the source's own plus a change, on a straight line, and stay there.

    Without `symbols` all of them; `liquidity_percent` of the source's quantities stand in the book.
    """

    symbols: Symbols = ()
    change_percent: Decimal = Field(ge=-99, le=1_000, decimal_places=4)
    over_ms: int = Field(default=0, ge=0, le=DAY_MS)
    liquidity_percent: Decimal = Field(default=Decimal(100), ge=1, le=1_000, decimal_places=2)


class StatusPart(_Part):
    """What may be done with symbols from now on; `SETTLING` and `CLOSE` settle everything."""

    symbols: Symbols = ()
    status: Literal["TRADING", "TRADING_HALT", "TRADING_CANCEL_ONLY", "SETTLING", "CLOSE"]


class FundingPart(_Part):
    """The rate of the next fundings, or null for the source's own; `settle` has one take place."""

    symbols: Symbols = ()
    rate: Decimal | None = Field(ge=-1, le=1, decimal_places=8)
    settle: bool = False


class ConditionsPart(_Part):
    """What is lastingly wrong at the venue; what is not said stays as it is."""

    query_lag_ms: int | None = Field(default=None, ge=0, le=600_000)
    algo_query_lag_ms: int | None = Field(default=None, ge=0, le=600_000)
    clock_offset_ms: int | None = Field(default=None, ge=-DAY_MS, le=DAY_MS)


class CrowdPart(_Part):
    """Other customers: fresh accounts, each with one position opened at the market.

    Each puts `margin_percent` of its balance up as the margin of its position.
    """

    accounts: int = Field(ge=1, le=200)
    symbol: str | None = Field(default=None, max_length=40)
    side: Literal["BUY", "SELL"] = "BUY"
    balance: Decimal = Field(default=Decimal(1_000), gt=0, le=10**9)
    leverage: int = Field(default=20, ge=1, le=125)
    margin_percent: Decimal = Field(default=Decimal(90), gt=0, le=100)


class Step(_Part):
    """One moment: any number of things that happen at once. A list of rules replaces the one
    before; an empty list ends them.
    """

    at_ms: int = Field(ge=0, le=30 * DAY_MS)
    price: PricePart | None = None
    status: StatusPart | None = None
    funding: FundingPart | None = None
    conditions: ConditionsPart | None = None
    faults: Annotated[tuple[FaultRule, ...], Field(max_length=RULES_MAX)] | None = None
    event_faults: Annotated[tuple[EventRule, ...], Field(max_length=RULES_MAX)] | None = None
    stream_faults: Annotated[tuple[StreamRule, ...], Field(max_length=RULES_MAX)] | None = None
    user_streams: Literal["stall", "resume", "close", "expire"] | None = None
    close_sockets: bool = False
    crowd: CrowdPart | None = None

    @model_validator(mode="after")
    def _does_something(self) -> Step:
        if self.model_fields_set <= {"at_ms"}:
            raise ValueError("a step says what happens")
        return self


class Scenario(_Part):
    """A named list of steps in the order of their times."""

    name: str = Field(pattern=r"^[a-z0-9-]{1,40}$")
    about: str = Field(min_length=1, max_length=400)
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=STEPS_MAX)]

    @model_validator(mode="after")
    def _is_in_order(self) -> Scenario:
        times = [step.at_ms for step in self.steps]
        if times != sorted(times):
            raise ValueError("steps are in the order of `at_ms`")
        return self


def shipped_names() -> tuple[str, ...]:
    """The scenarios that ship, by name."""
    names = (entry.name for entry in files(SHIPPED).iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def read_scenario(name_or_path: str) -> Scenario:
    """A scenario that ships, or the file of that path; raises `ScenarioError`."""
    if name_or_path in shipped_names():
        return parse_scenario(files(SHIPPED).joinpath(f"{name_or_path}.yaml").read_text("utf-8"))
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml") and not path.exists():
        known = ", ".join(shipped_names())
        raise ScenarioError(f"there is no scenario {name_or_path}; known: {known}, or a .yaml file")
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > FILE_BYTES_MAX:
        raise ScenarioError(f"{path}: over {FILE_BYTES_MAX} bytes")
    try:
        return parse_scenario(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: it is not text") from error
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error}") from error


def parse_scenario(text: str) -> Scenario:
    """The scenario of a YAML text; raises `ScenarioError` that says where it is wrong."""
    try:
        said = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ScenarioError(f"no YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ScenarioError("no YAML: it is nested too deeply") from error
    if not isinstance(said, Mapping):
        raise ScenarioError("a scenario has `name`, `about` and `steps`")
    try:
        return Scenario.model_validate(said)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise ScenarioError(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from error


class ScenarioRun:
    """A scenario under way since `start_ns`: `take_due` gives each step once, when it is due."""

    def __init__(self, scenario: Scenario, start_ns: int) -> None:
        self.scenario = scenario
        self.start_ns = start_ns
        self.done = 0

    @property
    def next_due_ns(self) -> int | None:
        """Market time of the next step; None once all are done."""
        if self.done == len(self.scenario.steps):
            return None
        return self.start_ns + self.scenario.steps[self.done].at_ms * NS_PER_MS

    def take_due(self, now_ns: int) -> list[Step]:
        """The steps that are due now and were not given before."""
        due: list[Step] = []
        while (next_ns := self.next_due_ns) is not None and next_ns <= now_ns:
            due.append(self.scenario.steps[self.done])
            self.done += 1
        return due

    def progress(self) -> dict[str, object]:
        """How far it is."""
        return {
            "name": self.scenario.name,
            "started_ns": self.start_ns,
            "steps": len(self.scenario.steps),
            "steps_done": self.done,
            "next_step_ns": self.next_due_ns,
        }
