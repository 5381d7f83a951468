"""One stack's tree -> Manifest: shape, meaning, whole-graph checks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.manifest.attachments import DEFAULT_NETWORK
from reconciler.manifest.checks import check_stack
from reconciler.manifest.containers import check_profiles, convert_container
from reconciler.manifest.context import Context
from reconciler.manifest.dependencies import check_dependencies, take_provided
from reconciler.manifest.merge import settle
from reconciler.manifest.model import Manifest
from reconciler.manifest.models import ContainerPart
from reconciler.manifest.naming import stack_name
from reconciler.manifest.network_models import NetworkPart
from reconciler.manifest.networks import convert_network
from reconciler.manifest.nodes import Mapping, Node, overrides, place
from reconciler.manifest.replicas import expand, replicas_of
from reconciler.manifest.validation import validate

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Mapping as Table
    from pathlib import Path

    from reconciler.manifest.faults import Faults
    from reconciler.manifest.interpolation import Room
    from reconciler.manifest.model import Container, Network
    from reconciler.manifest.models import StackPart


def convert(
    tree: Mapping,
    file: Path | None,
    argument: str | None,
    environment: Table[str, str],
    profiles: frozenset[str],
    faults: Faults,
    read_file: Callable[[str], str],
    room: Room,
) -> Manifest | None:
    """The manifest that the merged tree describes; what is wrong is noted.

    ``file`` is the first of the stack's files, None for standard input; ``argument`` is
    that of ``-p``; ``read_file`` gives the text of files that the manifest names, ``room``
    bounds what variables in them come to. None when the document's shape leaves nothing to convert.
    """
    manifest = _convert(settle(tree), file, argument, environment, profiles, faults, read_file, room)
    if faults.errors:
        faults.name_overridden(overrides(tree))
    return manifest


def _convert(
    root: Node | None,
    file: Path | None,
    argument: str | None,
    environment: Table[str, str],
    profiles: frozenset[str],
    faults: Faults,
    read_file: Callable[[str], str],
    room: Room,
) -> Manifest | None:
    part = validate(root, faults) if isinstance(root, Mapping) else None
    if not isinstance(root, Mapping) or part is None:
        return None
    written = (part.name, place(root, ("name",))) if part.name else None
    absolute = file.absolute() if file else None
    name, named = stack_name(argument, environment, written, absolute, faults)
    context = Context(root, name, faults, read_file=read_file, room=room)
    networks, containers = _parts(part, context, environment, profiles)
    return Manifest(
        stack=name,
        named=named,
        origin=str(absolute.resolve()) if absolute else "-",
        networks=tuple(networks.values()),
        containers=containers,
    )


def _parts(
    part: StackPart,
    context: Context,
    environment: Table[str, str],
    profiles: frozenset[str],
) -> tuple[dict[str, Network], tuple[Container, ...]]:
    for name, each in (part.containers or {}).items():
        # Also of those that are no part of the stack now.
        context.check_name("container", name, context.key_at("containers", name))
        check_profiles(name, each, context)
    networks = {
        key: convert_network(key, entry or NetworkPart(), context) for key, entry in (part.networks or {}).items()
    }
    active = {
        name: entry or ContainerPart() for name, entry in (part.containers or {}).items() if _active(entry, profiles)
    }
    _note_container_names(active, context)
    check_dependencies(active, context)
    active = take_provided(active, context)
    for name, entry in active.items():
        context.replicas[name] = replicas_of(name, entry, context)
    context.parts.update({name: entry for name, entry in active.items() if context.replicas[name]})
    containers = tuple(
        replica
        for name, entry in context.parts.items()
        for replica in expand(convert_container(name, entry, context, environment), context.replicas[name], context)
    )
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
