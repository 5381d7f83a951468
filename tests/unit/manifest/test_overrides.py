"""A fault in a value that was laid over another one names both places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.manifest.conftest import FaultsOf


BASE = """\
containers:
  web:
    user: "1"
    hostname: one
    mac_address: 02:00:00:00:00:01
    ports: ["80:80"]
networks:
  front:
    internal: true
    ipam: {config: [{subnet: 10.1.0.0/24, gateway: 10.1.0.1}]}
"""


@pytest.mark.parametrize(
    ("over", "place", "message"),
    [
        (
            "containers: {web: {hostname: a b}}",
            "b.yaml:1:30",
            "'a b' is not a host name; overrides the value at a.yaml:4:15",
        ),
        (
            "containers: {web: {mac_address: x}}",
            "b.yaml:1:33",
            "is not a MAC address; overrides the value at a.yaml:5:18",
        ),
        ("containers: {web: {user: !override [1]}}", "b.yaml:1:20", "not a list; overrides the value at a.yaml:3:11"),
        ("networks: {front: {internal: maybe}}", "b.yaml:1:30", "'maybe'; overrides the value at a.yaml:9:15"),
        (
            "networks: {front: {ipam: {config: [{subnet: 10.1.0.0/24, gateway: 10.2.0.1}]}}}",
            "b.yaml:1:67",
            "outside the subnet 10.1.0.0/24; overrides the value at a.yaml:10:52",
        ),
    ],
)
def test_in_a_later_file(faults_of: FaultsOf, over: str, place: str, message: str) -> None:
    (fault,) = faults_of(BASE, over)
    assert str(fault.source) == place
    assert message in fault.message


def test_the_last_of_three_files_names_the_second(faults_of: FaultsOf) -> None:
    (fault,) = faults_of(BASE, "containers: {web: {hostname: two}}", "containers: {web: {hostname: a b}}")
    assert str(fault.source) == "c.yaml:1:30"
    assert fault.message.endswith("overrides the value at b.yaml:1:30")


def test_in_an_extended_container(faults_of: FaultsOf) -> None:
    (fault,) = faults_of("containers:\n  base: {hostname: one}\n  web: {extends: base, hostname: a b}\n")
    assert str(fault.source) == "a.yaml:3:34"
    assert fault.message.endswith("overrides the value at a.yaml:2:20")


def test_a_fault_that_nothing_was_overridden_by_says_nothing_of_it(faults_of: FaultsOf) -> None:
    (fault,) = faults_of(BASE, "containers: {app: {hostname: a b}}")
    assert "overrides" not in fault.message


def test_a_value_of_an_included_file_that_a_container_with_extends_overrides(
    faults_of: FaultsOf, tmp_path: Path
) -> None:
    """What was laid over what is still known after the inclusion, the extension and another inclusion."""
    (tmp_path / "one.yaml").write_text("services: {web: {hostname: fine}, base: {user: x}}")
    (tmp_path / "two.yaml").write_text("services: {other: }")
    (fault,) = faults_of("include: [one.yaml, two.yaml]\nservices: {web: {extends: base, hostname: a b}}")
    assert fault.message == "'a b' is not a host name; overrides the value at one.yaml:1:28"
    assert str(fault.source) == "a.yaml:2:43"
