"""What a driver is made of: checks under a capability's name, run in order, told as JSON lines.

Standard library only: it runs inside the environment of each client, beside nothing of ours.
A driver registers checks with `capability`, lists what its client cannot do in a mapping from
capability to reason, and ends with `sys.exit(run(ABSENT))`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fnmatch
import inspect
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn, TypeVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from conformance.capabilities import CAPABILITIES

Check = Callable[[], Any]
T = TypeVar("T")

TIMEOUT_S: Final = 20.0
POLL_S: Final = 0.05
_DETAIL_LINES_MAX: Final = 40
_REASON_CHARACTERS_MAX: Final = 600


class Skipped(Exception):  # noqa: N818 -- an outcome, not an error
    """The client cannot prove this capability; the reason says why."""


class Failed(AssertionError):  # noqa: N818 -- an outcome, not an error
    """What was seen is not what the venue's documentation promises."""


@dataclass(frozen=True)
class Venue:
    """Where the venue is, and the account that was opened for this driver."""

    url: str
    account: Mapping[str, str]

    @property
    def socket_url(self) -> str:
        """The same address for WebSockets, without a slash at its end."""
        return "ws" + self.url.removeprefix("http")

    @property
    def api_key(self) -> str:
        """The account's key, HMAC, allowed to read and to trade."""
        return self.account["api_key"]

    @property
    def secret(self) -> str:
        """The secret of `api_key`."""
        return self.account["secret"]

    def open_account(self, **options: object) -> dict[str, Any]:
        """Open a further account, or issue a further key with `account_id=`, over /sim/accounts."""
        answer: dict[str, Any] = self.ask("POST", "/sim/accounts", options)
        return answer

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask the venue something that needs no signature; raises `Failed` with its refusal."""
        data = None if body is None else json.dumps(body).encode()
        try:
            with urlopen(Request(self.url + path, data, method=method), timeout=10) as answer:
                return json.load(answer)
        except HTTPError as error:
            text = error.read().decode(errors="replace")
            raise Failed(f"{method} {path} answered {error.code}: {text}") from error

    def clock_offset_ms(self) -> int:
        """The venue's clock less ours: on a busy machine the market may trail the wall."""
        return int(self.ask("GET", "/fapi/v1/time")["serverTime"]) - int(time.time() * 1000)

    def struck(self, effect: str, endpoint: str = "GET /fapi/v1/order") -> str:
        """Have the next requests for a symbol of nobody's suffer this fault; returns the symbol.

        Requests for other symbols, such as those of drivers beside this one, are left alone.
        """
        symbol = f"FAULT{os.getpid()}"
        rule = {"endpoint": endpoint, "symbol": symbol, "effect": effect, "delay_ms": 60_000}
        self.ask("POST", "/sim/faults", [rule])
        return symbol

    def price(self, symbol: str, factor: str = "1", tick: str = "0.1") -> Decimal:
        """The best bid times `factor`, on the tick: read beside the client, for a sane order."""
        book = self.ask("GET", f"/fapi/v1/ticker/bookTicker?symbol={symbol}")
        return (Decimal(book["bidPrice"]) * Decimal(factor) / Decimal(tick)).quantize(
            Decimal(1)
        ) * Decimal(tick)


def venue() -> Venue:
    """Return the venue that this driver was started against."""
    return Venue(
        os.environ["CONFORMANCE_VENUE"].rstrip("/"), json.loads(os.environ["CONFORMANCE_ACCOUNT"])
    )


@dataclass(frozen=True)
class _Registered:
    check: Check
    timeout_s: float


_CHECKS: dict[str, _Registered] = {}


def capability(name: str, timeout_s: float = TIMEOUT_S) -> Callable[[Check], Check]:
    """Register a check, plain or async, of a capability; raises on unknown or repeated names."""
    if name not in CAPABILITIES:
        raise ValueError(f"no capability is called {name!r}")
    if name in _CHECKS:
        raise ValueError(f"{name!r} is checked twice")

    def register(check: Check) -> Check:
        _CHECKS[name] = _Registered(check, timeout_s)
        return check

    return register


def skip(reason: str) -> NoReturn:
    """End the check: the client cannot do this, for a reason that is not the venue's."""
    raise Skipped(reason)


def expect(condition: object, said: object) -> None:
    """Fail with what was `said` unless the condition holds."""
    if not condition:
        raise Failed(f"not so: {said!r}" if not isinstance(said, str) else said)


def equal(got: object, wanted: object, what: str = "value") -> None:
    """Fail unless both are equal."""
    if got != wanted:
        raise Failed(f"{what}: got {got!r}, wanted {wanted!r}")


def text_number(value: object, what: str = "number") -> Decimal:
    """A number the venue sends as text; fails where it is anything else."""
    if not isinstance(value, str):
        raise Failed(f"{what}: {value!r} is not text")
    try:
        return Decimal(value)
    except InvalidOperation as error:
        raise Failed(f"{what}: {value!r} is no number") from error


def positive(value: object, what: str = "number") -> Decimal:
    """A number above zero that the venue sends as text."""
    number = text_number(value, what)
    expect(number > 0, f"{what}: {number} is not above zero")
    return number


