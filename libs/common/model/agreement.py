"""Limits held against each other: which of two must be the smaller one, and why.

A relation names both settings in full, whichever services they belong to. Each service declares
those it knows of; a start checks the ones whose settings it can see, `portcullis config validate`
all of them.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from pydantic import BaseModel


class Kind(StrEnum):
    """What has to hold between the left and the right setting."""

    BELOW = "must be below"
    AT_MOST = "must not be above"
    WITHIN = "names what is not in"


class Relation(NamedTuple):
    """Two settings that only make sense together.

    Attributes:
        left: full name; a part may be ``*``, for every entry of a list or table.
        why: what goes wrong otherwise.
        times: how often the left one has to fit.
        only_if: another setting and the value it must have for this to matter.
        zero_is_off: a right setting of zero switches off what it limits.
    """

    left: str
    kind: Kind
    right: str
    why: str
    times: int = 1
    only_if: tuple[str, str] | None = None
    zero_is_off: bool = False


class Setting(NamedTuple):
    """One setting as it is in effect, and whether anybody set it."""

    value: Any
    is_told: bool


class Clash(NamedTuple):
    """Two settings that contradict each other, in one sentence."""

    names: tuple[str, str]
    sentence: str


class Contradiction(ValueError):  # noqa: N818 - it is what was found
    """The clashes within one section."""

    def __init__(self, clashes: tuple[Clash, ...]) -> None:
        super().__init__("; ".join(clash.sentence for clash in clashes))


def flatten(model: BaseModel, prefix: str = "", *, is_told: bool = True) -> dict[str, Setting]:
    """Every setting of a model by its full name, tables and lists of sections opened up."""
    found: dict[str, Setting] = {}
    for name in type(model).model_fields:
        told = is_told and name in model.model_fields_set
        _open(f"{prefix}{name}", getattr(model, name), told, found)
    return found


def _open(name: str, value: Any, is_told: bool, found: dict[str, Setting]) -> None:
    if isinstance(value, BaseModel):
        found.update(flatten(value, f"{name}.", is_told=is_told))
    elif isinstance(value, Mapping) and value:
        for key, inner in value.items():
            _open(f"{name}.{key}", inner, is_told, found)
    elif isinstance(value, tuple) and any(isinstance(inner, BaseModel) for inner in value):
        for index, inner in enumerate(value):
            _open(f"{name}.{index}", inner, is_told, found)
    else:
        found[name] = Setting(value, is_told)


def find_clashes(
    relations: Iterable[Relation], settings: Mapping[str, Setting]
) -> tuple[Clash, ...]:
    """What does not agree, among the relations whose settings are known."""
    return tuple(clash for relation in relations for clash in _check(relation, settings))


def _check(relation: Relation, settings: Mapping[str, Setting]) -> Iterator[Clash]:
    right = settings.get(relation.right)
    if right is None or right.value is None or (relation.zero_is_off and not right.value):
        return
    if relation.only_if is not None:
        switch = settings.get(relation.only_if[0])
        if switch is None or str(switch.value) != relation.only_if[1]:
            return
    if relation.kind is Kind.WITHIN:
        yield from _check_names(relation, settings, right)
        return
    for name, left in _named(relation.left, settings):
        if left.value is None:
            continue
        reached = left.value * relation.times
        holds = reached < right.value if relation.kind is Kind.BELOW else reached <= right.value
        if not holds:
            often = f"{relation.times} times " if relation.times != 1 else ""
            yield Clash(
                (name, relation.right),
                f"{often}{name} ({left.value}) {relation.kind} {relation.right} ({right.value}):"
                f" {relation.why}",
            )


def _check_names(
    relation: Relation, settings: Mapping[str, Setting], right: Setting
) -> Iterator[Clash]:
    """Names that somebody wrote, held against a list that somebody wrote; defaults know no better.

    The left side is a list of names, or a table whose keys are names.
    """
    if not right.is_told:
        return
    own = settings.get(relation.left)
    if own is not None:
        told = [(relation.left, name) for name in own.value or ()] if own.is_told else []
    else:
        start = f"{relation.left}."
        keys = {name[len(start) :].partition(".")[0] for name in settings if name.startswith(start)}
        told = [(f"{start}{key}", key) for key in sorted(keys)]
    for place, name in told:
        if name not in right.value:
            listed = ", ".join(map(str, right.value)) or "nothing"
            near = difflib.get_close_matches(name, right.value, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            yield Clash(
                (place, relation.right),
                f"{relation.left} {relation.kind} {relation.right} ({listed}): {name}{hint}"
                f" ({relation.why})",
            )


def _named(pattern: str, settings: Mapping[str, Setting]) -> Iterator[tuple[str, Setting]]:
    if "*" not in pattern:
        if pattern in settings:
            yield pattern, settings[pattern]
        return
    for name, setting in settings.items():
        if name.count(".") == pattern.count(".") and fnmatchcase(name, pattern):
            yield name, setting
