"""Bearer tokens: who may read, operate and administer over HTTP.

A token is one line, ``<scope> <name> <token>``: the scope is ``read``, ``operate`` or ``admin``,
and each includes those before it. In place of the token a line may hold ``sha256:<hex>`` of it, so
that a stolen file opens nothing. Only digests are kept in memory.
"""

import hashlib
import hmac
import ipaddress
import os
import re
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from libs.common.runtime.config import HTTP_TOKENS_VARIABLE, CommonConfig, Mode
from libs.common.runtime.errors import ConfigError
from libs.common.runtime.secret import (
    PRIVATE_MODE_BITS,
    Secret,
    secret_from_environment,
    secret_from_file,
)

TOKEN_LENGTH_MIN = 24
TOKENS_MAX = 100
_TOKEN = re.compile(rf"[A-Za-z0-9._~+/=-]{{{TOKEN_LENGTH_MIN},512}}")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_BEARER = "bearer "


class Scope(StrEnum):
    """What a token opens; each scope includes those before it."""

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"

    def includes(self, other: "Scope") -> bool:
        """Whether whoever has this scope may do what the other one asks for."""
        order = list(Scope)
        return order.index(self) >= order.index(other)


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Whose token it is, and what it opens. The token itself is not kept."""

    name: str
    scope: Scope
    digest: bytes

    def __repr__(self) -> str:
        return f"Holder({self.name}, {self.scope})"


class Tokens:
    """The tokens of one service.

    Attributes:
        reads_are_open: whoever reaches the door may read without one.
    """

    def __init__(self, holders: tuple[Holder, ...], *, reads_are_open: bool) -> None:
        self._holders = holders
        self.reads_are_open = reads_are_open

    def __bool__(self) -> bool:
        return bool(self._holders)

    def find(self, authorization: str) -> Holder | None:
        """Whose token a request carries. Takes as long for a wrong one as for a right one.

        Args:
            authorization: the header as it came.
        """
        carried = authorization[len(_BEARER) :] if _is_bearer(authorization) else ""
        digest = hashlib.sha256(carried.strip().encode("utf-8", "surrogateescape")).digest()
        found: Holder | None = None
        for holder in self._holders:
            if hmac.compare_digest(holder.digest, digest):
                found = holder
        return found


def _is_bearer(authorization: str) -> bool:
    return authorization[: len(_BEARER)].lower() == _BEARER


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a door bound to that host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load_tokens(common: CommonConfig, environment: Mapping[str, str] | None = None) -> Tokens:
    """The tokens that the configured file and the environment variable hold.

    Without any, whoever is on this machine may read and nobody may do anything else. In the paper
    world reading stays open on this machine even with tokens.

    Raises:
        SecretError: the file is missing, open to others or empty.
        ConfigError: a line is malformed, or the door is open to other machines without a token.
    """
    variables = os.environ if environment is None else environment
    holders: list[Holder] = []
    if common.http_tokens_file is not None:
        bits = 0 if common.mode is Mode.PAPER else PRIVATE_MODE_BITS
        text = secret_from_file(
            common.http_tokens_file,
            name="http_tokens_file",
            pattern=None,
            forbidden_mode_bits=bits,
        )
        holders += _parse(text, "http_tokens_file")
    if HTTP_TOKENS_VARIABLE in variables:
        text = secret_from_environment(
            HTTP_TOKENS_VARIABLE, variables, name=HTTP_TOKENS_VARIABLE, pattern=None
        )
        holders += _parse(text, HTTP_TOKENS_VARIABLE)
    local = is_loopback(common.http_host)
    if not holders and not local:
        raise ConfigError(
            f"http_host is {common.http_host}, which other machines can reach, and there are no"
            f" tokens: set http_tokens_file or {HTTP_TOKENS_VARIABLE}, or http_host to 127.0.0.1"
        )
    names = [holder.name for holder in holders]
    twice = {name for name in names if names.count(name) > 1}
    if twice or len(holders) > TOKENS_MAX:
        raise ConfigError(
            f"tokens named twice: {', '.join(sorted(twice))}"
            if twice
            else f"{len(holders)} tokens, more than {TOKENS_MAX}"
        )
    is_open = local and (not holders or common.mode is Mode.PAPER)
    return Tokens(tuple(holders), reads_are_open=is_open)


def _parse(text: Secret, where: str) -> list[Holder]:
    """The holders in a text; messages name the line, never what is on it."""
    holders = []
    for number, line in enumerate(re.split(r"[\n;]", text.reveal()), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 3 or words[0] not in list(Scope) or not _NAME.fullmatch(words[1]):
            raise ConfigError(
                f"{where}, line {number}: a token is '<read|operate|admin> <name> <token>'"
            )
        digest = _digest(words[2])
        if digest is None:
            raise ConfigError(
                f"{where}, line {number}: a token has at least {TOKEN_LENGTH_MIN} letters, digits"
                " or ._~+/=- (or is sha256: and 64 hex digits)"
            )
        holders.append(Holder(name=words[1], scope=Scope(words[0]), digest=digest))
    return holders


def _digest(word: str) -> bytes | None:
    told = _DIGEST.fullmatch(word)
    if told is not None:
        return bytes.fromhex(told[1])
    return hashlib.sha256(word.encode()).digest() if _TOKEN.fullmatch(word) else None
