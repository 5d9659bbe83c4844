"""Clients that hand the venue's JSON through: one vocabulary of operations for all of them.

What a check asks for by operation, a driver maps to its client's own method; signing, encoding,
parsing and exceptions stay the client's.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

from conformance.driver import Failed, Venue, capability

Method = str | Callable[..., Any]
Make = Callable[[Mapping[str, Any]], Any]


class PlainClient:
    """One client with the keys of one account.

    A sync client that runs event loops of its own is given a thread, in which it is made and used.
    """

    def __init__(
        self,
        make: Make,
        methods: Mapping[str, Method],
        error: type[Exception],
        venue: Venue,
        thread: Executor | None = None,
    ) -> None:
        self._make = make
        self._methods = methods
        self.error = error
        self.venue = venue
        self._thread = thread
        self._opened: list[Any] = []
        self.account: Mapping[str, Any] = venue.account
        self.client: Any = None

    def open(self, account: Mapping[str, Any]) -> PlainClient:
        """A client with the keys of this account; it ends with the one that opened it."""
        other = PlainClient(self._make, self._methods, self.error, self.venue, self._thread)
        other.account = account
        if self._thread is None:
            other.client = self._make(account)
        else:
            other.client = self._thread.submit(self._make, account).result()
        self._opened.append(other.client)
        return other

    def fresh(self, **options: object) -> PlainClient:
        """A client with an account of its own, for checks that change what others would see."""
        return self.open(self.venue.open_account(**options))

    async def __call__(self, operation: str, /, **parameters: Any) -> Any:
        """Ask for an operation with the venue's own parameter names."""
        method = self._methods[operation]
        if callable(method):
            call = functools.partial(method, self.client, **parameters)
        else:
            call = functools.partial(getattr(self.client, method), **parameters)
        if self._thread is None:
            answer = call()
        else:
            answer = await asyncio.get_running_loop().run_in_executor(self._thread, call)
        return await answer if inspect.isawaitable(answer) else answer

    async def close(self) -> None:
        """Close what was opened from here."""
        for client in self._opened:
            end = getattr(client, "close_connection", None)
            ended = end() if end is not None else None
            if inspect.isawaitable(ended):
                await ended


Check = Callable[[PlainClient], Any]


class Checks:
    """Checks by capability, registered for one client by `register`."""

    def __init__(self) -> None:
        self._checks: dict[str, tuple[Check, float]] = {}

    def add(self, name: str, timeout_s: float = 20.0) -> Callable[[Check], Check]:
        """Keep a check of a capability."""

        def keep(check: Check) -> Check:
            self._checks[name] = (check, timeout_s)
            return check

        return keep

    def register(self, client: PlainClient, absent: Mapping[str, str]) -> None:
        """Register every check for a client, but for what it is said not to have."""
        for name, (check, timeout_s) in self._checks.items():
            if name not in absent:
                capability(name, timeout_s)(_bind(check, client))


def _bind(check: Check, client: PlainClient) -> Callable[[], Any]:
    async def bound() -> None:
        if client.client is None:
            raise Failed("the client was never opened")
        await check(client)

    return bound
