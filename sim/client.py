"""The real venue client of a process, with nothing replaced but the wire."""

from types import SimpleNamespace
from typing import Any, ClassVar

from libs.common.runtime.clock import Clock
from libs.common.runtime.secret import Secret
from libs.common.runtime.venue_client import VenueClient
from libs.common.runtime.venue_http import Look
from libs.common.runtime.venue_transport import _ORDER_PATHS as ORDER_PATHS
from libs.common.runtime.venue_transport import VenueLimits
from libs.common.venue.outcomes import Outcome, classify, lost, not_sent
from sim.loop import Life
from sim.venue import NS_PER_MS, Reply, Venue

BASE_URL = "http://venue.sim"


class SimVenueClient(VenueClient):
    """Signs, encodes and classifies as in life; its bytes go to a venue in memory."""

    _pinned: ClassVar[dict[str, str]] = {}

    def __init__(  # the parameters of a process, not of a network
        self,
        venue: Venue,
        life: Life,
        clock: Clock,
        *,
        key: str,
        secret: str,
        limits: VenueLimits,
        **observers: Any,
    ) -> None:
        self._venue = venue
        self._life = life
        self._key = key
        super().__init__(
            BASE_URL,
            clock.now_ns,
            api_key=key,
            api_secret=Secret(secret),
            limits=limits,
            **observers,
        )

    def _pin_urls(self) -> None:
        """Look through the library's thousand names once, not at every restart."""
        pinned = SimVenueClient._pinned
        if not pinned:
            super()._pin_urls()
            pinned.update(
                {name: value for name, value in vars(self).items() if name.endswith("_URL")}
            )
        self.__dict__.update(pinned)
        self.ws_api = self.ws_future = None

    def _init_session(self) -> Any:
        return SimpleNamespace(closed=False)

    async def close_connection(self) -> None:
        """Nothing is open."""
        self.session.closed = True

    async def _send(
        self,
        verb: str,
        uri: str,
        path: str,
        wire_form: str,
        timeout_ms: int,
        last_look: Look | None = None,
    ) -> Outcome:
        if self.session.closed:
            return not_sent("this client was closed")
        why_not = last_look() if last_look is not None else ""
        if why_not:
            return not_sent(why_not)
        reply = self._venue.loop.create_future()
        if not self._life.is_dead:
            self._venue.ask(
                self._life, verb, path, wire_form, self._key, timeout_ms * NS_PER_MS, reply
            )
        try:
            found: Reply = await reply
        except ConnectionRefusedError:
            return not_sent("ConnectionRefusedError")
        except TimeoutError:
            return lost(f"no answer within {timeout_ms} ms")
        except ConnectionError as error:
            return lost(type(error).__name__)
        is_order = verb != "GET" and path.rpartition("/")[2] in ORDER_PATHS
        return classify(found.status, found.body, found.headers, is_order=is_order)
