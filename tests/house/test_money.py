"""Money is Decimal: no ``float`` exists where a price, quantity or balance is decided."""

import ast
import re

NAMES = (
    "(ledger|matching|filters|accounts|positions?|brackets|instruments|market|book|margin"
    "|user_events|checks|sizing)"
)
MONEY_PATHS = re.compile(
    rf"""
    libs/common/(model|messages)/.*
    | services/[^/]+/core\.py
    | services/[^/]+/(.*/)?{NAMES}\.py
    | services/paper_exchange/state/orders\.py
    | services/[^/]+/(strategies|indicators)(\.py|/.*)
    """,
    re.VERBOSE,
)

# path -> why a float is right there. Keep it short; each line is a promise that no money is in it.
ALLOWED: dict[str, str] = {}


def floats(tree: ast.AST) -> list[int]:
    """Return the lines that write a float literal or name the type (calls, annotations, checks)."""
    return sorted(
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and node.id == "float")
        or (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.ImportFrom | ast.Import) and names_of_import(node) & {"numpy"})
    )


def names_of_import(node: ast.ImportFrom | ast.Import) -> set[str]:
    """Return the top-level packages that an import names."""
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").partition(".")[0]}
    return {alias.name.partition(".")[0] for alias in node.names}


def test_no_float_exists_in_a_money_path(sources):
    found = [
        f"{source.path}:{line}"
        for source in sources
        if MONEY_PATHS.fullmatch(source.path) and source.path not in ALLOWED
        for line in floats(source.tree)
    ]
    assert not found, (
        'write Decimal("0.1"), never 0.1 or float(x): 0.1 + 0.2 is not 0.3 in binary, and a '
        "quantity one step off is an order refused or a position left open"
    )


def test_the_search_for_floats_finds_each_way_of_writing_one():
    text = "a = 0.5\nb: float = 1\nc = float('1')\nimport numpy as np\nd = 1\n"
    assert floats(ast.parse(text)) == [1, 2, 3, 4]


def test_every_allowed_float_still_has_its_file(root):
    gone = [path for path in ALLOWED if not (root / path).exists()]
    assert not gone, "remove the line from ALLOWED: its file is gone"
