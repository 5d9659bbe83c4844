"""What the audit makes of what its tools say: silence and skipped packages are no clean bill."""

import json
import subprocess
from pathlib import Path

import pytest

from scripts import supply

LOCK = Path("requirements.lock")
SOUND = {"name": "aiohttp", "version": "3.14.5", "vulns": []}
SKIPPED = {"name": "uvloop", "skip_reason": "Dependency not found"}
FAULT = {"id": "PYSEC-2026-1", "fix_versions": ["3.14.6"], "aliases": [], "description": ""}
VULNERABLE = {"name": "aiohttp", "version": "3.14.5", "vulns": [FAULT]}


def answering(monkeypatch: pytest.MonkeyPatch, said: str, words: str = "", code: int = 0) -> None:
    done = subprocess.CompletedProcess((), code, said, words)
    monkeypatch.setattr(supply, "run", lambda *_, told=None: done)


def judged(*packages: object) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_a_package_that_was_not_judged_is_no_clean_bill(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool itself ends with 0 and "No known vulnerabilities found" then."""
    answering(monkeypatch, judged(SOUND, SKIPPED), "No known vulnerabilities found")
    with pytest.raises(supply.NotAskedError, match="1 of 2 packages could not be audited"):
        supply.audit(LOCK)


@pytest.mark.parametrize("said", ["", "{}", judged()])
def test_nothing_judged_is_no_clean_bill(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    answering(monkeypatch, said, "Traceback\nConnectionError: no way out", 1)
    with pytest.raises(supply.NotAskedError):
        supply.audit(LOCK)


def test_a_known_vulnerability_is_named_with_its_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, judged(VULNERABLE), code=1)
    assert supply.audit(LOCK) == supply.EXIT_FOUND
    assert "aiohttp 3.14.5: PYSEC-2026-1, fixed in: 3.14.6" in capsys.readouterr().out


def test_offline_it_says_so_in_one_line_and_is_not_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(supply, "FOLDER", tmp_path / "environment")
    monkeypatch.setattr(supply, "STAMP", tmp_path / "environment" / "installed-from")
    answering(monkeypatch, "", "WARNING: retrying\nERROR: No matching distribution found", 1)
    for verb in ("audit", "sbom"):
        assert supply.main([verb]) == supply.EXIT_NOT_ASKED
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"{verb}: its tools could not be installed from supply.lock")


def test_what_an_image_holds_is_named_as_its_registries_name_it() -> None:
    contents = {"pypi": {"PyYAML": "6.0.3"}, "deb": {"libc6": "1:2.41+x~1"}, "generic": {}}
    made = supply.bill_of_materials("portcullis:local", contents)
    assert made["bomFormat"] == "CycloneDX"
    assert [one["purl"] for one in made["components"]] == [
        "pkg:pypi/pyyaml@6.0.3",
        "pkg:deb/debian/libc6@1%3A2.41%2Bx~1",
    ]
