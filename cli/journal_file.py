"""An exported journal as a file: one raw record per line, then a footer with the head of the chain.

Each record names the SHA-256 of the bytes of the one before it, so that no record can be changed,
removed or moved without the next one telling. The footer vouches for the last record and the
count; without it everything but the loss of records at the very end is still found. The footer is
no signature: whoever can rewrite all of the file can rewrite it too, so keep the head elsewhere.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from libs.common.messages.codec import UndecodableError, decode_struct
from libs.common.messages.journal import GENESIS_HASH, JournalRecord, record_hash


@dataclass(frozen=True)
class JournalCheck:
    """What was found: ``fault`` names the first record that is not as it was written."""

    records: int
    events: int
    head: str
    fault: str = ""
    has_footer: bool = True

    @property
    def is_whole(self) -> bool:
        """Whether every record is there, unchanged and in its place."""
        return not self.fault


class _Link(NamedTuple):
    line: int
    number: int
    previous: str
    own: str
    events: int


class _Footer(NamedTuple):
    head: str
    records: int


def footer_line(head: str, records: int) -> bytes:
    """The last line of an export."""
    return json.dumps({"head": head, "records": records}).encode() + b"\n"


def check_records(raw_records: Iterable[bytes]) -> JournalCheck:
    """Check records as they are in the broker, which has no footer."""
    return _check(list(raw_records), None, has_footer=True)


def check_file(content: bytes) -> JournalCheck:
    """Check an exported file."""
    *lines, tail = content.split(b"\n")
    footer = _read_footer(lines[-1]) if lines else None
    if footer is not None:
        lines.pop()
    if tail:
        lines.append(tail)  # a line without its end: cut off, or an export by other means
    if not lines and footer is None:
        return JournalCheck(0, 0, GENESIS_HASH, "the file holds no records", has_footer=False)
    return _check(lines, footer, has_footer=footer is not None)


def _check(lines: Sequence[bytes], footer: _Footer | None, *, has_footer: bool) -> JournalCheck:
    links: list[_Link] = []
    fault = ""
    for number, line in enumerate(lines, 1):
        try:
            record = decode_struct(line, JournalRecord)
        except UndecodableError as error:
            is_last = number == len(lines)
            fault = f"line {number} is not a record ({error})"
            fault += ": the file was cut off there" if is_last and footer is None else ""
            break
        own = record_hash(line)
        links.append(_Link(number, record.number, record.prev_hash, own, len(record.events)))
    head = links[-1].own if links else GENESIS_HASH
    fault = _first_break(links, footer if not fault else None) or fault
    return JournalCheck(
        records=len(links),
        events=sum(link.events for link in links),
        head=head,
        fault=fault,
        has_footer=has_footer,
    )


def _read_footer(line: bytes) -> _Footer | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, dict) or set(found) != {"head", "records"}:
        return None
    return _Footer(str(found["head"]), int(found["records"]))


def _first_break(links: Sequence[_Link], footer: _Footer | None) -> str:
    """The first place where the chain does not hold, in words; empty if it holds."""
    previous = GENESIS_HASH
    for index, link in enumerate(links):
        expected = index + 1
        if link.number != expected:
            return _misplaced(links, index)
        if link.previous != previous:
            return _blame(links, index, footer)
        previous = link.own
    if footer is None:
        return ""
    if footer.records > len(links):
        return _truncated(len(links) + 1, footer.records)
    if footer.records < len(links):
        return f"the footer speaks of {footer.records} records, the file has {len(links)}"
    if footer.head != previous:
        return f"record {len(links)} was changed (or the footer): its hash is not the head"
    return ""


def _misplaced(links: Sequence[_Link], index: int) -> str:
    expected, link = index + 1, links[index]
    follower = links[index + 1] if index + 1 < len(links) else None
    if follower is not None and follower.number == expected + 1 and follower.previous != link.own:
        return f"record {expected} was changed (line {link.line}): it says it is {link.number}"
    if any(earlier.number == link.number for earlier in links[:index]):
        return f"line {link.line} holds record {link.number} again, after record {expected - 1}"
    for later in links[index + 1 :]:
        if later.number == expected:
            return (
                f"records are out of order: line {link.line} holds record {link.number},"
                f" record {expected} is on line {later.line}"
            )
    if link.number == expected + 1:
        return f"record {expected} is missing (line {link.line} holds record {link.number})"
    return f"records {expected} to {link.number - 1} are missing before line {link.line}"


def _blame(links: Sequence[_Link], index: int, footer: _Footer | None) -> str:
    """Two neighbors disagree; whoever the next witness vouches for is not the one that changed."""
    link = links[index]
    if index + 1 < len(links):
        is_vouched_for = links[index + 1].previous == link.own
    else:
        is_vouched_for = footer is not None and footer.head == link.own
    if is_vouched_for and index > 0:
        changed = links[index - 1]
        return f"record {changed.number} was changed (line {changed.line})"
    return f"record {link.number} was changed (line {link.line}), or the record before it"


def _truncated(first: int, last: int) -> str:
    missing = f"record {first} is" if first == last else f"records {first} to {last} are"
    return f"the file was truncated: {missing} missing at the end"
