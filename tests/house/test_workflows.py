"""Workflows may do what they need and no more, and do it with the commands that people type."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
MAKE = re.compile(r"\bmake ([\w-]+)")


@pytest.fixture(scope="module")
def workflows(root: Path) -> dict[str, tuple[str, dict[Any, Any]]]:
    """Return each workflow's text and tree by its name."""
    found = sorted((root / ".github" / "workflows").glob("*.yml"))
    assert found
    return {path.name: (path.read_text(), yaml.safe_load(path.read_text())) for path in found}


def test_every_action_is_pinned_by_its_commit_and_names_its_version(workflows):
    loose = [
        f"{name}: {line.strip()}"
        for name, (text, _) in workflows.items()
        for line in text.splitlines()
        if "uses:" in line and not PINNED.search(line)
    ]
    assert not loose, "a tag can be moved by whoever owns it; a commit cannot"


def test_workflows_may_read_and_nothing_else(workflows):
    for name, (text, tree) in workflows.items():
        assert tree["permissions"] == {"contents": "read"}, name
        assert not [job for job in tree["jobs"].values() if "permissions" in job], name
        assert "pull_request_target" not in text, f"{name}: it would give a fork our rights"
        assert "secrets." not in text, f"{name}: what has no secret cannot lose one"


def test_every_job_ends_in_time_and_leaves_no_credentials_behind(workflows):
    for name, (_, tree) in workflows.items():
        assert "concurrency" in tree, name
        for job_name, job in tree["jobs"].items():
            assert "timeout-minutes" in job, f"{name}: {job_name}"
            for step in job["steps"]:
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False, f"{name}: {job_name}"


def test_workflows_and_hooks_call_what_people_type(root, workflows):
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE))
    hooks = (root / ".pre-commit-config.yaml").read_text()
    called = {word for text, _ in workflows.values() for word in MAKE.findall(text)}
    called |= set(MAKE.findall(hooks))
    assert called >= {"scan-secrets", "audit", "sbom"}
    assert called <= targets, "a target that the Makefile does not have"
    assert ".ci/run" in workflows["ci.yml"][0]
    assert "https://" not in hooks, "hooks come from here: one version of each tool, no network"


def test_the_pythons_that_are_tried_are_those_that_are_promised(root, workflows):
    tried = workflows["ci.yml"][1]["jobs"]["check"]["strategy"]["matrix"]["python"]
    project = (root / "pyproject.toml").read_text()
    assert tried == ["3.11", "3.12", "3.13"]
    assert 'requires-python = ">=3.11,<3.14"' in project
