"""The shape of settings: frozen, strict about names, and pure, so that a core may read its limits.

How they are read from a file and the environment is the business of ``libs.common.runtime.config``.
"""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the configuration: frozen, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ServiceConfig(Section):
    """What every service's own section has. Port 0 takes any free one."""

    http_port: int = 0
