"""Which of the feed's replicas speaks: a lease that one holds and the others wait for.

The lease is one record in the broker, written by compare-and-set on its revision. Nobody trusts a
wall clock or the clock of another machine:

* whoever holds it stops speaking a guard before its length is over, counted from the moment it
  *asked* for the last write that the broker confirmed;
* whoever waits takes it when the revision has not changed for the whole length, counted from the
  moment it *learned* of that revision.

The asking comes before the learning, so the holder has stopped a guard before anyone else may
begin, as long as no monotonic clock goes wrong by more than the guard within one length.

Pure: times and answers go in, the next step comes out. One request at a time, and every one of them
is settled by exactly one of ``on_seen``, ``on_written``, ``on_refused`` and ``on_silence``.
"""

import msgspec

#: No replica may be configured to hold it for longer, so no record means more.
LENGTH_MS_MAX = 60_000
#: Stands for whoever wrote a record that nobody can read.
STRANGER = "unreadable"


class LeaseRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the broker keeps. An empty ``holder`` gave it back; ``length_ms`` is the holder's."""

    holder: str
    length_ms: int


class LeaseLimits(msgspec.Struct, frozen=True, kw_only=True):
    """All in nanoseconds of the monotonic clock (see ``FeedConfig``)."""

    length_ns: int
    guard_ns: int
    renew_ns: int
    look_ns: int


class Look(msgspec.Struct, frozen=True):
    """Read the record."""


class Write(msgspec.Struct, frozen=True):
    """Write the record if ``revision`` is still the last one (0: there is none)."""

    record: LeaseRecord
    revision: int


class Wait(msgspec.Struct, frozen=True):
    """Nothing to do before this moment."""

    until_ns: int


Step = Look | Write | Wait
NS_PER_MS = 1_000_000


class Lease:
    """One replica's view of the lease.

    Attributes:
        term: the revision under which we took it last; it names that leadership. 0 before any.
        holder: who holds it as far as we know; empty if nobody does.
    """

    def __init__(self, me: str, limits: LeaseLimits) -> None:
        self._me = me
        self._limits = limits
        self._ours = LeaseRecord(holder=me, length_ms=limits.length_ns // NS_PER_MS)
        self._is_known = False
        self._record: LeaseRecord | None = None
        self._revision = 0
        self._learned_ns = 0
        self._due_ns = 0
        self._valid_until_ns = 0
        self.term = 0

    @property
    def holder(self) -> str:
        """The holder in the newest record we know."""
        return self._record.holder if self._record is not None else ""

    @property
    def is_ours(self) -> bool:
        """Whether the newest record we know names us, be it in time or not."""
        return self.holder == self._me

    def holds(self, now_ns: int) -> bool:
        """Whether we may speak at this moment."""
        return now_ns < self._valid_until_ns

    def next_step(self, now_ns: int) -> Step:
        """What to do now."""
        if not self._is_known:
            return Look() if now_ns >= self._due_ns else Wait(self._due_ns)
        if self.is_ours:
            is_due = now_ns >= self._due_ns
            return Write(self._ours, self._revision) if is_due else Wait(self._due_ns)
        free_ns = self._free_ns()
        if now_ns >= free_ns:
            return Write(self._ours, self._revision)
        return Look() if now_ns >= self._due_ns else Wait(min(self._due_ns, free_ns))

    def on_seen(self, record: LeaseRecord | None, revision: int, now_ns: int) -> None:
        """The broker told the record (``None``: there is none); ``now_ns`` is when we heard it."""
        if (revision, record) != (self._revision, self._record):
            self._learned_ns = now_ns
        self._note(record, revision)
        if self.is_ours:
            self._due_ns = now_ns  # an answer of ours was lost: renew, to know how long it lasts
        else:
            self._valid_until_ns = 0
            self._due_ns = now_ns + self._limits.look_ns

    def on_written(self, write: Write, revision: int, asked_ns: int) -> None:
        """The broker confirmed our write, which we asked for at ``asked_ns``."""
        self._learned_ns = asked_ns
        self._note(write.record, revision)
        if self.is_ours:
            spoken_for_ns = self._limits.length_ns - self._limits.guard_ns
            self._valid_until_ns = asked_ns + spoken_for_ns
            self._due_ns = asked_ns + self._limits.renew_ns

    def on_refused(self, now_ns: int) -> None:
        """Another write came first, perhaps one of our own whose answer was lost: look."""
        self._is_known = False
        self._due_ns = now_ns

    def on_silence(self, now_ns: int, wait_ns: int = 0) -> None:
        """No answer, so a write may have happened or may yet happen: look, after a wait."""
        self._is_known = False
        self._due_ns = now_ns + wait_ns

    def give_back(self) -> Write | None:
        """Stop speaking at once; the write that lets another begin, if the lease is ours."""
        self._valid_until_ns = 0
        if not (self._is_known and self.is_ours):
            return None
        return Write(LeaseRecord(holder="", length_ms=self._ours.length_ms), self._revision)

    def _note(self, record: LeaseRecord | None, revision: int) -> None:
        was_ours = self.is_ours
        self._is_known = True
        self._record, self._revision = record, revision
        if self.is_ours and not was_ours:
            self.term = revision

    def _free_ns(self) -> int:
        """When it may be taken from whoever holds it."""
        if self._record is None or not self._record.holder:
            return 0
        told_ms = min(self._record.length_ms, LENGTH_MS_MAX)
        length_ns = max(self._limits.length_ns, told_ms * NS_PER_MS)
        return self._learned_ns + length_ns
