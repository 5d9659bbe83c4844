"""What a venue answer means: accepted, rejected, throttled, or unknown.

The most expensive mistake in this trade is to read "no answer" as "no". So an order is Rejected
only when the venue provably did not execute it; whatever cannot be proved is Unknown and has to be
resolved by evidence (promise P7). The judgement itself is data: `libs.common.venue.outcome_table`.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from libs.common.venue.outcome_table import (
    FATAL_REASONS,
    RETRYABLE_REASONS,
    Judgement,
    Reason,
    ThrottleKind,
    Verdict,
    verdict_of,
)

Headers = Mapping[str, str]

BAN_MIN_MS = 120_000
"""Shortest ban the venue documents for 418 (2 minutes to 3 days); used when it names no end."""

BAN_MAX_MS = 259_200_000
"""Longest ban the venue documents (3 days). A header or text that names more holds for this long:
a mistaken one would hold for years, and if it is true the next request is told so again."""

OVERLOAD_WAIT_MS = 1_000
"""Pause after -1008 or 503 "Service Unavailable." when the venue names none."""

MINUTE_MS = 60_000
TEN_SECONDS_MS = 10_000

_BANNED_UNTIL = re.compile(r"banned until (\d{13})")
_TEN_SECONDS = re.compile(r"per (?:10|ten)[ _-]?s", re.IGNORECASE)
_MESSAGE_LENGTH_MAX = 500


class Accepted(msgspec.Struct, frozen=True, tag=True, repr_omit_defaults=True):
    """The venue did it, or says that it already was so (`code` then holds e.g. -4046).

    `headers` has lower-case names. The body is left out of repr: it may hold a listen key.
    """

    status: int
    body: bytes
    headers: Headers
    code: int = 0
    message: str = ""

    def __repr__(self) -> str:
        return f"Accepted(status={self.status}, code={self.code}, body=<{len(self.body)} bytes>)"


class Rejected(msgspec.Struct, frozen=True, tag=True, repr_omit_defaults=True):
    """Provably not executed. `code` is 0 when the venue gave none; status 0: nothing was sent."""

    status: int
    code: int
    message: str
    reason: Reason
    headers: Headers = {}

    @property
    def is_fatal(self) -> bool:
        """No order of this session can succeed until a person changes something."""
        return self.reason in FATAL_REASONS

    @property
    def is_retryable(self) -> bool:
        """The same request may be sent again (after a resync of the clock for TIMESTAMP)."""
        return self.reason in RETRYABLE_REASONS


class Throttled(msgspec.Struct, frozen=True, tag=True, repr_omit_defaults=True):
    """Not executed because of a limit, a ban or overload.

    `retry_after_ms` is relative (header), `banned_until_ms` is venue epoch time (text); None when
    the venue named none. `throttled_until_ms` turns either into one figure.
    """

    status: int
    code: int
    message: str
    kind: ThrottleKind
    retry_after_ms: int | None = None
    banned_until_ms: int | None = None
    headers: Headers = {}

    @property
    def is_local(self) -> bool:
        """A latch of ours kept it here: nothing was sent, and the venue said nothing new."""
        return self.status == 0

    @property
    def is_fatal(self) -> bool:
        """A ban stops everything: another request prolongs it."""
        return self.kind is ThrottleKind.BANNED


class Unknown(msgspec.Struct, frozen=True, tag=True, repr_omit_defaults=True):
    """It may or may not have been executed. `why` says what was seen, without any secret."""

    why: str
    status: int = 0
    code: int = 0
    headers: Headers = {}


Outcome = Accepted | Rejected | Throttled | Unknown


class _Answer(NamedTuple):
    """What could be read of a body. `is_json` false: HTML, truncated, empty or binary."""

    is_json: bool
    code: int
    message: str
    names_order: bool


class _Envelope(msgspec.Struct):
    code: int | str | None = None
    msg: str | None = None
    orderId: int | str | None = None  # noqa: N815 - the venue's spelling
    algoId: int | str | None = None  # noqa: N815 - the venue's spelling


_ENVELOPE = msgspec.json.Decoder(_Envelope | list[msgspec.Raw])


def classify(status: int, body: bytes, headers: Headers, *, is_order: bool) -> Outcome:
    """Return what an HTTP answer means.

    `is_order`: the request places, changes or cancels an order, so a 2xx must name the order it
    speaks of (or be a list, or carry code 200) to count as accepted.
    """
    answer = _read(body)
    if 200 <= status < 300 and answer.code >= 0:
        return _classify_success(status, body, headers, answer, is_order=is_order)
    verdict = verdict_of(status, answer.code, answer.message)
    return _outcome(verdict, status, body, headers, answer)


def not_sent(why: str) -> Rejected:
    """Return the outcome of a request of which no byte left (no connection could be made)."""
    return Rejected(status=0, code=0, message=why, reason=Reason.NOT_SENT)


def held_back(kind: ThrottleKind, until_ms: int) -> Throttled:
    """Return the outcome of a request that a latch kept here: no byte left."""
    why = f"not sent: held back until {until_ms}"
    return Throttled(status=0, code=0, message=why, kind=kind, banned_until_ms=until_ms)


def lost(why: str, *, status: int = 0, headers: Headers | None = None) -> Outcome:
    """Return the outcome of a request whose answer never arrived whole after bytes had left.

    A status that settles the matter alone (418, 429, 403) still does.
    """
    verdict = verdict_of(status, 0, "")
    if isinstance(verdict, Verdict):
        return Unknown(why=why, status=status, headers=headers or {})
    return _outcome(verdict, status, b"", headers or {}, _Answer(False, 0, why, False))


def describe(outcome: Outcome) -> str:
    """Return one line about an outcome for messages and logs, without body or headers."""
    if isinstance(outcome, Unknown):
        return f"unknown: {outcome.why}"
    if isinstance(outcome, Accepted):
        return f"accepted (HTTP {outcome.status})"
    what = outcome.reason if isinstance(outcome, Rejected) else outcome.kind
    verb = "rejected" if isinstance(outcome, Rejected) else "throttled"
    return f"{verb} {what} (HTTP {outcome.status}, code {outcome.code}): {outcome.message}"


def throttled_until_ms(outcome: Throttled, venue_now_ms: int) -> int:
    """Return the venue time until which nothing of this kind may be sent.

    Without a word from the venue: the end of the fixed minute for limits (of the ten seconds when
    the text of an order limit names them), two minutes for a ban, one second for overload.
    """
    latest_ms = venue_now_ms + BAN_MAX_MS
    if outcome.banned_until_ms is not None:
        return min(max(outcome.banned_until_ms, venue_now_ms), latest_ms)
    if outcome.retry_after_ms:
        return min(venue_now_ms + outcome.retry_after_ms, latest_ms)
    if outcome.kind is ThrottleKind.BANNED:
        return venue_now_ms + BAN_MIN_MS
    if outcome.kind is ThrottleKind.OVERLOADED:
        return venue_now_ms + OVERLOAD_WAIT_MS
    is_short = outcome.kind is ThrottleKind.ORDER_LIMIT and _TEN_SECONDS.search(outcome.message)
    window_ms = TEN_SECONDS_MS if is_short else MINUTE_MS
    return (venue_now_ms // window_ms + 1) * window_ms


def _classify_success(
    status: int, body: bytes, headers: Headers, answer: _Answer, *, is_order: bool
) -> Outcome:
    if not answer.is_json:
        return Unknown(f"HTTP {status} with an unreadable body", status=status, headers=headers)
    if is_order and not answer.names_order:
        return Unknown(f"HTTP {status} that names no order", status=status, headers=headers)
    return Accepted(status=status, body=body, headers=headers)


def _outcome(
    verdict: Judgement,
    status: int,
    body: bytes,
    headers: Headers,
    answer: _Answer,
) -> Outcome:
    code, message = answer.code, answer.message
    if isinstance(verdict, Reason):
        return Rejected(status, code, message, verdict, headers)
    if isinstance(verdict, ThrottleKind):
        return _throttled(verdict, status, headers, code, message)
    if verdict is Verdict.SUCCESS:
        return Accepted(status, body, headers, code, message)
    return Unknown(f"HTTP {status}: {message or 'no message'}", status, code, headers)


def _throttled(
    kind: ThrottleKind, status: int, headers: Headers, code: int, message: str
) -> Throttled:
    named = _BANNED_UNTIL.search(message)
    if named and kind is ThrottleKind.REQUEST_LIMIT:
        kind = ThrottleKind.BANNED
    return Throttled(
        status=status,
        code=code,
        message=message,
        kind=kind,
        retry_after_ms=_retry_after_ms(headers),
        banned_until_ms=int(named.group(1)) if named else None,
        headers=headers,
    )


def _retry_after_ms(headers: Headers) -> int | None:
    value = headers.get("retry-after", "").strip()
    return int(value) * 1_000 if value.isascii() and value.isdigit() and len(value) < 10 else None


def _read(body: bytes) -> _Answer:
    try:
        envelope = _ENVELOPE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Answer(False, 0, _first_words(body), False)
    if isinstance(envelope, list):
        return _Answer(True, 0, "", True)
    code = _to_int(envelope.code)
    has_id = envelope.orderId is not None or envelope.algoId is not None
    return _Answer(True, code, (envelope.msg or "")[:_MESSAGE_LENGTH_MAX], has_id or code == 200)


def _to_int(code: int | str | None) -> int:
    try:
        return int(code or 0)
    except ValueError:
        return 0


def _first_words(body: bytes) -> str:
    """Return the start of an unreadable body: 503 variants also come as plain text.

    An HTML page comes from something in front of the venue, so its words prove nothing.
    """
    words = body[:_MESSAGE_LENGTH_MAX].decode("utf-8", "replace").strip()
    return "an HTML page" if words.startswith("<") else words
