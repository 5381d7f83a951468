"""Namespaces of others: who waits, who is concerned, and numbers of processes that were given to others."""

from __future__ import annotations

from reconciler.manifest.model import AttachedNamespace, Container, Manifest
from reconciler.observation import Facts, ForeignNamespace
from reconciler.watch.attached import KnownProcesses, stacks_concerned, waiting_in

PROCESS = "/proc/42/ns/net"


def stack(name: str, path: str) -> Manifest:
    return Manifest(name, named=True, origin="x", containers=(Container("c", attach=AttachedNamespace(path)),))


def facts(*seen: ForeignNamespace) -> Facts:
    return Facts(attachable=seen)


def test_who_waits() -> None:
    manifests = {"a": stack("a", "/x"), "b": stack("b", "/y"), "c": stack("c", "/not/looked/at")}
    found = waiting_in(manifests, facts(ForeignNamespace("/x", "", "there is none"), ForeignNamespace("/y", "7")))
    assert list(found) == ["a"]
    assert found["a"][0].message == "container c cannot be attached: there is none"


def test_who_is_concerned_by_a_change() -> None:
    manifests = [stack("a", "/x"), stack("b", "/y")]
    before = facts(ForeignNamespace("/x", "6"), ForeignNamespace("/y", "7"))
    assert stacks_concerned(manifests, before, before) == set()
    after = facts(ForeignNamespace("/x", "8"), ForeignNamespace("/y", "7"))
    assert stacks_concerned(manifests, before, after) == {"a"}
    faulty = facts(ForeignNamespace("/x", "8", "another process"), ForeignNamespace("/y", "7", interfaces=("eth0",)))
    assert stacks_concerned(manifests, faulty, after) == {"a"}


def test_a_number_that_another_process_has_is_a_fault() -> None:
    known = KnownProcesses()
    first, second = ForeignNamespace(PROCESS, "7:1000"), ForeignNamespace(PROCESS, "7:2000")
    assert known.checked(facts(first)) == facts(first)
    (faulty,) = known.checked(facts(second)).attachable
    assert "another process" in faulty.fault
    # While it ran, or once no manifest names it any more, it is as good as any.
    assert known.checked(facts(first)) == facts(first)
    known.checked(facts())
    assert known.checked(facts(second)) == facts(second)
