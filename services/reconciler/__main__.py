"""``python -m services.reconciler``: wires configuration, the reading key and the shell."""

from libs.common.runtime.credentials import open_venue
from libs.common.runtime.service import Context, run_service
from services.reconciler.config import ReconcilerConfig
from services.reconciler.reports_http import ReportsFront
from services.reconciler.shell import Reconciler

FRONT = ReportsFront()


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
    run_service("reconciler", ReconcilerConfig, start, FRONT.routes)
