"""What the drill makes of `docker inspect`: whatever differs from the promise is a finding."""

import copy
import json
from pathlib import Path

import pytest
import yaml

from scripts import container_drill
from scripts.container_confinement import Binding, judge_confinement
from scripts.container_look import DrillFailed, inspect_project

ROOT = Path(__file__).resolve().parents[3]
HOST_PORT = "18104"
DOOR = Binding("8104/tcp", "127.0.0.1", HOST_PORT)
AT_HOME = [{"HostIp": "127.0.0.1", "HostPort": HOST_PORT}]
EVERYWHERE = [{"HostIp": "0.0.0.0", "HostPort": HOST_PORT}]


def inspected(service: str = "feed") -> dict:
    """A container that keeps every promise, in the shape of the engine's API; it shows nothing."""
    return {
        "Id": "3949fff2e8dd8d0df1a7419b3f1f99cb0530558df91f627bf8d50e18e9cb5e6c",
        "Name": f"/portcullis-drill-{service}-1",
        "RestartCount": 0,
        "State": {"Status": "running", "Running": True, "ExitCode": 0},
        "Config": {
            "User": "10001:10001",
            "ExposedPorts": {"8104/tcp": {}},
            "Labels": {
                "com.docker.compose.project": "portcullis-drill",
                "com.docker.compose.service": service,
            },
        },
        "HostConfig": {
            "Binds": [f"portcullis-drill_{service}-keys:/keys:ro"],
            "NetworkMode": "portcullis-drill_bus",
            "PortBindings": {},
            "CapAdd": None,
            "CapDrop": ["ALL"],
            "Privileged": False,
            "PublishAllPorts": False,
            "ReadonlyRootfs": True,
            "SecurityOpt": ["no-new-privileges:true"],
            "Tmpfs": {"/tmp": "size=16m,mode=1777,noexec,nosuid,nodev"},
        },
        "Mounts": [
            {
                "Type": "volume",
                "Name": f"portcullis-drill_{service}-keys",
                "Source": f"/var/lib/docker/volumes/portcullis-drill_{service}-keys/_data",
                "Destination": "/keys",
                "RW": False,
            },
            {
                "Type": "bind",
                "Source": "/srv/portcullis/config/paper.yaml",
                "Destination": "/config/portcullis.yaml",
                "RW": False,
            },
            {"Type": "tmpfs", "Destination": "/tmp", "RW": True},
        ],
        "NetworkSettings": {"Ports": {"8104/tcp": None}},
    }


def showing(asked: list | None, shown: list | None) -> dict:
    """Execution's container, which was asked to show its port and does."""
    container = inspected("execution")
    container["HostConfig"]["PortBindings"] = {"8104/tcp": asked}
    container["NetworkSettings"]["Ports"] = {"8104/tcp": shown}
    return container


def ended() -> dict:
    """A container that ran once and has no network."""
    container = inspected("keys")
    container["State"] = {"Status": "exited", "Running": False, "ExitCode": 0}
    container["HostConfig"] |= {"NetworkMode": "none", "PortBindings": None}
    container["NetworkSettings"]["Ports"] = {}
    return container


def judged(*containers: dict) -> list[str]:
    names = [one["Config"]["Labels"]["com.docker.compose.service"] for one in containers]
    return judge_confinement(containers, names, {"execution": [DOOR]})


def test_containers_that_keep_every_promise_give_no_finding():
    assert judged(ended(), inspected(), showing(AT_HOME, AT_HOME)) == []


@pytest.mark.parametrize("spelling", ["no-new-privileges", "no-new-privileges=true"])
def test_every_spelling_of_no_new_privileges_is_one(spelling):
    container = inspected()
    container["HostConfig"]["SecurityOpt"] = [spelling]
    assert judged(container) == []


