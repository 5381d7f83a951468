"""The kinds of values that the manifest's models are made of."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from reconciler.manifest.scalars import FLAG_PATTERN, WHOLE_PATTERN, as_text

_WHOLE = re.compile(WHOLE_PATTERN)
TEXT, LIST, MAP = "~text", "~list", "~map"
"""Tags of the forms a value may have; they show up in the place of an error and are skipped there."""


def _form(value: object) -> str:
    if isinstance(value, dict):
        return MAP
    return LIST if isinstance(value, list) else TEXT


Text = Annotated[str, BeforeValidator(as_text), WithJsonSchema({"type": ["string", "number", "boolean"]})]
"""Text; a number or bool counts as what was written."""


def _as_flag(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        kind = "bool_type"
        raise PydanticCustomError(kind, "a number")
    return value


def _as_whole(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, str) and not _WHOLE.fullmatch(value)):
        kind = "int_type"
        raise PydanticCustomError(kind, "no whole number")
    return value


def or_variable(pattern: str) -> str:
    """JSON Schema's pattern for text of that pattern; a variable is text too until it is replaced."""
    return rf"^({pattern})$|\$"


Flag = Annotated[
    bool,
    BeforeValidator(_as_flag),
    WithJsonSchema({"type": ["boolean", "string"], "pattern": or_variable(FLAG_PATTERN)}),
]
"""True or false; a number, which pydantic would take, is neither in Compose."""
Number = Annotated[
    int,
    BeforeValidator(_as_whole),
    WithJsonSchema({"type": ["integer", "string"], "pattern": or_variable(WHOLE_PATTERN)}),
]
"""A whole number; a bool, which pydantic would take, is none."""
MOST_REPLICAS = 1000
Count = Annotated[
    Number,
    WithJsonSchema(
        {"type": ["integer", "string"], "minimum": 0, "maximum": MOST_REPLICAS, "pattern": or_variable("[+]?[0-9]+")}
    ),
]
"""A number of containers; its bounds are held where it is used."""

BY_FORM = Discriminator(_form)
Words = Annotated[Annotated[Text, Tag(TEXT)] | Annotated[list[Text], Tag(LIST)], BY_FORM]
Pairs = Annotated[Annotated[dict[str, Text | None], Tag(MAP)] | Annotated[list[Text], Tag(LIST)], BY_FORM]


def key(description: str, example: Any, default: Any = None) -> Any:
    """A key that may be left out; ``default`` is what that means, None where there is no one value."""
    return Field(None, description=description, examples=[example], json_schema_extra={"default": default})


def needed(description: str, example: Any) -> Any:
    """A key that must be there."""
    return Field(description=description, examples=[example], json_schema_extra={"default": None})


class Part(BaseModel):
    """One mapping of the manifest; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", defer_build=True)
