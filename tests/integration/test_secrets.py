"""No secret leaves its file: not into logs, journal, audit trail, metrics or any HTTP answer."""

import base64
import gzip
import json
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from services.paper_exchange.demo_keys import DEMO_READ_SECRET, DEMO_TRADE_SECRET
from tests.integration.test_run import (
    DEADLINE_S,
    SERVICES,
    Running,
    command,
    environment,
    free_ports,
)

SECRET_FILES = ("approval_key", "execution_api_secret", "reconciler_api_secret")
KEY_FILES = ("execution_api_key", "reconciler_api_key")
ORDER = "POST /fapi/v1/order"
FAULTS = (
    {"endpoint": ORDER, "effect": "drop_after_execution"},
    {"endpoint": "GET /fapi/v3/balance", "effect": "drop_before_execution"},
)


def ask(url: str, body: object = None, method: str | None = None) -> bytes:
    """An answer with its headers, whatever its status."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bytes(answer.headers) + answer.read()
    except urllib.error.HTTPError as error:
        return bytes(error.headers) + error.read()


def answers(base: str) -> Iterator[tuple[str, bytes]]:
    """What a service says on every path it lists, asked rightly and wrongly."""
    listed = json.loads(ask(base + "/openapi.json").split(b"\n\n", 1)[1])
    for path in ("/docs", "/openapi.json", "/nothing", *listed["paths"]):
        filled = path.replace("{", "").replace("}", "")
        yield path, ask(base + filled)
        yield path, ask(base + filled, {"unknown": "field"}, "POST")


def shapes(secret: str) -> list[bytes]:
    """A secret as it may stand somewhere: plain, encoded, quoted."""
    raw = secret.encode()
    return [raw, base64.b64encode(raw).rstrip(b"="), urllib.parse.quote(secret).encode()]


def unpacked(path: Path) -> bytes:
    raw = path.read_bytes()
    return gzip.decompress(raw) if path.suffix == ".gz" else raw


def test_no_secret_is_in_any_log_journal_export_metric_or_answer_of_a_whole_run(tmp_path):
    settings = free_ports()
    run = Running(tmp_path, settings, "--speed", "20")
    try:
        run.wait_for("armed; Ctrl-C")
        directory = run.directory().path
        secrets = {name: (directory / name).read_text().strip() for name in SECRET_FILES}
        keys = {name: (directory / name).read_text().strip() for name in KEY_FILES}
        venue = settings["PORTCULLIS_VENUE__REST_URL"]
        ask(f"{venue}/sim/faults", list(FAULTS))
        deadline = time.monotonic() + DEADLINE_S
        while "order" not in run.text and time.monotonic() < deadline:
            time.sleep(0.2)  # something is to have gone wrong by then
        time.sleep(2)
        said = {
            f"{name} {path}": answer
            for name in SERVICES
            for path, answer in answers(
                f"http://127.0.0.1:{settings[f'PORTCULLIS_{name.upper()}__HTTP_PORT']}"
            )
        }
        ask(f"{venue}/sim/faults", method="DELETE")
    finally:
        run.process.send_signal(signal.SIGINT)
        run.process.wait(DEADLINE_S)
    assert any("/metrics" in name for name in said)
    found = {
        str(path.relative_to(tmp_path)): unpacked(path)
        for path in tmp_path.rglob("*")
        if path.is_file() and path.name not in (*SECRET_FILES, *KEY_FILES, "feed_api_key")
    }
    assert any(name.endswith("execution.log") for name in found)
    assert any(name.endswith("journal.jsonl") for name in found)
    assert any("/audit/audit-" in name and ".jsonl" in name for name in found)
    assert any(name.endswith(".blk") and "JOURNAL" in name for name in found)
    (journal,) = (content for name, content in found.items() if name.endswith("journal.jsonl"))
    assert b"ApiErrorReported" in journal  # the faults were met
    secrets |= {"demo trade secret": DEMO_TRADE_SECRET, "demo read secret": DEMO_READ_SECRET}
    leaks = [
        (what, where)
        for what, secret in {**secrets, **keys}.items()
        for where, content in {**found, **said}.items()
        if any(shape in content for shape in shapes(secret))
    ]
    assert leaks == []
    audit = directory / "audit"
    verified = subprocess.run(
        command("audit", "verify", str(audit), "--journal", str(directory / "journal.jsonl")),
        env=environment(), capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip
    assert verified.returncode == 0, verified.stdout + verified.stderr
