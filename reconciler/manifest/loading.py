"""Files -> manifests: the order of the steps, and the one place where files are read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import NetapplyError, Source
from reconciler.manifest.checks import check_stack
from reconciler.manifest.containers import DEFAULT_NETWORK, convert_container
from reconciler.manifest.context import Context
from reconciler.manifest.discovery import discover, members
from reconciler.manifest.faults import Faults
from reconciler.manifest.interpolation import interpolate
from reconciler.manifest.merge import merge, settle
from reconciler.manifest.model import Container, Manifest, Network
from reconciler.manifest.models import ContainerPart, NetworkPart, StackPart
from reconciler.manifest.naming import stack_name as name_stack
from reconciler.manifest.networks import convert_network
from reconciler.manifest.nodes import Mapping, Node, is_null, place, source_of
from reconciler.manifest.normalise import Unused, normalise
from reconciler.manifest.reading import LARGEST_FILE, read
from reconciler.manifest.validation import validate

if TYPE_CHECKING:
    from collections.abc import Mapping as Table
    from collections.abc import Sequence as Several

STDIN = "-"


@dataclass(slots=True)
class Run:
    """What the stacks of one run share."""

    environment: Table[str, str]
    stdin: str | bytes | None = None
    profiles: frozenset[str] = frozenset()
    faults: Faults = field(default_factory=Faults)
    unused: Unused = field(default_factory=Unused)


def load(
    paths: Several[Path | str],
    *,
    stack_name: str | None = None,
    environment: Table[str, str],
    stdin: str | bytes | None = None,
    profiles: Several[str] = (),
) -> Manifest:
    """See `reconciler.manifest.load`."""
    run = Run(environment, stdin, _profiles(profiles, environment))
    manifest = _load(tuple(str(path) for path in paths), stack_name, run)
    run.faults.stop_if_any()
    assert manifest is not None  # noqa: S101  # no manifest without a fault
    return _with_warnings(manifest, run)


def stacks(
    file_arguments: Several[Path | str],
    *,
    merged: Several[Path | str] = (),
    stack_name: str | None = None,
    environment: Table[str, str],
    directory: Path | str = ".",
    stdin: str | bytes | None = None,
    profiles: Several[str] = (),
) -> tuple[Manifest, ...]:
    """See `reconciler.manifest.stacks`."""
    run = Run(environment, stdin, _profiles(profiles, environment))
    groups = _groups(file_arguments, merged, directory, run)
    if stack_name and len(groups) > 1:
        raise NetapplyError.of(f"-p {stack_name} cannot name {len(groups)} stacks", hint="name one file")
    loaded: dict[str, tuple[str, Manifest]] = {}
    for group in groups:
        manifest = _load(group, stack_name, run)
        if manifest is None:
            continue
        file, _ = loaded.setdefault(manifest.stack, (group[0], manifest))
        if file != group[0]:
            message = f"two stacks are named '{manifest.stack}': {file} and {group[0]}"
            run.faults.add(message, hint="give one of them another name:, or merge them with -f FILE -f FILE")
    run.faults.stop_if_any()
    first, *others = (manifest for _, manifest in loaded.values())
    return (_with_warnings(first, run), *others)


def _profiles(given: Several[str], environment: Table[str, str]) -> frozenset[str]:
    return frozenset(filter(None, [*given, *environment.get("COMPOSE_PROFILES", "").split(",")]))


def _groups(
    file_arguments: Several[Path | str],
    merged: Several[Path | str],
    directory: Path | str,
    run: Run,
) -> list[tuple[str, ...]]:
    """The files of each stack of the run."""
    if merged:
        if file_arguments:
            raise NetapplyError.of("files are given with -f and without", hint="use one of the two ways")
        return [tuple(str(path) for path in merged)]
    if not file_arguments:
        prefix = "" if str(directory) == "." else f"{directory}/"
        names = discover(directory, run.environment)
        return [tuple(name if name == STDIN or name.startswith("/") else prefix + name for name in names)]
    groups: list[tuple[str, ...]] = []
    for argument in map(str, file_arguments):
        if argument != STDIN and Path(argument).is_dir():
            found = members(Path(argument))
            if not found:
                run.faults.add(f"no manifest in {argument}", hint="a manifest's name ends in .yaml or .yml")
            groups += [(str(path),) for path in found]
        else:
            groups.append((argument,))
    return list(dict.fromkeys(groups))


def _load(paths: tuple[str, ...], argument: str | None, run: Run) -> Manifest | None:
    """One stack; None when it could not be read, or not as a whole. Faults are noted in ``run``."""
    roots = [_document(path, run) for path in paths]
    documents = [root for root in roots if root]
    if not documents or len(documents) < len(roots):
        return None
    root: Node | None = documents[0]
    for over in documents[1:]:
        root = merge(root, over, run.faults) if root else over
    root = settle(root) if root else None
    part = validate(root, run.faults) if isinstance(root, Mapping) else None
    if not isinstance(root, Mapping) or part is None:
        return None
    file = None if paths[0] == STDIN else Path(paths[0]).absolute()
    written = (part.name, place(root, ("name",))) if part.name else None
    name, named = name_stack(argument, run.environment, written, file, run.faults)
    context = Context(root, name, str(file.parent if file else Path.cwd()), run.faults)
    networks, containers = _convert(part, context, run)
    return Manifest(
        stack=name,
        named=named,
        origin=str(file.resolve()) if file else STDIN,
        networks=tuple(networks.values()),
        containers=containers,
    )


def _document(path: str, run: Run) -> Mapping | None:
    """One file's tree, interpolated and in the manifest's own words; None when there is none."""
    try:
        document = read(_content(path, run), path)
    except NetapplyError as error:
        run.faults.errors += error.problems
        return None
    run.faults.errors += document.problems
    interpolate(document.templates, run.environment, run.faults)
    root = document.root
    if root is None or is_null(root):
        run.faults.add("the manifest is empty", Source(path, 1, 1), "a container is: containers: {web: }")
        return None
    if not isinstance(root, Mapping):
        run.faults.add("a manifest is a mapping with the key 'containers'", source_of(root))
        return None
    normalise(root, run.faults, run.unused)
    return root


def _content(path: str, run: Run) -> bytes | str:
    if path == STDIN:
        return run.stdin or ""
    try:
        with Path(path).open("rb") as file:
            return file.read(LARGEST_FILE + 1)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else (error.strerror or str(error)).lower()
        raise NetapplyError.of(f"{path}: {reason}") from None


def _convert(part: StackPart, context: Context, run: Run) -> tuple[dict[str, Network], tuple[Container, ...]]:
    networks = {
        key: convert_network(key, entry or NetworkPart(), context) for key, entry in (part.networks or {}).items()
    }
    active = {
        name: entry or ContainerPart()
        for name, entry in (part.containers or {}).items()
        if _active(entry, run.profiles)
    }
    _note_container_names(active, context)
    containers = tuple(convert_container(name, entry, context, run.environment) for name, entry in active.items())
    if DEFAULT_NETWORK not in networks:
        for container in containers:
            if any(attachment.network == DEFAULT_NETWORK for attachment in container.attachments):
                networks[DEFAULT_NETWORK] = replace(
                    convert_network(DEFAULT_NETWORK, NetworkPart(), context),
                    source=container.source,
                )
                break
    check_stack(networks, containers, context)
    return networks, containers


def _note_container_names(parts: Table[str, ContainerPart], context: Context) -> None:
    for key, part in parts.items():
        if not part.container_name:
            continue
        first = context.container_names.setdefault(part.container_name, key)
        if first != key:
            source = context.at("containers", key, "container_name")
            where = context.at("containers", first, "container_name")
            message = f"container_name '{part.container_name}' is given twice; first at {where} (container {first})"
            context.faults.add(message, source, "give one of them another name")


def _active(part: ContainerPart | None, profiles: frozenset[str]) -> bool:
    wanted = (part.profiles if part else None) or ()
    return not wanted or "*" in profiles or not profiles.isdisjoint(wanted)


def _with_warnings(manifest: Manifest, run: Run) -> Manifest:
    run.unused.warn(run.faults)
    return replace(manifest, warnings=tuple(dict.fromkeys(run.faults.warnings)))
