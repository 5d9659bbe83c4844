"""Events by which guards start, end and are cleared: what the gate refuses for, and until when."""

from enum import StrEnum

from libs.common.messages.event import Event


class CooldownScope(StrEnum):
    """What a cooldown holds back.

    GLOBAL and SYMBOL hold back entries. EXITS holds back the exits of a symbol after one of them
    failed: an entry's failure never traps a position.
    """

    GLOBAL = "GLOBAL"
    SYMBOL = "SYMBOL"
    EXITS = "EXITS"


class LatchKind(StrEnum):
    """Why the venue may not be asked for a while; the first two stop everything we send."""

    BANNED = "BANNED"
    REQUEST_LIMIT = "REQUEST_LIMIT"
    ORDER_LIMIT = "ORDER_LIMIT"
    OVERLOADED = "OVERLOADED"


class Guard(StrEnum):
    """The guards that hold until a time and that a person may clear."""

    COOLDOWN_GLOBAL = "cooldown_global"
    COOLDOWN_SYMBOL = "cooldown_symbol"
    COOLDOWN_EXITS = "cooldown_exits"
    SAFE_MODE = "safe_mode"
    LATCH = "latch"
    LOCK = "lock"


class CooldownStarted(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """Orders are held back until a time.

    Attributes:
        symbol: empty for GLOBAL.
        until_ns: market time at which it ends by itself.
        failures: for EXITS, how many exits in a row have failed.
    """

    scope: CooldownScope
    symbol: str
    until_ns: int
    cause: str
    failures: int = 0


class SafeModeEntered(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """Too many margin refusals: no entry until a time.

    Attributes:
        refusals: how many there were within the window.
    """

    until_ns: int
    refusals: int
    window_ms: int


class VenueLatched(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """The venue asked to be left alone until a time; a restart keeps to it."""

    kind: LatchKind
    until_ns: int
    why: str


class GuardCleared(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """A person ended a guard before its time.

    Attributes:
        key: the symbol, ``symbol:side`` of a lock, or kind of a latch; empty means all of it.
    """

    guard: Guard
    key: str
    actor: str
    reason: str