def filled_list(rows: Any, what: str = "rows") -> list[Any]:
    """The rows, of which there is at least one."""
    if not isinstance(rows, list) or not rows:
        raise Failed(f"{what}: wanted a list with rows, got {rows!r}")
    return rows


def only(rows: Any, what: str = "rows") -> Any:
    """The one row of a list that holds just one."""
    if len(filled_list(rows, what)) != 1:
        raise Failed(f"{what}: wanted one row, got {rows!r}")
    return rows[0]


def keys_in(row: Any, names: str) -> None:
    """Fail unless the row is a mapping with all these keys (separated by blanks)."""
    if not isinstance(row, Mapping):
        raise Failed(f"not a mapping: {row!r}")
    missing = [name for name in names.split() if name not in row]
    expect(not missing, f"keys missing: {missing} in {dict(row)!r}")


@contextlib.contextmanager
def refused(kind: type[Exception], code: int, text: str | None = None) -> Iterator[None]:
    """Expect the client's own exception, which carries the venue's code somewhere readable.

    The code is looked for in the attributes that clients use for it, then in the message.
    """
    try:
        yield
    except kind as error:
        found = [
            value
            for name in ("code", "error_code", "status_code")
            if isinstance(value := getattr(error, name, None), int)
        ]
        told = code in found or str(code) in str(error)
        expect(told, f"wanted code {code}, got {type(error).__name__}: {error} {found}")
        expect(text is None or text in str(error), f"wanted {text!r} in {error}")
        return
    raise Failed(f"wanted a refusal with code {code}, and was served")


def until(read: Callable[[], T], timeout_s: float = 5.0) -> T:
    """Call until the answer is true in the sense of `bool`; return it, or fail when it is late."""
    ends = time.monotonic() + timeout_s
    while not (answer := read()):
        if time.monotonic() > ends:
            raise Failed(f"still {answer!r} after {timeout_s} s")
        time.sleep(POLL_S)
    return answer


async def until_async(read: Callable[[], Awaitable[T]], timeout_s: float = 5.0) -> T:
    """`until` for a client that is awaited."""
    ends = time.monotonic() + timeout_s
    while not (answer := await read()):
        if time.monotonic() > ends:
            raise Failed(f"still {answer!r} after {timeout_s} s")
        await asyncio.sleep(POLL_S)
    return answer


Step = Callable[[], Any]


def run(
    absent: Mapping[str, str],
    before: Step | None = None,
    after: Step | None = None,
    arguments: Sequence[str] | None = None,
) -> int:
    """Run the selected checks in the order of the capabilities and print a line for each.

    `before` and `after` (plain or async) open and close what the checks share. Everything async
    runs in one event loop. Returns 0; what failed is told in the lines.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--capability", default="*")
    pattern = parser.parse_args(arguments).capability
    wrong = [name for name in absent if name not in CAPABILITIES or name in _CHECKS]
    if wrong:
        raise ValueError(f"listed as absent, but unknown or checked: {wrong}")
    asyncio.run(_run_all(absent, pattern, before, after))
    return 0


async def _run_all(
    absent: Mapping[str, str], pattern: str, before: Step | None, after: Step | None
) -> None:
    if before is not None:
        await _finish(before())
    for name in CAPABILITIES:
        if not fnmatch.fnmatchcase(name, pattern):
            continue
        if name in _CHECKS:
            await _run_one(name, _CHECKS[name])
        elif name in absent:
            _tell(name, "absent", absent[name])
    if after is not None:
        await _finish(after())


async def _finish(answer: Any) -> None:
    if inspect.isawaitable(answer):
        await answer


async def _run_one(name: str, registered: _Registered) -> None:
    started = time.monotonic()
    outcome, reason, detail = "pass", "", ""
    try:
        with _alarm(registered.timeout_s, only_if=not _is_async(registered.check)):
            answer = registered.check()
        if inspect.isawaitable(answer):
            await asyncio.wait_for(answer, registered.timeout_s)
    except Skipped as skipped:
        outcome, reason = "skip", str(skipped)
    except Exception as error:
        outcome, reason = "fail", _reason(error)
        lines = traceback.format_exception(error)
        detail = "\n".join("".join(lines).splitlines()[-_DETAIL_LINES_MAX:])
    _tell(name, outcome, reason, detail, round((time.monotonic() - started) * 1000))


def _is_async(check: Check) -> bool:
    return inspect.iscoroutinefunction(check)


@contextlib.contextmanager
def _alarm(timeout_s: float, *, only_if: bool) -> Iterator[None]:
    """Interrupt a plain check that hangs in the client: nothing else could."""
    if not only_if:
        yield
        return

    def ring(number: int, frame: FrameType | None) -> NoReturn:
        raise TimeoutError(f"no answer within {timeout_s} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _reason(error: Exception) -> str:
    ours = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "drive_" in frame.filename
    ]
    where = f" ({Path(ours[-1].filename).name}:{ours[-1].lineno})" if ours else ""
    kind = "" if isinstance(error, Failed) else f"{type(error).__name__}: "
    return f"{kind}{error}"[:_REASON_CHARACTERS_MAX] + where


def _tell(name: str, outcome: str, reason: str, detail: str = "", ms: int = 0) -> None:
    line = {
        "capability": name, "outcome": outcome, "reason": reason, "ms": ms, "detail": detail,
    }  # fmt: skip
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
