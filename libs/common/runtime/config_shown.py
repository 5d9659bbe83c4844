"""The effective configuration as people and pages may see it: no secret, and no password in a URL.

Settings name files, so there should be no secret in them. What looks like one all the same, because
somebody put it where it does not belong, is hidden too.
"""

import re
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from libs.common.model.agreement import flatten
from libs.common.model.settings import Section

HIDDEN = "***"
_SECRET_NAME = re.compile(
    r"(secret|token|passwo?r?d|passphrase|seed|private|credential|api_?key|mac_?key)", re.IGNORECASE
)
#: A key or secret of the venue, an nkey seed, a PEM, a token of ours.
_SECRET_VALUE = re.compile(
    r"[A-Za-z0-9]{64}|S[UACON][A-Z2-7]{56}|-----BEGIN.*|[0-9a-f]{32,}", re.DOTALL
)
_USER_IN_URL = re.compile(r"(?<=://)[^/@\s]+(?=@)")
FILE_SUFFIX = "_file"


def shown(name: str, value: Any) -> Any:
    """A value as JSON may hold it, hidden where it is or looks like a secret.

    Args:
        name: the setting's full name.
    """
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, tuple | list | set | frozenset):
        return [shown(name, item) for item in value]
    if isinstance(value, dict):
        return {key: shown(f"{name}.{key}", item) for key, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str):
        last = name.rpartition(".")[2]
        is_secret = _SECRET_NAME.search(last) is not None and not last.endswith(FILE_SUFFIX)
        if value and (is_secret or _SECRET_VALUE.fullmatch(value)):
            return HIDDEN
        return _USER_IN_URL.sub(HIDDEN, value)
    return value


def show_settings(section: Section, prefix: str = "") -> dict[str, Any]:
    """Every setting of a section by its full name."""
    return {name: shown(name, one.value) for name, one in flatten(section, prefix).items()}
