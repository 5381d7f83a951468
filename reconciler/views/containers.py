"""The containers of a host: their state, their places on networks, their published ports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from reconciler.observation import Observation, Runtime
from reconciler.resources.namespace import Namespace
from reconciler.resources.process import Process, process_key
from reconciler.views.places import NetworkPlace, places
from reconciler.views.ports import PublishedView, ports_by_container, summary
from reconciler.views.table import table

NamespacePath = Callable[[str], str]
"""Where the sandbox of ``stack/container`` stands; of the empty name, the host's own namespace."""

_NOTHING = Runtime(None, None)


@dataclass(frozen=True, slots=True)
class ContainerView:
    """One container; the fields are those of the JSON contract.

    ``state`` is ``running`` or ``exited`` for one with a command, else ``sandbox``.
    """

    stack: str
    name: str
    state: str
    pid: int | None
    exit_code: int | None
    netns: str
    hosts_path: str | None
    resolv_conf_path: str | None
    hostname: str
    network_mode: str
    networks: tuple[NetworkPlace, ...]
    ports: tuple[PublishedView, ...]

    @property
    def container(self) -> str:
        """``stack/name``."""
        return f"{self.stack}/{self.name}"

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def names(observation: Observation) -> tuple[str, ...]:
    """``stack/name`` of all containers that are there, sorted."""
    found = set()
    for resource in observation.state:
        # A name that leads to no namespace is what a crash left, and no container.
        if isinstance(resource, Process) or (isinstance(resource, Namespace) and resource.pinned):
            found.add(resource.container)
    return tuple(sorted(found))


def homes(observation: Observation) -> frozenset[str]:
    """``stack/name`` of whose network the commands use; the empty name is the host's."""
    return frozenset(_home(each) for each in observation.state if isinstance(each, Process))


def containers(
    observation: Observation, namespace_path: NamespacePath, stacks: frozenset[str] | None = None
) -> tuple[ContainerView, ...]:
    """The containers of these stacks, or of all, by stack and name."""
    networks: defaultdict[str, list[NetworkPlace]] = defaultdict(list)
    for place in places(observation.state):
        networks[place.container].append(place.seen)
    ports = ports_by_container(observation.state)
    return tuple(
        _view(observation, container, namespace_path, networks, ports.get(container, ()))
        for container in names(observation)
        if stacks is None or container.partition("/")[0] in stacks
    )


def details(observation: Observation, view: ContainerView) -> dict[str, Any]:
    """What ``inspect`` shows of a container: all of ``ps``, and its command without environment values."""
    process = observation.state.get(process_key(view.container))
    return {"kind": "container", **view.record(), "process": process.record() if process else None}


def render(views: Iterable[ContainerView]) -> str:
    """A table for people."""
    rows = [(view.container, _state_words(view), _address_words(view), summary(view.ports)) for view in views]
    return table(("CONTAINER", "STATE", "ADDRESSES", "PORTS"), rows)


def _view(
    observation: Observation,
    container: str,
    namespace_path: NamespacePath,
    networks: Mapping[str, list[NetworkPlace]],
    ports: tuple[PublishedView, ...],
) -> ContainerView:
    stack, _, name = container.partition("/")
    process = observation.state.get(process_key(container))
    runtime = observation.runtimes.get(container, _NOTHING)
    home = _home(process) if isinstance(process, Process) else container
    places_here = tuple(networks.get(container, ()))
    return ContainerView(
        stack=stack,
        name=name,
        state=_state(process, runtime),
        pid=runtime.pid,
        exit_code=runtime.exit_code,
        netns=namespace_path(home),
        hosts_path=None,
        resolv_conf_path=None,
        hostname=(process.hostname if isinstance(process, Process) else "") or name,
        network_mode=_network_mode(container, home, places_here),
        networks=places_here,
        ports=ports,
    )


def _home(process: Process) -> str:
    # One whose definition is gone does not say whose network it had: its own is the likely one.
    return process.namespace if process.command else process.container


def _state(process: object, runtime: Runtime) -> str:
    if process is None:
        return "sandbox"
    return "exited" if runtime.pid is None else "running"


def _network_mode(container: str, home: str, networks: tuple[NetworkPlace, ...]) -> str:
    if not home:
        return "host"
    if home != container:
        own, theirs = container.partition("/")[0], home.partition("/")
        return f"container:{theirs[2] if theirs[0] == own else home}"
    return "bridge" if networks else "none"


def _state_words(view: ContainerView) -> str:
    if view.state == "running":
        return f"running (pid {view.pid})"
    if view.state == "exited":
        # Whoever was killed together with its monitor left no exit status.
        return f"exited ({'unknown' if view.exit_code is None else view.exit_code})"
    return view.state


def _address_words(view: ContainerView) -> str:
    if view.network_mode not in {"bridge", "none"}:
        return view.network_mode
    return ", ".join(f"{_bare(network)} on {network.name}" for network in view.networks)


def _bare(network: NetworkPlace) -> str:
    addresses = [address.partition("/")[0] for address in (network.ipv4, network.ipv6) if address]
    return " ".join(addresses) or "no address"
