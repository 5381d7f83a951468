"""Whatever kind of object is added, a snapshot has it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import reconciler.firewall
import reconciler.resources
from reconciler import snapshot


def test_every_kind_of_resource_has_a_name_in_snapshots() -> None:
    found = set()
    for package in (reconciler.resources, reconciler.firewall):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if kind.__module__ == module.name and {"owner", "key", "live", "describe", "source"} <= {
                    *dir(kind),
                    *getattr(kind, "__dataclass_fields__", ()),
                }:
                    found.add(kind)
    assert len(found) > 20
    assert found == set(snapshot._TYPES.values())
