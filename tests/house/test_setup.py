"""``make setup`` says in words what a machine lacks, and leaves nothing half made behind."""

import shutil
import subprocess
import sys

import pytest


@pytest.fixture
def setup(root, tmp_path):
    """Run the real script in a copy of the repository's outside, with a Python of our making."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(root / "scripts" / "setup.py", tmp_path / "scripts")
    for name in ("pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(root / name, tmp_path)

    def run(python_script: str | None) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(tmp_path / "bin")}
        (tmp_path / "bin").mkdir(exist_ok=True)
        if python_script is not None:
            fake = tmp_path / "bin" / "python3"
            fake.write_text(f"#!/bin/sh\n{python_script}\n")
            fake.chmod(0o755)
        return subprocess.run(
            [sys.executable, "-I", "-S", tmp_path / "scripts" / "setup.py"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
        )

    return run


@pytest.mark.parametrize("version", ["3.8.18", "3.10.13", "3.14.0", "2.7.18"])
def test_an_unsupported_python_is_named_with_the_cure(setup, version):
    result = setup(f"echo {version} /usr/bin/python3")
    assert result.returncode == 1
    assert result.stderr == (
        f"Portcullis needs Python 3.11, 3.12 or 3.13; python3 here is {version}. "
        "Install one or set PYTHON=python3.12\n"
    )


def test_a_machine_without_any_python_is_told_so(setup):
    result = setup(None)
    assert "no python3 runs here" in result.stderr


def test_a_name_on_the_path_that_does_not_run_counts_as_absent(setup):
    result = setup("echo 'python3: command not found' >&2; exit 127")
    assert "no python3 runs here" in result.stderr


def test_a_missing_ensurepip_names_the_package_and_leaves_no_venv(setup, tmp_path):
    version = ".".join(map(str, sys.version_info[:3]))
    result = setup(
        'case "$*" in *venv*) echo "ensurepip is not available"; exit 1;; esac\n'
        f'echo "{version} $0"'
    )
    assert result.returncode == 1
    assert "apt install python3-venv" in result.stderr
    assert not (tmp_path / ".venv").exists()
