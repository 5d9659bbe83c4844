"""Documents stay true: the tests they name exist, and their links lead somewhere."""

import ast
import re

import pytest


@pytest.fixture(scope="session")
def documents(root):
    """Return every Markdown file at the root and in docs, with its text."""
    paths = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    return {path: path.read_text() for path in sorted(paths)}


def test_every_test_that_a_document_names_exists(documents, sources):
    tests = {
        node.name
        for source in sources
        if source.path.startswith("tests/")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    gone = {
        f"{path.name}: {name}"
        for path, text in documents.items()
        if path.name != "CONTRIBUTING.md"  # it shows by example how to name a test
        for name in re.findall(r"`(test_\w+)`", text)
        if name not in tests
    }
    assert not gone, "a row without its test promises nothing: name another, or write it"


def test_every_failure_has_a_test(root):
    lines = (root / "docs" / "failures.md").read_text().splitlines()
    rows = [
        line for line in lines if line.startswith("|") and not line.startswith(("|-", "| failure"))
    ]
    assert len(rows) > 30
    assert [row for row in rows if "`test_" not in row.split(" | ")[-1]] == []


def test_every_link_between_documents_leads_to_a_file(documents):
    broken = [
        f"{path.name}: {target}"
        for path, text in documents.items()
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
        if not (path.parent / target).exists()
    ]
    assert not broken
