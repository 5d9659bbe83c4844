"""What the verbs of `portcullis config` do."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cli import exits
from cli.config import SERVICES
from cli.config_check import DEFAULT, SECTIONS, Examined, Problem, config_path, examine
from cli.operate import Target, ask
from cli.operate_tables import table
from libs.common.runtime.config import (
    HTTP_TOKENS_VARIABLE,
    TOKEN_VARIABLE,
    Mode,
)
from libs.common.runtime.config_shown import FILE_SUFFIX, show_settings, shown
from libs.common.runtime.errors import ConfigError
from libs.common.runtime.http_tokens import load_tokens
from libs.common.runtime.secret import (
    HIDDEN,
    HMAC_PATTERN,
    PRIVATE_MODE_BITS,
    SecretError,
    secret_from_file,
)

#: Variables that hold a secret themselves, which is for tests and development.
SECRET_VARIABLES = (HTTP_TOKENS_VARIABLE, TOKEN_VARIABLE)
#: Files of secrets that are no key of 64 characters; what they hold is checked elsewhere.
_OTHER_SHAPES = ("http_tokens_file", "bus.identity_file")
#: Settings that end like a secret's and are none.
_NO_SECRETS = ("execution.halt_file",)
READABLE = "readable"
Row = dict[str, Any]


def show_config(config: Path | None, service: str | None, *, changed: bool, as_json: bool) -> int:
    """Print the effective configuration; returns the exit code.

    Raises:
        CommandFailed: there is no such service.
    """
    if service is not None and service not in SECTIONS:
        known = ", ".join(SECTIONS)
        raise exits.CommandFailed(f"no service {service!r}; there are: {known}", exits.BAD_USAGE)
    found = examine(config_path(config, os.environ), os.environ)
    if found.problems or found.origins is None:
        return _tell_problems(found, as_json=as_json)
    rows = [row for row in _rows(found, service) if not changed or row["origin"] != DEFAULT]
    hashes = {name: one for name, one in found.hashes().items() if service in (None, name)}
    if as_json:
        print(json.dumps({"settings": rows, "config_hash": hashes}, indent=2))
        return exits.OK
    columns = {"name": "SETTING", "value": "VALUE", "origin": "ORIGIN", "secret": "SECRET FILE"}
    lines = [_one_line(row) for row in rows]
    # A place ends with its line, which is what one looks for.
    for line in table(lines, columns, "everything is at its default", whole=("origin",)):
        print(line)
    for row in rows:
        if row.get("secret", READABLE) != READABLE:
            print(f"NOT USABLE: {row['secret']}")
    for name, one in hashes.items():
        print(f"configuration of {name}: {one}")
    return exits.OK


def _rows(found: Examined, service: str | None) -> Iterator[Row]:
    assert found.origins is not None
    mode = found.common.mode if found.common is not None else Mode.PAPER
    for name, setting in found.settings().items():
        section = name.partition(".")[0]
        if service is not None and section in SECTIONS and section != service:
            continue
        row: Row = {
            "name": name,
            "value": shown(name, setting.value),
            "origin": found.origins.of(name) if setting.is_told else DEFAULT,
        }
        if is_secret_file(name) and setting.value is not None:
            row["secret"] = secret_fault(name, setting.value, mode) or READABLE
        yield row
    for variable in SECRET_VARIABLES:
        if variable in os.environ:
            yield {"name": variable, "value": HIDDEN, "origin": variable}


def is_secret_file(name: str) -> bool:
    """Whether a setting names the file of a secret."""
    return name.endswith(FILE_SUFFIX) and name not in _NO_SECRETS


def secret_fault(name: str, path: Path, mode: Mode) -> str:
    """What is wrong with the file of a secret; empty if nothing is."""
    pattern = None if name in _OTHER_SHAPES else HMAC_PATTERN
    bits = 0 if mode is Mode.PAPER else PRIVATE_MODE_BITS
    try:
        secret_from_file(path, name=name, pattern=pattern, forbidden_mode_bits=bits)
    except SecretError as error:
        return str(error)
    return ""


def _one_line(row: Row) -> Row:
    value = row["value"]
    text = ", ".join(map(str, value)) if isinstance(value, list) else value
    secret = row.get("secret", " ")
    return {**row, "value": text, "secret": secret if secret in (" ", READABLE) else "NOT USABLE"}


# -- validate ------------------------------------------------------------------------------------


def validate_config(file: Path | None, *, secrets: bool, as_json: bool) -> int:
    """Tell everything that is wrong; returns the exit code."""
    found = examine(config_path(file, os.environ), os.environ)
    if secrets:
        found.problems += _secret_problems(found)
    if found.problems:
        return _tell_problems(found, as_json=as_json)
    if as_json:
        print(json.dumps({"problems": [], "config_hash": found.hashes()}, indent=2))
    else:
        print(f"{found.path or 'the defaults'}: nothing is wrong")
    return exits.OK


def _secret_problems(found: Examined) -> Iterator[Problem]:
    if found.common is None or found.origins is None:
        return
    for name, setting in found.settings().items():
        if not is_secret_file(name) or setting.value is None:
            continue
        fault = secret_fault(name, setting.value, found.common.mode)
        if fault:
            yield Problem(found.origins.of(name), name, fault)
    try:
        load_tokens(found.common)
    except SecretError:
        return  # told above
    except ConfigError as error:
        yield Problem(found.origins.of("http_tokens_file"), "http_tokens_file", str(error))


def _tell_problems(found: Examined, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"problems": [asdict(one) for one in found.problems]}, indent=2))
        return exits.BAD_USAGE
    for one in found.problems:
        print(one.text if one.text.startswith(one.place) else f"{one.place}: {one.text}")
    return exits.BAD_USAGE


# -- diff ----------------------------------------------------------------------------------------


def diff_configs(file: Path, other: Path | None, target: Target | None, *, as_json: bool) -> int:
    """Print what differs; returns the exit code.

    Raises:
        CommandFailed: one of them cannot be read, or the service does not answer.
    """
    if target is not None and (other is not None or target.service not in SERVICES):
        known = ", ".join(SERVICES)
        raise exits.CommandFailed(
            f"compare with a file, or with a running service ({known})", exits.BAD_USAGE
        )
    left = _values(file, target)
    right = _values(other, None) if target is None else _running_values(target)
    rows: list[Row] = [
        {"name": name, "left": left.get(name), "right": right.get(name)}
        for name in (*left, *(name for name in right if name not in left))
        if left.get(name) != right.get(name)
    ]
    if as_json:
        print(json.dumps({"differences": rows}, indent=2))
    else:
        theirs = target.service if target is not None else str(other or "the defaults")
        columns = {"name": "SETTING", "left": str(file), "right": theirs}
        for line in table(rows, columns, "nothing differs"):
            print(line)
    return exits.FAILED if rows else exits.OK


def _values(path: Path | None, target: Target | None) -> Mapping[str, Any]:
    """The settings of a file by name, as far as a running service has them."""
    found = examine(path, {})
    if found.problems:
        first, *others = (
            one.text if one.text.startswith(one.place) else f"{one.place}: {one.text}"
            for one in found.problems
        )
        more = f" (and {len(others)} more: portcullis config validate)" if others else ""
        raise exits.CommandFailed(first + more, exits.BAD_USAGE)
    assert found.common is not None
    values = show_settings(found.common)
    for name, section in found.sections.items():
        if target is None or name == target.service:
            values |= show_settings(section, f"{name}.")
    return values


def _running_values(target: Target) -> Mapping[str, Any]:
    settings = ask(target, "GET", "/v1/config").get("settings")
    if not isinstance(settings, dict):
        raise exits.CommandFailed(f"{target.service} does not tell its configuration")
    return settings
