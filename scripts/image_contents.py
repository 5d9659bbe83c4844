"""Say what an image holds: every Python and Debian package with its version, as JSON.

Given to the image's own Python on standard input, because an image holds no tool to ask:
``docker run -i --rm --network none --entrypoint python IMAGE - < scripts/image_contents.py``.
"""

import json
import pathlib
import sys
from importlib.metadata import distributions

DEBIAN_STATUS = pathlib.Path("/var/lib/dpkg/status")


def debian_packages() -> dict[str, str]:
    """Installed packages of the system by name; none where the system is not Debian."""
    if not DEBIAN_STATUS.is_file():
        return {}
    found = {}
    for paragraph in DEBIAN_STATUS.read_text().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line)
        if fields.get("Status", "").endswith(" installed"):
            found[fields["Package"]] = fields["Version"]
    return found


def python_packages() -> dict[str, str]:
    """Installed distributions of this Python by name."""
    return {one.metadata["Name"]: one.version for one in distributions()}


if __name__ == "__main__":
    python = {"python": ".".join(map(str, sys.version_info[:3]))}
    contents = {"generic": python, "pypi": python_packages(), "deb": debian_packages()}
    json.dump(contents, sys.stdout)
