"""Nothing in the repository names the machine or the network it happened to be written on."""

import re

LOCKS = ("requirements.lock", "requirements-dev.lock", "scripts/supply.lock")
# Written with classes and breaks so that this file does not find itself.
ADDRESSES_OF_AN_INDEX = re.compile(r"p[y]pi\.org|py[t]honhosted|n[p]mjs\.|/o[p]t/(pypi|wheels)")
PLACES_OF_A_MACHINE = re.compile(r"(?<![\w.~-])/(work|root|home)/(?!portcullis\b)")
DATA_BESIDE_THE_REPOSITORY = re.compile(r"\.\./(s)hared\b")


def lines_with(pattern, files, root):
    """Return where a pattern is found in text files, as path:line."""
    found = []
    for path in files:
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if pattern.search(text):
            name = path.relative_to(root).as_posix()
            lines = enumerate(text.splitlines(), 1)
            found += [f"{name}:{number}" for number, line in lines if pattern.search(line)]
    return found


def test_no_package_index_is_named(files, root):
    assert not lines_with(ADDRESSES_OF_AN_INDEX, files, root), (
        "pip knows where packages come from; a committed address breaks everyone behind a mirror"
    )


def test_the_lock_files_hold_no_addresses(root):
    for name in LOCKS:
        text = (root / name).read_text()
        assert "://" not in text, f"{name}: lock again with `make lock`, which emits no index"
        assert " @ " not in text, f"{name}: every requirement is a name, a version and hashes"


def test_every_locked_requirement_has_a_hash(root):
    for name in LOCKS:
        for requirement in re.split(r"\n(?=\S)", (root / name).read_text()):
            if "==" in requirement:
                assert "--hash=sha256:" in requirement, f"{name}: {requirement.splitlines()[0]}"


def test_everything_that_runs_is_tested_in_the_same_version(root):
    pins = [
        set(re.findall(r"^(\S+==\S+)", (root / name).read_text(), re.MULTILINE))
        for name in ("requirements.lock", "requirements-dev.lock")
    ]
    assert pins[0] <= pins[1], "requirements-dev.lock contains requirements.lock: run `make lock`"


def test_no_path_of_somebodys_machine_is_named(files, root):
    assert not lines_with(PLACES_OF_A_MACHINE, files, root), "use a path relative to the repository"


def test_nothing_but_tests_knows_of_data_beside_the_repository(files, root):
    outside = [path for path in files if path.relative_to(root).parts[0] != "tests"]
    assert not lines_with(DATA_BESIDE_THE_REPOSITORY, outside, root), (
        "a stranger's clone has no such folder: take the path as an argument"
    )
