"""The repository as the house tests see it: every file a person wrote, parsed once."""

import ast
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
CODE_FOLDERS = (
    "libs", "services", "cli", "sim", "bench", "conformance", "drills", "fuzz", "scripts", "tests",
)  # fmt: skip
NOT_OURS = {
    ".git", ".venv", ".venv-conformance", ".venv-fuzz", ".venv-supply", ".portcullis",
    "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis",
    ".import_linter_cache", "build", "dist", "node_modules", "vendor",
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One Python file: where it is (from the root, with slashes), its text and its tree."""

    path: str
    text: str
    tree: ast.Module


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """Return every file that is, or soon will be, committed."""
    found = []
    for folder, subfolders, names in os.walk(ROOT):
        subfolders[:] = [
            name for name in subfolders if name not in NOT_OURS and not name.endswith(".egg-info")
        ]
        found += [Path(folder, name) for name in names if not name.startswith(".coverage")]
    return sorted(found)


@pytest.fixture(scope="session")
def sources(files: list[Path]) -> list[Source]:
    """Return every Python file of ours, parsed."""
    return [
        Source(path.relative_to(ROOT).as_posix(), text := path.read_text(), ast.parse(text))
        for path in files
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in CODE_FOLDERS
    ]
