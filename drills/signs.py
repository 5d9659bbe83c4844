"""Where the feed tells of a fault: each sign looks at its status before and now, and says it."""

from __future__ import annotations

from typing import Any

from drills.drill import Before, Seen
from drills.market_rig import WITNESSED, MarketRig, socket_of

Status = dict[str, Any]


def stall_noticed(socket: str) -> Seen:
    """The watchdog of one stream speaks."""

    def seen(before: Status, now: Status) -> str:
        one = socket_of(now, socket)
        if one["stalls"] <= socket_of(before, socket)["stalls"]:
            return ""
        return f"watchdog: {one['last_why']}"

    return seen


def socket_down(socket: str) -> Seen:
    """The connection is given up."""

    def seen(before: Status, now: Status) -> str:
        one, was = socket_of(now, socket), socket_of(before, socket)
        is_new = one["last_why"] != was["last_why"] or one["attempts"] > was["attempts"]
        if one["is_up"] and not is_new:
            return ""
        return f"socket down: {one['last_why']}"

    return seen


def refused_frame(before: Status, now: Status) -> str:
    """A frame was unreadable, or its content was refused."""
    if (more := now["unreadable"] - before["unreadable"]) > 0:
        return f"unreadable frames +{more}, with a dead letter"
    for name, count in now["refused"].items():
        if not name.endswith("_repeated") and count > before["refused"].get(name, 0):
            return f"refused {name} +{count - before['refused'].get(name, 0)}"
    return ""


def bar_repeated(before: Status, now: Status) -> str:
    """A bar came that was known."""
    return _series_counter(before, now, "repeats")


def bar_revised(before: Status, now: Status) -> str:
    """A bar came again with other figures than were published."""
    return _series_counter(before, now, "revised")


def bar_missed(before: Status, now: Status) -> str:
    """A bar did not come, and REST is asked."""
    if (more := now["backfill"]["requests"] - before["backfill"]["requests"]) > 0:
        return f"bar missing: REST asked +{more}"
    return ""


def backfill_failed(before: Status, now: Status) -> str:
    """REST refuses to fill a gap."""
    if now["backfill"]["failures"] <= before["backfill"]["failures"]:
        return ""
    return f"backfill failures, health WARN: {now['backfill']['last_failure'][:60]}"


def repeated(kind: str) -> Seen:
    """A quote, mark or trade came again, or too late to count."""

    def seen(before: Status, now: Status) -> str:
        name = f"{kind}_repeated"
        more = now["refused"].get(name, 0) - before["refused"].get(name, 0)
        return f"refused {name} +{more}" if more > 0 else ""

    return seen


def any_of(*signs: Seen) -> Seen:
    """The first of several signs that speaks."""

    def seen(before: Status, now: Status) -> str:
        return next((words for sign in signs if (words := sign(before, now))), "")

    return seen


def _series_counter(before: Status, now: Status, name: str) -> str:
    for series, counts in now["series"].items():
        more = counts.get(name, 0) - before["series"].get(series, {}).get(name, 0)
        if more > 0:
            return f"{series}: {name} +{more}"
    return ""


# -- and where healing shows, beyond the feed's own word ---------------------------------------


async def data_flows(rig: MarketRig, before: Before) -> bool:
    """Quotes and marks of every symbol on the bus are newer than the fault."""
    return all(rig.newest_ns[key] > before.market_ns for key in before.newest_ns)


async def bar_stored(rig: MarketRig, before: Before) -> bool:
    """Every symbol has a stored candle that closed after the fault began."""
    closed = {one.symbol for one in await rig.world.candles() if one.close_ns > before.market_ns}
    return len(closed) == len({symbol for _, symbol in before.newest_ns})


async def depth_equals_venue(rig: MarketRig, before: Before) -> bool:
    """A book on the bus, newer than the fault, was the venue's own, level by level."""
    return rig.agreed_ns.get(WITNESSED, 0) > before.market_ns
