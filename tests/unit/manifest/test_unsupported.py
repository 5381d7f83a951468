"""A driver that has a name, but is not made, is refused when it is planned, with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.desired.build import desired
from reconciler.desired.scope import Scope
from reconciler.errors import NetapplyError
from reconciler.observation import Observation
from reconciler.state import State

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import LoadText


def test_drivers(load_text: LoadText) -> None:
    manifest = load_text("networks: {n: {driver: overlay}}\ncontainers: {a: {networks: [n]}}")
    with pytest.raises(NetapplyError, match=r"^a\.yaml:1:12: error: driver overlay .*is not supported"):
        desired(Scope(frozenset({"test"}), (manifest,)), Observation(State()))
