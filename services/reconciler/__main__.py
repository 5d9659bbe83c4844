"""``python -m services.reconciler``: wires configuration, the reading key and the shell."""

from libs.common.runtime.config import CommonConfig
from libs.common.runtime.credentials import load_venue_key, open_venue
from libs.common.runtime.service import Context, run_service
from services.reconciler.config import ReconcilerConfig
from services.reconciler.reports_http import ReportsFront
from services.reconciler.shell import Reconciler

FRONT = ReportsFront()


def check(common: CommonConfig, settings: ReconcilerConfig) -> None:
    """Refuse a start that could not ask the venue, before anything is connected to.

    Raises:
        ConfigError: the key or its secret is missing or wrong.
    """
    load_venue_key(common, "reconciler", settings.api_key_file, settings.api_secret_file)


async def start(context: Context[ReconcilerConfig]) -> None:
    """Build the service and start it."""
    settings = context.settings
    venue = open_venue(
        context.common,
        context.clock,
        context.name,
        key_file=settings.api_key_file,
        secret_file=settings.api_secret_file,
    )
    reconciler = Reconciler(context, venue)
    context.status = reconciler.status
    FRONT.open(reconciler)
    await reconciler.start()


if __name__ == "__main__":
    run_service("reconciler", ReconcilerConfig, start, FRONT.routes, check)
