"""One endpoint of the signed REST API: its handler, what it demands of its caller, its cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.venue_state import VenueState
from services.paper_exchange.wire.authentication import ApiKey, Security
from services.paper_exchange.wire.parameters import Parameters

Body = Mapping[str, object] | list[dict[str, object]]
Handler = Callable[[VenueState, Account, Parameters, int], Body]
KeyReport = Callable[[ApiKey], Body]


class Endpoint(NamedTuple):
    """One endpoint.

    `weight` counts where the request names a symbol, `weight_without_symbol` where it does not.
    The answer of one that `counts_orders` carries the order-count headers. `key_report` answers in
    place of `handler` where the question is about the asker's key.
    """

    handler: Handler | None
    security: Security
    weight: int
    weight_without_symbol: int = 0
    counts_orders: bool = False
    key_report: KeyReport | None = None

    def weight_of(self, parameters: Parameters) -> int:
        """The request weight of one request."""
        if self.weight_without_symbol and "symbol" not in parameters:
            return self.weight_without_symbol
        return self.weight


Endpoints = dict[tuple[str, str], Endpoint]
"""Endpoints by method and path."""
