"""Parts that many tests share: a real broker, and recorded market data where a machine has it."""

import os
import subprocess
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest

from libs.common.runtime.broker import Broker

SMALL_VOLUME_BYTES = 8 << 20
LOG_BYTES_SHOWN = 6_000
ROOT = Path(__file__).resolve().parent.parent


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the last words of a failed test's processes: where nobody can look, they say why."""
    report = yield
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if report.failed and folder is not None:
        for log in sorted(folder.rglob("*.log")):
            last = log.read_bytes()[-LOG_BYTES_SHOWN:].decode(errors="replace")
            report.sections.append((f"end of {log.relative_to(folder)}", last))
    return report


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[Broker]:
    """Start a nats-server of the test's own, on a free port, with our settings and an empty store.

    The test may kill and restart it; whatever runs at the end is stopped by its process id.
    """
    broker = Broker(tmp_path / "broker")
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    """Make a file system of the test's own that is soon full; skip where only root may."""
    volume = tmp_path / "volume"
    volume.mkdir()
    made = subprocess.run(
        ("mount", "-t", "tmpfs", "-o", f"size={SMALL_VOLUME_BYTES}", "tmpfs", str(volume)),
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"no file system of our own: {made.stderr.strip()}")
    yield volume
    subprocess.run(("umount", "--lazy", str(volume)), check=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of recorded market data; skip where there is none, and always in CI.

    Tests that use it go further than the repository's own small samples can; none may be the only
    proof of a promise.
    """
    folder = ROOT.parent / "shared" / "data"
    if os.environ.get("CI") or not folder.is_dir():
        pytest.skip("no recorded market data beside this repository")
    return folder
