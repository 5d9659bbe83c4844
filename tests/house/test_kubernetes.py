"""What runs in a cluster is confined as in containers, and reads the same settings."""

import re

import pytest
import yaml

from cli.broker_users import api_prefix
from cli.config import SERVICE_PORTS, SERVICES

MODES = ("paper", "testnet", "live")
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
PROBES = {"startupProbe", "livenessProbe", "readinessProbe"}


@pytest.fixture(scope="session")
def documents_of(root):
    """Return all manifests of a folder."""

    def read(folder):
        return [
            document
            for path in sorted((root / "k8s" / folder).glob("*.yaml"))
            if path.name
            not in ("kustomization.yaml", "portcullis.yaml", "named.yaml", "chart-values.yaml")
            for document in yaml.safe_load_all(path.read_text())
        ]

    return read


@pytest.fixture(scope="session")
def base(documents_of):
    return documents_of("base") + documents_of("broker")


def pods(documents):
    """Each template of pods, with the name of what makes them."""
    return {
        document["metadata"]["name"]: document["spec"]["template"]["spec"]
        for document in documents
        if "template" in document.get("spec", {})
    }


def test_a_cluster_reads_the_settings_that_compose_reads(root):
    for mode in MODES:
        copy = root / "k8s" / "overlays" / mode / "portcullis.yaml"
        assert copy.read_text() == (root / "config" / f"{mode}.yaml").read_text(), mode
    copy = root / "k8s" / "broker" / "portcullis.conf"
    assert copy.read_text() == (root / "deploy" / "nats" / "nats-server.conf").read_text()


def test_every_pod_is_restricted(base, documents_of):
    found = pods(base) | pods(documents_of("overlays/paper"))
    common = found.pop("any")  # laid over every service
    for name, pod in found.items():
        whole = {**common, **pod} if name in SERVICES else pod
        assert whole["automountServiceAccountToken"] is False, name
        context = whole["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert context["runAsUser"] != 0, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        containers = common["containers"] if name in SERVICES else pod["containers"]
        for container in (*containers, *whole.get("initContainers", ())):
            assert container["securityContext"] == RESTRICTED, f"{name}: {container['name']}"
        for volume in (*whole.get("volumes", ()), *pod.get("volumes", ())):
            kinds = set(volume) - {"name"}
            assert kinds <= {"configMap", "secret", "emptyDir", "projected"}, f"{name}: {volume}"


def test_whatever_stays_is_probed_and_bounded(base, documents_of):
    found = pods(base) | pods(documents_of("overlays/paper"))
    common = found.pop("any")["containers"][0]
    for name, pod in found.items():
        (container,) = pod["containers"]
        assert {"requests", "limits"} == set(container["resources"]), name
        if name != "provision":
            assert set(container) | (set(common) if name in SERVICES else set()) >= PROBES, name
    paths = {probe: common[probe]["httpGet"]["path"] for probe in PROBES}
    assert paths == {
        "startupProbe": "/startupz", "livenessProbe": "/livez", "readinessProbe": "/readyz",
    }  # fmt: skip


def test_each_service_listens_where_it_is_asked(base):
    for name in SERVICES:
        (container,) = pods(base)[name]["containers"]
        assert container["args"] == [f"services.{name}"]
        assert container["ports"] == [{"name": "http", "containerPort": SERVICE_PORTS[name]}]


def test_no_manifest_holds_a_secret(base, documents_of):
    everything = [*base, *(one for mode in MODES for one in documents_of(f"overlays/{mode}"))]
    assert not [document for document in everything if document["kind"] == "Secret"]


def test_only_who_has_to_may_leave_to_the_venue(base, documents_of):
    labels = {
        document["metadata"]["name"]: document["spec"]["template"]["metadata"]["labels"]
        for document in base
        if document["kind"] == "Deployment" and document["metadata"]["name"] != "any"
    }
    leaving = {name for name in labels if labels[name]["portcullis/speaks-to-the-venue"] == "true"}
    assert leaving == {"feed", "execution", "reconciler"}
    policies = [document for document in base if document["kind"] == "NetworkPolicy"]
    nobody = next(one["spec"] for one in policies if one["metadata"]["name"] == "nobody")
    assert nobody == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert not [one for one in policies if "ipBlock" in yaml.safe_dump(one)], (
        "only overlays lead out"
    )
    for mode in ("testnet", "live"):
        (way,) = [one for one in documents_of(f"overlays/{mode}") if one["kind"] == "NetworkPolicy"]
        chosen = way["spec"]["podSelector"]["matchLabels"]
        assert chosen == {"portcullis/speaks-to-the-venue": "true"}


def test_the_feed_gets_a_key_of_the_venue_that_can_sign_nothing(root, documents_of):
    for mode in ("testnet", "live"):
        given = {
            name: next(
                volume["secret"]
                for volume in patch["template"]["spec"]["volumes"]
                if volume["name"] == "venue-secrets"
            )
            for name, patch in deployments(documents_of(f"overlays/{mode}")).items()
        }
        assert {name: secret["secretName"] for name, secret in given.items()} == {
            "feed": "venue-reading", "execution": "venue-trading", "reconciler": "venue-reading",
        }  # fmt: skip
        assert given["feed"]["items"] == [
            {"key": "reconciler_api_key", "path": "reconciler_api_key"}
        ]
        feed = yaml.safe_load((root / "config" / f"{mode}.yaml").read_text())["feed"]
        assert feed["api_key_file"] == "/run/secrets/reconciler_api_key"


def test_live_runs_an_image_by_its_digest_and_nothing_until_it_is_confirmed(root, documents_of):
    text = (root / "k8s" / "overlays" / "live" / "kustomization.yaml").read_text()
    (image,) = yaml.safe_load(text)["images"]
    assert set(image) == {"name", "newName", "digest"}
    (account,) = [one for one in documents_of("overlays/live") if one["kind"] == "ConfigMap"]
    assert account["data"] == {
        "PORTCULLIS_ACCOUNT": "",
        "PORTCULLIS_BUS__REPLICAS": "3",
        "PORTCULLIS_EXECUTION__LIVE_ACCOUNT_CONFIRMATION": "",
    }


def deployments(documents):
    """Each Deployment by its name, but for what is laid over all of them."""
    return {
        document["metadata"]["name"]: document["spec"]
        for document in documents
        if document["kind"] == "Deployment" and document["metadata"]["name"] != "any"
    }


def apart_from(labels):
    """What keeps a pod off every node that has one with these labels."""
    return {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "topologyKey": "kubernetes.io/hostname",
                    "labelSelector": {"matchLabels": labels},
                }
            ]
        }
    }