@pytest.mark.parametrize(
    ("part", "name", "value", "words"),
    [
        *(
            ("Config", "User", user, f"runs as {user!r}")
            for user in ("", "0", "0:0", "00:10001", "10001:0", "10001", "root", "nobody:nobody")
        ),
        ("HostConfig", "ReadonlyRootfs", False, "may write to its own file system"),
        ("HostConfig", "CapAdd", ["NET_ADMIN"], "is given capabilities: NET_ADMIN"),
        ("HostConfig", "CapDrop", None, "only none dropped"),
        ("HostConfig", "CapDrop", ["CAP_NET_RAW"], "only ['CAP_NET_RAW'] dropped"),
        ("HostConfig", "Privileged", True, "is privileged"),
        ("HostConfig", "NetworkMode", "host", "is on the machine's own network"),
        ("HostConfig", "SecurityOpt", None, "may gain new privileges"),
        (
            "HostConfig",
            "SecurityOpt",
            ["no-new-privileges:true", "seccomp=unconfined"],
            "has security options of its own: seccomp=unconfined",
        ),
        (
            "HostConfig",
            "SecurityOpt",
            ["no-new-privileges:true", "no-new-privileges:false"],
            "has security options of its own: no-new-privileges:false",
        ),
    ],
)
def test_each_broken_promise_is_one_finding_that_names_the_service(part, name, value, words):
    container = inspected("risk")
    container[part][name] = value
    (finding,) = judged(inspected(), container)
    assert finding.startswith("risk: ")
    assert words in finding


def test_no_new_privileges_taken_back_is_a_finding():
    container = inspected()
    container["HostConfig"]["SecurityOpt"] = ["no-new-privileges:false"]
    assert "feed: may gain new privileges" in judged(container)


@pytest.mark.parametrize(
    ("asked", "shown", "words"),
    [
        (EVERYWHERE, EVERYWHERE, "8104/tcp on 0.0.0.0:18104"),
        ([{"HostIp": "", "HostPort": ""}], AT_HOME, "8104/tcp on every address:any port"),
        ([{"HostPort": HOST_PORT}], AT_HOME, "8104/tcp on every address:18104"),
        (AT_HOME, [*AT_HOME, {"HostIp": "::", "HostPort": HOST_PORT}], "8104/tcp on :::18104"),
        (AT_HOME, [*AT_HOME, {"HostIp": "127.0.0.1", "HostPort": "1"}], "8104/tcp on 127.0.0.1:1"),
    ],
)
def test_a_port_shown_elsewhere_than_promised_is_a_finding(asked, shown, words):
    assert f"execution: shows {words}" in judged(showing(asked, shown))


@pytest.mark.parametrize("part", ["HostConfig", "NetworkSettings"])
def test_a_port_of_a_service_that_shows_none_is_a_finding_even_on_this_machine(part):
    container = inspected("nats")
    name = {"HostConfig": "PortBindings", "NetworkSettings": "Ports"}[part]
    container[part][name] = {"4222/tcp": [{"HostIp": "127.0.0.1", "HostPort": "4222"}]}
    assert judged(container) == ["nats: shows 4222/tcp on 127.0.0.1:4222"]


def test_a_promised_port_that_is_not_shown_is_a_finding():
    assert judged(showing(None, None)) == ["execution: does not show 8104/tcp on 127.0.0.1:18104"]


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("/var/run/docker.sock", "/var/run/docker.sock"),
        ("/run/docker.sock", "/tmp/engine"),
        ("/run/user/1000/docker.sock", "/tmp/engine"),
        ("/run/containerd/containerd.sock", "/tmp/engine"),
        ("/srv/forwarded", "/run/docker.sock"),
        ("/var/run", "/machine"),
        ("/", "/machine"),
    ],
)
def test_a_way_to_the_engines_socket_is_a_finding(source, place):
    container = inspected()
    container["Mounts"].append({"Type": "bind", "Source": source, "Destination": place})
    (finding,) = judged(container)
    assert finding == f"feed: reaches the engine's socket: {source} is mounted at {place}"


@pytest.mark.parametrize(
    "path",
    [
        "Config.User",
        "HostConfig.ReadonlyRootfs",
        "HostConfig.CapAdd",
        "HostConfig.CapDrop",
        "HostConfig.SecurityOpt",
        "HostConfig.Privileged",
        "HostConfig.NetworkMode",
        "HostConfig.PortBindings",
        "NetworkSettings.Ports",
        "Mounts",
    ],
)
def test_what_the_engine_does_not_tell_is_not_taken_for_kept(path):
    container = inspected()
    part, _, name = path.partition(".")
    del (container[part] if name else container)[name or part]
    assert judged(container) == [f"feed: the engine does not tell {path}"]


