"""Find secrets in files and in the history before a stranger does. ``make scan-secrets``.

Standard library only: a hook before a commit must not need the network, and must take no time.
It knows what this project handles: keys and secrets of the venue, private keys, seeds of the
broker's identities, bearer tokens, and what people's other services hand out. A value that is
published on purpose stands in ``published_secrets.txt``, by its digest and with the reason, so that
nothing else in its file is excused. What was found is never shown.

Exit codes: 0 nothing found, 1 something found, 2 it could not look (no repository, cut history).
"""

from __future__ import annotations

import argparse
import hashlib
import math
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PUBLISHED = Path(__file__).with_name("published_secrets.txt")
EXIT_CLEAN, EXIT_FOUND, EXIT_BLIND = 0, 1, 2
#: What is longer is data; a secret in it would be found by nobody else either.
FILE_BYTES_MAX = 4 << 20
SHOWN_CHARACTERS = 3
DIGEST_CHARACTERS = 16


class Rule(NamedTuple):
    """What one kind of secret looks like; its last group, or all of it, is the secret.

    ``bits_min`` is the least entropy in bits a character: what a person typed as an example, a
    word or a row of zeros has less than what a machine drew.
    """

    name: str
    pattern: re.Pattern[str]
    bits_min: float = 0.0


RULES = (
    Rule(
        "key or secret of the venue",
        re.compile(
            r"(?<![A-Za-z0-9+/_-])(?=[a-zA-Z]*\d)(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])"
            r"([A-Za-z0-9]{64})(?![A-Za-z0-9+/_=-])"
        ),
        4.3,
    ),
    Rule(
        "private key",
        re.compile(
            r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----(?:[A-Za-z-]+: [^\n]*|\\[nr]|[\s\"'+|>])*"
            r"([A-Za-z0-9+/]{40,})"
        ),
    ),
    # The same without its frame: the head of PKCS 8 around an Ed25519 key.
    Rule("private key", re.compile(r"(MC4CAQAwBQYDK2VwBCIEI[A-Za-z0-9+/]{43})")),
    Rule(
        "seed of a broker's identity",
        re.compile(r"(?<![A-Za-z0-9])(S[ACNOUX][A-Z2-7]{56})(?![A-Za-z0-9])"),
        3.0,
    ),
    Rule("bearer token", re.compile(r"(?i)\bbearer[\s:=\"']+([A-Za-z0-9._~+/-]{24,}=*)"), 3.4),
    Rule(
        "token of an operator",
        re.compile(r"(?m)\b(?:read|operate|admin) [\w.-]+ ((?!sha256:)[A-Za-z0-9._~+/-]{24,})"),
        3.4,
    ),
    Rule(
        "value of a secret setting",
        re.compile(
            r"(?i)(?:api_?key|secret|token|passwd|password|private_?key|approval_?key|seed)"
            r"[\"']?\]?\s*(?:[:=]|=>|,)\s*[bfr]?[\"']?"
            r"((?=(?:[A-Za-z_+/=-]*\d){3})[A-Za-z0-9+/_=-]{32,})"
        ),
        3.4,
    ),
    Rule(
        "password in an address",
        re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@]*:([^\s/@]{12,})@"),
        3.4,
    ),
    Rule("JSON web token", re.compile(r"\b(eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,})")),
    Rule("token of a Telegram bot", re.compile(r"\b(\d{8,10}:AA[\w-]{33})\b"), 3.4),
    Rule("token of Slack", re.compile(r"\b(xox[abeoprs]-[\w-]{20,})")),
    Rule("address of a Slack hook", re.compile(r"hooks\.slack\.com/services/(T\w+/B\w+/\w{20,})")),
    Rule("token of GitHub", re.compile(r"\b(gh[oprsu]_\w{36,}|github_pat_\w{60,})")),
    Rule("key of AWS", re.compile(r"\b((?:AKIA|ASIA)[A-Z0-9]{16})\b"), 3.0),
)


class BlindError(Exception):
    """There is nothing to look at, or not all of it."""


class Text(NamedTuple):
    """Something to look at and where a person finds it."""

    place: str
    content: str


class Finding(NamedTuple):
    """A secret that was found; ``digest`` is what ``published_secrets.txt`` would call it."""

    place: str
    line: int
    rule: str
    shown: str
    digest: str


def main(arguments: list[str]) -> int:
    """Look where the options say, tell what was found and return the exit code."""
    parser = argparse.ArgumentParser(description="Find secrets before a stranger does.")
    parser.add_argument("--staged", action="store_true", help="only what the next commit brings")
    parser.add_argument("--no-history", action="store_true", help="only the files as they are now")
    options = parser.parse_args(arguments)
    root = Path.cwd()
    try:
        if options.staged:
            texts = staged(root)
        elif options.no_history:
            texts = files(root)
        else:
            texts = (text for source in (files, history) for text in source(root))
        findings = sorted({found for text in texts for found in look(text, published())})
    except BlindError as blind:
        print(f"scan-secrets: {blind}", file=sys.stderr)
        return EXIT_BLIND
    for found in findings:
        print(f"{found.place}:{found.line}: {found.rule}: {found.shown} [{found.digest}]")
    if findings:
        print(
            f"scan-secrets: {len(findings)} found. A secret that was committed is known: revoke it"
            f" first. One that is public on purpose goes into {PUBLISHED.name} with a reason.",
            file=sys.stderr,
        )
        return EXIT_FOUND
    print("scan-secrets: nothing found")
    return EXIT_CLEAN


def look(text: Text, allowed: frozenset[str]) -> Iterator[Finding]:
    """What every rule finds in a text."""
    for rule in RULES:
        for match in rule.pattern.finditer(text.content):
            value = match[match.lastindex or 0]
            digest = hashlib.sha256(value.encode()).hexdigest()[:DIGEST_CHARACTERS]
            if bits_per_character(value) < rule.bits_min or digest in allowed:
                continue
            line = text.content.count("\n", 0, match.start()) + 1
            yield Finding(text.place, line, rule.name, redacted(value), digest)


def bits_per_character(value: str) -> float:
    """Shannon's entropy of the characters as they occur."""
    total = len(value)
    return -sum(n / total * math.log2(n / total) for n in Counter(value).values())


def redacted(value: str) -> str:
    """Enough to recognise it by, in the form that every part of Portcullis uses."""
    return f"{value[:SHOWN_CHARACTERS]}***{value[-SHOWN_CHARACTERS:]} (length: {len(value)})"


def published() -> frozenset[str]:
    """Digests of the values that everyone may know."""
    lines = PUBLISHED.read_text().splitlines()
    return frozenset(line.split()[0] for line in lines if line and not line.startswith("#"))


def files(root: Path) -> Iterator[Text]:
    """Every file that is, or soon will be, committed, as it is now."""
    listed = git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in sorted(set(listed.decode().split("\0")) - {""}):
        path = root / name
        if path.is_file() and not path.is_symlink():
            yield text_of(name, path.read_bytes())


def staged(root: Path) -> Iterator[Text]:
    """Every file of the next commit that the last one does not have like this."""
    listed = git(root, "diff", "--cached", "--name-only", "-z", "--diff-filter=ACMRT")
    for name in sorted(set(listed.decode().split("\0")) - {""}):
        yield text_of(name, git(root, "show", f":{name}"))


def history(root: Path) -> Iterator[Text]:
    """Every version of every file that any branch or tag reaches, and what was said of it."""
    if git(root, "rev-parse", "--is-shallow-repository").strip() == b"true":
        raise BlindError("the history is cut off here: git fetch --unshallow, or --no-history")
    for said in git(root, "log", "--all", "--format=%x00%h%n%B").decode("latin-1").split("\0")[1:]:
        commit, _, message = said.partition("\n")
        yield Text(f"message of {commit}", message)
    names: dict[str, str] = {}
    for line in git(root, "rev-list", "--objects", "--all").decode(errors="replace").splitlines():
        identity, _, name = line.partition(" ")
        if name:
            names.setdefault(identity, name)
    stream = git(root, "cat-file", "--batch", "--buffer", told="\n".join(names).encode())
    at = 0
    while at < len(stream):
        end = stream.index(b"\n", at)
        identity, kind, size = stream[at:end].decode().split()
        at = end + 1 + int(size) + 1
        if kind == "blob":
            place = f"{names[identity]} (git show {identity[:12]})"
            yield text_of(place, stream[end + 1 : at - 1])


def text_of(place: str, raw: bytes) -> Text:
    """Bytes as text, whatever they are; not read where they are data."""
    return Text(place, raw.decode("latin-1") if len(raw) <= FILE_BYTES_MAX else "")


def git(root: Path, *arguments: str, told: bytes = b"") -> bytes:
    """What git answers. Raises `BlindError` where it cannot."""
    try:
        done = subprocess.run(("git", *arguments), cwd=root, input=told, capture_output=True)
    except OSError as error:
        raise BlindError(f"git does not run here: {error.strerror}") from error
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise BlindError(f"git {arguments[0]}: {words[-1]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
