"""The limits in force: the tighter of the configuration's and those that people have set. Pure."""

from libs.common.model.risk_limits import NAMES, NO_LIMITS, RiskLimits, tightest
from services.risk.config import LimitsConfig


def of_file(limits: LimitsConfig) -> RiskLimits:
    """The configured limits that may be set at run time."""
    return RiskLimits(**{name: getattr(limits, name) for name in NAMES})


def in_force(limits: LimitsConfig, told: RiskLimits) -> LimitsConfig:
    """What an intent is held against.

    Args:
        limits: the configuration's.
        told: what people have set, as execution tells it.
    """
    if told == NO_LIMITS:
        return limits
    return limits.model_copy(update=tightest(of_file(limits), told).named())
