"""The import contracts are real: plant a forbidden import in a copy, and they break by name."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

PURE_NAMES = (
    "core checks sizing strategies indicators answers consequences fold fold_guards "
    "fold_protection guards holds kill_core protection question state trading admin_core "
    "admin_fold view exchange doors/doorkeeper faults/effects depth_book instruments rules"
)
PURE_ROOMS = ("wire", "market", "state", "trading", "money")


def pure_modules(root):
    """Return the dotted name of one file for each pure module on disk."""
    folders = [root / "libs/common" / room for room in ("model", "messages", "venue")]
    modules = [path for folder in folders for path in sorted(folder.glob("*.py"))[:1]]
    for name in PURE_NAMES.split():
        modules += sorted((root / "services").glob(f"*/{name}.py"))
        modules += sorted((root / "services").glob(f"*/{name}/__init__.py"))
    venue = root / "services" / "paper_exchange"
    modules += [path for room in PURE_ROOMS for path in sorted((venue / room).glob("[a-z]*.py"))]
    return [path.relative_to(root) for path in modules]


def dotted(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


@pytest.fixture
def copy_of_the_house(root, tmp_path):
    """Copy what the contracts look at to a place where it may be spoiled."""
    unneeded = shutil.ignore_patterns("__pycache__")
    for folder in ("libs", "services"):
        shutil.copytree(root / folder, tmp_path / folder, ignore=unneeded)
    shutil.copy(root / ".importlinter", tmp_path)
    fakes = tmp_path / "libs/common/testing/__init__.py"
    fakes.parent.mkdir(exist_ok=True)
    fakes.touch()
    return tmp_path


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sysconfig.get_path("scripts")) / "lint-imports", "--no-logo", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def plant(path: Path, line: str) -> None:
    path.write_text(path.read_text() + f"\n{line}\n")


def test_the_contracts_break_when_any_core_imports_asyncio(root, copy_of_the_house):
    modules = pure_modules(root)
    for path in modules:
        plant(copy_of_the_house / path, "import asyncio")
    result = lint_imports(copy_of_the_house)
    assert result.returncode == 1, result.stdout + result.stderr
    missed = [
        dotted(path)
        for path in modules
        if f"{dotted(path)} is not allowed to import asyncio" not in result.stdout
        and f"{dotted(path)} -> asyncio" not in result.stdout
    ]
    assert not missed, "list them under `cores` in .importlinter"


def test_the_contracts_break_when_a_wall_is_walked_through(copy_of_the_house):
    for service, neighbor in (("east", "west"), ("west", None)):
        folder = copy_of_the_house / "services" / service
        folder.mkdir()
        line = f"import services.{neighbor}" if neighbor else "import libs.common.testing"
        (folder / "__init__.py").write_text(line)
    plant(copy_of_the_house / "libs/common/model/__init__.py", "import services.west")
    plant(copy_of_the_house / "libs/common/messages/__init__.py", "import libs.common.runtime")
    venue = copy_of_the_house / "services/paper_exchange"
    plant(venue / "wire/refusals.py", "import services.paper_exchange.state.ledger")
    plant(venue / "doors/hub.py", "import libs.common.venue.signing")
    words = lint_imports(copy_of_the_house).stdout
    for contract in (
        "Libraries know no service, no CLI and no simulator BROKEN",
        "Services never import one another: they speak over the bus BROKEN",
        "Inside common, a room imports only the rooms below it BROKEN",
        "Inside the paper exchange, a room imports only the rooms below it BROKEN",
        "The paper exchange shares no code with the client that is tested against it BROKEN",
        "Nothing that ships imports the fakes BROKEN",
    ):
        assert contract in words
