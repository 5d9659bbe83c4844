"""Secrets named by the configuration, and a venue client made with them.

Outside paper mode a secret file that others may read is refused.
"""

import random
from pathlib import Path

from libs.common.runtime.clock import Clock
from libs.common.runtime.config import CommonConfig, Mode, OrderTransport
from libs.common.runtime.secret import PRIVATE_MODE_BITS, Secret, SecretError, secret_from_file
from libs.common.runtime.venue_client import VenueClient
from libs.common.runtime.venue_socket import VenueSocket
from libs.common.runtime.venue_transport import VenueLimits
from libs.common.venue.budget import BudgetLimits


def load_secret(common: CommonConfig, setting: str, path: Path | None) -> Secret:
    """The secret a setting names the file of.

    Raises:
        SecretError: the setting is empty, or the file is missing, malformed or open to others.
    """
    if path is None:
        raise SecretError(f"{setting} is not set: name the file that holds it")
    bits = 0 if common.mode is Mode.PAPER else PRIVATE_MODE_BITS
    return secret_from_file(path, name=setting, forbidden_mode_bits=bits)


def load_venue_key(
    common: CommonConfig, section: str, key_file: Path | None, secret_file: Path | None
) -> tuple[Secret, Secret]:
    """The key and the secret that a section names the files of.

    Raises:
        SecretError: as for ``load_secret``, or one of them stands in both files.
    """
    key = load_secret(common, f"{section}.api_key_file", key_file)
    secret = load_secret(common, f"{section}.api_secret_file", secret_file)
    if key == secret:
        raise SecretError(
            f"{section}.api_key_file and {section}.api_secret_file hold the same: put the key into"
            " the one and its secret into the other"
        )
    return key, secret


def open_venue(
    common: CommonConfig,
    clock: Clock,
    section: str,
    *,
    key_file: Path | None,
    secret_file: Path | None,
    budget: BudgetLimits | None = None,
    order_dice: random.Random | None = None,
) -> VenueClient:
    """A client that signs with the key and secret of a service's section.

    With `order_dice` (for the waits between attempts to connect) orders travel as
    `venue.order_transport` says; without, the client speaks REST only.

    Raises:
        SecretError: as for ``load_secret``; nothing starts with half a key.
    """
    loaded_key, secret = load_venue_key(common, section, key_file, secret_file)
    key = loaded_key.reveal()
    socket = None
    if order_dice is not None and common.venue.order_transport is OrderTransport.WEBSOCKET:
        url = common.venue.order_socket_url or f"{common.venue.stream_url}/ws-fapi/v1"
        socket = VenueSocket(url, api_key=key, api_secret=secret, dice=order_dice)
        socket.start()
    return VenueClient(
        common.venue.rest_url,
        clock.now_ns,
        api_key=key,
        api_secret=secret,
        limits=venue_limits(common, budget),
        order_socket=socket,
    )


def venue_limits(common: CommonConfig, budget: BudgetLimits | None = None) -> VenueLimits:
    """The bounds of a venue client, from the configuration."""
    return VenueLimits(
        request_timeout_ms=common.venue.request_timeout_ms,
        recv_window_ms=common.venue.recv_window_ms,
        connections_max=common.venue.connections_max,
        budget=budget or BudgetLimits(),
    )
