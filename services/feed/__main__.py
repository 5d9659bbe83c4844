"""Starts the feed: ``python -m services.feed [--config FILE]``."""

import random

from libs.common.runtime.errors import ConfigError
from libs.common.runtime.provisioning import wait_until_provisioned
from libs.common.runtime.service import Context, run_service
from services.feed.config import FeedConfig
from services.feed.shell import FeedShell


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
    run_service("feed", FeedConfig, start)
