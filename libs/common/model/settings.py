"""The shape of settings: frozen, strict about names, and pure, so that a core may read its limits.

How they are read from a file and the environment is the business of ``libs.common.runtime.config``.
"""

from typing import Annotated, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)

from libs.common.model.agreement import Contradiction, Relation, find_clashes, flatten
from libs.common.model.instrument import SYMBOL_PATTERN, is_symbol

#: Given as the context of a validation, it leaves relations to whoever sees more of the settings.
WITHOUT_RELATIONS = {"relations": False}


def _must_be_symbol(text: str) -> str:
    if not is_symbol(text):
        raise ValueError("a symbol has no small letters")
    return text


#: A symbol where outsiders name one.
Symbol = Annotated[str, Field(pattern=SYMBOL_PATTERN), AfterValidator(_must_be_symbol)]


class Section(BaseModel):
    """A part of the configuration: frozen, and strict about names.

    Attributes:
        title: the name of the section where it is one of the file's own; else empty.
        relations: which limits must agree, by their full names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    title: ClassVar[str] = ""
    relations: ClassVar[tuple[Relation, ...]] = ()

    @model_validator(mode="after")
    def _agrees_with_itself(self, info: ValidationInfo) -> Self:
        if self.relations and info.context != WITHOUT_RELATIONS:
            prefix = f"{self.title}." if self.title else ""
            clashes = find_clashes(self.relations, flatten(self, prefix))
            if clashes:
                raise Contradiction(clashes)
        return self


class ServiceConfig(Section):
    """What every service's own section has. Port 0 takes any free one."""

    http_port: int = 0
