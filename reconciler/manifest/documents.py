"""Files -> one tree: reading, interpolating, including, extending and merging, in Compose's order."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from reconciler.errors import NetapplyError, Problem, Source
from reconciler.manifest.dotenv import parse_dotenv
from reconciler.manifest.extending import Extension
from reconciler.manifest.faults import Faults
from reconciler.manifest.including import Inclusion, take_inclusions
from reconciler.manifest.interpolation import interpolate
from reconciler.manifest.lint import advise_on_characters
from reconciler.manifest.merge import merge
from reconciler.manifest.nodes import Mapping, Node, Scalar, Sequence, is_null, source_of
from reconciler.manifest.normalise import Unused, normalise
from reconciler.manifest.reading import LARGEST_FILE, read
from reconciler.manifest.tree import DISK, Tree

if TYPE_CHECKING:
    from collections.abc import Mapping as Table
    from collections.abc import Sequence as Several

STDIN = "-"
DOTENV = ".env"
_LONGEST_CHAIN = 20


@dataclass(slots=True)
class Run:
    """What the stacks of one run share. ``env_files`` None: each stack's own ``.env``. ``tree`` has the files.

    ``files`` are those that were asked for so far, found or not: the result is as good as they are unchanged.
    """

    environment: Table[str, str]
    stdin: str | bytes | None = None
    profiles: tuple[str, ...] = ()
    env_files: tuple[str, ...] | None = None
    faults: Faults = field(default_factory=Faults)
    unused: Unused = field(default_factory=Unused)
    files: set[str] = field(default_factory=set)
    tree: Tree = DISK


class Documents:
    """The files of one stack, or of one inclusion, that see the same variables.

    ``directory`` is what relative paths in them start from; ``chain`` are the files that
    are being included, outermost first.
    """

    def __init__(self, environment: Table[str, str], directory: str, run: Run, chain: tuple[str, ...] = ()) -> None:
        self._environment = environment
        self._directory = directory
        self._run = run
        self._chain = chain
        self._read: dict[str, Mapping | None] = {}
        self._extension = Extension(self._other, run.faults)

    def stack(self, paths: Several[str], asked_by: Node | None = None) -> Mapping | None:
        """The files merged in their order; None when one could not be read, which is noted."""
        merged: Mapping | None = None
        readable = True
        for path in paths:
            document = self._document(path, asked_by)
            if document is None:
                readable = False
                continue
            for inclusion in take_inclusions(document, path, self._run.faults):
                document = self._include(inclusion, document, path)
            document = self._extension.apply(document, path, merged)
            both = merge(merged, document, self._run.faults) if merged else document
            merged = both if isinstance(both, Mapping) else merged
        return merged if readable else None

    def _include(self, inclusion: Inclusion, document: Mapping, path: str) -> Mapping:
        """The included stack with ``document`` laid over it."""
        faults = self._run.faults
        chain = (*self._chain, str(Path(path).resolve()))
        if str(Path(inclusion.paths[0]).resolve()) in chain or len(chain) > _LONGEST_CHAIN:
            faults.add(f"{inclusion.paths[0]} includes itself", source_of(inclusion.node), "remove one of the includes")
            return document
        environment = {**self._variables(inclusion), **self._environment}
        included = Documents(environment, inclusion.directory, self._run, chain).stack(inclusion.paths, inclusion.node)
        if included is None:
            return document
        parts = included.empty_copy()
        for key in included.entries.keys() & {"containers", "networks"}:
            parts.put(included.keys[key], included.entries[key])
        both = merge(parts, document, faults)
        return both if isinstance(both, Mapping) else document

    def _variables(self, inclusion: Inclusion) -> dict[str, str]:
        files = inclusion.env_files
        if files is None:
            return read_variables([str(PurePosixPath(inclusion.directory, DOTENV))], {}, self._run, optional=True)
        return read_variables(files, self._environment, self._run, asked_by=inclusion.node)

    def _other(self, path: str, asked_by: Node) -> Mapping | None:
        """A file that ``extends`` names."""
        return self._document(path, asked_by)

    def _document(self, path: str, asked_by: Node | None) -> Mapping | None:
        """One file's tree, interpolated and in the manifest's own words; None when there is none."""
        if path not in self._read:
            self._read[path] = self._fresh(path, asked_by)
        return self._read[path]

    def _fresh(self, path: str, asked_by: Node | None) -> Mapping | None:
        faults = self._run.faults
        try:
            document = read(content(path, self._run), path)
        except NetapplyError as error:
            faults.errors += _asked(error, asked_by)
            return None
        faults.errors += document.problems
        interpolate(document.templates, self._environment, faults)
        root = document.root
        if root is None or is_null(root):
            faults.add("the manifest is empty", Source(path, 1, 1), "the smallest one: containers: {web: {}}")
            return None
        if not isinstance(root, Mapping):
            faults.add("a manifest is a mapping with the key 'containers'", source_of(root))
            return None
        if document.has_typography:
            advise_on_characters(root, faults)
        normalise(root, faults, self._run.unused)
        _anchor_paths(root, self._directory if asked_by is None else str(PurePosixPath(path).parent))
        return root


def _asked(error: NetapplyError, asked_by: Node | None) -> list[Problem]:
    """The error's problems; one without a place gets that of the value which asked for the file."""
    place = source_of(asked_by) if asked_by else None
    return [Problem(each.message, each.source or place, each.hint) for each in error.problems]


def content(path: str, run: Run) -> bytes | str:
    """What stands in the file, or on standard input.

    Raises:
        NetapplyError: the file cannot be read.
    """
    if path == STDIN:
        return run.stdin or ""
    run.files.add(path)
    try:
        return run.tree.read(path, LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        reason = "no such file" if isinstance(error, FileNotFoundError) else reason
        raise NetapplyError.of(f"{path}: {reason}") from None


def read_variables(
    files: Several[str],
    environment: Table[str, str],
    run: Run,
    *,
    optional: bool = False,
    asked_by: Node | None = None,
) -> dict[str, str]:
    """The variables of these files, later ones first; a missing file is a fault unless ``optional``."""
    found: dict[str, str] = {}
    for file in files:
        if optional and not run.tree.is_file(file):
            run.files.add(file)
            continue
        try:
            data = content(file, run)
        except NetapplyError as error:
            run.faults.errors += _asked(error, asked_by)
            continue
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
        found.update(parse_dotenv(text, file, {**found, **environment}, run.faults))
    return found


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
    if isinstance(node, Scalar) and node.text and not node.text.startswith("/"):
        node.text = str(Path(directory).absolute() / node.text)
        node.value = node.text
