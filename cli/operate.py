"""Asks a running service (execution, or the reconciler) over HTTP, on behalf of a person: one
request, one answer.

The token comes from a file or the environment, never from the command line, where others see it.
"""

import getpass
import http.client
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import yaml

from cli import exits
from cli.config import SERVICE_PORTS
from cli.operate_tables import render
from cli.run_directory import TOKEN_FILE, RunDirectory, find_run
from libs.common.runtime.config import (
    CONFIG_VARIABLE,
    TOKEN_FILE_VARIABLE,
    TOKEN_VARIABLE,
    URL_VARIABLE,
)

DEFAULT_DATA_DIR = Path(".portcullis")
DEFAULT_URLS = {name: f"http://127.0.0.1:{port}" for name, port in SERVICE_PORTS.items()}
ANSWER_BYTES_MAX = 16_777_216
#: The service looks at its halt file every tick (100 ms unless configured otherwise).
LOOK_AGAIN_S = 0.5
PATHS = {"orders": ("orders", "algo-orders"), "intents": ("intents",)}
_CODES = {401: exits.REFUSED, 403: exits.REFUSED, 409: exits.REFUSED, 422: exits.BAD_USAGE}
_CODES |= {503: exits.NOT_AVAILABLE, 504: exits.TIMED_OUT}


@dataclass(frozen=True)
class Target:
    """Which service is asked, and with whose token."""

    url: str | None
    token_file: Path | None
    data_dir: Path | None
    timeout_s: float
    service: str = "execution"

    def address(self) -> str:
        """The service's URL: as told, or of the run that is going on here, or the default."""
        told = self.url
        if not told and self.service == "execution":
            told = os.environ.get(URL_VARIABLE)
        if told:
            return told.rstrip("/")
        run = _running(self.data_dir)
        known = run.read_facts().get(f"{self.service}_url") if run is not None else None
        return str(known or DEFAULT_URLS[self.service])

    def token(self) -> str:
        """The token to carry; empty where none is to be found.

        Raises:
            CommandFailed: the file that was named cannot be read.
        """
        named = self.token_file or os.environ.get(TOKEN_FILE_VARIABLE)
        if named is None and os.environ.get(TOKEN_VARIABLE):
            return os.environ[TOKEN_VARIABLE].strip()
        path = Path(named) if named is not None else None
        if path is None:
            run = _running(self.data_dir)
            if run is None or not (run.path / TOKEN_FILE).is_file():
                return ""
            path = run.path / TOKEN_FILE
        try:
            return path.read_text().strip()
        except OSError as error:
            raise exits.CommandFailed(
                f"cannot read the token file {path}: {error.strerror}", exits.BAD_USAGE
            ) from error


def _running(data_dir: Path | None) -> RunDirectory | None:
    try:
        run = find_run(data_dir or DEFAULT_DATA_DIR)
    except exits.CommandFailed:
        if data_dir is not None:
            raise
        return None
    facts = run.read_facts()
    is_running = facts.get("ended") is False and facts.get("execution_url")
    return run if is_running else None


def command(
    target: Target,
    verb: str,
    reason: str,
    actor: str | None,
    *,
    key: str | None,
    as_json: bool,
    more: dict[str, str] | None = None,
) -> int:
    """Ask for something and tell what came of it; returns the exit code.

    Raises:
        CommandFailed: the service cannot be reached, or refused.
    """
    body = {"reason": reason, "actor": actor or login(), **(more or {})}
    headers = {"Idempotency-Key": key} if key else {}
    answer = ask(target, "POST", f"/v1/{verb}", body, headers)
    print(json.dumps(answer, indent=2) if as_json else render("answer", answer))
    return exits.OK


def show(
    target: Target, what: str, item: str | None = None, *, as_json: bool, query: str = ""
) -> int:
    """Print what the service shows; returns the exit code.

    Args:
        query: what narrows it down, as in a URL.

    Raises:
        CommandFailed: the service cannot be reached, or refused.
    """
    if item is not None:
        answer = ask(target, "GET", f"/v1/intents/{quote(item, safe='')}")
    else:
        answer = {}
        for path in PATHS.get(what, (what,)):
            answer |= ask(target, "GET", f"/v1/{path}{query and f'?{query}'}")
    print(json.dumps(answer, indent=2) if as_json else render(what, answer))
    return exits.OK


def compare_now(target: Target, *, as_json: bool) -> int:
    """Let the reconciler compare now and print what differs; returns the exit code.

    It fails where something differs. Where the looks were used up and something was still under
    way, it took too long to prove that nothing does: execution does not arm on that either.

    Raises:
        CommandFailed: the reconciler cannot be reached, or could not compare.
    """
    report = ask(target, "POST", "/v1/reconcile")["report"]
    print(json.dumps(report, indent=2) if as_json else render("report", report))
    if not report["is_clean"]:
        return exits.FAILED
    return exits.TIMED_OUT if report["in_flight"] else exits.OK


