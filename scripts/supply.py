"""``make audit``: is what we depend on known to be vulnerable. ``make sbom``: what is it.

The tools live in an environment of their own, installed by hash from ``supply.lock``, so that what
judges the dependencies is none of them. Silence is no answer: a package that the service of
vulnerabilities could not be asked about counts as not audited.

Exit codes: 0 done and nothing found, 1 something found, 2 wrong usage, 3 it could not be asked.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv-supply"
LOCK = ROOT / "scripts" / "supply.lock"
STAMP = FOLDER / "installed-from"
SBOM_FOLDER = ROOT / "build" / "sbom"
#: requirements-dev.lock holds all of requirements.lock; a house test sees to that.
AUDITED = ("requirements-dev.lock", "scripts/supply.lock")
WORKFLOWS = ".github"
TIMEOUT_S = 600
EXIT_OK, EXIT_FOUND, EXIT_NOT_ASKED = 0, 1, 3
NAMES_SHOWN_MAX = 5


class NotAskedError(Exception):
    """A tool or its service could not be had; the text says which and what to do."""


def main(arguments: list[str]) -> int:
    """Do what was asked and return the exit code."""
    parser = argparse.ArgumentParser(description="What we depend on.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("audit", help="known vulnerabilities of every lock, and faults of workflows")
    sbom = verbs.add_parser("sbom", help="write what we depend on as CycloneDX")
    sbom.add_argument("--image", help="of this container image, instead of the lock")
    options = parser.parse_args(arguments)
    steps: tuple[Callable[[], int], ...] = (list_lock,)
    if options.verb == "audit":
        steps = (*(partial(audit, ROOT / name) for name in AUDITED), audit_workflows)
    elif options.image:
        steps = (partial(list_image, options.image),)
    codes = []
    for step in (prepare, *steps):
        try:
            codes.append(step())
        except NotAskedError as problem:
            print(f"{options.verb}: {problem}", file=sys.stderr)
            codes.append(EXIT_NOT_ASKED)
            if step is prepare:
                break
    return EXIT_FOUND if EXIT_FOUND in codes else max(codes)


def prepare() -> int:
    """Make the environment of the lock if it is not there yet."""
    stamp = f"{sys.version_info[:3]} {hashlib.sha256(LOCK.read_bytes()).hexdigest()}"
    if STAMP.is_file() and STAMP.read_text() == stamp:
        return EXIT_OK
    shutil.rmtree(FOLDER, ignore_errors=True)
    install = ("install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes")
    for command in (
        (sys.executable, "-m", "venv", str(FOLDER)),
        (str(FOLDER / "bin" / "python"), "-m", "pip", *install, "-r", str(LOCK)),
    ):
        done = run(*command)
        if done.returncode:
            raise NotAskedError(
                f"its tools could not be installed from {LOCK.name}, which needs a package index"
                f" within reach of pip: {last_line(done.stderr)}"
            )
    STAMP.write_text(stamp)
    return EXIT_OK


def audit(lock: Path) -> int:
    """Ask about every package of a lock. Raises `NotAskedError` unless all were judged."""
    done = run(
        tool("pip-audit"), "--format", "json", "--progress-spinner", "off",
        "--disable-pip", "--require-hashes", "--requirement", str(lock),
    )  # fmt: skip
    try:
        judged: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        raise NotAskedError(f"nothing was audited: {last_line(done.stderr)}") from None
    skipped = [one["name"] for one in judged if "skip_reason" in one]
    if skipped or not judged:
        some = ", ".join(skipped[:NAMES_SHOWN_MAX])
        raise NotAskedError(
            f"{lock.name}: {len(skipped)} of {len(judged)} packages could not be audited ({some}"
            " ...): the service of vulnerabilities is not within reach, or does not know them"
        )
    found = [(one, fault) for one in judged for fault in one["vulns"]]
    for one, fault in found:
        cure = ", ".join(fault["fix_versions"]) or "none yet"
        print(f"{lock.name}: {one['name']} {one['version']}: {fault['id']}, fixed in: {cure}")
    print(f"audit: {lock.name}: {len(judged)} packages, {len(found)} known vulnerabilities")
    return EXIT_FOUND if found else EXIT_OK


def audit_workflows() -> int:
    """Let zizmor look for what a stranger could do to the workflows; needs no network."""
    done = run(tool("zizmor"), "--offline", "--no-progress", "--persona", "pedantic", WORKFLOWS)
    if done.returncode:
        sys.stdout.write(done.stdout)
        print(f"audit: {WORKFLOWS}: {last_line(done.stderr or done.stdout)}")
        return EXIT_FOUND
    print(f"audit: {WORKFLOWS}: nothing found")
    return EXIT_OK


def list_lock() -> int:
    """Write what is installed to run Portcullis, from the lock, with every hash."""
    target = target_file("portcullis")
    done = run(
        tool("cyclonedx-py"), "requirements", "requirements.lock",
        "--pyproject", "pyproject.toml", "--mc-type", "application",
        "--output-reproducible", "--output-file", str(target),
    )  # fmt: skip
    if done.returncode:
        raise NotAskedError(f"no list was made: {last_line(done.stderr)}")
    return tell(target)


def list_image(image: str) -> int:
    """Write what an image holds, as its own Python and its system tell it."""
    with (ROOT / "scripts" / "image_contents.py").open("rb") as question:
        done = run(
            "docker", "run", "--interactive", "--rm", "--network", "none",
            "--entrypoint", "python", image, "-", told=question.read().decode(),
        )  # fmt: skip
    if done.returncode:
        raise NotAskedError(f"the image {image} could not be asked: {last_line(done.stderr)}")
    target = target_file("image")
    target.write_text(json.dumps(bill_of_materials(image, json.loads(done.stdout)), indent=1))
    return tell(target)


def bill_of_materials(image: str, contents: dict[str, dict[str, str]]) -> dict[str, Any]:
    """What an image holds in the form of CycloneDX 1.6."""
    kinds = {
        "generic": "pkg:generic/{}@{}",
        "pypi": "pkg:pypi/{}@{}",
        "deb": "pkg:deb/debian/{}@{}",
    }
    components = []
    for kind, packages in contents.items():
        for name, version in sorted(packages.items()):
            address = kinds[kind].format(name.lower(), quote(version, safe=""))
            component = {"type": "library", "name": name, "version": version, "purl": address}
            components.append({**component, "bom-ref": address})
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": image, "bom-ref": image}},
        "components": components,
    }


def tell(target: Path) -> int:
    """Say what was written, after a look at it."""
    components = json.loads(target.read_text())["components"]
    print(f"sbom: {target.relative_to(ROOT)}: {len(components)} components")
    return EXIT_OK


def target_file(name: str) -> Path:
    """Where a list goes."""
    SBOM_FOLDER.mkdir(parents=True, exist_ok=True)
    return SBOM_FOLDER / f"{name}.cdx.json"


def tool(name: str) -> str:
    """A command of the environment."""
    return str(FOLDER / "bin" / name)


def run(*command: str, told: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command from the root. Raises `NotAskedError` where it does not run or end."""
    try:
        return subprocess.run(
            command,
            cwd=ROOT,
            input=told,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env={**os.environ, "NO_COLOR": "1"},
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise NotAskedError(f"{command[0]}: {problem}") from problem


def last_line(words: str) -> str:
    """What a tool said last, where it says why."""
    return (words.strip().splitlines() or ["it said nothing"])[-1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
