"""netapply as a library; ``docs/library.md`` shows it at work.

Importing it is cheap: a name is looked for when it is used. Everything that goes wrong is a
`NetapplyError` with all problems found, each with its place in the manifest.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.errors import NetapplyError, Problem, Source
    from reconciler.library import (
        canonical_manifest,
        down,
        load_manifest,
        manifest_schema,
        observe,
        plan,
        plan_document,
        plan_text,
        read_observation,
        up,
    )
    from reconciler.manifest.model import Manifest
    from reconciler.observation import Observation
    from reconciler.plan.plan import Plan
    from reconciler.reconcile import Outcome

__all__ = [
    "Manifest",
    "NetapplyError",
    "Observation",
    "Outcome",
    "Plan",
    "Problem",
    "Source",
    "canonical_manifest",
    "down",
    "load_manifest",
    "manifest_schema",
    "observe",
    "plan",
    "plan_document",
    "plan_text",
    "read_observation",
    "up",
]

_TYPES = {
    "Manifest": "manifest.model",
    "NetapplyError": "errors",
    "Observation": "observation",
    "Outcome": "reconcile",
    "Plan": "plan.plan",
    "Problem": "errors",
    "Source": "errors",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        message = f"module 'reconciler' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"reconciler.{_TYPES.get(name, 'library')}"), name)


class _Library(ModuleType):
    """This module, in which `plan` is the function even when the package of that name is imported.

    Python would put that package in its place, and ``from reconciler import plan`` would give
    one or the other, depending on what was imported before.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name != "plan" or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Library
