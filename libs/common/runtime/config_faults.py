"""What is wrong with a section of settings: every fault with the setting's full name, no value."""

import difflib
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from libs.common.model.agreement import Clash
from libs.common.model.settings import WITHOUT_RELATIONS, Section
from libs.common.runtime.config_shown import shown_name

S = TypeVar("S", bound=Section)


class Fault(NamedTuple):
    """One fault.

    Attributes:
        names: the settings it is about, the one to look at first in front.
        sentence: what is wrong and what would be right; it begins with the name.
    """

    names: tuple[str, ...]
    sentence: str


def judge(
    model: type[S], tree: Any, *, prefix: str = "", known_extra: tuple[str, ...] = ()
) -> tuple[S | None, tuple[Fault, ...]]:
    """The section that a tree describes, or all that is wrong with it but its relations.

    Args:
        prefix: the section's name with a dot behind it.
        known_extra: names that are right beside the section's own.
    """
    if not isinstance(tree, dict):
        name = prefix.rstrip(".")
        return None, (Fault((name,), f"{name} must be a section of settings"),)
    try:
        return model.model_validate(tree, context=WITHOUT_RELATIONS), ()
    except ValidationError as error:
        return None, tuple(
            _explain(model, fault["loc"], fault["type"], fault["msg"], prefix, known_extra)
            for fault in error.errors(include_input=False, include_url=False)
        )


def faults_of(clashes: Iterable[Clash]) -> tuple[Fault, ...]:
    """Settings that contradict one another, as faults."""
    return tuple(Fault(clash.names, clash.sentence) for clash in clashes)


def _explain(
    model: type[BaseModel],
    location: tuple[int | str, ...],
    kind: str,
    message: str,
    prefix: str,
    known_extra: tuple[str, ...],
) -> Fault:
    name = shown_name((prefix + ".".join(str(part) for part in location)).rstrip("."))
    if kind != "extra_forbidden":
        if not location:  # of the section as a whole: the sentence names what it is about
            return Fault((name,), message.removeprefix("Value error, "))
        return Fault((name,), f"{name}: {message}")
    fields: list[str] = list(model.model_fields) + list(known_extra if len(location) == 1 else ())
    for part in location[:-1]:
        inner = model.model_fields.get(str(part))
        if inner is not None and isinstance(inner.annotation, type):
            model = inner.annotation
            fields = list(model.model_fields)
    near = difflib.get_close_matches(str(location[-1]), fields, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; known here: {', '.join(fields)}"
    return Fault((name,), f"unknown setting {name!r}{hint}")
