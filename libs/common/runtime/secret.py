"""Secrets: loaded once, checked, and hidden from everything that prints.

A secret that is missing, empty or malformed stops the start with a message that says what is
wrong, where, and what to do, and never what the value was (promise P11).
"""

import hmac
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from libs.common.runtime.errors import ConfigError

HMAC_PATTERN = re.compile(r"[A-Za-z0-9]{64}")
"""Shape of a Binance API key and of an HMAC secret."""

SECRET_BYTES_MAX = 16_384
"""More than any PEM key needs; a longer file is the wrong file."""

PEM_START = "-----BEGIN "
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----\s.*\s-----END \1-----", re.DOTALL)
PEM_ADVICE = (
    "Requests are signed with HMAC: make a key of the system-generated kind at the venue, and put"
    " its 64 characters there."
)

HIDDEN = "***"
#: A key or secret of the venue, an nkey seed, a PEM, a line of tokens, anything drawn at random.
_LOOKS = re.compile(
    r"[A-Za-z0-9]{64}|[0-9a-f]{32,}|S[UACON][A-Z2-7]{56}|-----BEGIN.*|(read|operate|admin)\s+\S+\s.*"
    r"|(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])(?=\D*\d)[A-Za-z0-9+_=-]{32,}",
    re.DOTALL,
)

PRIVATE_MODE_BITS = 0o077
"""File mode bits that must be clear: nobody but the owner may read, write or enter."""


class SecretError(ConfigError):
    """A secret is missing, unreadable, exposed or malformed. The text never contains its value."""


class Secret:
    """A value that only `reveal` shows: not repr, str, format, pickle or json."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself. Every call site is a place to review."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, format_spec: str) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret cannot be pickled: pass the file it came from")


def looks_like_secret(text: str) -> bool:
    """Whether a text has the shape of a secret, though it stands where none belongs."""
    return _LOOKS.fullmatch(text.strip()) is not None


def mask_key(key: str) -> str:
    """Return how a key is shown to people: `abc***xyz (length: 64)`; short keys show nothing."""
    shown = f"{key[:3]}***{key[-3:]}" if len(key) >= 16 else "***"
    return f"{shown} (length: {len(key)})"


def secret_from_file(
    path: Path,
    *,
    name: str,
    pattern: re.Pattern[str] | None = HMAC_PATTERN,
    forbidden_mode_bits: int = PRIVATE_MODE_BITS,
) -> Secret:
    """Read a secret from a file; surrounding white space is dropped.

    `name` is what messages call it. `pattern` None accepts any text (PEM keys).
    `forbidden_mode_bits` 0 skips the permission check, as paper mode does.
    Raises SecretError.
    """
    where = f"file {path}"
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(SECRET_BYTES_MAX + 1)
    except OSError as error:
        if looks_like_secret(str(path)):
            raise SecretError(
                f"{name} holds what looks like a secret itself. Put that into a file that only its"
                " owner may read, and name the file here."
            ) from None
        raise SecretError(
            f"{name} cannot be read from {where}: {error.strerror or type(error).__name__}. "
            "Create the file with the value on one line, or correct the configured path."
        ) from None
    if mode & forbidden_mode_bits:
        raise SecretError(
            f"{name} in {where} is open to others (mode {mode & 0o777:04o}). "
            f"Run: chmod 600 {path} (Kubernetes gives a mounted secret to a group or to root alone:"
            " let an init container copy it, python -m cli.place_secrets, as k8s/base does)."
        )
    return Secret(_check(raw, name=name, where=where, pattern=pattern))


def secret_from_environment(
    variable: str,
    environment: Mapping[str, str],
    *,
    name: str,
    pattern: re.Pattern[str] | None = HMAC_PATTERN,
) -> Secret:
    """Read a secret from an environment variable. Raises SecretError."""
    where = f"environment variable {variable}"
    if variable not in environment:
        raise SecretError(f"{name} is missing: {where} is not set. Set it, or configure a file.")
    raw = environment[variable].encode("utf-8", "surrogateescape")
    return Secret(_check(raw, name=name, where=where, pattern=pattern))


def _describe_pem(value: str) -> str:
    """What kind of key file it is, by its label alone."""
    whole = _PEM.fullmatch(value)
    if whole is None:
        return "is the beginning of a PEM key file, cut off"
    return f"is a PEM key file ({whole[1].lower()}), as Ed25519 and RSA keys are"


def _check(raw: bytes, *, name: str, where: str, pattern: re.Pattern[str] | None) -> str:
    if len(raw) > SECRET_BYTES_MAX:
        raise SecretError(f"{name} in {where} is longer than {SECRET_BYTES_MAX} bytes. Wrong file?")
    try:
        value = raw.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise SecretError(f"{name} in {where} is not UTF-8 text. Copy it again.") from None
    if not value:
        raise SecretError(f"{name} in {where} is empty. Put the value there.")
    if pattern is not None and value.startswith(PEM_START):
        raise SecretError(f"{name} in {where} {_describe_pem(value)}. {PEM_ADVICE}")
    if pattern is not None and not pattern.fullmatch(value):
        raise SecretError(
            f"{name} in {where} is malformed (length {len(value)}): it must match "
            f"^{pattern.pattern}$. Copy it again from the venue, without quotes or spaces."
        )
    return value
