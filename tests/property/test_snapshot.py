"""A snapshot reads back as what was seen, keeps secrets to itself, and refuses everything else."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.desired.build import desired
from reconciler.errors import NetapplyError
from reconciler.firewall.policy import HostAccept
from reconciler.manifest.model import Manifest
from reconciler.observation import Facts, Listener, Observation
from reconciler.plan.diff import diff
from reconciler.resources.process import Process
from reconciler.snapshot import (
    concealed,
    observation_from_document,
    observation_to_document,
    state_from_document,
    state_to_document,
)
from reconciler.state import State
from tests.property.simulation import as_observed
from tests.property.strategies import manifests, scope

FACTS = Facts(
    host_id="7",
    interfaces=frozenset({"lo", "ens3"}),
    taken_subnets=("10.0.0.0/8",),
    listeners=(Listener("tcp", "::", 22, "sshd (process 7)"),),
    ephemeral_ports=(40_000, 50_000),
    wanted_accepts=(HostAccept("nft", "ip", "filter", "FORWARD"),),
)


@given(manifests(), st.sampled_from([b"", b"key"]))
def test_a_snapshot_reads_back(manifest: Manifest, key: bytes) -> None:
    state = desired(scope(manifest), Observation(State()))
    document = json.loads(json.dumps(observation_to_document(Observation(state, FACTS), key)))
    read = observation_from_document(document)
    assert read.state == concealed(state, key)
    assert read.facts == FACTS
    assert key or observation_to_document(read) == document


def _process(value: str, name: str = "web") -> State:
    return State([Process("shop", f"shop/{name}", ("sleep",), environment=(("TOKEN", value),))])


@given(st.text(min_size=4), st.text(min_size=4), st.sampled_from([b"", b"key"]))
def test_secrets_are_compared_where_there_is_a_key_and_never_shown(first: str, second: str, key: bytes) -> None:
    observed = state_from_document(state_to_document(_process(first), key))
    wanted = concealed(_process(second), key)
    assert bool(diff(observed, wanted)) == (bool(key) and first != second)
    ((name, shown),) = next(r.environment for r in observed if isinstance(r, Process))
    assert name == "TOKEN"
    assert shown == "concealed" or (len(shown) == 64 and shown != first)
    assert concealed(_process(first, "app"), b"key") != concealed(_process(first), b"key")


@given(manifests())
def test_what_only_a_manifest_knows_is_no_difference(manifest: Manifest) -> None:
    state = desired(scope(manifest), Observation(State()))
    assert diff(as_observed(state), state) == ()


def test_a_missing_default_is_filled_in() -> None:
    entry = {"type": "namespace", "owner": "shop", "container": "shop/web", "origin": ""}
    (read,) = state_from_document({"format_version": 1, "resources": [entry]})
    assert read.record() == {"container": "shop/web", "ipv6": False, "up": True, "pinned": True}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "snapshot: format_version is None"),
        ({"format_version": 2}, "snapshot: format_version is 2"),
        ({"format_version": 1, "resources": {}}, "snapshot: resources is not a list"),
        ({"type": "nothing"}, "resources[0]: unknown type nothing"),
        ("text", "resources[0]: unknown type None"),
        ({"type": []}, "resources[0]: unknown type []"),
        ({"type": "namespace"}, "resources[0]: owner is missing"),
        ({"type": "agent", "version": "1"}, "resources[0].version: not a whole number"),
        ({"type": "agent", "version": True}, "resources[0].version: not a whole number"),
        ({"type": "agent", "vresion": 1}, "resources[0]: unknown field vresion"),
        ({"type": "agent", "source": None}, "resources[0]: unknown field source"),
        ({"type": "held_ports", "owner": "a", "pins": "x"}, "resources[0].pins: not a list"),
        ({"type": "held_ports", "owner": "a", "pins": [["tcp", "::"]]}, "resources[0].pins[0]: not 3 values"),
        ({"type": "sysctl", "owner": "a", "namespace": "", "name": "x", "value": "1", "after": [["nokind", "x"]]},
         "resources[0].after[0]: not the key of an object"),
    ],
)  # fmt: skip
def test_what_is_no_snapshot_is_an_error_with_its_place(document: Any, message: str) -> None:
    whole = document == [] or "format_version" in document
    with pytest.raises(NetapplyError) as caught:
        state_from_document(document if whole else {"format_version": 1, "resources": [document]})
    assert message in str(caught.value)


def test_two_of_one_key_are_an_error() -> None:
    entry = {"type": "agent"}
    with pytest.raises(NetapplyError, match=r"resources\[1\]: a second agent host:agent"):
        state_from_document({"format_version": 1, "resources": [entry, entry]})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)


@given(json_values, st.sampled_from(["", "bridge", "process", "sysctl", "host_accept"]))
def test_any_json_is_a_snapshot_or_an_error(value: Any, kind: str) -> None:
    entry = {**value, "type": kind} if isinstance(value, dict) and kind else value
    for document in (value, {"format_version": 1, "resources": [entry], "facts": value}):
        with contextlib.suppress(NetapplyError):
            observation_from_document(document)