def test_an_answer_that_tells_nothing_is_a_finding():
    (finding,) = judge_confinement([{}], [], {})
    assert finding.startswith("a container without a name: the engine does not tell Config.User")


def test_a_service_without_a_container_is_a_finding():
    assert judge_confinement([inspected()], ["feed", "risk"], {}) == ["risk: has no container"]


def test_every_finding_of_every_container_is_told():
    bad, worse = inspected("risk"), inspected("signal")
    bad["HostConfig"]["Privileged"] = True
    worse["HostConfig"] |= {"Privileged": True, "ReadonlyRootfs": False}
    assert len(judged(bad, worse)) == 3


def test_the_drill_expects_the_services_and_the_port_that_compose_starts_by_itself():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    started = {name: one for name, one in services.items() if "profiles" not in one}
    assert set(started) == {*container_drill.VICTIMS, *container_drill.ONCE}
    (shown,) = (name for name, one in started.items() if "ports" in one)
    assert shown == container_drill.SHOWN
    (port,) = started[shown]["ports"]
    inside = container_drill.SHOWN_PORT.removesuffix("/tcp")
    assert port.startswith(f"{container_drill.SHOWN_ADDRESS}:")
    assert port.endswith(f":{inside}")


@pytest.fixture
def engine(monkeypatch, tmp_path):
    """A `docker` that knows the containers given to it, and notes what it was asked."""
    program = tmp_path / "docker"
    program.write_text(
        "#!/bin/sh\n"
        f'echo "$*" >> {tmp_path}/asked\n'
        'case "$1" in\n'
        f"  ps) cat {tmp_path}/ids ;;\n"
        f"  inspect) cat {tmp_path}/told ;;\n"
        "esac\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("PORTCULLIS_EXECUTION_PORT", HOST_PORT)

    def knows(*containers: dict) -> Path:
        (tmp_path / "ids").write_text("".join(f"id{n}\n" for n in range(len(containers))))
        (tmp_path / "told").write_text(json.dumps(containers))
        return tmp_path / "asked"

    return knows


def project() -> dict[str, dict]:
    names = (*container_drill.VICTIMS, *container_drill.ONCE)
    return {name: inspected(name) for name in names} | {
        "execution": showing(AT_HOME, AT_HOME),
        "keys": ended(),
    }


def test_every_container_of_the_project_is_inspected_at_once(engine):
    asked = engine(inspected(), ended())
    assert inspect_project("portcullis-drill") == [inspected(), ended()]
    listed, told = asked.read_text().splitlines()
    assert listed.startswith("ps -a ")
    assert listed.endswith("--filter label=com.docker.compose.project=portcullis-drill")
    assert told == "inspect --type container id0 id1"


def test_a_project_as_promised_is_one_line(engine, capsys):
    engine(*project().values())
    container_drill.confined()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("confinement of 9 containers inspected; findings: 0")


def test_no_container_at_all_fails_the_drill(engine):
    engine()
    with pytest.raises(DrillFailed, match="has no container"):
        container_drill.confined()


def test_a_finding_fails_the_drill_before_it_breaks_anything(engine, monkeypatch, capsys):
    containers = copy.deepcopy(project())
    containers["risk"]["Config"]["User"] = "0:0"
    asked = engine(*containers.values())
    with pytest.raises(DrillFailed, match="not confined as promised: risk: runs as '0:0'"):
        container_drill.drill(seconds_away=0)
    _, finding, summary = capsys.readouterr().out.splitlines()
    assert "risk: runs as '0:0'" in finding
    assert summary.endswith("confinement of 9 containers inspected; findings: 1")
    assert [line.split()[0] for line in asked.read_text().splitlines()] == [
        "compose",  # up
        "ps",
        "inspect",
    ]
