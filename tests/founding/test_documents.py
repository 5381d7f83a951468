"""Statements that only the documentation can answer: it says so, in these words."""

from __future__ import annotations

from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def says(file_name: str, heading: str, *words: str) -> bool:
    """Whether each of the words stands below that heading, lines as paragraphs."""
    below = (DOCS / file_name).read_text().partition(f"# {heading}\n")[2].partition("\n#")[0]
    text = " ".join(below.split())
    return all(each in text for each in words)


@pytest.mark.founding("S0-24")
def test_pods() -> None:
    assert says("modes.md", "Pods", "a container without `command:` (the sandbox)", "`network_mode: service:` of it")


@pytest.mark.founding("S0-31")
def test_the_status_of_container_mode() -> None:
    assert says("modes.md", "service:NAME and container:NAME", "It is not deprecated, and netapply keeps it.")


@pytest.mark.founding("S4-01")
def test_the_kinds_of_namespace() -> None:
    title = "Network modes: whose network a container uses"
    assert says("modes.md", title, "one of the six kinds of Linux namespace", "uts, user, mount, ipc, pid")


@pytest.mark.founding("S4-09", "S4-26")
def test_only_the_network_is_shared() -> None:
    assert says("modes.md", "host", "uts and ipc namespaces are not shared")
    words = ("owner's host name, hosts and resolv.conf", "the uts and ipc namespaces stay apart")
    assert says("modes.md", "service:NAME and container:NAME", *words)


@pytest.mark.founding("S2-23")
def test_what_host_mode_spares() -> None:
    assert says("modes.md", "host", "no bridge and no translation on the way, hence less overhead")


@pytest.mark.founding("S2-34", "S3-12")
def test_what_is_out_of_scope() -> None:
    words = (
        "Images, volumes, swarm and Kubernetes themselves",
        "On macOS and Windows containers live in a virtual machine",
    )
    assert says("modes.md", "What is out of scope", *words)


@pytest.mark.founding("S1-31", "S2-33", "S4-19")
def test_living_with_others() -> None:
    assert says("living-with-others.md", "Whoever flushes all rules", "never flushes or removes a foreign rule")
    assert says(
        "living-with-others.md", "udev, NetworkManager, systemd-networkd", "75-netapply.rules", "NM_UNMANAGED=1"
    )
    assert says("living-with-others.md", "Docker, Podman, libvirt, Kubernetes", "no RETURN for docker0", "DOCKER-USER")


def test_a_sentence_that_is_not_there_is_not_found() -> None:
    assert not says("modes.md", "Pods", "something else")
    assert not says("modes.md", "No such heading", "Pods")
