"""`portcullis limits`: the limits of risk, and changes of them while it runs."""

import json
from difflib import get_close_matches
from typing import Annotated, Any

import typer

from cli.operate_verbs import (
    COMMAND_TIMEOUT_S,
    READ_TIMEOUT_S,
    ActorOption,
    DataOption,
    JsonOption,
    KeyOption,
    ReasonOption,
    TimeoutOption,
    TokenOption,
)

limits_app = typer.Typer(help="Show the limits of risk, or set them while it runs.")

UrlOption = Annotated[
    str | None, typer.Option("--url", help="Risk's doors (default: the running run's).")
]
#: What takes a limit back to the configuration's.
FILE = "file"
_LISTS = ("symbols_allowed",)
_NUMBERS = ("positions_max",)


@limits_app.command("show")
def show(
    url: UrlOption = None,
    token_file: TokenOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
    timeout: TimeoutOption = READ_TIMEOUT_S,
) -> None:
    """Every limit that can be set: configured, set by people, in force."""
    from cli.operate import Target, ask

    answer = ask(Target(url, token_file, data_dir, timeout, service="risk"), "GET", "/v1/limits")
    _tell(answer, as_json=as_json)


@limits_app.command("set")
def set_limits(
    changes: Annotated[
        list[str],
        typer.Argument(help="NAME=VALUE; symbols with commas; NAME=file for the configured one."),
    ],
    reason: ReasonOption,
    actor: ActorOption = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    data_dir: DataOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
    timeout: TimeoutOption = COMMAND_TIMEOUT_S,
) -> None:
    """Set limits at once: tighter ones, or looser ones up to the configuration's. Journaled."""
    from cli.operate import Target, ask, login

    body = {**read_changes(changes), "reason": reason, "actor": actor or login()}
    target = Target(url, token_file, data_dir, timeout, service="risk")
    headers = {"Idempotency-Key": key} if key else {}
    _tell(ask(target, "POST", "/v1/limits", body, headers), as_json=as_json)


def read_changes(changes: list[str]) -> dict[str, Any]:
    """The changes as the door takes them.

    Raises:
        CommandFailed: one of them is not NAME=VALUE, or there is no such limit.
    """
    from cli import exits
    from libs.common.model.risk_limits import NAMES

    found: dict[str, Any] = {}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or not name or name in found:
            raise exits.CommandFailed(f"{change!r} is no NAME=VALUE, once each", exits.BAD_USAGE)
        if name not in NAMES:
            near = get_close_matches(name, NAMES, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(NAMES)}"
            raise exits.CommandFailed(f"no limit {name!r} can be set; {hint}", exits.BAD_USAGE)
        if text == FILE:
            found[name] = None
        elif name in _LISTS:
            found[name] = [symbol for symbol in text.split(",") if symbol]
        elif name in _NUMBERS and text.isdigit():
            found[name] = int(text)
        else:
            found[name] = text
    return found


def _tell(answer: dict[str, Any], *, as_json: bool) -> None:
    from cli.operate_tables import table

    if as_json:
        print(json.dumps(answer, indent=2))
        return
    columns = {
        "name": "LIMIT",
        "file": "CONFIGURED (AT MOST)",
        "set": "SET",
        "in_force": "IN FORCE",
    }
    for line in table(answer["limits"], columns, "there are none"):
        print(line)
    if answer["change"]:
        print(f"change {answer['change']} by {answer['actor']}: {answer['reason']}")
