"""Carries out what the stream faults decide: sends, silences and closes.

It stands in the hub's way only while there are rules or messages held back, so that a market
without faults pays nothing for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from services.paper_exchange.doors.hub import Hub, Subscriber, envelope
from services.paper_exchange.faults.stream_faults import (
    Outgoing,
    StreamEffect,
    StreamFaults,
    StreamRule,
)


class StreamDisturbance:
    """The faults of market streams at work on one hub; `now_ns` tells market time."""

    def __init__(self, hub: Hub, faults: StreamFaults, now_ns: Callable[[], int]) -> None:
        self.faults = faults
        self._hub = hub
        self._now_ns = now_ns
        self._silent: list[tuple[Subscriber, StreamRule]] = []
        self._deaf: list[tuple[Subscriber, str, StreamRule]] = []

    def set_rules(self, rules: Sequence[StreamRule]) -> None:
        """Replace all rules; sockets that were silent speak again."""
        for subscriber, _ in self._silent:
            subscriber.is_silent = False
        self._silent.clear()
        self._deaf.clear()
        self.faults.set_rules_at(rules, self._now_ns())
        self._step_in()

    def release(self) -> None:
        """Send what was held back long enough, and end the silences that are over."""
        if self._hub.disturb is None:
            return
        now_ns = self._now_ns()
        for message in self.faults.due(now_ns):
            self._send(message, self._hub.listeners_of(message.stream))
        if self._silent:
            over = [one for one in self._silent if not self.faults.is_awake(one[1], now_ns)]
            for subscriber, _ in over:
                subscriber.is_silent = False
            self._silent = [one for one in self._silent if one not in over]
        if self._deaf:
            self._deaf = [one for one in self._deaf if self.faults.is_awake(one[2], now_ns)]
        self._step_in()

    def _step_in(self) -> None:
        self._hub.disturb = None if self.faults.is_idle else self._publish

    def _publish(self, stream: str, payload: bytes, listeners: Sequence[Subscriber]) -> None:
        verdict = self.faults.pass_on(stream, payload, self._now_ns())
        for message in verdict.messages:
            self._send(message, listeners)
        if verdict.sockets is None:
            return
        if verdict.sockets.scope == "subscription":
            self._stall_subscriptions(stream, payload, listeners, verdict.sockets)
            return
        for subscriber in list(listeners):
            self._befall(subscriber, verdict.sockets)

    def _stall_subscriptions(
        self, stream: str, payload: bytes, listeners: Sequence[Subscriber], rule: StreamRule
    ) -> None:
        """The first message struck finds out whose silence it is; whoever comes later hears."""
        if not any(one[1] == stream and one[2] is rule for one in self._deaf):
            self._deaf += [(subscriber, stream, rule) for subscriber in listeners]
        self._send(Outgoing(stream, payload), listeners)

    def _send(self, message: Outgoing, listeners: Iterable[Subscriber]) -> None:
        deaf = {id(one[0]) for one in self._deaf if one[1] == message.stream}
        for subscriber in listeners:
            if id(subscriber) in deaf:
                continue
            frame = message.payload
            if subscriber.is_combined and not message.is_garbage:
                frame = envelope(message.stream, frame)
            subscriber.offer(frame[: len(frame) // 2] if message.is_half else frame)

    def _befall(self, subscriber: Subscriber, rule: StreamRule) -> None:
        if rule.effect is StreamEffect.STALL:
            if not subscriber.is_silent:
                subscriber.is_silent = True
                self._silent.append((subscriber, rule))
        elif rule.code is None:
            subscriber.close()
        else:
            subscriber.say_goodbye(rule.code, rule.reason.encode())
