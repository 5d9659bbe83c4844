"""What is started in containers stays confined: none can forget what the others keep."""

import json
import re
from pathlib import Path

import pytest
import yaml

from cli.broker_users import IDENTITIES, api_prefix
from cli.config import SERVICE_PORTS, SERVICES
from cli.run_plan import service_settings
from libs.common.runtime.config import Mode, load_config
from services.execution.arming import check_mode

ONCE = {"testnet-and-live-need-their-env-file", "keys", "provision", "operator"}
#: Their images hold nothing that could ask them.
UNASKED = {"otel-collector"}
PUBLISHED = {"execution", "prometheus", "grafana"}
TALKS_TO_THE_VENUE = {"feed", "execution", "reconciler", "paper-exchange"}
HAS_ACCOUNT_IN_ENVIRONMENT = {"testnet", "live"}
SECRET_NAME = re.compile(r"(KEY|SECRET|PASSWORD|TOKEN)(?!_FILE)")


class _Loader(yaml.SafeLoader):
    """Reads compose's own tags as what they carry."""


def _reset(loader, node):
    return None


def _override(loader, node):
    return loader.construct_mapping(node)


_Loader.add_constructor("!reset", _reset)
_Loader.add_constructor("!override", _override)


def read(path: Path):
    return yaml.load(path.read_text(), Loader=_Loader)


@pytest.fixture(scope="session")
def compose(root):
    return read(root / "compose.yaml")


@pytest.fixture(scope="session")
def containers(compose):
    return compose["services"]


def test_every_container_is_confined(containers):
    for name, container in containers.items():
        assert container["read_only"] is True, name
        assert container["cap_drop"] == ["ALL"], name
        assert container["security_opt"] == ["no-new-privileges:true"], name
        assert container["user"] == "10001:10001", name
        assert container["init"] is True, name
        (tmp,) = container["tmpfs"]
        assert tmp.startswith("/tmp:size=")
        assert {"nosuid", "nodev"} <= set(tmp.partition(":")[2].split(",")), name
        assert not {"privileged", "cap_add", "pid", "ipc", "devices"} & set(container), name


def test_every_container_has_bounds_and_its_logs_rotate(containers):
    for name, container in containers.items():
        limits = container["deploy"]["resources"]["limits"]
        assert set(limits) == {"cpus", "memory", "pids"}, name
        assert set(container["logging"]["options"]) == {"max-size", "max-file"}, name


def test_every_container_that_stays_is_asked_for_its_health_and_started_again(containers):
    for name, container in containers.items():
        if name in ONCE:
            assert container["restart"] == "no", name
            continue
        assert container["restart"] == "unless-stopped", name
        assert container["stop_grace_period"], name
        assert name in UNASKED or container["healthcheck"]["test"][0] == "CMD", name


def test_each_service_is_asked_whether_it_is_ready_at_its_own_port(containers):
    for name in SERVICES:
        assert containers[name]["command"] == [f"services.{name}"]
        url = f"http://127.0.0.1:{SERVICE_PORTS[name]}/readyz"
        assert containers[name]["healthcheck"]["test"][-1] == url


def test_nothing_is_published_but_what_is_documented_and_to_this_machine_only(root, containers):
    guide = (root / "docs" / "deploying.md").read_text()
    published = {
        name: container["ports"] for name, container in containers.items() if "ports" in container
    }
    assert set(published) == PUBLISHED
    for name, ports in published.items():
        (port,) = ports
        found = re.fullmatch(r"127\.0\.0\.1:\$\{\w+:-(\d+)\}:\d+", port)
        assert found, name
        assert found[1] in guide, f"docs/deploying.md does not say what {name} shows on {found[1]}"


def test_only_who_has_to_reaches_the_venue(compose, containers):
    reaching = {name for name, item in containers.items() if "venue" in item.get("networks", ())}
    assert reaching == TALKS_TO_THE_VENUE
    leading_out = {
        name for name, network in compose["networks"].items() if not network.get("internal")
    }
    assert leading_out == {"desk"}, "a network is internal unless something has to be published"
    options = compose["networks"]["desk"]["driver_opts"]
    assert options["com.docker.network.bridge.enable_ip_masquerade"] == "false"


def test_a_services_keys_are_mounted_by_it_alone_and_read_only(containers):
    for name, container in containers.items():
        for mount in container.get("volumes", ()):
            volume, _, place = mount.partition(":")
            if volume.endswith("-keys") and name != "keys":
                owner = {"nats": "broker"}.get(name, name)
                assert volume == f"{owner}-keys", f"{name} mounts {volume}"
                assert place.endswith(":ro"), f"{name} may write to {volume}"


def test_no_secret_is_a_value_of_the_environment(root, containers):
    overlays = [
        read(root / f"compose.{mode}.yaml")["services"] for mode in HAS_ACCOUNT_IN_ENVIRONMENT
    ]
    for world in (containers, *overlays):
        for name, container in world.items():
            environment = (container or {}).get("environment", {})
            told = [variable for variable in environment if SECRET_NAME.search(variable)]
            assert not told, f"{name}: name a file instead of {told}"


