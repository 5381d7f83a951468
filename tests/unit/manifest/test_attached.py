"""``attach``: its forms, what does not go with it, and Compose's key of the same name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.manifest import load
from reconciler.manifest.canonical import render
from tests.corpus.outcomes import is_same

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import FaultsOf, LoadText


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("{pid: 4242}", "/proc/4242/ns/net"),
        ("{netns: lab}", "/run/netns/lab"),
        ("{netns: /run/netns/lab}", "/run/netns/lab"),
        ("{netns: /var/run/docker/netns/1f2e}", "/var/run/docker/netns/1f2e"),
    ],
)
def test_forms(load_text: LoadText, written: str, path: str) -> None:
    manifest = load_text(f"containers: {{a: {{attach: {written}}}}}")
    (container,) = manifest.containers
    assert container.attach
    assert container.attach.path == path
    assert [each.network for each in container.attachments] == ["default"]
    assert is_same(manifest, load(["-"], environment={}, stdin=render(manifest)))


def test_composes_own_key_is_about_logs(load_text: LoadText) -> None:
    manifest = load_text("services: {a: {attach: false}, b: {attach: false, x-netapply: {}}, c: {attach: }}")
    assert [each.attach for each in manifest.containers] == [None, None, None]
    (warning,) = manifest.warnings
    assert "attach" in warning.message


def test_under_the_key_of_our_own(load_text: LoadText) -> None:
    manifest = load_text("services: {a: {x-netapply: {attach: {netns: lab}}}}")
    assert manifest.containers[0].attach
    assert not manifest.warnings


@pytest.mark.parametrize(
    ("entry", "place", "message"),
    [
        ("attach: {}", "1:18", "'attach' of container 'a' names no namespace"),
        ("attach: {pid: 1, netns: lab}", "1:18", "names two namespaces"),
        ("attach: {pid: 0}", "1:32", "0 is not the number of a process"),
        ("attach: {pid: x}", "1:32", "'pid' takes a whole number, not 'x'"),
        ("attach: {netns: ../lab}", "1:34", "'../lab' is neither an absolute path nor the name"),
        ("attach: {netns: /run/../lab}", "1:34", "neither an absolute path"),
        ("attach: lab", "1:26", "'attach' takes true or false, not 'lab'"),
        ("attach: {path: lab}", "1:27", "unknown key 'path'"),
        ("attach: {netns: lab}, network_mode: none", "1:40", "'attach' does not fit network_mode none"),
        ("attach: {netns: lab}, command: [x]", "1:40", "'command' does not fit attach"),
        ("attach: {netns: lab}, restart: always", "1:40", "'restart' does not fit attach"),
        ("attach: {netns: lab}, scale: 2", "1:18", "'attach' is one namespace, but 'a' is 2 containers"),
    ],
)
def test_faults_have_their_place(faults_of: FaultsOf, entry: str, place: str, message: str) -> None:
    (fault,) = faults_of(f"containers: {{a: {{{entry}}}}}")
    assert str(fault.source).endswith(place)
    assert message in fault.message


def test_one_namespace_is_attached_once(faults_of: FaultsOf) -> None:
    (fault,) = faults_of("containers: {a: {attach: {netns: lab}}, b: {attach: {netns: /run/netns/lab}}}")
    assert "as does 'a' at a.yaml:1:18" in fault.message
