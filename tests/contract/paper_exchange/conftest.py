"""The paper exchange as a stranger meets it: a process on a port of this machine."""

import asyncio
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import aiohttp
import pytest
import pytest_asyncio

ROOT = Path(__file__).resolve().parents[3]
STOP_TIMEOUT_S = 10


@dataclass(frozen=True)
class RunningVenue:
    """A running venue; ``pid`` is there for tests that stop it."""

    url: str
    pid: int


def start_venue(*options: str) -> tuple[subprocess.Popen[bytes], RunningVenue]:
    """Start the process on a free port and wait for the line that names it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "services.paper_exchange", "--port", "0", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONSAFEPATH": "", "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    for line in process.stdout:
        said = json.loads(line)
        if said["event"] == "listening":
            return process, RunningVenue(f"http://127.0.0.1:{said['port']}", process.pid)
    raise RuntimeError(f"the venue ended with {process.wait()} before it listened")


def stop_venue(process: subprocess.Popen[bytes]) -> int:
    """Ask for the end, take no longer than allowed, and return the exit code."""
    process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    return process.returncode


@pytest.fixture(scope="module")
def running_venue() -> Iterator[RunningVenue]:
    process, venue = start_venue("--seed", "7")
    try:
        yield venue
    finally:
        stop_venue(process)


@dataclass(frozen=True)
class Answer:
    """Status, headers and body, the body's keys in the order they came."""

    status: int
    headers: dict[str, str]
    body: object

    @property
    def code(self) -> int:
        """The venue's code of a refusal."""
        assert isinstance(self.body, dict)
        return int(self.body["code"])


class Customer:
    """A client of nothing but the standard library and aiohttp, with a fresh account's key."""

    def __init__(self, session: aiohttp.ClientSession, url: str, account: dict) -> None:
        self.session = session
        self.url = url
        self.account = account

    async def call(self, method: str, path: str, *, signed=True, body=False, **parameters):
        """Send a request, signed over exactly the bytes sent; parameters in query or body."""
        if signed:
            clock = await self.session.get(self.url + "/fapi/v1/time")
            parameters["timestamp"] = (await clock.json())["serverTime"]
        raw = urlencode(parameters)
        if signed:
            secret = self.account["secret"].encode()
            raw += "&signature=" + hmac.new(secret, raw.encode(), hashlib.sha256).hexdigest()
        url = self.url + path + ("" if body or not raw else f"?{raw}")
        headers = {"X-MBX-APIKEY": self.account["api_key"]}
        data = raw.encode() if body else None
        async with self.session.request(method, url, headers=headers, data=data) as response:
            return Answer(response.status, dict(response.headers), await response.json())

    async def clock_offset_ms(self) -> int:
        """The venue's clock less ours: on a busy machine the market may trail the wall."""
        answer = await self.call("GET", "/fapi/v1/time", signed=False)
        return int(answer.body["serverTime"]) - int(time.time() * 1000)

    async def sim(self, method: str, path: str, body: object = None) -> dict:
        """Ask the simulation itself."""
        async with self.session.request(method, self.url + path, json=body) as response:
            return await response.json()


def open_account(url: str, **options: object) -> dict:
    """Return a fresh account with its key and secret."""
    request = Request(f"{url}/sim/accounts", json.dumps(options).encode(), method="POST")
    with urlopen(request) as response:
        return json.load(response)


@pytest_asyncio.fixture
async def customer(running_venue: RunningVenue) -> AsyncIterator[Customer]:
    account = await asyncio.to_thread(open_account, running_venue.url)
    async with aiohttp.ClientSession() as session:
        yield Customer(session, running_venue.url, account)


@dataclass
class Launcher:
    """Starts further venues; the ones a test does not stop itself are stopped for it."""

    processes: list[subprocess.Popen[bytes]]

    def start(self, *options: str) -> RunningVenue:
        """Start a venue with these options."""
        process, venue = start_venue(*options)
        self.processes.append(process)
        return venue

    def stop(self) -> int:
        """Stop the newest venue and return its exit code."""
        return stop_venue(self.processes.pop())


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    launcher = Launcher([])
    yield launcher
    while launcher.processes:
        launcher.stop()


@pytest.fixture(scope="module")
def venue_starter():
    """How to start and stop a venue, for fixtures of a module's own."""
    return start_venue, stop_venue


@pytest.fixture
def make_customer():
    """Makes a customer with a fresh account on a venue."""

    async def make(session: aiohttp.ClientSession, url: str) -> Customer:
        return Customer(session, url, await asyncio.to_thread(open_account, url))

    return make