def test_a_real_venue_has_a_project_secrets_and_a_way_out_of_its_own(root, compose):
    names = {compose["name"]}
    for mode in HAS_ACCOUNT_IN_ENVIRONMENT:
        overlay = read(root / f"compose.{mode}.yaml")
        names.add(overlay["name"])
        assert overlay["services"]["paper-exchange"] is None
        assert overlay["networks"] == {"venue": {}}
        assert "--paper" not in overlay["services"]["keys"]["command"]
        having = {
            secret: [
                name
                for name, item in overlay["services"].items()
                if secret in (item or {}).get("secrets", ())
            ]
            for secret in overlay["secrets"]
        }
        assert having["execution_api_key"] == having["execution_api_secret"] == ["execution"]
        assert having["reconciler_api_secret"] == ["reconciler"]
    assert len(names) == 3, "modes share no broker, no journal and no key"


@pytest.mark.parametrize("account", ["main", "12345", "no", "1e5"])
def test_live_takes_any_account_that_is_confirmed_by_its_name(root, account):
    environment = {
        "PORTCULLIS_ACCOUNT": account,
        "PORTCULLIS_EXECUTION__LIVE_ACCOUNT_CONFIRMATION": account,
    }
    common, settings, _ = load_config(
        "execution",
        service_settings("execution"),
        path=root / "config" / "live.yaml",
        environment=environment,
    )
    check_mode(common, settings)
    assert common.account == account


@pytest.mark.parametrize("mode", list(Mode))
def test_the_configuration_of_each_mode_is_one_that_every_service_takes(root, mode):
    path = root / "config" / f"{mode}.yaml"
    environment = {} if mode is Mode.PAPER else {"PORTCULLIS_ACCOUNT": "main"}
    if mode is Mode.LIVE:
        environment["PORTCULLIS_EXECUTION__LIVE_ACCOUNT_CONFIRMATION"] = "main"
    for name in SERVICES:
        common, settings, _ = load_config(
            name, service_settings(name), path=path, environment=environment
        )
        assert common.mode is mode
        assert common.bus.identity_file is not None
        if name == "execution":
            check_mode(common, settings)


def test_each_container_knows_jetstream_by_the_name_it_has_in_its_zone(containers):
    for name in IDENTITIES:
        told = containers[name]["environment"].get("PORTCULLIS_BUS__API_PREFIX", "$$JS.API")
        assert told.replace("$$", "$") == api_prefix(name), name


def test_the_image_holds_nothing_that_is_not_named(root):
    lines = [
        line
        for line in (root / ".dockerignore").read_text().splitlines()
        if line and line[0] != "#"
    ]
    assert lines[0] == "*", "an allow list: what is added one day stays out until it is named"
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert allowed == {"requirements.lock", "libs", "services", "cli", "deploy/image"}
    assert "libs/common/testing" in lines


def test_the_image_is_built_from_the_lock_and_runs_as_nobody(root):
    text = (root / "Dockerfile").read_text()
    build, _, final = text.rpartition("\nFROM ")
    assert "--require-hashes" in build
    assert "pip install" not in final
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert re.search(r"^ENTRYPOINT \[", final, re.MULTILINE), "exec form, or signals do not arrive"
    assert "PYTHONSAFEPATH=1" in final
    for label in ("version", "revision", "created", "licenses"):
        assert f"org.opencontainers.image.{label}=" in final


def test_the_image_has_no_configuration_but_the_one_that_is_mounted(root, containers):
    final = (root / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    told = re.search(r"^    PORTCULLIS_CONFIG=(\S+)$", final, re.MULTILINE)
    assert told, "without it a container that nobody gave a configuration takes the defaults"
    place = told[1]
    assert not re.search(rf"^COPY .*{Path(place).parent}", final, re.MULTILINE)
    for name in (*SERVICES, "provision", "operator"):
        assert containers[name]["environment"]["PORTCULLIS_CONFIG"] == place, name
        assert {"source": "settings", "target": place} in containers[name]["configs"], name
    for manifest in ("confined", "provision"):
        text = (root / "k8s" / "base" / f"{manifest}.yaml").read_text()
        assert f"{{name: PORTCULLIS_CONFIG, value: {place}}}" in text, manifest
        assert f"{{name: settings, mountPath: {Path(place).parent}," in text, manifest


def test_every_metric_that_is_watched_is_one_that_exists(root):
    source = (root / "libs" / "common" / "runtime" / "metrics.py").read_text()
    known = (
        set(re.findall(r'"([a-z_]+)", "[A-Z0-9]', source))
        | set(re.findall(r'^    "([a-z0-9_]+)",$', source, re.MULTILINE))
        | set(re.findall(r'(?:Counter|Gauge)\("([a-z_]+)"', source))
    )
    dashboard = json.loads((root / "deploy/grafana/dashboards/portcullis.json").read_text())
    rules = yaml.safe_load((root / "deploy/prometheus/alerts.yml").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    for expression in expressions:
        for name in re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b(?!\()", expression):
            plain = re.sub(r"_(bucket|sum|count)$", "", name)
            assert plain in known or name == "histogram_quantile", f"{name} in {expression}"
