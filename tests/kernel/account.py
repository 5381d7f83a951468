"""The changes that a plan names, to be asked which of them is about an object."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from typing import Any

from tests.kernel.dump import HOST, Dump

Interface = IPv4Interface | IPv6Interface


@dataclass(frozen=True)
class Change:
    """One change as ``plan --format json`` names it; ``before``, ``after`` are empty where there is no object."""

    action: str
    kind: str
    name: str
    before: Mapping[str, Any] = field(hash=False)
    after: Mapping[str, Any] = field(hash=False)

    def __str__(self) -> str:
        return f"{self.action} {self.kind} {self.name}"

    def record(self, sign: str) -> Mapping[str, Any]:
        """The object that goes (``-``) or comes (``+``)."""
        return self.before if sign == "-" else self.after


class Account:
    """The changes of a plan, and the dumps before and after it was carried out."""

    def __init__(self, changes: Iterable[Mapping[str, Any]], before: Dump, after: Dump) -> None:
        self.changes = [
            Change(each["action"], each["kind"], each["name"], each["before"] or {}, each["after"] or {})
            for each in changes
        ]
        self.before, self.after = before, after
        self.sandboxes = {item.place for item in (*before, *after)} - {HOST}
        self._by_kind: dict[str, list[Change]] = defaultdict(list)
        for change in self.changes:
            self._by_kind[change.kind].append(change)

    def named(self, sign: str, kind: str, **fields: Any) -> list[Change]:
        """The changes by which an object with these fields goes (``-``), comes (``+``), or either (empty)."""
        return [
            change
            for change in self._by_kind[kind]
            if any(
                record and all(record.get(key) == value for key, value in fields.items())
                for record in ((change.record(sign),) if sign else (change.before, change.after))
            )
        ]

    def called(self, kind: str, name: str) -> list[Change]:
        """The changes of that kind and name."""
        return [change for change in self._by_kind[kind] if change.name == name]

    def namespace(self, place: str) -> list[Change]:
        """That of a sandbox."""
        return self.named("", "namespace", container=place)

    def interface(self, place: str, name: str, sign: str = "") -> list[Change]:
        """That of a link; of ``lo``, which is born with its namespace, the namespace's."""
        if place == HOST:
            links = self.named(sign, "link", interface=name)
            return [*(each for each in links if not _inside(each)), *self.named(sign, "link", host_interface=name)]
        return self.namespace(place) if name == "lo" else self.named(sign, "link", interface=name, container=place)

    def addresses(self, place: str, interface: str, sign: str, suits: Callable[[Interface], bool]) -> list[Change]:
        """Those of suitable addresses on an interface."""
        found = []
        for change in self.named(sign, "address", interface=interface):
            record = change.record(sign)
            where = record["place"] if record.get("place") in self.sandboxes else HOST
            if where == place and suits(ip_interface(record["address"])):
                found.append(change)
        return found


def _inside(change: Change) -> bool:
    """Whether the interface that a link's change names is in a sandbox."""
    return "container" in {**change.before, **change.after}


Culprits = Sequence[Change]
"""The changes that say that a difference is their doing."""
