"""Judges by what the engine tells of containers how confined they are: `docker inspect`, as JSON.

compose.yaml says what is wished for; the engine says what it made of that.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

Inspected = Mapping[str, Any]

SERVICE_LABEL = "com.docker.compose.service"
#: A group too: the engine takes root's where only a user is given.
NOT_ROOT = re.compile(r"0*[1-9][0-9]*:0*[1-9][0-9]*")
#: One wish; the engine repeats whichever spelling it was given.
NO_NEW_PRIVILEGES = {"no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"}
#: Whoever may write to one of these is root on the machine.
SOCKETS = tuple(
    PurePosixPath(place)
    for folder in ("/run", "/var/run")
    for place in (f"{folder}/docker.sock", f"{folder}/containerd/containerd.sock")
)
SOCKET_NAMES = {socket.name for socket in SOCKETS}
#: What is judged. An answer that lacks one of these says nothing good of the container.
LOOKED_AT = {
    "Config": ("User",),
    "HostConfig": (
        "ReadonlyRootfs", "CapAdd", "CapDrop", "SecurityOpt", "Privileged", "NetworkMode",
        "PortBindings",
    ),
    "NetworkSettings": ("Ports",),
}  # fmt: skip


class Binding(NamedTuple):
    """A container's port, as "8104/tcp", and the address and port of the machine it is shown on."""

    port: str
    address: str
    host_port: str

    def __str__(self) -> str:
        return f"{self.port} on {self.address or 'every address'}:{self.host_port or 'any port'}"


def judge_confinement(
    inspected: Sequence[Inspected],
    services: Collection[str],
    published: Mapping[str, Collection[Binding]],
) -> list[str]:
    """What differs from what is promised, one line each; nothing where all of it holds.

    Args:
        inspected: What `docker inspect` answers for every container of the project.
        services: Those that must have a container.
        published: By service, what it shows on the machine; whoever is not named shows nothing.
    """
    names = [_service(container) for container in inspected]
    found = [f"{name}: has no container" for name in sorted(set(services) - set(names))]
    for name, container in zip(names, inspected, strict=True):
        untold = list(_untold(container))
        if untold:
            found.append(f"{name}: the engine does not tell {', '.join(untold)}")
            continue
        found += [f"{name}: {what}" for what in _rights(container)]
        found += [f"{name}: {what}" for what in _doors(container, published.get(name, ()))]
        found += [f"{name}: {what}" for what in _mounts(container)]
    return found


def _service(container: Inspected) -> str:
    """The service of a container; its own name where compose did not label it."""
    labels = (container.get("Config") or {}).get("Labels") or {}
    return str(labels.get(SERVICE_LABEL) or container.get("Name") or "a container without a name")


def _untold(container: Inspected) -> Iterator[str]:
    for part, names in LOOKED_AT.items():
        yield from (f"{part}.{name}" for name in names if name not in (container.get(part) or {}))
    if "Mounts" not in container:
        yield "Mounts"


def _rights(container: Inspected) -> Iterator[str]:
    user, host = container["Config"]["User"], container["HostConfig"]
    if not NOT_ROOT.fullmatch(user):
        yield f"runs as {user!r}, not as the numbers of a user and a group other than root"
    if host["ReadonlyRootfs"] is not True:
        yield "may write to its own file system"
    if host["CapAdd"]:
        yield f"is given capabilities: {', '.join(host['CapAdd'])}"
    if "ALL" not in (host["CapDrop"] or ()):
        yield f"keeps capabilities: only {host['CapDrop'] or 'none'} dropped"
    options = set(host["SecurityOpt"] or ())
    if not options & NO_NEW_PRIVILEGES:
        yield "may gain new privileges"
    if options - NO_NEW_PRIVILEGES:
        yield f"has security options of its own: {', '.join(sorted(options - NO_NEW_PRIVILEGES))}"
    if host["Privileged"] is not False:
        yield "is privileged"


def _doors(container: Inspected, promised: Collection[Binding]) -> Iterator[str]:
    host = container["HostConfig"]
    if host["NetworkMode"] == "host":
        yield "is on the machine's own network: whatever it listens on is shown"
    # What was asked for outlives a container that ended; what is shown may be more than was asked.
    shown = {*_bindings(host["PortBindings"]), *_bindings(container["NetworkSettings"]["Ports"])}
    yield from (f"shows {one}" for one in sorted(shown - set(promised)))
    yield from (f"does not show {one}" for one in sorted(set(promised) - shown))


def _bindings(ports: Mapping[str, Sequence[Mapping[str, str]] | None] | None) -> Iterator[Binding]:
    """A port that is exposed and not published has null for its bindings."""
    for port, places in (ports or {}).items():
        for place in places or ():
            yield Binding(port, place.get("HostIp", ""), place.get("HostPort", ""))


def _mounts(container: Inspected) -> Iterator[str]:
    for mount in container["Mounts"] or ():
        source = PurePosixPath(mount.get("Source") or "")
        place = PurePosixPath(mount.get("Destination") or "")
        if (
            source.name in SOCKET_NAMES
            or place.name in SOCKET_NAMES
            or any(socket.is_relative_to(source) for socket in SOCKETS)
        ):
            yield f"reaches the engine's socket: {source} is mounted at {place}"
