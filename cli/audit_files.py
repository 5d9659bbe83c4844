"""Finds the files of an audit trail and reads their lines."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cli import exits
from services.execution.audit_files import Manifest

PREFIX, SUFFIXES = "audit-", (".jsonl", ".jsonl.gz")
DAY_LENGTH = len("2024-08-09")


@dataclass(frozen=True)
class TrailFile:
    """One day's file.

    Attributes:
        lines: without their ends; the last one may be cut off.
        fault: why it could not be read to its end; empty if it could.
        is_packed: a packed file is finished, so it must hold its seal.
    """

    name: str
    day: str
    lines: tuple[bytes, ...]
    is_torn: bool
    is_packed: bool
    fault: str = ""


@dataclass(frozen=True)
class Trail:
    """The files of one account, oldest first, and what its manifest says."""

    account: str
    files: tuple[TrailFile, ...]
    manifest: Manifest | None


def find_trails(paths: list[Path]) -> list[Trail]:
    """The trails in directories and files; a directory's manifest is used, a file's is not.

    Raises:
        CommandFailed: a path is not there, or there is no trail in any.
    """
    found: dict[str, dict[str, Path]] = {}
    manifests: dict[str, Manifest] = {}
    for path in paths:
        if not path.exists():
            raise exits.CommandFailed(f"no such file or directory: {path}", exits.BAD_USAGE)
        if path.is_dir():
            manifests.update(_manifests(path))
        candidates = sorted(path.iterdir()) if path.is_dir() else [path]
        for one in candidates:
            named = _read_name(one.name)
            if named is not None:
                account, day = named
                found.setdefault(account, {})[day + one.suffix] = one
            elif not path.is_dir():
                raise exits.CommandFailed(
                    f"{one} is not called audit-ACCOUNT-DAY.jsonl", exits.BAD_USAGE
                )
    accounts = sorted({*found, *manifests})
    if not accounts:
        raise exits.CommandFailed("there is no audit trail there", exits.BAD_USAGE)
    return [
        Trail(
            account,
            tuple(read_file(path) for _, path in sorted(found.get(account, {}).items())),
            manifests.get(account),
        )
        for account in accounts
    ]


def read_file(path: Path) -> TrailFile:
    """Read a file as far as it can be read."""
    named = _read_name(path.name)
    assert named is not None, path
    is_packed, fault = path.suffix == ".gz", ""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raw, fault = b"", f"cannot be read: {error.strerror}"
    if is_packed and not fault:
        raw, fault = _unpack(raw)
    *lines, tail = raw.split(b"\n")
    if tail:
        lines.append(tail)
    return TrailFile(path.name, named[1], tuple(lines), bool(tail), is_packed, fault)


def _unpack(packed: bytes) -> tuple[bytes, str]:
    try:
        return gzip.decompress(packed), ""
    except (OSError, EOFError, zlib.error) as error:
        fault = f"is no whole gzip ({error})"
    try:  # what came before the damage can still be named
        return zlib.decompressobj(wbits=31).decompress(packed), fault
    except zlib.error:
        return b"", fault


def _read_name(name: str) -> tuple[str, str] | None:
    for suffix in SUFFIXES:
        stem = name.removesuffix(suffix)
        if stem != name and stem.startswith(PREFIX) and stem[-DAY_LENGTH - 1 :].startswith("-"):
            return stem[len(PREFIX) : -DAY_LENGTH - 1], stem[-DAY_LENGTH:]
    return None


def _manifests(directory: Path) -> dict[str, Manifest]:
    found = {}
    for path in directory.glob("audit-*.manifest.json"):
        try:
            manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
        except (OSError, msgspec.DecodeError) as error:
            raise exits.CommandFailed(f"{path} cannot be read: {error}") from error
        found[manifest.account] = manifest
    return found
