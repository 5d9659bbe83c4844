"""Limits of risk set by people: as they are asked for, journaled, and told to everyone."""

import msgspec

from libs.common.messages.event import Event
from libs.common.model.risk_limits import NO_LIMITS, RiskLimits


class LimitsChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked for.

    Attributes:
        limits: those to set.
        released: names of those that go back to the configuration's.
        file: risk's configured limits, which none may pass.
        config_hash: of risk's configuration.
        may_loosen: who asks may; without, what would loosen by the time it is obeyed does not.
    """

    limits: RiskLimits = NO_LIMITS
    released: tuple[str, ...] = ()
    may_loosen: bool = False
    file: RiskLimits = NO_LIMITS
    config_hash: str = ""


class LimitsInForce(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What people have set; risk keeps to the tighter of this and its own configuration.

    Attributes:
        change: how many changes there were; an approval names the one it was decided under.
        set_at_ns: market time of the last one.
        key: its Idempotency-Key.
        keys: those of the last changes, the newest at the end: whoever asked for one knows by his
            that it was made, also where another change came right behind it.
        sequence: the command's place in its stream.
    """

    change: int = 0
    limits: RiskLimits = NO_LIMITS
    actor: str = ""
    reason: str = ""
    set_at_ns: int = 0
    key: str = ""
    keys: tuple[str, ...] = ()
    sequence: int = 0


class RiskLimitsSet(Event, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """A person set limits of risk while it ran.

    Attributes:
        before, after: what people had set, and have set now; not named: the configuration's.
        file: the configured limits as risk told them when it was asked.
        risk_config_hash: of the configuration they are in.
        change: the number of this change.
        command_sequence: place of the command in its stream.
    """

    actor: str
    reason: str
    key: str
    before: RiskLimits
    after: RiskLimits
    file: RiskLimits
    risk_config_hash: str
    change: int
    command_sequence: int
