"""``extends``: a container laid over another one, of the same file or of another."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from reconciler.manifest.faults import suggestion
from reconciler.manifest.merge import merge
from reconciler.manifest.nodes import Mapping, Node, Scalar, is_null, source_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.manifest.faults import Faults

Step = tuple[str, str]
"""A file and a container in it."""


class Extension:
    """Resolves ``extends``; ``read`` gives the tree of another file, None when that has faults."""

    def __init__(self, read: Callable[[str, Node], Mapping | None], faults: Faults) -> None:
        self._read = read
        self._faults = faults
        self._circles: set[frozenset[Step]] = set()

    def apply(self, root: Mapping, file: str, earlier: Mapping | None) -> Mapping:
        """The document with every ``extends`` in it resolved.

        ``earlier`` is what the files before it were merged to: a container that is not in
        this file may be there.
        """
        containers = _containers(root)
        if not any(isinstance(each, Mapping) and "extends" in each.entries for each in containers.entries.values()):
            return root
        resolved = containers.empty_copy()
        for name in containers.entries:
            resolved.put(containers.keys[name], self._resolve((file, name), root, earlier, ()))
        result = root.empty_copy()
        for key, value in root.entries.items():
            result.put(root.keys[key], resolved if value is containers else value)
        return result

    def _resolve(self, step: Step, root: Mapping, earlier: Mapping | None, chain: tuple[Step, ...]) -> Node:
        file, name = step
        node = _containers(root).entries[name]
        if not isinstance(node, Mapping) or "extends" not in node.entries:
            return node
        given = node.entries["extends"]
        over = node.empty_copy()
        for key, value in node.entries.items():
            if key != "extends":
                over.put(node.keys[key], value)
        target = self._target(given, file)
        if target is None:
            return over
        chain = (*chain, step)
        if target in chain:
            members = frozenset(chain[chain.index(target) :])
            if members in self._circles:
                return over
            self._circles.add(members)
            circle = " -> ".join(container for _, container in (*chain[chain.index(target) :], target))
            self._faults.add(f"extends goes in a circle: {circle}", source_of(given), "one of them must stand alone")
            return over
        base = self._base(target, given, file, root, earlier, chain)
        return over if base is None else merge(base, over, self._faults, ("containers", name))

    def _target(self, given: Node, file: str) -> Step | None:
        if is_null(given):
            return None
        if isinstance(given, Scalar):
            return file, given.text
        service = given.entries.get("service") if isinstance(given, Mapping) else None
        other = given.entries.get("file") if isinstance(given, Mapping) else None
        if not isinstance(service, Scalar) or not isinstance(other, Scalar | None):
            self._faults.add("'extends' names no container", source_of(given), "write extends: {service: NAME}")
            return None
        for key in given.entries.keys() - {"service", "file"} if isinstance(given, Mapping) else ():
            self._faults.add(f"unknown key '{key}'", source_of(given), "extends has the keys service and file")
        return (str(PurePosixPath(file).parent / other.text) if other and other.text else file), service.text

    def _base(
        self,
        target: Step,
        given: Node,
        file: str,
        root: Mapping,
        earlier: Mapping | None,
        chain: tuple[Step, ...],
    ) -> Node | None:
        other_file, name = target
        if other_file == file:
            if name not in _containers(root).entries and earlier and name in _containers(earlier).entries:
                return _containers(earlier).entries[name]
        else:
            other = self._read(other_file, given)
            if other is None:
                return None
            root, earlier = other, None
        known = _containers(root).entries
        if name not in known:
            message = f"extends '{name}', which is not in {other_file}"
            self._faults.add(message, source_of(given), suggestion(name, known))
            return None
        return self._resolve(target, root, earlier, chain)


def _containers(root: Mapping) -> Mapping:
    found = root.entries.get("containers")
    return found if isinstance(found, Mapping) else root.empty_copy()
