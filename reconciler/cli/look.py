"""One look at the host, for the commands that only show something; the lock is free again afterwards."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import session
from reconciler.cli.arguments import Arguments
from reconciler.cli.main import Settings
from reconciler.observation import Observation
from reconciler.resources.joined import FOREIGN
from reconciler.views import containers as container_views
from reconciler.views import homes
from reconciler.views.names import choose, named_containers

if TYPE_CHECKING:
    from reconciler.kernel.host import Host


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of ``host``. It says where things are on it (``views.homes.Paths``)."""

    observation: Observation
    host: Host

    @property
    def run(self) -> Path:
        """The host's folder."""
        return self.host.run

    def namespace(self, home: str) -> str:
        """Where the network namespace of ``stack/name`` or ``netns:NAME`` is pinned; the host's own for the empty name."""
        return str(self.host.namespace_path(home) if home else host_namespace(self.host.name))

    def file(self, home: str, file_name: str) -> str:
        """Where that file of a home stands; of others' namespaces and of the host, the one that is used there."""
        from reconciler.kernel import container_files  # noqa: PLC0415  # --help must not pay for it

        if home and not home.startswith(FOREIGN):
            return str(container_files.folder_of(self.run, home) / file_name)
        name = self.host.namespace_path(home).name if home else self.host.name
        special = container_files.NETNS_FILES / name / file_name
        return str(special if name and special.exists() else Path("/etc", file_name))

    def container(self, wanted: str) -> str:
        """``stack/name`` of the container that is meant. Raises NetapplyError: none or several are."""
        return choose(wanted, named_containers(homes.names(self.observation.state)), "container").identity

    def view(self, container: str) -> container_views.ContainerView:
        """That one, ``stack/name``, which must be there."""
        stack = frozenset({container.partition("/")[0]})
        views = container_views.containers(self.observation, self, stack)
        return next(view for view in views if view.container == container)


def look(settings: Settings) -> Look:
    """Observe the host under its lock. Raises NetapplyError as ``session.machine_of`` does."""
    with session.machine_of(settings, writing=False) as machine:
        return Look(machine.observe(), machine.host)


def stacks_named(arguments: Arguments) -> frozenset[str] | None:
    """The stacks that the arguments name; None, for all of them, where they name none."""
    if arguments.names_files:
        return frozenset(manifest.stack for manifest in arguments.stacks())
    return frozenset({arguments.stack_name}) if arguments.stack_name else None


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
