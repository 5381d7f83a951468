"""Networks on an interface of the host, and drivers that are carried only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.manifest import load
from reconciler.manifest.canonical import render
from reconciler.manifest.model import ParentOptions
from tests.corpus.outcomes import is_same

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import FaultsOf, LoadText


@pytest.mark.parametrize(
    ("written", "options"),
    [
        ("driver: macvlan", ParentOptions()),
        ("driver: macvlan, driver_opts: {parent: eth0, macvlan_mode: passthru}", ParentOptions("eth0", "passthru")),
        ("driver: ipvlan, driver_opts: {parent: eth0.10}", ParentOptions("eth0.10")),
        (
            "driver: ipvlan, driver_opts: {ipvlan_mode: l3s, ipvlan_flag: vepa, com.docker.network.driver.mtu: 1400}",
            ParentOptions(None, "l3s", "vepa", 1400),
        ),
        (
            "driver: macvlan, driver_opts: {com.docker.network.container_iface_prefix: lan}",
            ParentOptions(interface_prefix="lan"),
        ),
    ],
)
def test_options(load_text: LoadText, written: str, options: ParentOptions) -> None:
    manifest = load_text(f"networks: {{n: {{{written}}}}}")
    assert manifest.networks[0].parent == options
    assert is_same(manifest, load(["-"], environment={}, stdin=render(manifest)))


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        (
            "driver: macvlan, driver_opts: {macvlan_mode: brigde}",
            "'brigde' is not possible here",
            "did you mean 'bridge'?",
        ),
        (
            "driver: macvlan, driver_opts: {ipvlan_mode: l2}",
            "unknown option 'ipvlan_mode' of driver macvlan",
            "macvlan_mode",
        ),
        ("driver: ipvlan, driver_opts: {ipvlan_mode: l4}", "'l4' is not possible", ""),
        ("driver: macvlan, driver_opts: {parent: 'a b'}", "a character the kernel refuses", ""),
        ("driver: macvlan, driver_opts: {parent: eth0.5000}", "names VLAN 5000", "1 to 4094"),
        ("driver: bridge, driver_opts: {parent: eth0}", "unknown option 'parent' of driver bridge", ""),
        (
            "driver: macvlan, enable_ipv6: true, driver_opts: {com.docker.network.driver.mtu: 1000}",
            "IPv6 needs an MTU of at least 1280",
            "",
        ),
    ],
)
def test_bad_options(faults_of: FaultsOf, written: str, message: str, hint: str) -> None:
    (fault,) = faults_of(f"networks: {{n: {{{written}}}}}")
    assert message in fault.message
    assert hint in fault.hint
    assert fault.source


def test_other_drivers_are_carried_with_their_options_as_they_are_written(load_text: LoadText) -> None:
    manifest = load_text("networks: {n: {driver: overlay, driver_opts: {encrypted: '', vni: 7}}}")
    assert manifest.networks[0].options == (("encrypted", ""), ("vni", "7"))
    assert is_same(manifest, load(["-"], environment={}, stdin=render(manifest)))
