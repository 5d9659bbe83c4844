"""What may be asked of `/sim`: one model per body or query, bounded in every direction.

Unknown names are refused by name. Times are market time.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, IPvAnyAddress, model_validator

from services.paper_exchange.clock import SPEED_MAX
from services.paper_exchange.wire.authentication import Permission
from services.paper_exchange.wire.signing import PEM_CHARACTERS_MAX, KeyType, PublicKey

DAY_MS: Final = 86_400_000
LAG_MS_MAX: Final = 600_000
TIME_NS_MAX: Final = 2**63 - 1
SEQUENCE_MAX: Final = 2**53 - 1
LOG_ROWS_MAX: Final = 10_000
LEVELS_MAX: Final = 1_000
MONEY_MAX: Final = Decimal(10**12)
ACCOUNT_ID: Final = r"^[A-Za-z0-9_-]{1,36}$"
SYMBOL: Final = r"^[^\s\x00-\x1f]{1,40}$"


def _text(value: object) -> object:
    """Refuse numbers and flags where an address is written."""
    if not isinstance(value, str):
        raise ValueError("it is no text")  # noqa: TRY004 - pydantic makes a refusal of a ValueError
    return value


class Asked(BaseModel):
    """A request: frozen, and without names we do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AccountRequest(Asked):
    """POST /sim/accounts: a fresh account, or a further key (and deposit) for an existing one.

    `public_key` is the public half, in PEM, of an RSA or ED25519 key; the private half never comes
    here. `ip_addresses` are those the key may be used from, everywhere where none are named.
    """

    balance: Decimal | None = Field(default=None, ge=0, le=MONEY_MAX, decimal_places=8)
    key_type: KeyType = KeyType.HMAC
    permissions: frozenset[Permission] = frozenset(Permission)
    account_id: str | None = Field(default=None, pattern=ACCOUNT_ID)
    public_key: str | None = Field(default=None, max_length=PEM_CHARACTERS_MAX)
    ip_addresses: frozenset[Annotated[IPvAnyAddress, BeforeValidator(_text)]] = Field(
        default=frozenset(), max_length=30
    )

    @model_validator(mode="after")
    def _key_is_of_its_type(self) -> AccountRequest:
        if (self.key_type is KeyType.HMAC) != (self.public_key is None):
            raise ValueError("RSA and ED25519 keys, and no others, come with their `public_key`")
        if self.public_key is not None and PublicKey(self.public_key).key_type != self.key_type:
            raise ValueError(f"the public key is not one of {self.key_type.value}")
        return self


class GrantRequest(Asked):
    """POST /sim/clock: what is not sent stays as it is; `limit_ns` null takes the limit away."""

    speed: Decimal | None = Field(
        default=None, ge=Decimal("0.000001"), le=SPEED_MAX, decimal_places=6
    )
    limit_ns: int | None = Field(default=None, ge=0, le=TIME_NS_MAX)


class LogQuery(Asked):
    """GET /sim/log: at most `limit` rows behind a sequence."""

    after: int = Field(default=0, ge=0, le=SEQUENCE_MAX)
    limit: int = Field(default=LOG_ROWS_MAX, ge=0, le=LOG_ROWS_MAX)


class BookQuery(Asked):
    """GET /sim/book: a symbol, and how many levels of each side."""

    symbol: str = Field(pattern=SYMBOL)
    limit: int = Field(default=20, ge=1, le=LEVELS_MAX)


OddNames = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=40)], ...], Field(max_length=100)
]


class ConditionsRequest(Asked):
    """POST /sim/conditions: what is not sent stays as it is.

    `query_lag_ms` and `algo_query_lag_ms`: how long a young order is not found (-2013).
    `clock_offset_ms`: how far the venue's own clock is off market time.
    `zero_tick_symbols`: whose tickSize is "0" in exchangeInfo; `odd_symbols`: names listed besides.
    """

    query_lag_ms: int | None = Field(default=None, ge=0, le=LAG_MS_MAX)
    algo_query_lag_ms: int | None = Field(default=None, ge=0, le=LAG_MS_MAX)
    clock_offset_ms: int | None = Field(default=None, ge=-DAY_MS, le=DAY_MS)
    zero_tick_symbols: OddNames | None = None
    odd_symbols: OddNames | None = None


class BanRequest(Asked):
    """POST /sim/bans: keep an address (the asker's where not said) out for so much market time."""

    for_ms: int = Field(ge=1, le=3 * DAY_MS)
    address: str | None = Field(default=None, max_length=64)


class PardonQuery(Asked):
    """DELETE /sim/bans: the address, the asker's where not said."""

    address: str | None = Field(default=None, max_length=64)


class UserStreamRequest(Asked):
    """POST /sim/user-stream: what befalls the user stream of an account.

    `stall` keeps it open and loses every event until `resume`; `close` cuts its sockets; `expire`
    ends the listen key with the event that says so.
    """

    account_id: str = Field(max_length=64)
    action: Literal["stall", "resume", "close", "expire"]


class SurpriseRequest(Asked):
    """POST /sim/surprises: the venue or the owner trades an account.

    Quantity and price: all and the best of the book where not said, for `liquidation` and `adl`;
    `manual_order` needs side and quantity, and is a LIMIT order where a price is said.
    """

    account_id: str = Field(max_length=64)
    symbol: str = Field(pattern=SYMBOL)
    kind: Literal["liquidation", "adl", "manual_order"]
    side: Literal["BUY", "SELL"] | None = None
    quantity: Decimal | None = Field(default=None, gt=0, le=MONEY_MAX, decimal_places=8)
    price: Decimal | None = Field(default=None, gt=0, le=MONEY_MAX, decimal_places=8)


class StatusRequest(Asked):
    """POST /sim/statuses: what may be done with a symbol from now on.

    With `SETTLING` and `CLOSE` the venue cancels all orders of the symbol and closes its positions
    at the mark price, as at a delisting.
    """

    symbol: str = Field(pattern=SYMBOL)
    status: Literal["TRADING", "TRADING_HALT", "TRADING_CANCEL_ONLY", "SETTLING", "CLOSE"]


class ScenarioRequest(Asked):
    """POST /sim/scenarios: start one of the scenarios that ship, by its name."""

    name: str = Field(pattern=r"^[a-z0-9-]{1,40}$")


class NoQuery(Asked):
    """A request that takes nothing."""
