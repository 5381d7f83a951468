"""A driver that has a name, but is not made, is refused when it is planned, with its place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler.desired.build import desired
from reconciler.desired.drivers import DRIVERS
from reconciler.desired.scope import Scope
from reconciler.errors import NetapplyError
from reconciler.manifest import vocabulary
from reconciler.observation import Observation
from reconciler.state import State

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import LoadText


def test_drivers(load_text: LoadText) -> None:
    """Who makes a manifest without the loader hears it from the plan."""
    manifest = load_text("networks: {n: }\ncontainers: {a: {networks: [n]}}")
    manifest = replace(manifest, networks=(replace(manifest.networks[0], driver="overlay"),))
    with pytest.raises(NetapplyError, match=r"^a\.yaml:1:12: error: driver overlay .*is not supported"):
        desired(Scope(frozenset({"test"}), (manifest,)), Observation(State()))


def test_the_loader_knows_the_drivers_that_there_are() -> None:
    assert DRIVERS.keys() == vocabulary.DRIVERS
