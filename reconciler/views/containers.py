"""The containers of a host: their state, their places on networks, their published ports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from reconciler.observation import Observation, Runtime
from reconciler.resources.container_file import HOSTS, RESOLV_CONF
from reconciler.resources.joined import FOREIGN
from reconciler.resources.process import process_key
from reconciler.views import homes
from reconciler.views.entrances import Entrances, OpenView, entrances
from reconciler.views.homes import Paths
from reconciler.views.links import links
from reconciler.views.places import NetworkPlace, Place, places
from reconciler.views.ports import PublishedView, ports_by_container, summary
from reconciler.views.table import table

_NOTHING = Runtime(None, None)


@dataclass(frozen=True, slots=True)
class ContainerView:
    """One container; the fields are those of the JSON contract.

    ``state`` is ``running`` or ``exited`` for one with a command, else ``sandbox``. One that uses another's network
    shows that one's places; published ports are shown with whose network it is. ``floating`` are addresses of the
    host that lead to every port of it, ``open`` what is opened to one in host mode.
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
    floating: tuple[str, ...] = ()
    open: tuple[OpenView, ...] = ()

    @property
    def container(self) -> str:
        """``stack/name``."""
        return f"{self.stack}/{self.name}"

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def containers(
    observation: Observation, paths: Paths, stacks: frozenset[str] | None = None
) -> tuple[ContainerView, ...]:
    """The containers of these stacks, or of all, by stack and name."""
    found: defaultdict[str, list[NetworkPlace]] = defaultdict(list)
    for place in places(observation.state):
        found[place.container].append(place.seen)
    ports, others = ports_by_container(observation.state), entrances(observation.state)
    return tuple(
        _view(observation, container, paths, found, (ports.get(container, ()), others.get(container, Entrances())))
        for container in homes.names(observation.state)
        if stacks is None or container.partition("/")[0] in stacks
    )


def details(observation: Observation, view: ContainerView) -> dict[str, Any]:
    """What ``inspect`` shows of a container: all of ``ps`` and more of its networks, and its command without secrets."""
    state = observation.state
    process = state.get(process_key(view.container))
    every = places(state)
    return {
        "kind": "container",
        **view.record(),
        "networks": _network_details(observation, view, every),
        "process": process.record() if process else None,
    }


def render(views: Iterable[ContainerView]) -> str:
    """A table for people."""
    rows = [(view.container, _state_words(view), _address_words(view), _port_words(view)) for view in views]
    return table(("CONTAINER", "STATE", "ADDRESSES", "PORTS"), rows)


def _network_details(observation: Observation, view: ContainerView, every: Sequence[Place]) -> list[dict[str, Any]]:
    home = homes.home_of(observation.state, view.container)
    linked = links(observation.state, view.container, every)
    return [
        {**asdict(place.seen), **place.details(), "links": list(linked.get(place.network, ()))}
        for place in every
        if place.container == home
    ]


def _view(
    observation: Observation,
    container: str,
    paths: Paths,
    found: defaultdict[str, list[NetworkPlace]],
    ways: tuple[tuple[PublishedView, ...], Entrances],
) -> ContainerView:
    ports, others = ways
    state = observation.state
    stack, _, name = container.partition("/")
    runtime = observation.runtimes.get(container, _NOTHING)
    home, files = homes.home_of(state, container), homes.files_home(state, container)
    places_here = tuple(found.get(home, ()))
    return ContainerView(
        stack=stack,
        name=name,
        state=_state(state.get(process_key(container)), runtime),
        pid=runtime.pid,
        exit_code=runtime.exit_code,
        netns=paths.namespace(homes.name_of_network(state, container)),
        hosts_path=None if files is None else paths.file(files, HOSTS),
        resolv_conf_path=None if files is None else paths.file(files, RESOLV_CONF),
        hostname=homes.hostname_of(state, container, observation.facts.host_name),
        network_mode=_network_mode(container, home, places_here),
        networks=places_here,
        ports=ports,
        floating=others.floating,
        open=others.opened,
    )


def _state(process: object, runtime: Runtime) -> str:
    if process is None:
        return "sandbox"
    return "exited" if runtime.pid is None else "running"


def _network_mode(container: str, home: str, networks: tuple[NetworkPlace, ...]) -> str:
    if not home:
        return "host"
    if home != container:
        own, theirs = container.partition("/")[0], home.partition("/")
        return f"container:{theirs[2] if theirs[0] == own else home.removeprefix(FOREIGN)}"
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


def _port_words(view: ContainerView) -> str:
    published = summary(view.ports)
    return ", ".join([*([published] if published else []), *Entrances(view.floating, view.open).words()])


def _bare(network: NetworkPlace) -> str:
    addresses = [address.partition("/")[0] for address in (network.ipv4, network.ipv6) if address]
    return " ".join(addresses) or "no address"
