"""``python -m services.risk``: approve or refuse intents."""

from libs.common.runtime.config import CommonConfig
from libs.common.runtime.credentials import load_secret
from libs.common.runtime.service import Context, run_service
from services.risk.config import RiskConfig
from services.risk.limits_http import LimitsFront
from services.risk.shell import RiskShell

FRONT = LimitsFront()


def check(common: CommonConfig, _: RiskConfig) -> None:
    """Refuse a start that could not sign approvals, before anything is connected to.

    Raises:
        ConfigError: the key of approvals is missing or wrong.
    """
    load_secret(common, "approval_key_file", common.approval_key_file)


async def start(context: Context[RiskConfig]) -> None:
    """Build the service and start it."""
    shell = RiskShell(context)
    FRONT.open(shell.limits_desk)
    await shell.start()


if __name__ == "__main__":
    run_service("risk", RiskConfig, start, FRONT.routes, check)
