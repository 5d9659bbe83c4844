"""Every service answers at the same seven doors: a whole run, asked as a person or a probe asks."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from cli.config import SERVICES
from cli.run_plan import HOST, free_port
from cli.supervisor import Child, child_environment

JSON_DOORS = ("/livez", "/readyz", "/startupz", "/healthz", "/v1/status")
ALL = ("paper_exchange", *SERVICES)
DEADLINE_S = 60
STOP_MS = 20_000

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors(tmp_path_factory) -> AsyncIterator[dict[str, str]]:
    """Start `portcullis run` on ports of its own; gives the address of each service once armed."""
    folder = tmp_path_factory.mktemp("doors")
    ports = {name: free_port() for name in (*ALL, "broker")}
    environment = child_environment(os.environ)
    environment["PORTCULLIS_BUS__URL"] = f"nats://{HOST}:{ports['broker']}"
    environment["PORTCULLIS_VENUE__REST_URL"] = f"http://{HOST}:{ports['paper_exchange']}"
    for name in SERVICES:
        environment[f"PORTCULLIS_{name.upper()}__HTTP_PORT"] = str(ports[name])
    command = (sys.executable, "-m", "cli", "run", "--data-dir", str(folder / "data"))
    run = Child("run", command, folder / "run.log")
    await run.start(environment)
    try:
        await until_said(run, "armed; Ctrl-C")
        addresses = {name: f"http://{HOST}:{ports[name]}" for name in ALL}
        await until_ready(addresses)
        yield addresses
    finally:
        await run.stop(STOP_MS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as found:
        yield found


async def until_said(run: Child, words: str) -> None:
    deadline = asyncio.get_running_loop().time() + DEADLINE_S
    while words not in run.log_path.read_text():
        assert run.process_id is not None, run.log_path.read_text()
        assert asyncio.get_running_loop().time() < deadline, run.log_path.read_text()
        await asyncio.sleep(0.05)


async def until_ready(addresses: dict[str, str]) -> None:
    """Checks are made twice a second: a service may be armed before its first one is."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(DEADLINE_S):
        for address in addresses.values():
            while True:
                async with session.get(f"{address}/readyz") as answer:
                    if answer.status == 200:
                        break
                await asyncio.sleep(0.05)


async def when_well(
    session: aiohttp.ClientSession, url: str
) -> tuple[aiohttp.ClientResponse, dict[str, object]]:
    """A door's answer and its body, asked for again while it says that something fails just now."""
    deadline = asyncio.get_running_loop().time() + DEADLINE_S
    while True:
        async with session.get(url) as answer:
            body = await answer.json(content_type=None)
        if body.get("status") != "fail":
            return answer, body
        assert asyncio.get_running_loop().time() < deadline, (url, body)
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("name", ALL)
async def test_probes_and_status_answer_in_json_and_name_the_service(doors, session, name):
    for path in JSON_DOORS:
        answer, body = await when_well(session, doors[name] + path)
        assert answer.status == 200, (path, body)
        is_probe = path != "/v1/status"
        assert answer.content_type == f"application/{'health+json' if is_probe else 'json'}"
        assert body["service"] == name
        if is_probe:
            assert body["status"] in ("pass", "warn")
        else:
            assert body["version"]


@pytest.mark.parametrize("name", ALL)
async def test_metrics_are_what_prometheus_reads(doors, session, name):
    async with session.get(doors[name] + "/metrics") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/plain"
        assert "version=" in answer.headers["Content-Type"]
        text = await answer.text()
    assert re.search(r"^# TYPE \w+ (counter|gauge|histogram)$", text, re.MULTILINE)


@pytest.mark.parametrize("name", ALL)
async def test_the_documentation_needs_no_address_but_its_own(doors, session, name):
    async with session.get(doors[name] + "/docs") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/html"
        page = await answer.text()
    assert "://" not in page
    loaded = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', page)
    assert any(path.endswith("swagger-ui-bundle.js") for path in loaded)
    for path in loaded:
        assert re.match(r"/[^/]", path), f"{path} is not on this server"
        async with session.get(doors[name] + path) as answer:
            assert answer.status == 200, path
            assert await answer.read()
            if path.endswith((".js", ".css")):
                assert answer.content_type.endswith(("/javascript", "/css"))


@pytest.mark.parametrize("name", ALL)
async def test_the_document_behind_the_page_describes_the_doors(doors, session, name):
    async with session.get(doors[name] + "/openapi.json") as answer:
        assert answer.content_type == "application/json"
        document = await answer.json()
    assert document["openapi"].startswith("3.1.")
    assert set(document["paths"]) >= {*JSON_DOORS, "/metrics"}


@pytest.mark.parametrize("name", ALL)
async def test_what_is_not_there_is_not_found(doors, session, name):
    async with session.get(doors[name] + "/nothing") as answer:
        assert answer.status == 404
