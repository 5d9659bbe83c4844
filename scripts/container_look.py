"""Looks at a deployment in containers from outside, and judges it by the venue and the journal.

What a service says of itself counts for nothing here: orders, fills and positions are asked of the
venue with the reconciler's reading key, and compared with the journal as an operator exports it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COMMAND_TIMEOUT_S = 300
LOOK_S = 0.5
ZERO = Decimal(0)
JOURNAL = "/desk/journal.jsonl"

#: Runs in the reconciler's container: it has a key that reads, and a way to the venue.
_ASK_VENUE = """
import hashlib, hmac, json, sys, time, urllib.parse, urllib.request
key, secret = (open(f"/keys/api_{name}").read().strip() for name in ("key", "secret"))
venue = "http://paper-exchange:8300"
now = json.load(urllib.request.urlopen(venue + "/fapi/v1/time", timeout=5))["serverTime"]
def ask(path, **told):
    query = urllib.parse.urlencode({**told, "timestamp": now, "recvWindow": 60000})
    signature = hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()
    url = f"{venue}{path}?{query}&signature={signature}"
    asked = urllib.request.Request(url, headers={"X-MBX-APIKEY": key})
    return json.load(urllib.request.urlopen(asked, timeout=5))
found = {"orders": [], "trades": [], "positions": ask("/fapi/v2/positionRisk")}
for symbol in sys.argv[1:]:
    found["orders"] += ask("/fapi/v1/allOrders", symbol=symbol, limit=1000)
    found["trades"] += ask("/fapi/v1/userTrades", symbol=symbol, limit=1000)
print(json.dumps(found))
"""


class DrillFailed(Exception):  # noqa: N818 - it is what happened
    """Something did not hold; the text says what was seen."""


def docker(*arguments: str, check: bool = True) -> str:
    """Run `docker` where the repository's compose files are; returns what it printed."""
    done = subprocess.run(
        ("docker", *arguments),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
    )
    if check and done.returncode != 0:
        words = done.stderr.strip().splitlines()[-3:]
        raise DrillFailed(f"docker {' '.join(arguments)}: {' / '.join(words)}")
    return done.stdout


def compose(*arguments: str, check: bool = True) -> str:
    """Run `docker compose` on the repository's own file; returns what it printed."""
    return docker("compose", *arguments, check=check)


def operate(*arguments: str) -> Any:
    """What the operator's command answers, as JSON."""
    return json.loads(compose("run", "--rm", "-T", "operator", *arguments, "--json"))


def states() -> dict[str, tuple[str, str]]:
    """State and health of every container, by service."""
    lines = compose("ps", "-a", "--format", "json").splitlines()
    rows = [json.loads(line) for line in lines]
    return {row["Service"]: (row["State"], row["Health"]) for row in rows}


def restarts(service: str) -> int:
    """How often the engine started the container of a service again by itself."""
    container = compose("ps", "-a", "-q", service).strip()
    return int(docker("inspect", "-f", "{{.RestartCount}}", container))


def inspect_project(project: str) -> list[dict[str, Any]]:
    """What the engine tells of every container of a compose project, those that ended too."""
    label = f"label=com.docker.compose.project={project}"
    containers = docker("ps", "-a", "-q", "--no-trunc", "--filter", label).split()
    if not containers:
        return []
    told: list[dict[str, Any]] = json.loads(docker("inspect", "--type", "container", *containers))
    return told


