"""Starts the feed: ``python -m services.feed [--config FILE]``."""

import random

from libs.common.runtime.config import CommonConfig
from libs.common.runtime.credentials import load_secret
from libs.common.runtime.errors import ConfigError
from libs.common.runtime.provisioning import wait_until_provisioned
from libs.common.runtime.service import Context, run_service
from services.feed.config import FeedConfig
from services.feed.shell import FeedShell


def check(common: CommonConfig, settings: FeedConfig) -> None:
    """Refuse a start that would fail later, before anything is connected to.

    Raises:
        ConfigError: the key is named and missing or wrong.
    """
    if settings.api_key_file is not None:
        load_secret(common, "feed.api_key_file", settings.api_key_file)


async def start(context: Context[FeedConfig]) -> None:
    """Wait for the streams of the broker, then listen."""
    common = context.common
    await wait_until_provisioned(context.bus, common.account, common.bus)
    try:
        shell = FeedShell(context, random.Random())  # noqa: S311 - jitter
    except ValueError as error:
        raise ConfigError(str(error)) from error
    await shell.start()


if __name__ == "__main__":
    run_service("feed", FeedConfig, start, check=check)