def confirm(target: Target, what: str, *, yes: bool, account: str | None) -> None:
    """Let a person say yes. On a live account its name has to be given.

    Raises:
        CommandFailed: it was not confirmed.
    """
    status = ask(target, "GET", "/v1/status")
    name, mode = str(status.get("account", "")), str(status.get("mode", ""))
    has_terminal = sys.stdin.isatty()
    if mode == "live":
        told = account
        if told is None and has_terminal:
            told = input(f"LIVE account {name}: {what}? Type the account's name: ")
        if told != name:
            raise exits.CommandFailed(
                "not confirmed: on a live account name it with --account", exits.BAD_USAGE
            )
    elif not yes:
        if not has_terminal:
            raise exits.CommandFailed("not confirmed: add --yes", exits.BAD_USAGE)
        if input(f"{mode} account {name}: {what}? [y/N] ").strip().lower() not in ("y", "yes"):
            raise exits.CommandFailed("not confirmed")


def ask(
    target: Target,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """One request.

    Raises:
        CommandFailed: no answer, or one that says no.
    """
    url = target.address()
    status, raw = _send(target, url, method, path, body, headers or {})
    try:
        answer = json.loads(raw)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise exits.CommandFailed(f"{url} does not answer as {target.service} does ({status})")
    if status >= 400:
        detail = answer.get("detail", "no reason was told")
        raise exits.CommandFailed(f"{detail} ({status})", _CODES.get(status, exits.FAILED))
    return answer


def _send(
    target: Target,
    url: str,
    method: str,
    path: str,
    body: dict[str, Any] | None,
    headers: dict[str, str],
) -> tuple[int, bytes]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise exits.CommandFailed(f"not a URL: {url}", exits.BAD_USAGE)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=target.timeout_s)
    sent = {"Content-Type": "application/json", **headers}
    token = target.token()
    if token:
        sent["Authorization"] = f"Bearer {token}"
    try:
        connection.request(
            method, path, json.dumps(body).encode() if body is not None else None, sent
        )
        answer = connection.getresponse()
        return answer.status, answer.read(ANSWER_BYTES_MAX)
    except TimeoutError as error:
        raise exits.CommandFailed(
            f"no answer from {url} within {target.timeout_s:.0f} s; whether it was done is not"
            " known: ask again with the same --key, or look",
            exits.TIMED_OUT,
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise exits.CommandFailed(
            f"{target.service} does not answer at {url} ({type(error).__name__});"
            " `portcullis halt --local` halts without it",
            exits.NOT_AVAILABLE,
        ) from error
    finally:
        connection.close()


# -- the halt file -------------------------------------------------------------------------------


def halt_locally(
    reason: str, actor: str | None, *, data_dir: Path | None, config: Path | None
) -> int:
    """Write the halt file; the gate is shut within a tick, broker or not. Returns the exit code.

    Raises:
        CommandFailed: it is not known where, or cannot be written.
    """
    path = _halt_file(data_dir, config)
    try:
        path.write_text(f"{actor or login()}: {reason}\n")
    except OSError as error:
        raise exits.CommandFailed(f"cannot write {path}: {error.strerror}") from error
    print(f"halted by file: nothing leaves while {path} exists")
    return exits.OK


def remove_halt_file(*, data_dir: Path | None, config: Path | None) -> None:
    """Remove the halt file, if there is one.

    Raises:
        CommandFailed: it is not known where it is, or cannot be removed.
    """
    path = _halt_file(data_dir, config)
    try:
        path.unlink()
        time.sleep(LOOK_AGAIN_S)
    except FileNotFoundError:
        return
    except OSError as error:
        raise exits.CommandFailed(f"cannot remove {path}: {error.strerror}") from error


def _halt_file(data_dir: Path | None, config: Path | None) -> Path:
    named = config or os.environ.get(CONFIG_VARIABLE)
    if not named:
        run = _running(data_dir)
        if run is None:
            raise exits.CommandFailed(
                "no run is going on here: name the configuration with --config", exits.BAD_USAGE
            )
        named = run.path / "config.yaml"
    try:
        tree = yaml.safe_load(Path(named).read_text()) or {}
        path = tree["execution"]["halt_file"]
    except OSError as error:
        raise exits.CommandFailed(
            f"cannot read {named}: {error.strerror}", exits.BAD_USAGE
        ) from error
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise exits.CommandFailed(
            f"{named} does not set execution.halt_file", exits.BAD_USAGE
        ) from error
    return Path(path)


def login() -> str:
    """Who is at the terminal."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"
