"""Namespaces other than the network's, ``rm`` and ``restart``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.manifest import load
from reconciler.manifest.canonical import render
from reconciler.manifest.model import SharedNamespace
from tests.corpus.outcomes import is_same

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import FaultsOf, LoadText


def test_shared_namespaces(load_text: LoadText) -> None:
    manifest = load_text("""\
        containers:
          a: {command: x, ipc: "service:b", pid: "container:called", uts: "container:elsewhere"}
          b: {command: x, ipc: shareable, container_name: called}
          c: {ipc: private, pid: host, uts: host}
          d: {ipc: none, pid: "", uts: private}
    """)
    assert [each.shared for each in manifest.containers] == [
        (
            SharedNamespace("ipc", "service:b"),
            SharedNamespace("pid", "service:b"),
            SharedNamespace("uts", "container:elsewhere"),
        ),
        (),
        (SharedNamespace("pid", "host"), SharedNamespace("uts", "host")),
        (),
    ]
    assert str(manifest.containers[0].shared[0].source) == "a.yaml:2:24"
    assert [f"{each.source} {each.severity}: {each.message}" for each in manifest.warnings] == [
        "a.yaml:4:26 note: 'pid' of container 'c' has no effect: it has no command",
        "a.yaml:4:37 note: 'uts' of container 'c' has no effect: it has no command",
    ]
    assert is_same(manifest, load(["-"], environment={}, stdin=render(manifest)))


def test_a_container_without_a_command_has_no_namespace_to_share(load_text: LoadText) -> None:
    manifest = load_text("containers: {a: {command: x, pid: 'service:b'}, b: }")
    assert manifest.containers[0].shared == ()
    (warning,) = manifest.warnings
    assert warning.message == "container 'b' has no command, and so no pid namespace; 'a' gets its own"


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        ("pid: hots", "unknown pid 'hots'", "did you mean 'host'?"),
        ("uts: 'service:'", "unknown uts 'service:'", "service:NAME"),
        ("ipc: 'service:bb'", "shares the ipc namespace of 'bb', which is not in the stack", "did you mean 'b'?"),
        ("ipc: 'service:many'", "'many', which is 2 containers", "service:many-1"),
        ("ipc: 'service:a'", "ipc goes in a circle: a -> a", ""),
        ("uts: host, hostname: x", "'hostname' does not fit uts host", "remove one"),
        ("restart: sometimes", "'sometimes' does not say when to restart", "one of no, always"),
        ("restart: allways", "'allways' does not say when to restart", "did you mean 'always'?"),
        ("restart: 'always:3'", "'always:3' does not say when", ""),
        ("restart: 'on-failure:x'", "'on-failure:x' does not say when", ""),
        ("rm: true, restart: always", "is to be removed when it ends, and to be started again", "a.yaml:1:22"),
        ("rm: maybe", "'rm' takes true or false", ""),
    ],
)
def test_faults(faults_of: FaultsOf, written: str, message: str, hint: str) -> None:
    (fault,) = faults_of(f"containers: {{a: {{{written}}}, b: , many: {{scale: 2}}}}")
    assert message in fault.message
    assert hint in fault.hint


def test_a_circle_is_told_once(faults_of: FaultsOf) -> None:
    (fault,) = faults_of("containers: {a: {pid: 'service:b'}, b: {pid: 'service:a'}, c: {pid: 'service:a'}}")
    assert fault.message == "pid goes in a circle: a -> b -> a"


@pytest.mark.parametrize(
    ("written", "restart", "limit"),
    [
        ("", "no", None),
        ("restart: no", "no", None),
        ("restart: always", "always", None),
        ("restart: unless-stopped", "unless-stopped", None),
        ("restart: on-failure", "on-failure", None),
        ("restart: on-failure:3", "on-failure", 3),
        ("restart: on-failure:0", "on-failure", None),
    ],
)
def test_restart(load_text: LoadText, written: str, restart: str, limit: int | None) -> None:
    manifest = load_text(f"containers: {{a: {{{written}}}}}")
    assert (manifest.containers[0].restart, manifest.containers[0].restart_limit) == (restart, limit)
    assert is_same(manifest, load(["-"], environment={}, stdin=render(manifest)))


@pytest.mark.founding("S1-47")
def test_remove(load_text: LoadText) -> None:
    """S1-47."""
    manifest = load_text("containers: {a: {command: x, x-netapply: {rm: true}}, b: {rm: 'true'}}")
    assert [each.remove for each in manifest.containers] == [True, True]
    (warning,) = manifest.warnings
    assert warning.message == "container 'b' has no command that could end"
    assert is_same(manifest, load(["-"], environment={}, stdin=render(manifest)))
