"""Hears a run from beside it: the stamps of every intent, and what the services use.

The messages carry wall-clock stamps of their own, so hearing them late costs no accuracy.
"""

import asyncio
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats
from nats.aio.msg import Msg

from bench.figures import Stamps, Way
from libs.common.messages import subjects
from libs.common.messages.codec import decode, decode_struct
from libs.common.messages.intents import IntentVerdict, ProposedIntent
from libs.common.messages.journal import JournalRecord, OrderAnswered, OrderRecorded
from libs.common.messages.market import MarketHealth
from libs.common.runtime.clock import monotonic_ns

LOOK_INTERVAL_S = 0.1
#: Fields of /proc/<id>/stat behind the name in brackets: user and system time, in ticks.
STAT_USER, STAT_SYSTEM = 11, 12


@dataclass
class Usage:
    """What was received and used, as (monotonic ns, messages, CPU seconds by service)."""

    looks: list[tuple[int, int, dict[str, float]]] = field(default_factory=list)

    @property
    def messages(self) -> int:
        """Market messages between the first look and the last."""
        return self.looks[-1][1] - self.looks[0][1] if self.looks else 0

    @property
    def messages_per_s(self) -> float:
        """Market messages that feed took a second."""
        if len(self.looks) < 2:
            return 0.0
        return self.messages / ((self.looks[-1][0] - self.looks[0][0]) / 1e9)

    def cpu_percent(self) -> dict[str, float]:
        """CPU of each service, in percent of one core."""
        if len(self.looks) < 2:
            return {}
        (began_ns, _, before), (ended_ns, _, after) = self.looks[0], self.looks[-1]
        wall_s = (ended_ns - began_ns) / 1e9
        return {
            name: (after[name] - before[name]) / wall_s * 100 for name in after if name in before
        }


class Listener:
    """Finds the run's broker, then listens until cancelled."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._facts: dict[str, Any] = {}
        self._intent_of: dict[str, Stamps] = {}
        self.way = Way()
        self.usage = Usage()

    async def listen(self) -> None:
        """Subscribe as soon as there is a broker."""
        self._facts = await self._find_run()
        client = await nats.connect(
            self._facts["broker_url"], allow_reconnect=False, error_cb=_ignore_the_end
        )
        try:
            await client.subscribe(subjects.intent_proposed("*"), cb=self._on_proposed)
            await client.subscribe(subjects.intent_verdict("*"), cb=self._on_verdict)
            await client.subscribe(subjects.journal(self._facts["account"]), cb=self._on_record)
            await client.subscribe(subjects.MARKET_HEALTH, cb=self._on_health)
            await asyncio.Event().wait()
        finally:
            await client.close()

    async def _find_run(self) -> dict[str, Any]:
        while True:
            for path in self._data_dir.glob("runs/*/run.json"):
                facts: dict[str, Any] = json.loads(path.read_text())
                if "execution" in facts["services"]:
                    return facts  # the broker is there, and the market has not moved yet
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def _on_proposed(self, message: Msg) -> None:
        proposed = decode(message.data, ProposedIntent)
        stamps = self.way.of(proposed.intent.intent_id)
        stamps.candle_ns = proposed.intent.caused_wall_ns
        stamps.proposed_ns = proposed.ts_published_ns

    async def _on_verdict(self, message: Msg) -> None:
        verdict = decode(message.data, IntentVerdict)
        if verdict.approved is not None:
            self.way.of(verdict.intent_id).decided_ns = verdict.approved.body.decided_wall_ns

    async def _on_record(self, message: Msg) -> None:
        record = decode_struct(message.data, JournalRecord)
        for event in record.events:
            if isinstance(event, OrderRecorded):
                stamps = self.way.of(event.intent.intent_id)
                stamps.recorded_ns = record.ts_wall_ns
                self._intent_of[event.client_order_id] = stamps
            elif isinstance(event, OrderAnswered) and event.sent_wall_ns:
                stamps = self._intent_of[event.client_order_id]
                stamps.sent_ns = event.sent_wall_ns
                stamps.answered_ns = event.answered_wall_ns

    async def _on_health(self, message: Msg) -> None:
        health = decode(message.data, MarketHealth)
        messages = sum(health.received.values())
        if self.usage.looks and messages == self.usage.looks[-1][1]:
            return  # before the market moves, and after it has ended
        if messages:
            cpu_s = {
                name: cpu_seconds(service["process_id"])
                for name, service in self._facts["services"].items()
            }
            self.usage.looks.append((monotonic_ns(), messages, cpu_s))


async def _ignore_the_end(_: Exception) -> None:
    """The broker ends with the run; what was not heard shows in the sample counts."""


def cpu_seconds(process_id: int) -> float:
    """CPU a process has used so far; 0 where the system does not tell (not Linux, or gone)."""
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return 0.0
    fields = stat.rpartition(")")[2].split()
    return (int(fields[STAT_USER]) + int(fields[STAT_SYSTEM])) / os.sysconf("SC_CLK_TCK")


def resident_mb(process_id: int) -> float:
    """Resident memory of a process, in MB; 0 where the system does not tell."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except OSError:
        return 0.0
    kb = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kb) / 1024
