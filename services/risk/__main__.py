"""``python -m services.risk``: approve or refuse intents."""

from libs.common.runtime.config import CommonConfig
from libs.common.runtime.credentials import load_secret
from libs.common.runtime.service import run_service
from services.risk.config import RiskConfig
from services.risk.shell import start


def check(common: CommonConfig, _: RiskConfig) -> None:
    """Refuse a start that could not sign approvals, before anything is connected to.

    Raises:
        ConfigError: the key of approvals is missing or wrong.
    """
    load_secret(common, "approval_key_file", common.approval_key_file)


if __name__ == "__main__":
    run_service("risk", RiskConfig, start, check=check)
