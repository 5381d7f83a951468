"""Whose network and whose files a container uses, and where these are."""

from __future__ import annotations

from typing import Protocol

from reconciler.resources.container_file import HOSTNAME, HOSTS, ContainerFile, file_key
from reconciler.resources.joined import FOREIGN, Joined
from reconciler.resources.namespace import Namespace, namespace_key
from reconciler.resources.process import Process, process_key
from reconciler.state import State


class Paths(Protocol):
    """Where things are on the host. A home is ``stack/name``, ``netns:NAME``, or empty for the host itself."""

    def namespace(self, home: str) -> str:
        """The network namespace, as ``nsenter`` takes it."""
        ...

    def file(self, home: str, file_name: str) -> str:
        """``hosts``, ``resolv.conf`` or ``hostname``."""
        ...


def names(state: State) -> tuple[str, ...]:
    """``stack/name`` of all containers that are there, sorted."""
    found = set()
    for resource in state:
        # A name that leads to no namespace is what a crash left, and no container.
        if isinstance(resource, Process | Joined) or (isinstance(resource, Namespace) and resource.pinned):
            found.add(resource.container)
    return tuple(sorted(found))


def home_of(state: State, container: str) -> str:
    """Whose network it uses."""
    place = state.get(namespace_key(container))
    if isinstance(place, Joined):
        return place.namespace
    process = state.get(process_key(container))
    if isinstance(process, Process) and process.command and not isinstance(place, Namespace):
        return process.namespace
    # A command whose definition is gone does not say whose network it had: its own is the likely one.
    return container


def name_of_network(state: State, container: str) -> str:
    """The home under whose name its network can be entered: who joined another's has a name of its own for it."""
    home, place = home_of(state, container), state.get(namespace_key(container))
    return container if home and isinstance(place, Joined) and place.pinned else home


def files_home(state: State, container: str) -> str | None:
    """Whose hosts, resolv.conf and hostname it sees; None: what these are, nobody wrote."""
    if file_key(container, HOSTS) in state:
        return container
    home = home_of(state, container)
    if home != container:
        own = not home or home.startswith(FOREIGN) or file_key(home, HOSTS) in state
        return home if own else None
    return None


def hostname_of(state: State, container: str, of_host: str) -> str:
    """What it is called inside; ``of_host`` is the host's own name."""
    process = state.get(process_key(container))
    if isinstance(process, Process) and process.hostname:
        return process.hostname
    home = files_home(state, container)
    if home == "" and of_host:
        return of_host
    found = state.get(file_key(home or container, HOSTNAME))
    text = found.text.strip() if isinstance(found, ContainerFile) else ""
    return text or (home or container).rpartition("/")[2].removeprefix(FOREIGN)
