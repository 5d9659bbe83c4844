"""Reads the configuration file: what it sets, and on which line.

YAML allows what a configuration must not: the same name twice, of which the last one would count
without a word, and names that are no text (``on`` is true). Messages never repeat what is written.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from libs.common.runtime.config_shown import shown_name
from libs.common.runtime.errors import ConfigError

#: Longer than any configuration is; a longer file is the wrong file.
FILE_BYTES_MAX = 1_048_576
_QUOTED = re.compile(r"'[^']{2,}'|\"[^\"]{2,}\"|<[^>]{2,}>")
_TEXT_TAG = "tag:yaml.org,2002:str"


class FileTree(NamedTuple):
    """The settings by name, and the line (from 1) of each by its full name."""

    tree: dict[str, Any]
    lines: Mapping[str, int]


def read_file(path: Path) -> FileTree:
    """Read a file of settings.

    Raises:
        ConfigError: it cannot be read, is no YAML, or names a setting twice; says on which line.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    if len(raw) > FILE_BYTES_MAX:
        raise ConfigError(f"{path} is longer than {FILE_BYTES_MAX} bytes: is it the right file?")
    try:
        text = raw.decode("utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        tree = yaml.safe_load(text)
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not YAML: it is not UTF-8 text") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {_where(error)}") from None
    except (ValueError, RecursionError):  # a date that is none, or brackets without end
        raise ConfigError(f"{path} is not YAML: a value in it cannot be read") from None
    if tree is None:
        return FileTree({}, {})
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} must hold settings by name, not {type(tree).__name__}")
    lines: dict[str, int] = {}
    faults = list(_walk(root, "", lines))
    if faults:
        raise ConfigError(f"{path}: " + "; ".join(faults))
    return FileTree(tree, lines)


def _where(error: yaml.YAMLError) -> str:
    """The fault in one line, without what is written there."""
    mark = getattr(error, "problem_mark", None)
    problem = _QUOTED.sub("...", getattr(error, "problem", None) or "it cannot be read")
    return f"line {mark.line + 1}, {problem}" if mark is not None else problem


def _walk(node: Any, name: str, lines: dict[str, int]) -> Iterator[str]:
    """Note the line of every name; yields what is wrong with the names."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag != _TEXT_TAG:
                yield f"line {line}: the name of a setting must be text; put it in quotes"
                continue
            inner = f"{name}.{key.value}" if name else key.value
            if inner in lines:
                yield f"{shown_name(inner)} is set twice, on lines {lines[inner]} and {line}"
            lines[inner] = line
            yield from _walk(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[f"{name}.{index}"] = value.start_mark.line + 1
            yield from _walk(value, f"{name}.{index}", lines)
