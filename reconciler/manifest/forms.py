"""The kinds of values that the manifest's models are made of."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema

from reconciler.manifest.scalars import as_text

TEXT, LIST, MAP = "~text", "~list", "~map"
"""Tags of the forms a value may have; they show up in the place of an error and are skipped there."""


def _form(value: object) -> str:
    if isinstance(value, dict):
        return MAP
    return LIST if isinstance(value, list) else TEXT


Text = Annotated[str, BeforeValidator(as_text), WithJsonSchema({"type": ["string", "number", "boolean"]})]
"""Text; a number or bool counts as what was written."""
# A variable is text until it is replaced, so that the published schema takes text everywhere.
Flag = Annotated[bool, WithJsonSchema({"type": ["boolean", "string"]})]
Number = Annotated[int, WithJsonSchema({"type": ["integer", "string"]})]

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
