"""``python -m services.execution``: wires configuration, the trading key and the shell."""

import random

from libs.common.runtime.config import CommonConfig
from libs.common.runtime.credentials import load_secret, load_venue_key, open_venue
from libs.common.runtime.service import Context, run_service
from libs.common.venue.budget import BudgetLimits
from services.execution.admin_http import AdminFront
from services.execution.arming import check_mode
from services.execution.config import ExecutionConfig
from services.execution.shell import Execution

FRONT = AdminFront()


def check(common: CommonConfig, settings: ExecutionConfig) -> None:
    """Refuse a start that could not trade, before anything is connected to.

    Raises:
        ConfigError: the mode is not confirmed, or a secret is missing or wrong.
    """
    check_mode(common, settings)
    load_secret(common, "approval_key_file", common.approval_key_file)
    load_venue_key(common, "execution", settings.api_key_file, settings.api_secret_file)


async def start(context: Context[ExecutionConfig]) -> None:
    """Build the service and start it."""
    common, settings = context.common, context.settings
    approval_key = load_secret(common, "approval_key_file", common.approval_key_file)
    venue = open_venue(
        common,
        context.clock,
        context.name,
        key_file=settings.api_key_file,
        secret_file=settings.api_secret_file,
        budget=BudgetLimits(
            warn_percent=settings.budget_warn_percent,
            refuse_percent=settings.budget_refuse_percent,
            reserve_percent=settings.budget_reserve_percent,
        ),
        order_dice=random.Random(),  # noqa: S311 - jitter
    )
    execution = Execution(context, venue, approval_key.reveal().encode())
    context.status = execution.status
    FRONT.open(execution.admin)
    await execution.start()


if __name__ == "__main__":
    run_service("execution", ExecutionConfig, start, FRONT.routes, check)
