"""One endpoint of the signed REST API: its handler, what it demands of its caller, its cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from services.paper_exchange.state.accounts import Account
from services.paper_exchange.state.venue_state import VenueState
from services.paper_exchange.wire.authentication import Security
from services.paper_exchange.wire.parameters import Parameters

Body = Mapping[str, object] | list[dict[str, object]]
Handler = Callable[[VenueState, Account, Parameters, int], Body]


class Endpoint(NamedTuple):
    """One endpoint.

    `weight` counts where the request names a symbol, `weight_without_symbol` where it does not.
    The answer of one that `counts_orders` carries the order-count headers.
    """

    handler: Handler
    security: Security
    weight: int
    weight_without_symbol: int = 0
    counts_orders: bool = False

    def weight_of(self, parameters: Parameters) -> int:
        """The request weight of one request."""
        if self.weight_without_symbol and "symbol" not in parameters:
            return self.weight_without_symbol
        return self.weight


Endpoints = dict[tuple[str, str], Endpoint]
"""Endpoints by method and path."""
