"""The door that strangers knock at: proposed intents from any producer, in any language.

Nothing is guessed or coerced. Decimals are strings of plain digits, so that no producer's floating
point, exponent, NaN or infinity gets in; a field too many is as wrong as a field too few.
"""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from libs.common.messages.codec import UndecodableError
from libs.common.messages.envelope import SCHEMA_VERSION
from libs.common.messages.intents import ProposedIntent
from libs.common.model.ids import INTENT_ID_PATTERN
from libs.common.model.intent import Intent, Purpose
from libs.common.model.money import ZERO
from libs.common.model.order import OrderType, Side, TimeInForce
from libs.common.model.settings import Symbol

#: Twelve digits before the point and twelve behind it hold any price or quantity of the venue.
_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
FAULTS_SHOWN_MAX = 5
#: Anything before 2001 or after 2100 is not nanoseconds.
TS_NS_MIN = 1_000_000_000 * 10**9
TS_NS_MAX = 4_102_444_800 * 10**9


def _parse_figure(value: object) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if not isinstance(value, str):
        raise ValueError(f"must be a decimal in a string, not {type(value).__name__}")  # noqa: TRY004
    if not _DECIMAL.fullmatch(value):
        raise ValueError("must be plain digits like '0.001': no sign, exponent, NaN or infinity")
    return Decimal(value)


def _above_zero(value: Decimal) -> Decimal:
    if value <= ZERO:
        raise ValueError("must be above zero")
    return value


def _probability(value: Decimal) -> Decimal:
    if value > 1:
        raise ValueError("must be between 0 and 1")
    return value


_Positive = Annotated[Decimal, BeforeValidator(lambda value: _above_zero(_parse_figure(value)))]
_Probability = Annotated[Decimal, BeforeValidator(lambda value: _probability(_parse_figure(value)))]
_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]
_Ts = Annotated[int, Field(ge=TS_NS_MIN, le=TS_NS_MAX)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _IntentDoor(_Strict):
    intent_id: str = Field(pattern=INTENT_ID_PATTERN)
    strategy_id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    parameter_hash: str = Field(pattern=r"^[A-Za-z0-9_-]{0,64}$")
    symbol: Symbol
    side: Side
    purpose: Purpose
    order_type: OrderType
    reference_price: _Positive
    candle_id: _Id
    created_at_ns: _Ts
    expires_at_ns: _Ts
    caused_wall_ns: int = Field(0, ge=0, le=TS_NS_MAX)
    model_hash: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    quantity: _Positive | None = None
    price: _Positive | None = None
    time_in_force: TimeInForce | None = None
    good_till_ms: int | None = Field(None, ge=TS_NS_MIN // 10**6, le=TS_NS_MAX // 10**6)
    stop_price: _Positive | None = None
    target_price: _Positive | None = None
    confidence: _Probability | None = None

    @model_validator(mode="after")
    def _fields_agree(self) -> "_IntentDoor":
        if self.expires_at_ns <= self.created_at_ns:
            raise ValueError("expires_at_ns must be after created_at_ns")
        is_limit = self.order_type is OrderType.LIMIT
        if is_limit and (self.price is None or self.time_in_force is None):
            raise ValueError("a LIMIT order needs price and time_in_force")
        if not is_limit and (self.price is not None or self.time_in_force is not None):
            raise ValueError("a MARKET order takes neither price nor time_in_force")
        if (self.time_in_force is TimeInForce.GTD) != (self.good_till_ms is not None):
            raise ValueError("good_till_ms belongs to time_in_force GTD, and to no other")
        return self


class _ProposedDoor(_Strict):
    message_id: _Id
    causation_id: _Id
    correlation_id: _Id
    ts_event_ns: _Ts
    ts_published_ns: int = Field(ge=0, le=TS_NS_MAX)
    source: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    schema_: int = Field(SCHEMA_VERSION, alias="schema", ge=SCHEMA_VERSION, le=SCHEMA_VERSION)
    intent: _IntentDoor


def read_proposed(payload: bytes, bytes_max: int) -> ProposedIntent:
    """Read and check a proposed intent.

    Args:
        bytes_max: longest payload that is looked at.

    Raises:
        UndecodableError: too long, no JSON, or a field is missing, unknown or wrong; names it.
    """
    if len(payload) > bytes_max:
        raise UndecodableError(f"{len(payload)} bytes, more than the {bytes_max} of an intent")
    try:
        door = _ProposedDoor.model_validate_json(payload)
    except ValidationError as error:
        raise UndecodableError(f"not a proposed intent: {_explain(error)}") from None
    return ProposedIntent(
        message_id=door.message_id,
        causation_id=door.causation_id,
        correlation_id=door.correlation_id,
        ts_event_ns=door.ts_event_ns,
        ts_published_ns=door.ts_published_ns,
        source=door.source,
        schema=door.schema_,
        intent=Intent(**dict(door.intent)),
    )


def _explain(error: ValidationError) -> str:
    """One clause per fault, with the field's name and never its value."""
    faults = error.errors(include_input=False, include_url=False, include_context=False)
    clauses = [
        ": ".join(filter(None, (".".join(str(part) for part in fault["loc"]), fault["msg"])))
        for fault in faults[:FAULTS_SHOWN_MAX]
    ]
    more = len(faults) - FAULTS_SHOWN_MAX
    return "; ".join([*clauses, f"and {more} more"] if more > 0 else clauses)
