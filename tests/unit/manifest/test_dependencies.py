"""``depends_on`` is not used, but must be right; what a ``provider`` makes is no container of netapply's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.manifest import load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.manifest.conftest import FaultsOf, LoadText


@pytest.mark.parametrize(
    ("services", "place", "message", "hint"),
    [
        (
            "{web: {depends_on: [dbb]}, db: }",
            "1:31",
            "depends on 'dbb', which is not in the stack",
            "did you mean 'db'?",
        ),
        ("{web: {depends_on: {x: {required: false, condition: service_started}}}}", "1:31", "not in the stack", ""),
        (
            "{web: {depends_on: [db]}, db: {profiles: [p]}}",
            "1:31",
            "depends on 'db', which is not active; it stands at a.yaml:1:37",
            "give --profile, or write required: false",
        ),
        ("{web: {depends_on: {db: {required: 'true'}}}, db: {profiles: [p]}}", "1:31", "not active", ""),
        ("{a: {depends_on: [a]}}", "1:29", "depends_on goes in a circle: a -> a", ""),
        (
            "{a: {depends_on: {b: {condition: service_healthy}}}, b: {depends_on: [c]}, c: {depends_on: [a]}}",
            "1:29",
            "depends_on goes in a circle: a -> b -> c -> a; also at a.yaml:1:81, a.yaml:1:103",
            "",
        ),
    ],
)
def test_what_compose_refuses(faults_of: FaultsOf, services: str, place: str, message: str, hint: str) -> None:
    (fault,) = faults_of(f"services: {services}")
    assert message in fault.message
    assert hint in fault.hint
    assert str(fault.source) == f"a.yaml:{place}"


def test_each_circle_is_said_once(faults_of: FaultsOf) -> None:
    text = "services: {a: {depends_on: [b]}, b: {depends_on: [a]}, c: {depends_on: [d]}, d: {depends_on: [c]}}"
    assert [fault.message.partition(";")[0] for fault in faults_of(text)] == [
        "depends_on goes in a circle: a -> b -> a",
        "depends_on goes in a circle: c -> d -> c",
    ]


def test_what_is_right_is_not_used(load_text: LoadText) -> None:
    manifest = load_text(
        "services: {a: {depends_on: {b: {condition: service_started, x-y: 1}}}, b: , c: {scale: 0}, d: {depends_on: [c]}}",
        "services: {a: {depends_on: [c]}, b: {depends_on: {p: {required: false}}}, p: {profiles: [x], depends_on: [q]}}",
    )
    (warning,) = manifest.warnings
    assert warning.message == "accepted, but not used by netapply: depends_on (a.yaml:1:16)"
    assert [container.name for container in manifest.containers] == ["a", "b", "d"]


def test_a_long_chain(tmp_path: Path) -> None:
    lines = [f"  c{number}: {{network_mode: none, depends_on: [c{number + 1}]}}\n" for number in range(3000)]
    (tmp_path / "a.yaml").write_text(f"services:\n{''.join(lines)}  c3000: {{network_mode: none}}\n")
    assert len(load([tmp_path / "a.yaml"], stack_name="test", environment={}).containers) == 3001


def test_what_a_provider_makes_is_no_container(load_text: LoadText, faults_of: FaultsOf) -> None:
    manifest = load_text(
        "services: {llm: {provider: {type: model, options: {model: smol}}}, web: {network_mode: none, depends_on: [llm]}}"
    )
    assert [container.name for container in manifest.containers] == ["web"]
    assert manifest.networks == ()
    (warning,) = manifest.warnings
    assert "provider (a.yaml:1:18)" in warning.message
    (fault,) = faults_of("services: {llm: {provider: {type: model}}, web: {links: [llm]}}")
    assert fault.hint == "its provider makes it, outside of netapply"
    said = load_text("services: {llm: {provider: {type: model}, ports: [80]}}").warnings[0]
    assert "'ports' of container 'llm' is not used" in said.message
    assert str(said.source) == "a.yaml:1:43"