def test_each_pair_is_spread_by_itself_and_in_live_never_shares_a_node(base, documents_of):
    found, live = deployments(base), deployments(documents_of("overlays/live"))
    assert {name for name in found if found[name]["replicas"] > 1} == {"feed", "execution"}
    assert "topologySpreadConstraints" not in pods(base)["any"], "one balance for all hides a pair"
    for name in ("feed", "execution"):
        own = found[name]["selector"]["matchLabels"]
        assert own == {"app.kubernetes.io/component": name}
        (spread,) = found[name]["template"]["spec"]["topologySpreadConstraints"]
        assert spread == {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",  # a cluster of one node runs both
            "labelSelector": {"matchLabels": own},
        }
        assert live[name]["template"]["spec"]["affinity"] == apart_from(own)
        # With as many nodes as replicas the new one has no place before the old one is gone.
        assert found[name]["strategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}
    for mode in ("paper", "testnet"):
        for name, patch in deployments(documents_of(f"overlays/{mode}")).items():
            assert "affinity" not in patch["template"]["spec"], f"{mode}: {name}"


def test_of_each_pair_a_drain_leaves_one(base):
    budgets = [document for document in base if document["kind"] == "PodDisruptionBudget"]
    found = deployments(base)
    assert {one["metadata"]["name"] for one in budgets} == {
        name for name in found if found[name]["replicas"] > 1
    }
    for budget in budgets:
        name = budget["metadata"]["name"]
        assert budget["spec"] == {"minAvailable": 1, "selector": found[name]["selector"]}
        chosen = budget["spec"]["selector"]["matchLabels"].items()
        labels = {other: found[other]["template"]["metadata"]["labels"] for other in found}
        assert [other for other in labels if chosen <= labels[other].items()] == [name]


def test_each_pod_knows_jetstream_by_the_name_it_has_in_its_zone(base):
    found = pods(base)
    for name in (*SERVICES, "provision"):
        (container,) = found[name]["containers"]
        told = {one["name"]: one["value"] for one in container["env"]}
        assert told["PORTCULLIS_BUS__API_PREFIX"] == api_prefix(name), name


def test_three_brokers_are_as_strict_as_one(root):
    values = yaml.safe_load((root / "k8s" / "broker" / "chart-values.yaml").read_text())
    config, one = values["config"], (root / "deploy" / "nats" / "nats-server.conf").read_text()
    assert config["cluster"]["replicas"] == 3
    assert config["cluster"]["tls"]["merge"]["verify"] is True
    assert config["jetstream"]["merge"] == {"sync_interval": "always"}
    assert config["nats"]["tls"]["enabled"] is True
    assert config["merge"]["feature_flags"] == {"js_ack_fc_v2": False}
    for told in ("8MB", "64MB", "24GB", "sync_interval: always", "js_ack_fc_v2: false"):
        assert told in one, told
    assert values["container"]["merge"]["securityContext"] == RESTRICTED
    overlay = yaml.safe_load((root / "k8s/overlays/live/kustomization.yaml").read_text())
    assert "../../broker" not in overlay["resources"], "live has three by the chart"


def test_three_brokers_share_no_node_and_run_by_digest(root):
    values = yaml.safe_load((root / "k8s" / "broker" / "chart-values.yaml").read_text())
    template, image = values["podTemplate"], values["container"]["image"]
    # The chart labels each of its brokers so, and the policies choose them by it.
    assert template["merge"]["spec"]["affinity"] == apart_from(
        {"app.kubernetes.io/component": "nats"}
    )
    assert "topologySpreadConstraints" not in template, "it allows two and one"
    assert re.fullmatch("sha256:[0-9a-f]{64}", image["digest"])
