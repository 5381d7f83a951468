"""One look at the host, for the commands that only show something; the lock is free again afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from reconciler.cli import session
from reconciler.cli.main import Settings
from reconciler.observation import Observation
from reconciler.views import containers as container_views
from reconciler.views.names import choose, named_containers


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen. ``run`` is the host's folder, ``own`` the path of its network namespace."""

    observation: Observation
    run: Path
    own: str
    sandboxes: dict[str, Path]

    def namespace_path(self, container: str) -> str:
        """Where the sandbox of ``stack/name`` is pinned; the host's own namespace for the empty name."""
        return str(self.sandboxes[container]) if container else self.own

    def container(self, wanted: str) -> str:
        """``stack/name`` of the container that is meant. Raises NetapplyError: none or several are."""
        return choose(wanted, named_containers(container_views.names(self.observation)), "container").identity

    def view(self, container: str) -> container_views.ContainerView:
        """That one, ``stack/name``, which must be there."""
        stack = frozenset({container.partition("/")[0]})
        views = container_views.containers(self.observation, self.namespace_path, stack)
        return next(view for view in views if view.container == container)


def look(settings: Settings) -> Look:
    """Observe the host under its lock. Raises NetapplyError as ``session.machine_of`` does."""
    with session.machine_of(settings, writing=False) as machine:
        observation = machine.observe()
    host = machine.host
    own = str(host_namespace(host.name))
    named = set(container_views.names(observation)) | container_views.homes(observation)
    return Look(observation, host.run, own, {name: host.namespace_path(name) for name in named})


def stacks_named(
    files: Sequence[str],
    merged: Sequence[str],
    stack_name: str | None,
    profiles: Sequence[str],
    env_files: Sequence[str],
) -> frozenset[str] | None:
    """The stacks that the arguments name; None, for all of them, where they name none."""
    if files or merged:
        manifests = session.manifests_of(files, merged, stack_name, profiles, env_files)
        return frozenset(manifest.stack for manifest in manifests)
    return frozenset({stack_name}) if stack_name else None


def host_namespace(host_name: str) -> Path:
    """A path of the host's own network namespace that others can use too."""
    if host_name:
        return Path("/run/netns") / host_name
    first, own = Path("/proc/1/ns/net"), Path("/proc/self/ns/net")
    # Inside a container of somebody else's, process 1 may stand elsewhere.
    try:
        same = os.path.samefile(first, own)  # noqa: PTH121  # follows what a Path would resolve wrongly
    except OSError:  # a first process that even root may not look at
        return own
    return first if same else own


def print_json(document: Any) -> None:
    """On standard output, in the order it was built."""
    click.echo(json.dumps(document, indent=2))
