"""The manifest's JSON Schema (2020-12), made from the models that read it.

The models see a document after interpolation, merging and normalising; what those steps
take away (``services``, ``include``, ``extends``, ``x-`` keys, keys without effect) is added here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from reconciler.manifest import vocabulary
from reconciler.manifest.context import LONGEST_NAME, NAME_PATTERN
from reconciler.manifest.meanings import about_nested, about_top
from reconciler.manifest.models import ContainerPart, DeployPart, PortPart, StackPart
from reconciler.manifest.network_models import AttachmentPart, IpamPart, NetworkPart, PoolPart
from reconciler.manifest.normalise import OWN
from reconciler.manifest.shapes import YOURS, Shape

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SUFFIX = "Part"
_OPEN = {
    StackPart: vocabulary.UNUSED_TOP,
    ContainerPart: vocabulary.UNUSED_CONTAINER,
    AttachmentPart: vocabulary.NONE_UNUSED,
    DeployPart: vocabulary.UNUSED_DEPLOY,
    PortPart: vocabulary.UNUSED_PORT,
    NetworkPart: vocabulary.UNUSED_NETWORK,
    IpamPart: vocabulary.UNUSED_IPAM,
    PoolPart: vocabulary.NONE_UNUSED,
}
"""The parts that take keys beginning with x-, with their keys that have no effect."""

_FILES = {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_INCLUSION = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "path": {
            **_FILES,
            "description": "The file, or files that are merged.",
            "default": None,
            "examples": ["db.yaml"],
        },
        "project_directory": {
            "type": "string",
            "description": "What relative paths in it start from. Left out: the file's folder.",
            "default": None,
            "examples": ["../db"],
        },
        "env_file": {**_FILES, "description": "Files of variables for it.", "default": ".env", "examples": ["db.env"]},
    },
}
_EXTENSION = {
    "type": "object",
    "additionalProperties": False,
    "required": ["service"],
    "properties": {
        "service": {"type": "string", "description": "The container.", "default": None, "examples": ["base"]},
        "file": {"type": "string", "description": "The file it is in.", "default": None, "examples": ["base.yaml"]},
    },
}


def schema() -> dict[str, Any]:
    """The schema as a document of plain values, in stable order."""
    made = StackPart.model_json_schema()
    parts = {name.removesuffix(_SUFFIX).lower(): part for name, part in made.pop("$defs").items()}
    stack: dict[str, Any] = made
    for kind, unused in _OPEN.items():
        name = kind.__name__.removesuffix(_SUFFIX).lower()
        _open(stack if kind is StackPart else parts[name], "#" if kind is StackPart else f"#/$defs/{name}", unused)
    parts["container"]["properties"]["extends"] = {
        "description": "The container that this one is laid over.",
        "default": None,
        "examples": [{"service": "base", "file": "base.yaml"}],
        "oneOf": [{"type": "string"}, _EXTENSION, {"type": "null"}],
    }
    keys = stack["properties"]
    for collection in ("containers", "networks"):
        keys[collection]["propertyNames"] = {"pattern": f"^{NAME_PATTERN}$", "maxLength": LONGEST_NAME}
    keys["services"] = {**keys["containers"], "description": "Compose's word for containers; means the same."}
    keys["include"] = {
        "description": "Other stacks whose containers and networks become part of this one.",
        "default": [],
        "examples": [["db.yaml"]],
        "oneOf": [{"type": "array", "items": {"oneOf": [{"type": "string"}, _INCLUSION]}}, {"type": "null"}],
    }
    document = {
        "$schema": DIALECT,
        "title": "netapply manifest",
        "description": "The networking of a stack of containers on a Linux host.",
        **{key: value for key, value in stack.items() if key not in {"title", "description"}},
        "$defs": parts,
    }
    plain: dict[str, Any] = _plain(document)
    return plain


def text() -> str:
    """The schema as it is published."""
    return json.dumps(schema(), indent=2) + "\n"


def _open(part: dict[str, Any], reference: str, unused: Mapping[str, Shape]) -> None:
    properties = part["properties"]
    top = unused is vocabulary.UNUSED_TOP
    examples = vocabulary.UNUSED_TOP_EXAMPLES if top else vocabulary.UNUSED_EXAMPLES
    for key in sorted(unused):
        properties[key] = {**about_top(key, examples.get(key)), **unused[key].schema(key, about_nested)}
    properties[OWN] = {
        "description": "Keys of netapply alone, in a file that Compose reads too: as if they stood here.",
        "default": {},
        "examples": [{}],
        # A part with keys that must be there is not complete under this one.
        **({"type": ["object", "null"]} if "required" in part else {"anyOf": [{"$ref": reference}, {"type": "null"}]}),
    }
    part["patternProperties"] = {"^x-": {"description": YOURS}}


def _plain(value: Any, *, names: bool = False) -> Any:
    """Without pydantic's titles, and with the parts' own names; ``names``: the keys are the manifest's."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    result = {}
    for key, each in value.items():
        if key == "title" and not names and each != "netapply manifest":
            continue
        if key in {"default", "examples"} and not names:
            result[key] = each
        elif key == "$ref":
            head, slash, name = each.rpartition("/")
            result[key] = f"{head}{slash}{name.removesuffix(_SUFFIX).lower()}" if slash else each
        else:
            result[key] = _plain(each, names=not names and key in {"properties", "$defs", "patternProperties"})
    return result
