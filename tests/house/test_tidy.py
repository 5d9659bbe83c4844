"""The habits of the house as a program: what review would say twice is said here, once, by name.

Each failure says what to do instead. Change a limit or a list only with a reason in the same
commit.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

LINES_PER_FILE_MAX = 400
LINES_PER_FUNCTION_MAX = 70

DRAWERS = {"utils", "util", "helpers", "helper", "base", "manager", "misc", "common"}
THE_ONE_COMMON = re.compile(r"^(libs|tests/unit)/common/")

# The glossary's "not" words, where they can only mean one thing, and what to write.
WORDS = {
    "qty": "quantity",
    "amt": "quantity or notional",
    "px": "price, and say which",
    "oid": "venue_order_id",
    "cloid": "client_order_id",
    "tif": "time_in_force",
    "cfg": "config",
    "mgr": "the thing it does",
    "acct": "account",
    "holding": "position",
    "holdings": "positions",
    "cancelled": "canceled",
    "cancelling": "canceling",
}
# Where the venue's own words are mirrored letter for letter.
VENUE_WORDS_ALLOWED = ("libs/common/venue/", "services/paper_exchange/")

MAY_PRINT = ("cli/", "bench/", "conformance/", "drills/", "fuzz/", "scripts/")


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def names_given(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield each name that our code gives to something; names it merely uses are others'."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, node.lineno
            case ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno


def words_of(name: str) -> list[str]:
    """Split an identifier into its words, whether joined by underscores or by capitals."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_")


def test_no_file_is_longer_than_a_person_reads_in_one_sitting(sources):
    too_long = {
        source.path: lines
        for source in sources
        if (lines := source.text.count("\n")) > LINES_PER_FILE_MAX
    }
    assert not too_long, f"over {LINES_PER_FILE_MAX} lines; split by concept, not by size"


def test_no_function_is_longer_than_a_screen(sources):
    too_long = [
        f"{source.path}:{function.lineno} {function.name} has {lines} lines"
        for source in sources
        for function in functions(source.tree)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > LINES_PER_FUNCTION_MAX
    ]
    assert not too_long, f"over {LINES_PER_FUNCTION_MAX} lines; name the steps and extract them"


def test_no_module_is_a_drawer(sources):
    drawers = [
        source.path
        for source in sources
        if DRAWERS & set(PurePosixPath(THE_ONE_COMMON.sub("", source.path)).with_suffix("").parts)
    ]
    assert not drawers, "name a module after what is in it; a drawer collects what nobody owns"


def test_identifiers_use_the_words_of_the_glossary(sources):
    strangers = [
        f"{source.path}:{line} {name}: write {WORDS[word]} instead of {word}"
        for source in sources
        if not source.path.startswith(VENUE_WORDS_ALLOWED)
        for name, line in names_given(source.tree)
        for word in words_of(name)
        if word in WORDS
    ]
    assert not strangers, "one thing, one word: docs/glossary.md"


def is_silent(handler: ast.ExceptHandler) -> bool:
    """Whether a handler swallows everything, or everything that is an Exception, without a word."""
    if handler.type is None:
        return True
    catches_all = isinstance(handler.type, ast.Name) and handler.type.id in {
        "Exception",
        "BaseException",
    }
    says_nothing = all(
        isinstance(step, ast.Pass | ast.Continue)
        or (isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant))
        for step in handler.body
    )
    return catches_all and says_nothing


def test_no_exception_disappears(sources):
    silent = [
        f"{source.path}:{node.lineno}"
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ExceptHandler) and is_silent(node)
    ]
    assert not silent, "catch what you can name, and say or raise what you caught"


def test_nothing_is_left_for_later_without_an_issue(sources):
    marks = re.compile(r"#.*\b(T[O]DO|F[I]XME|X[X]X|H[A]CK)\b")
    left = [
        f"{source.path}:{number}"
        for source in sources
        for number, line in enumerate(source.text.splitlines(), 1)
        if marks.search(line)
    ]
    assert not left, "do it, or open an issue: a mark in the code has no owner and no date"


def test_only_what_talks_to_a_terminal_prints(sources):
    printing = [
        f"{source.path}:{node.lineno}"
        for source in sources
        if not source.path.startswith(MAY_PRINT)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not printing, "log through libs.common.runtime.log: one JSON line an operator can search"


def test_tests_are_not_packages(root):
    packages = sorted(path.relative_to(root) for path in (root / "tests").rglob("__init__.py"))
    assert not packages, "tests/unit/signal/__init__.py would become a second `signal`; remove it"
