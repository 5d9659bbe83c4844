"""`portcullis provision`: the streams and consumers of the configured broker."""

import asyncio
import os
from pathlib import Path

from cli import exits
from cli.config_check import config_path, ensure_agreement
from libs.common.model.settings import Section
from libs.common.runtime.bus import Bus
from libs.common.runtime.config import CommonConfig, load_config
from libs.common.runtime.errors import BusUnavailable, ConfigError
from libs.common.runtime.log import configure_logging
from libs.common.runtime.provisioning import provision


class NoSettings(Section):
    """Provisioning has no settings of its own."""


def provision_broker(config: Path | None) -> None:
    """Make what is missing, adjust what differs.

    Raises:
        CommandFailed: the settings or a file they name are wrong (2); the broker is not there (3).
    """
    _refuse_contradictions(config)
    configure_logging("provision", "error")
    try:
        common, _, _ = load_config("provision", NoSettings, path=config)
        asyncio.run(_provision(common))
    except ConfigError as error:
        raise exits.CommandFailed(str(error), exits.BAD_USAGE) from error
    except BusUnavailable as error:
        raise exits.CommandFailed(str(error), exits.NOT_AVAILABLE) from error
    print(f"provisioned {common.bus.url} for account {common.account}")


def _refuse_contradictions(config: Path | None) -> None:
    """Whoever makes the streams comes before every service, and sees the limits of all of them."""
    try:
        ensure_agreement(config_path(config, os.environ), os.environ)
    except ConfigError as error:
        raise exits.CommandFailed(str(error), exits.BAD_USAGE) from error


async def _provision(common: CommonConfig) -> None:
    bus = await Bus.connect(common.bus, "provision", lambda: None)
    try:
        await provision(bus, common.account, common.bus)
    finally:
        await bus.close()
