"""`portcullis journal restore`: puts an exported journal into a broker that lost it.

For the day on which the broker's disk is gone. What was recorded after the export is not in it, so
execution must look at the venue before anything is sent: see docs/deploying.md.
"""

import asyncio
from pathlib import Path

from cli import exits
from cli.journal_file import check_file
from cli.provision import NoSettings
from libs.common.messages import subjects
from libs.common.messages.codec import decode_struct
from libs.common.messages.journal import JournalRecord, record_hash
from libs.common.runtime.bus import Bus
from libs.common.runtime.config import CommonConfig, load_config
from libs.common.runtime.errors import BusError, BusUnavailable, ConfigError
from libs.common.runtime.log import configure_logging

#: The one that may write the journal.
WRITER = "execution"


def restore_journal(file: Path) -> int:
    """Store every record of an export, in order; returns how many there were.

    Raises:
        CommandFailed: the file is not whole, or of another account, or the settings or a file they
            name are wrong (2); the broker is not there (3); or it has a
            journal already, or broke off (1: what is stored is a true beginning).
    """
    configure_logging("journal", "error")
    records = _read(file)
    try:
        common, _, _ = load_config("restore", NoSettings)
    except ConfigError as error:
        raise exits.CommandFailed(str(error), exits.BAD_USAGE) from error
    strangers = {decode_struct(one, JournalRecord).account for one in records} - {common.account}
    if strangers:
        raise exits.CommandFailed(
            f"{file} is of account {', '.join(sorted(strangers))}, not {common.account}",
            exits.BAD_USAGE,
        )
    try:
        asyncio.run(_store(common, records))
    except ConfigError as error:  # the identity, or the broker's authority
        raise exits.CommandFailed(str(error), exits.BAD_USAGE) from error
    except BusUnavailable as error:
        raise exits.CommandFailed(str(error), exits.NOT_AVAILABLE) from error
    except BusError as error:
        raise exits.CommandFailed(f"not restored: {error}") from error
    return len(records)


def _read(file: Path) -> list[bytes]:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise exits.CommandFailed(
            f"cannot read {file}: {error.strerror}", exits.BAD_USAGE
        ) from error
    check = check_file(content)
    if not check.is_whole or not check.has_footer:
        fault = check.fault or "it has no footer, so its end may be missing"
        raise exits.CommandFailed(f"{file} is not restored: {fault}", exits.BAD_USAGE)
    return content.splitlines()[: check.records]


async def _store(common: CommonConfig, records: list[bytes]) -> None:
    """Raises AppendConflict where there is a record that is not ours."""
    subject, last = subjects.journal(common.account), 0
    bus = await Bus.connect(common.bus, WRITER, lambda: None)
    try:
        for raw in records:
            done = await bus.publish_stored(
                subject,
                raw,
                message_id=f"{common.account}-{record_hash(raw)}",
                expected_last_sequence=last,
            )
            last = done.seq
    finally:
        await bus.close()