def wait_until(what: str, is_so: Callable[[], bool], timeout_s: float) -> float:
    """Look again and again; returns the seconds it took.

    Raises:
        DrillFailed: it did not come to that.
    """
    began = time.monotonic()
    while True:
        if is_so():
            return time.monotonic() - began
        if time.monotonic() - began > timeout_s:
            raise DrillFailed(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(LOOK_S)


def ask_venue(symbols: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    """Every order, fill and position of the account, as the venue tells them."""
    told = compose("exec", "-T", "reconciler", "python", "-c", _ASK_VENUE, *symbols)
    found: dict[str, list[dict[str, Any]]] = json.loads(told)
    return found


def read_journal() -> bytes:
    """The journal, exported from the broker by an operator."""
    compose(
        "run", "--rm", "-T", "operator", "journal", "export", "--url", "tls://nats:4222",
        "--out", JOURNAL,
    )  # fmt: skip
    show = f"import sys; sys.stdout.write(open({JOURNAL!r}).read())"
    return compose("run", "--rm", "-T", "--entrypoint", "python", "operator", "-c", show).encode()


@dataclass(frozen=True)
class Judgement:
    """What a comparison of the venue with the journal came to."""

    records: int
    orders: int
    fills: int
    broken: tuple[str, ...]

    def __str__(self) -> str:
        found = "; ".join(self.broken) or "all invariants hold"
        return f"{self.records} records, {self.orders} orders, {self.fills} fills: {found}"


def judge(symbols: tuple[str, ...]) -> Judgement:
    """Compare once: journal whole, one order an intent, every order, fill and position known."""
    from cli.journal_file import check_file
    from cli.report import read_story, realized_by_us
    from libs.common.messages.codec import decode_struct
    from libs.common.messages.journal import JournalRecord

    venue, raw = ask_venue(symbols), read_journal()
    check = check_file(raw)
    story = read_story(decode_struct(line, JournalRecord) for line in raw.splitlines()[:-1])
    broken = [] if check.is_whole else [f"journal: {check.fault}"]
    ids = [order["clientOrderId"] for order in venue["orders"]]
    strangers = [name for name in ids if name not in story.recorded]
    if strangers:
        broken.append(f"orders that no journal record explains: {strangers[:3]}")
    intents = Counter(
        story.recorded[name].intent.intent_id for name in ids if name in story.recorded
    )
    twice = [name for name, count in intents.items() if count > 1]
    if twice:
        broken.append(f"intents with more than one order: {twice[:3]}")
    theirs = {(trade["symbol"], int(trade["id"])) for trade in venue["trades"]}
    if theirs != set(story.fills):
        broken.append(f"fills that only one side knows: {sorted(theirs ^ set(story.fills))[:3]}")
    held = {
        row["symbol"]: Decimal(row["positionAmt"])
        for row in venue["positions"]
        if row["symbol"] in symbols
    }
    ours = {name: position.quantity for name, position in realized_by_us(story).items()}
    broken += [
        f"{symbol}: journal {ours.get(symbol)}, venue {held.get(symbol)}"
        for symbol in symbols
        if held.get(symbol, ZERO) != ours.get(symbol, ZERO)
    ]
    return Judgement(check.records, len(ids), len(theirs), tuple(broken))


def judge_until_whole(symbols: tuple[str, ...], timeout_s: float) -> Judgement:
    """Judge until everything agrees: a fill may be on its way between two questions.

    Raises:
        DrillFailed: it still does not after the time.
    """
    seen: list[Judgement] = []

    def is_whole() -> bool:
        seen.append(judge(symbols))
        return not seen[-1].broken

    try:
        wait_until("venue and journal agree", is_whole, timeout_s)
    except DrillFailed:
        raise DrillFailed(str(seen[-1])) from None
    return seen[-1]


def repeated_log_lines(services: tuple[str, ...]) -> tuple[int, list[str]]:
    """How many lines these services logged, and those that stand there more than once.

    Every line tells its time to the microsecond, so that two alike are one that was written twice.
    """
    lines = [
        line
        for line in compose("logs", "--no-color", *services).splitlines()
        if line.partition("|")[2].strip()
    ]
    counted = Counter(lines)
    return len(lines), [line for line, count in counted.items() if count > 1]


if __name__ == "__main__":
    print(judge(tuple(sys.argv[1:]) or ("BTCUSDT", "ETHUSDT")))
