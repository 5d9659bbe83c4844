"""What docs/deploying.md says of a journal on a cluster, typed against the deployed broker."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from libs.common.runtime.bus import Bus
from libs.common.runtime.journal import Journal
from libs.common.runtime.provisioning import provision
from tests.integration.test_journal_cli import fill
from tests.integration.walled_broker import connected, settings_of, walled_broker

ROOT = Path(__file__).resolve().parents[2]
FORWARDED = "tls://127.0.0.1:4222"
RECORDS = 5


def told() -> tuple[list[str], list[str]]:
    """The lines that export, and those that restore; those of kubectl are for a cluster."""
    section = (ROOT / "docs" / "deploying.md").read_text().partition("### On a cluster\n")[2]
    blocks = re.findall(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    kept = [
        [line for line in block.splitlines() if line.startswith(("export ", "portcullis "))]
        for block in blocks
    ]
    return kept[0], kept[1]


def type_in(lines: list[str], folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Run lines in one shell beside `keys` and `k8s`, the broker's port for the forwarded one."""
    (folder / "k8s").symlink_to(ROOT / "k8s")
    program = f'portcullis() {{ {shlex.quote(sys.executable)} -m cli "$@"; }}'
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PORTCULLIS")}
    try:
        return subprocess.run(
            ["sh", "-e", "-c", "\n".join([program, *lines]).replace(FORWARDED, url)],
            cwd=folder,
            env={**clean, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"},
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        (folder / "k8s").unlink()


async def test_a_journal_is_exported_and_restored_as_the_guide_says(tmp_path, monkeypatch):
    exporting, restoring = told()
    broker = walled_broker(tmp_path, monkeypatch)
    await broker.start()
    try:
        await write_journal(tmp_path, broker)
        done = type_in(exporting, tmp_path, broker.url)
        assert (done.returncode, f"verified, {RECORDS} records" in done.stdout) == (0, True), done
    finally:
        await broker.stop()
    (tmp_path / "broker").rename(tmp_path / "lost")
    empty = walled_broker(tmp_path, monkeypatch)
    await empty.start()
    try:
        again = [line.replace("journal.jsonl", "again.jsonl") for line in exporting]
        settings = [line for line in exporting if line.startswith("export ")]
        done = type_in(settings + restoring, tmp_path, empty.url)
        assert (done.returncode, f"restored {RECORDS} records" in done.stdout) == (0, True), done
        done = type_in(again, tmp_path, empty.url)
        assert done.returncode == 0, done
    finally:
        await empty.stop()
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "journal.jsonl").read_bytes()


async def write_journal(folder, broker):
    maker = await connected(broker, folder, "provision")
    await provision(maker, "paper", settings_of(broker, folder, "provision"))
    await maker.close()
    writer: Bus = await connected(broker, folder, "execution")
    await fill(Journal(writer, "paper", "hash"), RECORDS)
    await writer.close()
