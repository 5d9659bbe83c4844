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
from libs.common.runtime.secret import HIDDEN, looks_like_secret

_SECRET_NAME = re.compile(
    r"(secret|token|passwo?r?d|passphrase|seed|private|credential|api_?key|mac_?key)", re.IGNORECASE
)
_USER_IN_URL = re.compile(r"(?<=://)\S+(?=@)")
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
        return {shown_name(str(key)): shown(f"{name}.{key}", item) for key, item in value.items()}
    if isinstance(value, Path):
        return HIDDEN if looks_like_secret(str(value)) else str(value)
    if isinstance(value, str):
        last = name.rpartition(".")[2]
        is_secret = _SECRET_NAME.search(last) is not None and not last.endswith(FILE_SUFFIX)
        if value and (is_secret or looks_like_secret(value)):
            return HIDDEN
        return _USER_IN_URL.sub(HIDDEN, value)
    return value


def shown_name(name: str) -> str:
    """A setting's full name, without what may be a value whose colon is in the wrong place."""
    return ".".join(HIDDEN if looks_like_secret(part) else part for part in name.split("."))


def show_settings(section: Section, prefix: str = "") -> dict[str, Any]:
    """Every setting of a section by its full name."""
    return {name: shown(name, one.value) for name, one in flatten(section, prefix).items()}
