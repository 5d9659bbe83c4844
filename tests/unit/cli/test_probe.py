"""The health check of a container: an exit code, and why in one line."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent.parent
FAILING = {
    "status": "fail",
    "checks": {
        "bus": {"status": "pass", "output": "round trip 1 ms"},
        "clock": {"status": "fail", "output": "no time yet"},
    },
}


@pytest.fixture
def door():
    """A server that answers as told."""
    told = {"status": 200, "body": b"{}"}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(told["status"])
            self.end_headers()
            self.wfile.write(told["body"])

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield told, f"http://127.0.0.1:{server.server_port}/readyz"
    server.shutdown()
    thread.join()
    server.server_close()


def probe(url):
    done = subprocess.run(
        [sys.executable, "-m", "cli.probe", url],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.returncode, done.stdout


def test_what_is_well_is_healthy(door):
    assert probe(door[1]) == (0, "healthy\n")


def test_what_fails_is_named(door):
    told, url = door
    told |= {"status": 503, "body": json.dumps(FAILING).encode()}
    assert probe(url) == (1, "503: clock: no time yet\n")


@pytest.mark.parametrize("body", [b"", b"not json", b"[1]", b'{"checks": 1}', b"\xff"])
def test_an_answer_of_any_other_shape_fails(door, body):
    told, url = door
    told |= {"status": 500, "body": body}
    code, said = probe(url)
    assert code == 1
    assert said.startswith("500: ")


def test_no_answer_fails(door):
    code, said = probe("http://127.0.0.1:1/readyz")
    assert code == 1
    assert said.startswith("no answer: ")
