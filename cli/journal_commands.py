"""`portcullis journal export` and `verify`, and the export every run makes when it ends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from cli import exits
from cli.journal_file import check_file, footer_line
from cli.provision import NoSettings
from cli.run_directory import RunDirectory, find_run
from cli.run_plan import RunPlan
from cli.streams import read_stream
from libs.common.messages import subjects
from libs.common.messages.journal import GENESIS_HASH, record_hash
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.config import load_config
from libs.common.runtime.errors import BusUnavailable, ConfigError
from libs.common.runtime.log import configure_logging

DEFAULT_DATA_DIR = Path(".portcullis")
DEFAULT_ACCOUNT = "paper"
CONNECT_ATTEMPTS_MAX = 3


def export_journal(
    out: Path, *, data_dir: Path | None, url: str | None, account: str | None
) -> None:
    """Write an account's journal to a file and check it.

    Raises:
        CommandFailed: bad usage (2), no broker (3), or the journal is not whole (1; it is written
            all the same, for whoever wants to know how).
    """
    count = copy_journal(out, data_dir=data_dir, url=url, account=account)
    check = check_file(out.read_bytes()) if count else None
    if check is not None and not check.is_whole:
        raise exits.CommandFailed(f"exported {count} records to {out}, but {check.fault}")
    print(f"exported {count} records to {out}" + (f", head {check.head}" if check else ""))


def copy_journal(out: Path, *, data_dir: Path | None, url: str | None, account: str | None) -> int:
    """Write an account's journal to a file, unchecked; returns how many records there are.

    Raises:
        CommandFailed: bad usage (2) or no broker (3).
    """
    configure_logging("journal", "error")
    if url is not None and data_dir is not None:
        raise exits.CommandFailed("--url and --data-dir exclude each other", exits.BAD_USAGE)
    try:
        if url is not None:
            return asyncio.run(_export_from_url(url, account, out))
        run = find_run(data_dir or DEFAULT_DATA_DIR)
        return asyncio.run(_export_from_run(run, account, out))
    except (BusUnavailable, ConfigError) as error:
        raise exits.CommandFailed(str(error), exits.NOT_AVAILABLE) from error
    except OSError as error:
        raise exits.CommandFailed(f"cannot write {out}: {error.strerror}") from error


def verify_journal(file: Path) -> int:
    """Check an exported journal; prints what was found and returns the exit code.

    Raises:
        CommandFailed: the file cannot be read (2).
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise exits.CommandFailed(
            f"cannot read {file}: {error.strerror}", exits.BAD_USAGE
        ) from error
    check = check_file(content)
    if not check.is_whole:
        print(f"{file}: NOT VERIFIED: {check.fault}")
        return exits.FAILED
    print(f"{file}: verified, {check.records} records, {check.events} events, head {check.head}")
    if not check.has_footer:
        print("there is no footer: whether records are missing at the end cannot be seen")
    return exits.OK


async def export_from_bus(directory: RunDirectory, plan: RunPlan) -> None:
    """Keep the journal of a run that ends as a file in its directory."""
    settings = plan.common.bus.model_copy(
        update={"url": directory.read_facts().get("broker_url", plan.common.bus.url)}
    )
    bus = await Bus.connect(settings, "export", lambda: None)
    try:
        await write_export(bus, plan.common.account, directory.journal)
    finally:
        await bus.close()


async def write_export(bus: Bus, account: str, out: Path) -> int:
    """Write the records and the footer; returns how many records there are."""
    head, count = GENESIS_HASH, 0
    draft = out.with_name(out.name + ".new")
    with draft.open("wb") as file:
        async for raw in read_journal(bus, account):
            file.write(raw + b"\n")
            head, count = record_hash(raw), count + 1
        file.write(footer_line(head, count))
    draft.replace(out)
    return count


async def read_journal(bus: Bus, account: str) -> AsyncIterator[bytes]:
    """The raw records of an account, in order."""
    subject = subjects.journal(account)
    async for message in read_stream(bus, subjects.JOURNAL_STREAM):
        if message.subject == subject and message.data is not None:
            yield message.data


async def _export_from_url(url: str, account: str | None, out: Path) -> int:
    # Who we are to the broker is configured, where it asks, and so is whose journal is meant.
    common, _, _ = load_config("export", NoSettings)
    told = {"url": url, "connect_attempts_max": CONNECT_ATTEMPTS_MAX}
    bus = await Bus.connect(common.bus.model_copy(update=told), "export", lambda: None)
    try:
        return await write_export(bus, account or common.account, out)
    finally:
        await bus.close()


async def _export_from_run(run: RunDirectory, account: str | None, out: Path) -> int:
    facts = run.read_facts()
    account = account or str(facts.get("account", DEFAULT_ACCOUNT))
    if facts.get("ended") is not True and facts.get("broker_url"):
        try:
            return await _export_from_url(str(facts["broker_url"]), account, out)
        except BusUnavailable:
            pass  # the run was killed: its broker is gone, its store is there
    broker = Broker(run.broker)
    url = await broker.start()
    try:
        return await _export_from_url(url, account, out)
    finally:
        await broker.stop()
