"""``extends``: a container laid over another one, of the same file or of another."""

from __future__ import annotations

from posixpath import dirname
from typing import TYPE_CHECKING, NamedTuple

from reconciler.manifest.merge import merge
from reconciler.manifest.nodes import RESET, Mapping, Node, Scalar, is_null, source_of
from reconciler.manifest.paths import identity, joined, remote

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.manifest.faults import Faults

_LONGEST_CHAIN = 100
_MOST_VALUES = 2_000_000
"""What all containers of a document may take over, against bases of bases that explode like aliases of aliases."""


class _Step(NamedTuple):
    """A container, by the name of its file and its own, and the documents that it is looked up in.

    Relative paths in the file start from ``directory``.
    ``earlier`` is what the files before were merged to: a container that is not in its file may be there.
    """

    file: str
    directory: str
    name: str
    root: Mapping
    earlier: Mapping | None

    @property
    def key(self) -> tuple[str, str, str]:
        return identity(self.file), identity(self.directory), self.name


class Extension:
    """Resolves ``extends``; relative paths start from ``directory``, in an extended file from the file's own folder.

    ``read`` gives the tree of another file, for that folder; None when it has faults.
    """

    def __init__(self, read: Callable[[str, str, Node], Mapping | None], directory: str, faults: Faults) -> None:
        self._read = read
        self._directory = directory
        self._faults = faults
        self._resolved: dict[tuple[str, str, str], tuple[Node | None, int]] = {}
        self._values = 0

    def apply(self, root: Mapping, file: str, earlier: Mapping | None) -> Mapping:
        """The document with every ``extends`` in it resolved.

        ``earlier`` is what the files before it were merged to: a container that is not in
        this file may be there.
        """
        containers = _containers(root)
        if not any(isinstance(each, Mapping) and "extends" in each.entries for each in containers.entries.values()):
            return root
        # Another document's containers may be called the same, and have been looked up in this one's place.
        self._resolved = {}
        resolved = containers.empty_copy()
        for name, node in containers.entries.items():
            extended = isinstance(node, Mapping) and "extends" in node.entries
            whole = self._resolve(_Step(file, self._directory, name, root, earlier)) if extended else node
            resolved.put(containers.keys[name], whole)
            self._values += whole.size if extended and isinstance(whole, Mapping) else 0
            if self._values > _MOST_VALUES:
                message = f"what is taken over by extends is more than {_MOST_VALUES} values"
                self._faults.add(message, source_of(containers.keys[name]), "extend smaller containers")
                break
        result = root.empty_copy()
        for key, value in root.entries.items():
            result.put(root.keys[key], resolved if value is containers else value)
        return result

    def _resolve(self, step: _Step) -> Node:
        """The container laid over those that it extends; those on the way are remembered."""
        chain: dict[tuple[str, str, str], tuple[_Step, Node]] = {}
        following: _Step | None = step
        while following and following.key not in self._resolved:
            node = _containers(following.root).entries[following.name]
            if following.key in chain:
                self._note_circle(following, [each for each, _ in chain.values()])
                break
            chain[following.key] = (following, node)
            following = self._base(following, node)
        base, length = self._resolved.get(following.key, (None, 0)) if following else (None, 0)
        for key, (each, node) in reversed(chain.items()):
            length += 1
            over = _without_extends(node)
            if length == _LONGEST_CHAIN + 1:
                message = f"extends goes over more than {_LONGEST_CHAIN} containers"
                self._faults.add(message, source_of(_given(node) or node), "extend a container nearer to the last one")
            if base is None or length > _LONGEST_CHAIN:
                base = over
            else:
                base = merge(base, over, self._faults, ("containers", each.name))
            self._resolved[key] = (base, length)
        return base if base is not None else _containers(step.root).entries[step.name]

    def _note_circle(self, again: _Step, chain: list[_Step]) -> None:
        start = next(index for index, each in enumerate(chain) if each.key == again.key)
        members = [*chain[start:], chain[start]]
        several = len({identity(each.file) for each in members}) > 1
        names = [f"{each.name} of {each.file}" if several else each.name for each in members]
        given = _given(_containers(chain[-1].root).entries[chain[-1].name])
        source = source_of(given) if given else None
        self._faults.add(f"extends goes in a circle: {' -> '.join(names)}", source, "one of them must stand alone")

    def _base(self, step: _Step, node: Node) -> _Step | None:
        """The container that this one extends, if it does and there is one."""
        given = _given(node)
        target = self._target(given, step) if given else None
        if given is None or target is None:
            return None
        file, directory, name = target
        root, earlier = step.root, step.earlier
        if (identity(file), identity(directory)) != step.key[:2]:
            other = self._read(file, directory, given)
            if other is None:
                return None
            root, earlier = other, None
        elif name not in _containers(step.root).entries and earlier and name in _containers(earlier).entries:
            # All that those files extend is resolved.
            return _Step("", directory, name, earlier, None)
        entries = _containers(root).entries
        if name not in entries or entries[name].tag == RESET:
            known = [key for key, value in entries.items() if value.tag != RESET] if not self._faults.is_full else []
            message = f"extends '{name}', which is not in {file}"
            self._faults.add(message, source_of(given), self._faults.nearest(name, known))
            return None
        return _Step(file, directory, name, root, earlier)

    def _target(self, given: Node, step: _Step) -> tuple[str, str, str] | None:
        """What the step extends: the file, what relative paths in it start from, and the name."""
        if is_null(given) or given.tag == RESET:
            return None
        if isinstance(given, Scalar):
            return step.file, step.directory, given.text
        service = given.entries.get("service") if isinstance(given, Mapping) else None
        other = given.entries.get("file") if isinstance(given, Mapping) else None
        if not isinstance(service, Scalar) or not isinstance(other, Scalar | None):
            self._faults.add("'extends' names no container", source_of(given), "write extends: {service: NAME}")
            return None
        for key in given.entries.keys() - {"service", "file"} if isinstance(given, Mapping) else ():
            self._faults.add(f"unknown key '{key}'", source_of(given), "extends has the keys service and file")
        if not other or not other.text:
            return step.file, step.directory, service.text
        if fault := remote(other.text):
            self._faults.add(fault, source_of(other), "fetch it first, and extend the copy")
            return None
        file = joined(step.directory, other.text)
        return file, dirname(file) or ".", service.text


def _given(node: Node) -> Node | None:
    return node.entries.get("extends") if isinstance(node, Mapping) else None


def _without_extends(node: Node) -> Node:
    if not isinstance(node, Mapping) or "extends" not in node.entries:
        return node
    over = node.empty_copy()
    over.size = node.size
    for key, value in node.entries.items():
        if key != "extends":
            over.put(node.keys[key], value)
    return over


def _containers(root: Mapping) -> Mapping:
    found = root.entries.get("containers")
    return found if isinstance(found, Mapping) else root.empty_copy()
