"""``python -m services.risk``: approve or refuse intents."""

from libs.common.runtime.service import run_service
from services.risk.config import RiskConfig
from services.risk.shell import start

if __name__ == "__main__":
    run_service("risk", RiskConfig, start)
