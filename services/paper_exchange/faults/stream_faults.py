"""Faults of market streams: silence, gaps, doubles, delays, nonsense, and sockets that are closed.

Pure: `pass_on` takes one message somebody listens to and says what goes out instead, and what
befalls the sockets; `due` gives what was held back long enough. A shell sends, silences and closes.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Sequence
from decimal import Decimal
from enum import Enum
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from pydantic import Field, TypeAdapter, model_validator

from services.paper_exchange.faults.rule_book import (
    DELAY_MS_MAX,
    RULES_MAX,
    RuleBook,
    StrikingRule,
)

NS_PER_MS: Final = 1_000_000
REORDER_MS_MAX: Final = 1_000
"""How long a message waits for a later one to overtake it, where the rule says nothing."""
HELD_MAX: Final = 100_000
"""Messages held back at once; past it they are passed on at once instead."""
GARBAGE: Final = b"\x00upstream connect error or disconnect/reset before headers"
OTHER_SYMBOLS: Final = ("ETHUSDT", "BTCUSDT")
DIFF_DEPTH: Final = re.compile(r"[^@]+@depth(@\d+ms)?")
CANDLES: Final = re.compile(r"[^@]+@(k|continuousK)line_.+")
OURS: Final = "@sim"
"""End of the names of our own streams, which no rule strikes: tests live by them."""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, object]).decode


class StreamEffect(Enum):
    """What happens to a message, or to the sockets that listen to its stream.

    `stall` is silence with the connection alive, by `scope` of the stream, of the subscriptions
    that it has now (who subscribes later hears it), or of the whole socket;
    `close` ends the sockets, without a word or with `code`. `pu_gap` loses a diff depth message,
    so that the next one's pu is not the u received before. `corrected_bar` says a closed candle a
    second time with other values. `garbage` is no JSON, `half_frame` half of it.
    """

    STALL = "stall"
    CLOSE = "close"
    DROP = "drop"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    DELAY = "delay"
    GARBAGE = "garbage"
    HALF_FRAME = "half_frame"
    WRONG_SYMBOL = "wrong_symbol"
    PU_GAP = "pu_gap"
    CORRECTED_BAR = "corrected_bar"


class StreamRule(StrikingRule):
    """One rule: streams by name (`*` stands for anything), when it strikes, and what it does.

    `btcusdt@depth*` is a pattern; `symbol` narrows it further. The rule is awake from `after_ms`
    until `for_ms` later, in market time since it was set; without `for_ms` until it is replaced.
    `delay_ms` is market time. A `close` with `code` is a proper close frame with `reason`.
    `closed_only` spares everything but closed candles; `as_symbol` is what `wrong_symbol` says.
    """

    stream: str = Field(default="*", min_length=1, max_length=100, pattern=r"^[!-~]+$")
    symbol: str | None = Field(default=None, max_length=40)
    effect: StreamEffect
    scope: Literal["stream", "subscription", "socket"] = "stream"
    closed_only: bool = False
    as_symbol: str | None = Field(default=None, min_length=1, max_length=40)
    delay_ms: int = Field(default=0, ge=0, le=DELAY_MS_MAX)
    after_ms: int = Field(default=0, ge=0, le=86_400_000)
    for_ms: int | None = Field(default=None, ge=1, le=86_400_000)
    code: int | None = Field(default=None, ge=1000, le=4999)
    reason: str = Field(default="", max_length=100)

    @model_validator(mode="after")
    def _is_whole(self) -> StreamRule:
        if self.effect is StreamEffect.DELAY and not self.delay_ms:
            raise ValueError("a delay needs `delay_ms`")
        if self.effect is not StreamEffect.CLOSE and (self.code is not None or self.reason):
            raise ValueError("`code` and `reason` are for `close`")
        if self.code in (1004, 1005, 1006) or (self.code or 3000) in range(1015, 3000):
            raise ValueError("`code` is one that no close frame may carry")
        if self.reason and self.code is None:
            raise ValueError("a `reason` needs a `code`")
        if self.scope != "stream" and self.effect is not StreamEffect.STALL:
            raise ValueError("a `scope` other than stream is for `stall`")
        if self.as_symbol is not None and self.effect is not StreamEffect.WRONG_SYMBOL:
            raise ValueError("`as_symbol` is for `wrong_symbol`")
        return self


StreamRules = TypeAdapter(Annotated[list[StreamRule], Field(max_length=RULES_MAX)])


class Outgoing(NamedTuple):
    """A message to send: its payload, or the bytes that go out whatever the envelope.

    `is_half` sends half of the frame.
    """

    stream: str
    payload: bytes
    is_half: bool = False
    is_garbage: bool = False


class Verdict(NamedTuple):
    """What becomes of one message: what goes out, and the rule that strikes its sockets."""

    messages: Sequence[Outgoing]
    sockets: StreamRule | None = None


class StreamFaults(RuleBook[StreamRule]):
    """The rules in force and the messages held back, which come even after rules are replaced."""

    def __init__(self) -> None:
        super().__init__()
        self._since_ns = 0
        self._late: list[tuple[int, int, Outgoing]] = []
        self._overtaken: dict[str, list[tuple[int, Outgoing]]] = {}
        self._sequence = 0

    def set_rules_at(self, rules: Sequence[StreamRule], now_ns: int) -> None:
        """Replace all rules; their times count from `now_ns`."""
        self.set_rules(rules)
        self._since_ns = now_ns

    @property
    def is_idle(self) -> bool:
        """Whether there is neither a rule nor a message held back."""
        return not (self.has_rules or self._late or self._overtaken)

    def is_awake(self, rule: StreamRule, now_ns: int) -> bool:
        """Whether a rule of those in force can strike now."""
        awake_ns = self._since_ns + rule.after_ms * NS_PER_MS
        return awake_ns <= now_ns and (
            rule.for_ms is None or now_ns < awake_ns + rule.for_ms * NS_PER_MS
        )

    def pass_on(self, stream: str, payload: bytes, now_ns: int) -> Verdict:
        """What goes out for one message, behind what is `due`."""
        sent = Outgoing(stream, payload)
        if stream.endswith(OURS) or not self.has_rules:
            return Verdict([sent])
        rule = self.judge(
            lambda rule: _concerns(rule, stream, payload) and self.is_awake(rule, now_ns)
        )
        if rule is None:
            return Verdict([sent, *self._let_overtaken(stream)])
        self.struck[rule.effect.value] += 1
        if rule.effect is StreamEffect.CLOSE or rule.scope != "stream":
            return Verdict([], rule)
        return Verdict(self._suffer(rule, sent, now_ns))

    def due(self, now_ns: int) -> list[Outgoing]:
        """What has been held back long enough."""
        out: list[Outgoing] = []
        while self._late and self._late[0][0] <= now_ns:
            out.append(heapq.heappop(self._late)[2])
        for stream, held in list(self._overtaken.items()):
            if held[0][0] <= now_ns:
                out += self._let_overtaken(stream)
        return out

    def _suffer(self, rule: StreamRule, sent: Outgoing, now_ns: int) -> list[Outgoing]:
        match rule.effect:
            case StreamEffect.DUPLICATE:
                return [sent, *self._let_overtaken(sent.stream), sent]
            case StreamEffect.DELAY:
                return self._hold(sent, now_ns + rule.delay_ms * NS_PER_MS)
            case StreamEffect.REORDER:
                due_ns = now_ns + (rule.delay_ms or REORDER_MS_MAX) * NS_PER_MS
                self._overtaken.setdefault(sent.stream, []).append((due_ns, sent))
                return []
            case StreamEffect.GARBAGE:
                return [sent._replace(payload=GARBAGE, is_garbage=True)]
            case StreamEffect.HALF_FRAME:
                return [sent._replace(is_half=True)]
            case StreamEffect.WRONG_SYMBOL:
                return [sent._replace(payload=_of_another(sent.payload, rule.as_symbol))]
            case StreamEffect.CORRECTED_BAR:
                corrected = sent._replace(payload=_corrected(sent.payload))
                return [sent, *self._hold(corrected, now_ns + rule.delay_ms * NS_PER_MS)]
        return []  # dropped, stalled, or the gap itself

    def _hold(self, message: Outgoing, due_ns: int) -> list[Outgoing]:
        if len(self._late) >= HELD_MAX:
            return [message]
        self._sequence += 1
        heapq.heappush(self._late, (due_ns, self._sequence, message))
        return []

    def _let_overtaken(self, stream: str) -> list[Outgoing]:
        return [message for _, message in self._overtaken.pop(stream, ())]


def _concerns(rule: StreamRule, stream: str, payload: bytes) -> bool:
    """Whether a rule is about this message at all."""
    if not fnmatchcase(stream, rule.stream):
        return False
    if rule.symbol is not None and not stream.startswith(f"{rule.symbol.lower()}@"):
        return False
    if rule.closed_only and not _is_closed_candle(stream, payload):
        return False
    match rule.effect:
        case StreamEffect.PU_GAP:
            return DIFF_DEPTH.fullmatch(stream) is not None
        case StreamEffect.CORRECTED_BAR:
            return _is_closed_candle(stream, payload)
        case StreamEffect.WRONG_SYMBOL:
            return payload.startswith(b"{") and b'"s":' in payload
    return True


def _is_closed_candle(stream: str, payload: bytes) -> bool:
    return CANDLES.fullmatch(stream) is not None and b'"x":true' in payload


def _of_another(payload: bytes, as_symbol: str | None) -> bytes:
    said = _decode(payload)
    other = as_symbol or next(symbol for symbol in OTHER_SYMBOLS if symbol != said.get("s"))
    if "s" in said:
        said["s"] = other
    for name in ("k", "o"):
        part = said.get(name)
        if isinstance(part, dict) and "s" in part:
            said[name] = part | {"s": other}
    return _encode(said)


def _corrected(payload: bytes) -> bytes:
    """The same candle closed a tick of its last digit higher, with a little more volume."""
    said = _decode(payload)
    bar = said["k"]
    assert isinstance(bar, dict), "only candles are corrected"
    close = _next_digit(str(bar["c"]))
    high = close if Decimal(close) > Decimal(bar["h"]) else bar["h"]
    said["k"] = bar | {"c": close, "h": high, "v": _next_digit(str(bar["v"]))}
    return _encode(said)


def _next_digit(text: str) -> str:
    """The number one unit of its last digit higher, written to as many digits."""
    number = Decimal(text)
    exponent = number.as_tuple().exponent
    return f"{number + Decimal(1).scaleb(int(exponent)):f}"
