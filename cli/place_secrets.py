"""``python -m cli.place_secrets FROM... TO``: copies secrets for their reader alone.

Kubernetes gives a mounted secret to root, or to a group; a service wants it for itself alone
(`libs/common/runtime/secret.py`). An init container copies it into memory of the pod.
"""

import sys
from pathlib import Path

SECRET_MODE = 0o400


def place(sources: list[Path], target: Path) -> int:
    """Copy every file of the folders; returns how many.

    Raises:
        OSError: one cannot be read or written; then nothing may start.
    """
    count = 0
    for source in sources:
        for path in sorted(source.iterdir()):
            if path.is_file():  # what Kubernetes keeps beside them begins with dots and is a folder
                copy = target / path.name
                copy.unlink(missing_ok=True)
                copy.touch(mode=0o600, exist_ok=False)
                copy.write_bytes(path.read_bytes())
                copy.chmod(SECRET_MODE)
                count += 1
    return count


if __name__ == "__main__":
    *FROM, TO = map(Path, sys.argv[1:])
    print(f"{place(FROM, TO)} secrets placed in {TO}")
