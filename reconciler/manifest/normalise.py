"""Brings a document's tree to the manifest's own words, before it is merged and validated.

``services:`` becomes ``containers:``, the keys under ``x-netapply`` move into the mapping they
stand on, other ``x-`` keys go, and so do, after being noted, the keys that netapply does not use
(but for `vocabulary.KEPT`). All in place and idempotent, because aliases share nodes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.manifest import vocabulary
from reconciler.manifest.nodes import RESET, Mapping, Node, Scalar, Sequence, is_null, source_of
from reconciler.manifest.shapes import check

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Mapping as Table

    from reconciler.errors import Source
    from reconciler.manifest.faults import Faults
    from reconciler.manifest.shapes import Shape

OWN = "x-netapply"
_NO_IMAGES = "images are not run: a container runs its command:, and without one it is a network namespace only"


class Unused:
    """The keys of a run that have no effect, each with the first place it was seen."""

    def __init__(self) -> None:
        self._first: dict[str, Source] = {}

    def note(self, mapping: Mapping, key: str, prefix: str = "") -> None:
        """Remember one; ``prefix`` says what it stands under, where its own name says too little."""
        self._first.setdefault(prefix + key, source_of(mapping.keys[key]))

    def warn(self, faults: Faults) -> None:
        """Give one warning for all of them."""
        if self._first:
            words = ", ".join(f"{key} ({self._first[key]})" for key in sorted(self._first))
            hint = _NO_IMAGES if {"build", "image"} & self._first.keys() else ""
            faults.warn(f"accepted, but not used by netapply: {words}", hint=hint)


def normalise(top: Mapping, faults: Faults, unused: Unused) -> None:
    """Bring the document's top mapping, and all in it, to the manifest's own words."""
    _clean(top, vocabulary.UNUSED_TOP, faults, unused)
    _join_services(top, faults)
    for container in _mappings(top, "containers"):
        _clean(container, vocabulary.UNUSED_CONTAINER, faults, unused)
        for key in vocabulary.NOTED_CONTAINER & container.entries.keys():
            unused.note(container, key)
        if isinstance(container.entries.get("attach"), Scalar) and not is_null(container.entries["attach"]):
            unused.note(container, "attach")  # Compose's, about logs; a mapping is our own
        deploy = container.entries.get("deploy")
        if isinstance(deploy, Mapping):
            _clean(deploy, vocabulary.UNUSED_DEPLOY, faults, unused, "deploy.")
        for attachment in _mappings(container, "networks"):
            _clean(attachment, vocabulary.NONE_UNUSED, faults, unused)
        for port in _mappings(container, "ports"):
            _clean(port, vocabulary.UNUSED_PORT, faults, unused)
    for network in _mappings(top, "networks"):
        _clean(network, vocabulary.UNUSED_NETWORK, faults, unused)
        ipam = network.entries.get("ipam")
        if isinstance(ipam, Mapping):
            _clean(ipam, vocabulary.UNUSED_IPAM, faults, unused)
            for pool in _mappings(ipam, "config"):
                _clean(pool, vocabulary.NONE_UNUSED, faults, unused)


def _mappings(holder: Mapping, key: str) -> Iterator[Mapping]:
    """The mappings in the collection under ``key``, whether that is a mapping or a list."""
    collection = holder.entries.get(key)
    if isinstance(collection, Mapping):
        values: list[Node] = list(collection.entries.values())
    else:
        values = collection.items if isinstance(collection, Sequence) else []
    for value in values:
        if isinstance(value, Mapping):
            yield value


def _clean(mapping: Mapping, not_used: Table[str, Shape], faults: Faults, unused: Unused, prefix: str = "") -> None:
    own = mapping.entries.get(OWN)
    if own is not None and own.tag == RESET:
        faults.add(f"!reset does nothing on {OWN}", source_of(own), "write it on the keys under it")
    elif isinstance(own, Mapping):
        for key, value in own.entries.items():
            if key in mapping.entries and mapping.entries[key] is not value:
                first = source_of(mapping.keys[key])
                faults.add(f"key '{key}' is given twice; also at {first}", source_of(own.keys[key]), "remove one")
            else:
                # A tag of its own: aliases share the value.
                tagged = value if value.tag or not own.tag else replace(value, tag=own.tag)
                mapping.put(own.keys[key], tagged)
    elif own is not None and not is_null(own):
        faults.add(f"{OWN} takes a mapping of keys", source_of(own))
    for key in [key for key in mapping.entries if key.startswith("x-") or key in not_used]:
        if key in not_used:
            unused.note(mapping, key, prefix)
            check(mapping.keys[key], mapping.entries[key], not_used[key], faults)
        if key not in vocabulary.KEPT:
            mapping.drop(key)


def _join_services(top: Mapping, faults: Faults) -> None:
    """Put what stands under ``services`` under ``containers``, which means the same."""
    services = top.entries.get("services")
    if services is None:
        return
    key = top.keys["services"]
    top.drop("services")
    containers = top.entries.get("containers")
    if containers is None or is_null(containers):
        # Its value is the word that was written, for messages.
        top.put(Scalar(key.file, key.line, key.column, "containers", "services"), services)
        return
    if not isinstance(containers, Mapping) or not isinstance(services, Mapping):
        if not is_null(services):
            faults.add("'services' and 'containers' both take a mapping", source_of(key))
        return
    for name, value in services.entries.items():
        if name in containers.entries:
            first = source_of(containers.keys[name])
            faults.add(
                f"'{name}' stands under services and under containers; also at {first}",
                source_of(services.keys[name]),
                "services and containers mean the same: keep one of them",
            )
        else:
            containers.put(services.keys[name], value)
