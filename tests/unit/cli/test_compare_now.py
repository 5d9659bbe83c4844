"""What ``portcullis reconcile --now`` ends with, by what the reconciler answers."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from cli import exits
from cli.operate import Target, compare_now
from tests.unit.cli.test_operate_tables import REPORT

DIFFERENCE = {
    "kind": "SETTING_DRIFT", "subject": "BTCUSDT leverage", "ours": "10", "theirs": "20",
    "is_confirmed": True, "policy": "repair",
}  # fmt: skip


class Reconciler(HTTPServer):
    """Answers every demand with one report."""

    report: dict[str, Any]


class Answer(BaseHTTPRequestHandler):
    """The reconciler's one door."""

    def do_POST(self) -> None:
        assert isinstance(self.server, Reconciler)
        body = json.dumps({"report": self.server.report}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def reconciler() -> Iterator[Reconciler]:
    server = Reconciler(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    ("found", "in_flight", "code"),
    [
        ([], 0, exits.OK),
        ([], 2, exits.TIMED_OUT),
        ([DIFFERENCE], 0, exits.FAILED),
        ([DIFFERENCE], 2, exits.FAILED),
    ],
)
def test_only_a_proven_equality_ends_with_0_and_what_differs_weighs_most(
    reconciler: Reconciler, found: list[dict[str, Any]], in_flight: int, code: int, as_json: bool
) -> None:
    more = {"discrepancies": found, "in_flight": in_flight, "is_clean": not found}
    reconciler.report = {**REPORT, **more}
    url = f"http://127.0.0.1:{reconciler.server_port}"
    target = Target(url, None, None, 5.0, service="reconciler")
    assert compare_now(target, as_json=as_json) == code
