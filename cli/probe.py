"""``python -m cli.probe URL``: is it healthy? Exit 0 if so, else 1 and why, in one line.

For health checks of containers: an image needs no curl, and this loads nothing but the standard
library, because it runs every few seconds.
"""

import http.client
import json
import sys
from urllib.parse import urlsplit

TIMEOUT_S = 3.0
WORDS_MAX = 500


def probe(url: str) -> str:
    """Ask once; returns what is wrong, or nothing."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", parts.path or "/")
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {error}"
    finally:
        connection.close()
    return "" if answer.status == http.HTTPStatus.OK else f"{answer.status}: {_failing(body)}"


def _failing(body: bytes) -> str:
    """The checks that fail, of a health answer; any other answer as it is."""
    try:
        checks = json.loads(body)["checks"].items()
        failing = [
            f"{name}: {check['output']}" for name, check in checks if check["status"] == "fail"
        ]
        return "; ".join(failing)
    except (ValueError, KeyError, TypeError, AttributeError):
        return body.decode(errors="replace")


if __name__ == "__main__":
    WRONG = probe(sys.argv[1])
    print((WRONG or "healthy")[:WORDS_MAX])
    sys.exit(1 if WRONG else 0)
