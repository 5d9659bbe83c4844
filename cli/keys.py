"""`portcullis keys`: makes every secret that a deployment needs and nobody has to choose.

One folder per service, holding what that service may know and nothing else:

=============  =====================================================================
authority      ca.key, ca.crt: sign the broker's certificate; nothing that runs reads this folder
broker         users.conf: who may say and hear what; no secret. server.crt, server.key
every service  identity (its key to the broker), http_tokens (digests)
every one      broker_ca.crt, by which it knows the broker
risk           approval_key, with which it signs what it approves
execution      approval_key
provision      identity of what makes the streams
operator       identity, token: for the command line
=============  =====================================================================

What is there already stays, so that running it again changes no secret. With the paper exchange's
published keys (`--paper`) feed, execution and reconciler also get `api_key` and `api_secret`; keys
of a real venue are never made here.
"""

import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cli import exits
from cli.broker_users import IDENTITIES, SERVICES, broker_users
from cli.certificates import at_time, make_authority, make_server, may_stay
from libs.common.runtime.bus_identity import load_identity, seed_of
from libs.common.runtime.clock import wall_ns
from libs.common.runtime.errors import ConfigError
from libs.common.runtime.http_tokens import Scope

KEY_BYTES = 32
SECRET_MODE = 0o400
OPEN_MODE = 0o444
FOLDER_MODE = 0o700
OPERATOR_NAME = "operator"
#: Who signs approvals, and who checks them.
APPROVAL_KEY_HOLDERS = ("risk", "execution")
#: What the broker is called in compose and in a cluster, there also as one of several.
BROKER_NAMES = ("nats", "*.nats-headless", "localhost", "127.0.0.1")


def make_keys(
    folder: Path,
    account: str,
    *,
    is_paper: bool,
    broker_names: Sequence[str] = BROKER_NAMES,
) -> None:
    """Make what is missing and write the broker's list of users anew.

    Args:
        broker_names: host names and addresses at which services reach the broker.

    Raises:
        CommandFailed: a file cannot be written (1), or one that is there is damaged (2).
    """
    try:
        made = _make(folder, account, is_paper=is_paper)
        made += _make_certificates(folder, broker_names)
    except ConfigError as error:
        raise exits.CommandFailed(str(error), exits.BAD_USAGE) from error
    except OSError as error:
        raise exits.CommandFailed(f"cannot write {error.filename}: {error.strerror}") from error
    print(f"{folder}: {made} secrets made, the others were there; users of account {account} told")


def _make(folder: Path, account: str, *, is_paper: bool) -> int:
    made = 0
    public_keys = {}
    for name in IDENTITIES:
        path = folder / name / "identity"
        made += _keep(path, seed_of(secrets.token_bytes(KEY_BYTES)).reveal())
        public_keys[name] = load_identity(path).public
    made += _keep_alike(folder, "approval_key", APPROVAL_KEY_HOLDERS)
    token_path = folder / "operator" / "token"
    made += _keep(token_path, secrets.token_hex(KEY_BYTES))
    for name in SERVICES:
        _write(folder / name / "http_tokens", _token_line(token_path), SECRET_MODE)
    if is_paper:
        made += _keep_paper_keys(folder)
    _write(folder / "broker" / "users.conf", broker_users(account, public_keys), OPEN_MODE)
    return made


def _make_certificates(folder: Path, names: Sequence[str]) -> int:
    """The authority where there is none, and the broker's certificate where it has to be new."""
    now, made = at_time(wall_ns()), 0
    key, ca = folder / "authority" / "ca.key", folder / "authority" / "ca.crt"
    server_key, server = (folder / "broker" / f"server.{kind}" for kind in ("key", "crt"))
    try:
        if not (key.is_file() and ca.is_file()):
            _write_both(make_authority(now), key, ca)
            made += 1
        authority = ca.read_bytes()
        has_one = server.is_file() and server_key.is_file()
        if not has_one or not may_stay(server.read_bytes(), authority, names, now):
            _write_both(make_server(key.read_bytes(), authority, names, now), server_key, server)
            made += 1
    except ValueError as error:
        raise ConfigError(f"the certificates in {ca.parent} or {server.parent}: {error}") from error
    # The broker too: where there are several, each looks whether the others are what they say.
    for name in (*IDENTITIES, "broker"):
        _write(folder / name / "broker_ca.crt", authority.decode(), OPEN_MODE)
    return made


def _write_both(made: tuple[bytes, bytes], key: Path, certificate: Path) -> None:
    _write(key, made[0].decode(), SECRET_MODE)
    _write(certificate, made[1].decode(), OPEN_MODE)


def _token_line(token_path: Path) -> str:
    """The digest is enough for whoever checks it; nobody can use a service's file as a token."""
    digest = hashlib.sha256(token_path.read_bytes().strip()).hexdigest()
    return f"{Scope.ADMIN} {OPERATOR_NAME} sha256:{digest}\n"


def _keep_alike(folder: Path, name: str, holders: tuple[str, ...]) -> int:
    """The same secret for all its holders; one that lost it gets what the others have."""
    paths = [folder / holder / name for holder in holders]
    known = next((path.read_text() for path in paths if path.is_file()), None)
    text = known or secrets.token_hex(KEY_BYTES)
    return sum(_keep(path, text) for path in paths)


def _keep_paper_keys(folder: Path) -> int:
    from services.paper_exchange import demo_keys as demo

    return sum(
        _keep(folder / name / file, text)
        for name, file, text in (
            ("feed", "api_key", demo.DEMO_READ_KEY),
            ("execution", "api_key", demo.DEMO_TRADE_KEY),
            ("execution", "api_secret", demo.DEMO_TRADE_SECRET),
            ("reconciler", "api_key", demo.DEMO_READ_KEY),
            ("reconciler", "api_secret", demo.DEMO_READ_SECRET),
        )
    )


def _keep(path: Path, text: str) -> bool:
    """Write a secret where there is none; whether it was written."""
    if path.is_file():
        return False
    _write(path, f"{text.strip()}\n", SECRET_MODE)
    return True


def _write(path: Path, text: str, mode: int) -> None:
    """Replace a file in one step; it is never there half written, nor open to more than `mode`."""
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.chmod(mode)
    draft.replace(path)
