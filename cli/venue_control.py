"""What the runner asks of the paper exchange's `/sim` doors: time, accounts, accounting."""

import asyncio
from decimal import Decimal
from typing import Any

import aiohttp
import msgspec

from cli import exits

REQUEST_TIMEOUT_S = 5.0


class VenueTime(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's clock: see the time section of ARCHITECTURE.md."""

    now_ns: int
    speed: str
    limit_ns: int | None
    source_ended: bool


class NewAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A key of a simulated account. The secret opens nothing but the simulation."""

    account_id: str
    api_key: str
    secret: str
    permissions: list[str]

    def __repr__(self) -> str:
        return f"NewAccount({self.account_id}, ***)"


class VenueControl:
    """A client of one paper exchange. Every method raises CommandFailed when it does not answer."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = aiohttp.ClientSession(
            url, timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def clock(self) -> VenueTime:
        """Market time now."""
        return msgspec.json.decode(await self._ask("GET", "/sim/clock"), type=VenueTime)

    async def set_limit(self, limit_ns: int | None) -> VenueTime:
        """Let market time flow up to the limit; ``None``: without one."""
        body = await self._ask("POST", "/sim/clock", {"limit_ns": limit_ns})
        return msgspec.json.decode(body, type=VenueTime)

    async def create_account(
        self, balance: Decimal, permissions: list[str], account_id: str | None = None
    ) -> NewAccount:
        """Open an account with this balance, or make another key for one that is there."""
        wish: dict[str, object] = {"key_type": "HMAC", "permissions": permissions}
        if account_id is None:
            wish["balance"] = str(balance)
        else:
            wish["account_id"] = account_id  # a balance here would be a further deposit
        body = await self._ask("POST", "/sim/accounts", wish)
        return msgspec.json.decode(body, type=NewAccount)

    async def facts(self, path: str) -> dict[str, Any]:
        """Any other `/sim` answer."""
        answer = msgspec.json.decode(await self._ask("GET", path))
        assert isinstance(answer, dict), path
        return answer

    async def _ask(self, method: str, path: str, wish: object = None) -> bytes:
        try:
            async with self._session.request(
                method,
                path,
                data=None if wish is None else msgspec.json.encode(wish),
                headers={"Content-Type": "application/json"},
            ) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise exits.CommandFailed(
                f"the paper exchange at {self.url} does not answer: {type(error).__name__}",
                exits.NOT_AVAILABLE,
            ) from error
        if answer.status != 200:
            raise exits.CommandFailed(
                f"{method} {path} at the paper exchange: {answer.status} {body[:200]!r}"
            )
        return body


async def wait_until_listening(url: str, timeout_ms: int) -> None:
    """Return once something answers there.

    Raises:
        CommandFailed: nothing did within the time.
    """
    control = VenueControl(url)
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            while True:
                try:
                    await control.clock()
                except exits.CommandFailed:
                    await asyncio.sleep(0.02)
                else:
                    return
    except TimeoutError:
        raise exits.CommandFailed(
            f"the paper exchange does not answer at {url}", exits.TIMED_OUT
        ) from None
    finally:
        await control.close()
