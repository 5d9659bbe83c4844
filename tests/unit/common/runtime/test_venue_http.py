import asyncio
import gzip
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.common.runtime.venue_http import Flight, HttpConnections
from libs.common.runtime.venue_transport import VenueLimits
from libs.common.testing.scripted_venue import Answer, Heard, ScriptedVenue, answer, reset
from libs.common.testing.venue_calls import ACK, client_of, place
from libs.common.venue.outcome_table import Reason
from libs.common.venue.outcomes import Accepted, Rejected, Unknown


def connections(
    url: str, *, connections_max: int = 2, keepalive_ms: int = 30_000
) -> HttpConnections:
    return HttpConnections(
        url,
        {"X-MBX-APIKEY": "k"},
        connections_max=connections_max,
        keepalive_ms=keepalive_ms,
        response_bytes_max=100_000,
    )


def raw(text: bytes, *, closes: bool = False) -> Answer:
    async def write(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        if closes:
            await writer.drain()
            writer.close()

    return write


async def get(pool: HttpConnections, timeout_ms: int = 1_000) -> tuple[Flight, bytes | None]:
    flight = Flight()
    return flight, await pool.exchange(flight, "GET", "/fapi/v1/x", "a=1", timeout_ms)


async def peers_of(venue: ScriptedVenue, pool: HttpConnections, requests: int) -> int:
    """How many connections that many requests took."""
    for _ in range(requests):
        await get(pool)
    return len(venue.tasks)


async def test_a_connection_is_kept_and_used_again(venue: ScriptedVenue) -> None:
    pool = connections(venue.url)
    assert await peers_of(venue, pool, 3) == 1
    await pool.close()


async def test_a_connection_idle_for_too_long_is_not_used_again(venue: ScriptedVenue) -> None:
    pool = connections(venue.url, keepalive_ms=0)
    assert await peers_of(venue, pool, 2) == 2
    await pool.close()


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        b"HTTP/1.0 200 x\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_a_connection_that_is_over_or_says_too_much_is_dropped(
    venue: ScriptedVenue, text: bytes
) -> None:
    venue.default = raw(text)
    pool = connections(venue.url)
    assert await peers_of(venue, pool, 2) == 2
    await pool.close()


async def test_an_order_does_not_go_to_a_connection_the_venue_has_closed(
    venue: ScriptedVenue,
) -> None:
    async with client_of(venue.url) as client:
        venue.answers = [raw(_whole(ACK), closes=True)]
        assert isinstance(await place(client), Accepted)
        await asyncio.sleep(0.05)  # the end of the connection has arrived by now
        assert isinstance(await place(client), Accepted)
    assert len(venue.heard) == 2


def _whole(body: bytes) -> bytes:
    return b"HTTP/1.1 200 x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 x\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
        % (len(gzip.compress(b"{}", mtime=0)), gzip.compress(b"{}", mtime=0)),
    ],
)
async def test_every_way_to_frame_a_body_is_read(venue: ScriptedVenue, text: bytes) -> None:
    venue.default = raw(text)
    pool = connections(venue.url)
    flight, body = await get(pool)
    assert (flight.status, body) == (200, b"{}")
    await pool.close()


async def test_a_body_may_end_with_its_connection(venue: ScriptedVenue) -> None:
    venue.default = raw(b"HTTP/1.1 200 x\r\n\r\n{}", closes=True)
    pool = connections(venue.url)
    assert (await get(pool))[1] == b"{}"
    await pool.close()


async def test_a_body_without_a_length_that_stalls_is_late_not_whole(venue: ScriptedVenue) -> None:
    venue.default = raw(b"HTTP/1.1 200 x\r\n\r\n{}")
    pool = connections(venue.url)
    with pytest.raises(TimeoutError):
        await get(pool, timeout_ms=100)
    await pool.close()


async def test_a_small_answer_that_unpacks_to_a_large_one_is_cut_off(venue: ScriptedVenue) -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    venue.default = raw(
        b"HTTP/1.1 200 x\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
        % (len(bomb), bomb)
    )
    pool = connections(venue.url)
    assert (await get(pool))[1] is None
    await pool.close()


@pytest.mark.parametrize(
    "text", [b"hello\r\n\r\n", b"HTTP/1.1 two hundred\r\n\r\n", b"\x16\x03\x01\x00\x00\r\n\r\n"]
)
async def test_an_answer_that_is_no_http_is_unknown(venue: ScriptedVenue, text: bytes) -> None:
    venue.answers = [raw(text)]
    async with client_of(venue.url) as client:
        assert isinstance(await place(client), Unknown)
        assert isinstance(await place(client), Accepted)


async def test_no_more_connections_than_allowed_are_made(venue: ScriptedVenue) -> None:
    most = 0

    async def slow(heard: Heard, writer: asyncio.StreamWriter) -> None:
        nonlocal most
        most = max(most, len(pool._busy))
        await asyncio.sleep(0.01)
        await answer(200, b"{}")(heard, writer)

    venue.default = slow
    pool = connections(venue.url)
    await asyncio.gather(*(get(pool) for _ in range(9)))
    assert most == 2
    assert len(venue.tasks) == 2
    await pool.close()


async def test_a_request_that_is_given_up_frees_its_place(venue: ScriptedVenue) -> None:
    pool = connections(venue.url, connections_max=1)
    for _ in range(3):
        task = asyncio.create_task(get(pool))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert (await get(pool))[1] == ACK
    await pool.close()


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nb", "ü"])
async def test_a_header_cannot_break_out_of_its_line(value: str) -> None:
    with pytest.raises(ValueError, match="X-MBX-APIKEY"):
        HttpConnections(
            "http://127.0.0.1:1",
            {"X-MBX-APIKEY": value},
            connections_max=1,
            keepalive_ms=1,
            response_bytes_max=1,
        )


async def test_a_path_cannot_break_out_of_its_line(venue: ScriptedVenue) -> None:
    pool = connections(venue.url)
    with pytest.raises(ValueError, match="path"):
        await pool.exchange(Flight(), "GET", "/x HTTP/1.1\r\n\r\nGET /y", "", 100)
    assert venue.heard == []
    await pool.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of localhost and its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate")
    path = tmp_path / "localhost.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-keyout", str(path), "-out", str(tmp_path / "only.pem"), "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + (tmp_path / "only.pem").read_bytes())
    return path


@pytest.fixture
async def secure_port(venue: ScriptedVenue, certificate: Path) -> AsyncIterator[int]:
    """The scripted venue once more, behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(venue.serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_orders_go_over_tls_on_a_kept_connection(
    venue: ScriptedVenue, secure_port: int, certificate: Path
) -> None:
    trust = ssl.create_default_context(cafile=str(certificate))
    url = f"https://localhost:{secure_port}"
    async with client_of(
        url, ssl_context=trust, limits=VenueLimits(request_timeout_ms=3_000)
    ) as client:
        assert isinstance(await place(client), Accepted)
        assert isinstance(await place(client), Accepted)
        venue.answers = [reset]
        assert isinstance(await place(client), Unknown)
    assert len(venue.heard) == 3


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_nothing_is_sent_to_a_host_that_cannot_prove_its_name(
    venue: ScriptedVenue, secure_port: int, certificate: Path, host: str
) -> None:
    trusts = {"127.0.0.1": ssl.create_default_context(cafile=str(certificate)), "localhost": None}
    limits = VenueLimits(request_timeout_ms=3_000)
    url = f"https://{host}:{secure_port}"
    async with client_of(url, ssl_context=trusts[host], limits=limits) as client:
        outcome = await place(client)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.NOT_SENT
    assert venue.heard == []
