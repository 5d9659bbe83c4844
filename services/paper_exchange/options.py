"""Options of the command line that name one of many settings: `--quirk NAME=VALUE`."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TypeVar

from pydantic import BaseModel, ValidationError

_Model = TypeVar("_Model", bound=BaseModel)


class OptionError(ValueError):
    """An option that names nothing, or gives a value that its name does not take."""


def read_names(model: type[_Model], option: str, pairs: Sequence[str]) -> _Model:
    """The settings with these `NAME=VALUE` changes; the last one of a name counts.

    Raises `OptionError` with the nearest name for a name there is none of.
    """
    changes: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise OptionError(f"{option} {pair}: say NAME=VALUE")
        if name not in model.model_fields:
            near = get_close_matches(name, model.model_fields, n=1, cutoff=0.0)[0]
            raise OptionError(f"{option} {name}: there is no such name; did you mean {near}?")
        changes[name] = value
    try:
        return model.model_validate(changes)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise OptionError(f"{option} {where}: {fault['msg']}") from error


def describe_names(model: type[BaseModel], option: str) -> str:
    """Every name with its default and, where it needs one, its meaning; one to a line."""
    lines = [f"names of {option} and their defaults:"]
    for name, item in model.model_fields.items():
        default = str(item.default).lower() if isinstance(item.default, bool) else item.default
        meaning = f"  {item.description}" if item.description else ""
        lines.append(f"  {name}={default}{meaning}")
    return "\n".join(lines)
