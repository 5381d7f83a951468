"""What of networking is carried but not made yet is refused when it is planned, with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.desired.build import Scope, desired
from reconciler.errors import NetapplyError
from reconciler.observation import Observation
from reconciler.state import State

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import LoadText


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("links: [b]", "1:26: error: links of container a is not supported yet"),
        ("external_links: [x]", "1:35: error: external_links of container a is not supported yet"),
        ("extra_hosts: [h=1.1.1.1]", "1:32: error: extra_hosts of container a is not supported yet"),
        ("dns: 1.1.1.1", "1:18: error: dns of container a is not supported yet"),
        ("dns_search: x.example", "1:18: error: dns_search of container a is not supported yet"),
        ("dns_opt: [ndots:1]", "1:18: error: dns_opt of container a is not supported yet"),
        (
            "networks: {default: {link_local_ips: [169.254.1.1]}}",
            "1:29: error: link_local_ips of container a is not supported yet",
        ),
        ("network_mode: host", "1:32: error: network_mode host is not supported yet"),
        ("network_mode: 'service:b'", "1:32: error: network_mode service:b is not supported yet"),
    ],
)
def test_refused(load_text: LoadText, written: str, problem: str) -> None:
    manifest = load_text(f"containers: {{a: {{{written}}}, b: }}")
    with pytest.raises(NetapplyError) as caught:
        desired(Scope(frozenset({"test"}), (manifest,)), Observation(State()))
    assert [str(each) for each in caught.value.problems] == [f"a.yaml:{problem}"]


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan", "overlay"])
def test_drivers(load_text: LoadText, driver: str) -> None:
    manifest = load_text(f"networks: {{n: {{driver: {driver}}}}}\ncontainers: {{a: {{networks: [n]}}}}")
    with pytest.raises(NetapplyError, match=f"^a.yaml:1:12: error: driver {driver} is not supported yet"):
        desired(Scope(frozenset({"test"}), (manifest,)), Observation(State()))
