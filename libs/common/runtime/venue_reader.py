"""How the venue is asked, and how its answers are read: the ground that named calls stand on."""

from typing import TypeVar

from libs.common.runtime.errors import PortcullisError
from libs.common.runtime.venue_http import Look
from libs.common.runtime.venue_transport import RequestParameters, VenueTransport
from libs.common.venue.outcome_table import Reason
from libs.common.venue.outcomes import Accepted, Outcome, Rejected, Unknown, describe
from libs.common.venue.payloads import PayloadError, ServerTime, decode_payload

T = TypeVar("T")


class VenueReadError(PortcullisError):
    """A read failed. `outcome` says how; an answer that could not be parsed is Unknown."""

    def __init__(self, what: str, outcome: Outcome) -> None:
        super().__init__(f"{what}: {describe(outcome)}")
        self.what = what
        self.outcome = outcome


class VenueReader(VenueTransport):
    """Calls by verb and path, and reads into a payload type."""

    async def _call(
        self,
        method: str,
        path: str,
        data: RequestParameters,
        *,
        signed: bool = True,
        version: int = 1,
        timeout_ms: int | None = None,
        last_look: Look | None = None,
    ) -> Outcome:
        uri = self._create_futures_api_uri(path, version=version)
        return await self._request(
            method, uri, signed, data=data, timeout_ms=timeout_ms, last_look=last_look
        )

    async def _find(self, path: str, kind: type[T], data: RequestParameters) -> T | None:
        try:
            return await self._read(path, kind, data, signed=True)
        except VenueReadError as error:
            outcome = error.outcome
            if isinstance(outcome, Rejected) and outcome.reason is Reason.NOT_FOUND:
                return None
            raise

    async def _read(
        self,
        path: str,
        kind: type[T],
        data: RequestParameters | None = None,
        *,
        signed: bool = False,
        version: int = 1,
    ) -> T:
        outcome = await self._call("get", path, data or {}, signed=signed, version=version)
        if signed and isinstance(outcome, Rejected) and outcome.reason is Reason.TIMESTAMP:
            # A clock was set, ours or the venue's: no read would be answered until it is measured.
            await self.sync_time()
            outcome = await self._call("get", path, data or {}, signed=signed, version=version)
        return parse_answer(f"GET {path}", outcome, kind)

    # -- the clock that requests are signed by ---------------------------------------------------

    async def server_time(self) -> int:
        """GET time: the venue's clock in milliseconds."""
        return (await self._read("time", ServerTime)).server_time_ms

    async def sync_time(self) -> int:
        """Measure the venue's clock against ours and return the new `offset_ms`.

        Of several samples the one with the shortest round trip counts; the venue is taken to have
        read its clock half way. Raises VenueReadError when a sample fails.
        """
        best: tuple[int, int] | None = None
        for _ in range(self.limits.clock_samples):
            before = self._now_ns()
            server_ms = await self.server_time()
            after = self._now_ns()
            sample = (after - before, server_ms - (before + after) // 2_000_000)
            if after >= before and (best is None or sample < best):
                best = sample
        if best is None:
            raise VenueReadError("GET time", Unknown("our clock ran backwards"))
        self.timestamp_offset = best[1]
        return best[1]


def parse_answer(what: str, outcome: Outcome, kind: type[T]) -> T:
    """Return the payload of an accepted call; raises VenueReadError for anything else."""
    if not isinstance(outcome, Accepted):
        raise VenueReadError(what, outcome)
    try:
        return decode_payload(outcome.body, kind)
    except PayloadError as error:
        raise VenueReadError(what, Unknown(str(error), outcome.status)) from None
