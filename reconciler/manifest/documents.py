"""Files -> one tree: reading, interpolating, including, extending and merging, in Compose's order."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from posixpath import abspath, join
from typing import TYPE_CHECKING

from reconciler.errors import NetapplyError, Source
from reconciler.manifest.characters import refuse_controls
from reconciler.manifest.extending import Extension
from reconciler.manifest.faults import FormError
from reconciler.manifest.files import DOTENV, Run, asked, content, read_variables
from reconciler.manifest.including import Inclusion, take_inclusions
from reconciler.manifest.interpolation import Interpolation, interpolate
from reconciler.manifest.lint import advise_on_characters
from reconciler.manifest.merge import merge
from reconciler.manifest.nodes import RESET, Mapping, Node, Scalar, Sequence, is_null, source_of
from reconciler.manifest.normalise import normalise
from reconciler.manifest.paths import identity
from reconciler.manifest.reading import read

if TYPE_CHECKING:
    from collections.abc import Mapping as Table
    from collections.abc import Sequence as Several

    from reconciler.manifest.builder import Document

_LONGEST_CHAIN = 20
_MOST_INCLUSIONS = 1000


@dataclass(slots=True)
class _Taken:
    """What all inclusions of one stack have taken in; the same files seen with the same variables count, but are kept."""

    inclusions: int = 0
    results: dict[tuple[object, ...], Mapping | None] = field(default_factory=dict)


class Documents:
    """The files of one stack, or of one inclusion, that see the same variables.

    ``directory`` is what relative paths in all of them start from; ``chain`` are the files that
    are being included, outermost first; ``taken`` is what goes for the whole stack.
    """

    def __init__(
        self,
        environment: Table[str, str],
        directory: str,
        run: Run,
        chain: tuple[str, ...] = (),
        taken: _Taken | None = None,
    ) -> None:
        self._environment = environment
        self._directory = directory
        self._run = run
        self._chain = chain
        self._taken = taken or _Taken()
        # By path, and by the directory that relative paths in it start from: a file that is extended has its own.
        self._parsed: dict[tuple[str, str], Document | None] = {}
        self._read: dict[tuple[str, str], Mapping | None] = {}
        self._extension = Extension(self._document, directory, run.faults)

    def know(self, variable: str, value: str) -> None:
        """Give the files one more variable; to be called before `stack`."""
        self._environment = {**self._environment, variable: value}

    def written_name(self, paths: Several[str]) -> tuple[str, Source] | None:
        """What the last of the files that has a ``name`` says, and where; None for none."""
        for path in reversed(paths):
            document = self._parse(path, self._directory, None)
            root = document.root if document else None
            node = root.entries.get("name") if isinstance(root, Mapping) else None
            if isinstance(node, Scalar) and node.text and node.tag != RESET:
                try:
                    return Interpolation(self._environment).substitute(node.text), source_of(node)
                except FormError:
                    return None  # noted when the file is interpolated as a whole
        return None

    def stack(self, paths: Several[str], asked_by: Node | None = None) -> Mapping | None:
        """The files merged in their order; None when one could not be read, which is noted."""
        merged: Mapping | None = None
        readable = True
        for path in paths:
            document = self._document(path, self._directory, asked_by)
            if document is None:
                readable = False
                continue
            self._check_resets(document, merged)
            for inclusion in take_inclusions(document, self._directory, self._run.faults):
                document = self._include(inclusion, document, path)
            document = self._extension.apply(document, path, merged)
            both = merge(merged, document, self._run.faults) if merged else document
            merged = both if isinstance(both, Mapping) else merged
        return merged if readable else None

    def _include(self, inclusion: Inclusion, document: Mapping, path: str) -> Mapping:
        """The included stack with ``document`` laid over it."""
        included = self._included(inclusion, (*self._chain, path))
        if included is None:
            return document
        parts = included.empty_copy()
        for key in included.entries.keys() & {"containers", "networks"}:
            parts.put(included.keys[key], included.entries[key])
        both = merge(parts, document, self._run.faults)
        return both if isinstance(both, Mapping) else document

    def _included(self, inclusion: Inclusion, chain: tuple[str, ...]) -> Mapping | None:
        """The included stack; None for one with faults of its own, or too many of them."""
        taken = self._taken
        taken.inclusions += 1
        if taken.inclusions > _MOST_INCLUSIONS:
            if taken.inclusions == _MOST_INCLUSIONS + 1:
                message = f"more than {_MOST_INCLUSIONS} inclusions in one stack"
                self._run.faults.add(message, source_of(inclusion.node), "include fewer files, or each once")
            return None
        if not self._check_chain(inclusion, chain):
            return None
        environment = {**self._variables(inclusion), **self._environment}
        key = (inclusion.paths, inclusion.directory, tuple(sorted(environment.items())))
        if key not in taken.results:
            inner = Documents(environment, inclusion.directory, self._run, chain, taken)
            taken.results[key] = inner.stack(inclusion.paths, inclusion.node)
        return taken.results[key]

    def _check_chain(self, inclusion: Inclusion, chain: tuple[str, ...]) -> bool:
        known = [identity(path) for path in chain]
        source = source_of(inclusion.node)
        for path in inclusion.paths:
            if identity(path) in known:
                circle = [*chain[known.index(identity(path)) :], path]
                way = f": {' -> '.join(circle)}" if len(circle) > 2 else ""  # noqa: PLR2004  # more than itself
                self._run.faults.add(f"{path} includes itself{way}", source, "remove one of the includes")
                return False
        if len(chain) > _LONGEST_CHAIN:
            message = f"{inclusion.paths[0]} is included by way of more than {_LONGEST_CHAIN} files"
            self._run.faults.add(message, source, "include it nearer to the first file")
            return False
        return True

    def _check_resets(self, document: Mapping, earlier: Mapping | None) -> None:
        """Note a ``!reset`` that comes too late: what the earlier files include and extend is taken over already."""
        containers = document.entries.get("containers")
        holders = [document, *(containers.entries.values() if isinstance(containers, Mapping) else ())]
        for holder, key in zip(holders, ("include", *["extends"] * len(holders)), strict=False):
            node = holder.entries.get(key) if isinstance(holder, Mapping) else None
            if earlier and node and node.tag == RESET:
                message = f"!reset does not undo the '{key}' of an earlier file"
                self._run.faults.add(message, source_of(node), "reset what came from there, or remove it in that file")

    def _variables(self, inclusion: Inclusion) -> dict[str, str]:
        files = inclusion.env_files
        if files is None:
            return read_variables([join(inclusion.directory, DOTENV)], self._environment, self._run, optional=True)
        return read_variables(files, self._environment, self._run, asked_by=inclusion.node)

    def _document(self, path: str, directory: str, asked_by: Node | None) -> Mapping | None:
        """One file's tree, interpolated and in the manifest's own words; None when there is none."""
        key = path, abspath(directory)
        if key not in self._read:
            self._read[key] = self._fresh(path, directory, asked_by)
        return self._read[key]

    def _parse(self, path: str, directory: str, asked_by: Node | None) -> Document | None:
        """What stands in one file; None when it cannot be read."""
        key = path, abspath(directory)
        if key not in self._parsed:
            self._parsed[key] = None
            try:
                self._parsed[key] = read(content(path, self._run), path)
            except NetapplyError as error:
                self._run.faults.take(asked(error, asked_by))
        return self._parsed[key]

    def _fresh(self, path: str, directory: str, asked_by: Node | None) -> Mapping | None:
        faults = self._run.faults
        document = self._parse(path, directory, asked_by)
        if document is None:
            return None
        faults.take(document.problems)
        from_variables = interpolate(document.templates, self._environment, faults, self._run.room)
        root = document.root
        if root is None or is_null(root):
            faults.add("the manifest is empty", Source(path, 1, 1), "the smallest one: containers: {web: {}}")
            return None
        if not isinstance(root, Mapping):
            faults.add("a manifest is a mapping with the key 'containers'", source_of(root))
            return None
        if document.has_typography:
            advise_on_characters(root, faults)
        if root.tag == RESET:
            faults.add("!reset removes the whole manifest", source_of(root), "write it on what is to be removed")
            return None
        normalise(root, faults, self._run.unused)
        if from_variables or document.has_controls:
            refuse_controls(root, from_variables, faults)
        _anchor_paths(root, directory)
        return root


def _anchor_paths(root: Mapping, directory: str) -> None:
    """Make the relative paths of a document absolute, before it meets one of another folder."""
    containers = root.entries.get("containers")
    for container in containers.entries.values() if isinstance(containers, Mapping) else ():
        if isinstance(container, Mapping):
            _anchor(container.entries.get("rootfs"), directory)
            for item in _items(container.entries.get("env_file")):
                _anchor(item.entries.get("path") if isinstance(item, Mapping) else item, directory)


def _items(node: Node | None) -> list[Node]:
    if isinstance(node, Sequence):
        return node.items
    return [] if node is None else [node]


def _anchor(node: Node | None, directory: str) -> None:
    if isinstance(node, Scalar) and node.text and not is_null(node) and not node.text.startswith("/"):
        node.text = str(Path(directory).absolute() / node.text)
        node.value = node.text
