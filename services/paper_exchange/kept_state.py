"""Keeps what the venue knows in a file, so that a venue that is killed comes back as it was.

A real venue does not forget what it has answered. So the file is written, and is on the disk,
before anybody is told of a change: whatever a client has heard is there after a restart. The market
is not in it; a generated one starts over at its first prices, later.

Not kept: keys with a public half, and whatever a simulation broke on purpose.
"""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from services.paper_exchange.exchange import Exchange

#: Changes with the shape of what is kept; a file of another one is refused.
LAYOUT: Final = 1
FILE_MODE: Final = 0o600
_PARTS: Final = (
    "ledger",
    "accounts",
    "listen_keys",
    "resting",
    "conditional",
    "_deadlines",
    "_sequences",
    "_funding_due_ns",
)
_OURS: Final = "services.paper_exchange."
_PLAIN: Final = frozenset(
    {
        ("builtins", "set"),
        ("builtins", "frozenset"),
        ("collections", "deque"),
        ("collections", "defaultdict"),
        ("collections", "OrderedDict"),
        ("copyreg", "_reconstructor"),
        ("decimal", "Decimal"),
        ("msgspec._core", "rebuild"),
    }
)


class KeptStateError(Exception):
    """The file is there and cannot be used; the text says why and what to do."""


class _Writer(pickle.Pickler):
    """Leaves out what a venue is set up with anyway."""

    def __init__(self, file: io.BytesIO, exchange: Exchange) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._names = {id(exchange.limits): "limits"}

    def persistent_id(self, found: object) -> str | None:
        return self._names.get(id(found))


class _Reader(pickle.Unpickler):
    """Makes nothing but the venue's own records: a file from elsewhere can run no code."""

    def __init__(self, file: io.BytesIO, known: Mapping[str, object]) -> None:
        super().__init__(file)
        self._known = known

    def persistent_load(self, name: str) -> object:
        return self._known[name]

    def find_class(self, module: str, name: str) -> Any:
        if not module.startswith(_OURS) and (module, name) not in _PLAIN:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return super().find_class(module, name)


class KeptState:
    """The file of one venue."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: tuple[int, int, int] | None = None

    def restore(self, exchange: Exchange, now_ns: int) -> int:
        """Make a venue that was just set up what it was; returns the market time of the file.

        Returns `now_ns` where there is no file. Raises `KeptStateError`.
        """
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return now_ns
        except OSError as error:
            raise KeptStateError(f"cannot read {self._path}: {error.strerror}") from error
        try:
            told = _Reader(io.BytesIO(raw), {"limits": exchange.limits}).load()
            layout, kept_ns = told["layout"], int(told["now_ns"])
        except Exception as error:  # a damaged pickle raises anything
            raise KeptStateError(f"{self._path} is no state of a venue: {error}") from error
        if layout != LAYOUT or set(told["resting"]) != set(exchange.instruments):
            raise KeptStateError(
                f"{self._path} is of another version or of other symbols: remove it to start anew"
            )
        for part in _PARTS:
            setattr(exchange, part, told[part])
        exchange.keys.update(told["keys"])
        exchange.risk.holders, exchange.risk.warned = told["holders"], told["warned"]
        self._kept = _version(exchange)
        return kept_ns

    def keep(self, exchange: Exchange, now_ns: int, *, is_certain: bool) -> None:
        """Write the file if something changed; `is_certain` that it did.

        Raises `KeptStateError`: then nobody may be told of the change. Whoever calls next tries
        again, and the market, which nobody can answer for, ends the venue.
        """
        version = _version(exchange)
        if version == self._kept and not is_certain:
            return
        told = {part: getattr(exchange, part) for part in _PARTS}
        told |= {"layout": LAYOUT, "now_ns": now_ns}
        told |= {"holders": exchange.risk.holders, "warned": exchange.risk.warned}
        told["keys"] = {name: key for name, key in exchange.keys.items() if key.public_key is None}
        file = io.BytesIO()
        _Writer(file, exchange).dump(told)
        try:
            _replace(self._path, file.getvalue())
        except OSError as error:
            self._kept = None
            raise KeptStateError(f"cannot keep {self._path}: {error.strerror}") from error
        self._kept = version


def keeper(
    kept: KeptState | None, exchange: Exchange, now_ns: Callable[[], int]
) -> Callable[[bool], None]:
    """What a desk calls before it tells anybody of a change; nothing where nothing is kept."""
    if kept is None:
        return lambda _: None
    return lambda is_certain: kept.keep(exchange, now_ns(), is_certain=is_certain)


def _version(exchange: Exchange) -> tuple[int, int, int]:
    """Moves with every change that no request asked for: fills, fundings, what ends in time."""
    numbers, deadlines = exchange.__dict__["_sequences"], exchange.__dict__["_deadlines"]
    return exchange.ledger.events_posted, sum(numbers.values()), len(deadlines)


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
