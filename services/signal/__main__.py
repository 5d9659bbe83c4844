"""``python -m services.signal``: turn candles into intents."""

from libs.common.runtime.service import run_service
from services.signal.config import SignalConfig
from services.signal.shell import start

if __name__ == "__main__":
    run_service("signal", SignalConfig, start)
