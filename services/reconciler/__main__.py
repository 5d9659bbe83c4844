"""``python -m services.reconciler``: wires configuration, the reading key and the shell."""

from pathlib import Path

from libs.common.runtime.config import Mode
from libs.common.runtime.errors import ConfigError
from libs.common.runtime.secret import PRIVATE_MODE_BITS, Secret, secret_from_file
from libs.common.runtime.service import Context, run_service
from libs.common.runtime.venue_client import VenueClient
from libs.common.runtime.venue_transport import VenueLimits
from services.reconciler.config import ReconcilerConfig
from services.reconciler.shell import Reconciler


async def start(context: Context[ReconcilerConfig]) -> None:
    """Build the service and start it."""
    common, settings = context.common, context.settings
    bits = 0 if common.mode is Mode.PAPER else PRIVATE_MODE_BITS

    def load(name: str, path: Path | None) -> Secret:
        if path is None:
            raise ConfigError(f"{name} is not set: name the file that holds it")
        return secret_from_file(path, name=name, forbidden_mode_bits=bits)

    venue = VenueClient(
        common.venue.rest_url,
        context.clock.now_ns,
        api_key=load("reconciler.api_key_file", settings.api_key_file).reveal(),
        api_secret=load("reconciler.api_secret_file", settings.api_secret_file),
        limits=VenueLimits(
            request_timeout_ms=common.venue.request_timeout_ms,
            recv_window_ms=common.venue.recv_window_ms,
        ),
    )
    reconciler = Reconciler(context, venue)
    context.status = reconciler.status
    await reconciler.start()


if __name__ == "__main__":
    run_service("reconciler", ReconcilerConfig, start)
