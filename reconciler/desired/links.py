"""Links: what a container is told of others by a name of its own for them, and the variables that say the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.desired.jobs import faults_of_relation
from reconciler.desired.known import Known
from reconciler.desired.wired import Wired, by_priority
from reconciler.errors import Problem, Source
from reconciler.manifest.model import Container, Link
from reconciler.resources.process import Process, process_key
from reconciler.resources.resolver import Resolver

_NOT_PASSED_ON = frozenset({"HOME", "PATH"})
_MOST_PORTS_OF_A_RANGE = 100
"""An environment of a megabyte could not be handed to any command."""


@dataclass(frozen=True, slots=True)
class ResolvedLink:
    """A link of a container: ``alias`` for the container ``target`` (``stack/name``) at ``addresses``, IPv4 first.

    ``variables`` are the classic ones; those that hold the target's environment are as secret as that.
    """

    alias: str
    target: str
    addresses: tuple[str, ...]
    variables: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def resolved_links(
    wired: Sequence[Wired], known: Known, problems: list[Problem]
) -> Mapping[str, tuple[ResolvedLink, ...]]:
    """The links of each container that has any; one that leads nowhere is a problem."""
    if not any(each.spec.links or each.spec.external_links for each in wired):
        return {}
    targets = _Targets(wired, known)
    return {
        each.identity: tuple(_of_container(each, targets, problems))
        for each in wired
        if each.spec.links or each.spec.external_links
    }


def _of_container(client: Wired, targets: _Targets, problems: list[Problem]) -> Iterator[ResolvedLink]:
    all_found = [
        *((link, targets.of_stack(client.stack, link.container)) for link in client.spec.links),
        *((link, targets.anywhere(client.stack, link.container)) for link in client.spec.external_links),
    ]
    problems.extend(_faults_of_aliases(client, all_found))
    for link, found in all_found:
        stacks = {target.partition("/")[0] for target in found}
        if len(stacks) == 1:
            yield from _to_targets(client, link, found, targets, problems)
        elif found:
            message = f"container {client.spec.name} links to {link.container}, which is in several stacks: "
            problems.append(Problem(message + ", ".join(found), link.source, "write STACK/NAME"))
        else:
            message = f"container {client.spec.name} links to {link.container}, and there is no such container"
            hint = "bring up the stack that makes it first, name both manifests in one run, or remove the link"
            problems.append(Problem(message, link.source, hint))


def _faults_of_aliases(client: Wired, all_found: Iterable[tuple[Link, list[str]]]) -> Iterator[Problem]:
    """Two links by one alias, which names know without regard to case; that of a service leads to all its replicas."""
    places: dict[str, dict[Source | None, set[str]]] = {}
    for link, found in all_found:
        places.setdefault(link.alias.lower(), {}).setdefault(link.source, set()).update(found)
    for alias, by_place in places.items():
        (first_place, first), *more = by_place.items()
        for place, targets in more:
            if targets != first and targets and first:
                message = f"container {client.spec.name} knows {', '.join(sorted(targets))} by the alias {alias}, "
                message += f"by which it knows {', '.join(sorted(first))} too; first at {first_place}"
                yield Problem(message, place, "give one of them another alias: NAME:ALIAS")


def _to_targets(
    client: Wired, link: Link, found: Sequence[str], targets: _Targets, problems: list[Problem]
) -> Iterator[ResolvedLink]:
    """The link, to each replica where there are several; the variables are the first one's."""
    variables: tuple[tuple[str, str], ...] | None = None
    for target in found:
        problems.extend(targets.faults_of(client.identity, target, link))
        addresses = _shared_addresses(client, targets.places(target))
        if not addresses:
            problems.append(_unreachable(client, link, target, targets))
            continue
        if variables is None:
            variables = tuple(_variables(client.spec.name, link.alias, addresses[0], target, targets))
            yield ResolvedLink(link.alias, target, addresses, variables)
        else:
            yield ResolvedLink(link.alias, target, addresses)


def _shared_addresses(client: Wired, places: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    shared = [address for member in by_priority(client.members) for address in places.get(member.network.name, ())]
    return tuple(sorted(dict.fromkeys(shared), key=lambda address: ":" in address))


def _unreachable(client: Wired, link: Link, target: str, targets: _Targets) -> Problem:
    message = f"container {client.spec.name} links to {link.container}, but "
    if targets.in_host_mode(target):
        hint = f"reach it through the host: extra_hosts: ['{link.alias}=host-gateway']"
        return Problem(f"{message}that one uses the host's network", link.source, hint)
    names = ", ".join(sorted(targets.places(target))) or "none"
    own = ", ".join(sorted(member.network.name for member in client.members)) or "none"
    message = f"{message}they share no network: {link.container} is on {names}, {client.spec.name} on {own}"
    return Problem(message, link.source, "let both join one network")


class _Targets:
    """Containers that a link can lead to: those of the run as they shall be, those of other stacks as they are."""

    def __init__(self, wired: Sequence[Wired], known: Known) -> None:
        self._known = known
        self._wired = {each.identity: each for each in wired}
        self._others = sorted(set(known.containers_of_others()))

    def of_stack(self, stack: str, name: str) -> list[str]:
        """The container of that name, or the replicas of that service."""
        found = [each.identity for each in self._wired.values() if each.stack == stack and each.spec.name == name]
        return found or [
            each.identity for each in self._wired.values() if each.stack == stack and each.spec.service == name
        ]

    def anywhere(self, stack: str, name: str) -> list[str]:
        """Containers of that name (``name`` or ``stack/name``): of other stacks, else of the link's own."""
        if "/" in name:
            there, _, short = name.partition("/")
            return self.of_stack(there, short) or [other for other in self._others if other == name]
        stacks = sorted({each.stack for each in self._wired.values()} - {stack})
        found = [identity for there in stacks for identity in self.of_stack(there, name)]
        found += [other for other in self._others if other.partition("/")[2] == name]
        return found or self.of_stack(stack, name) or list(self._by_other_names(name))

    def _by_other_names(self, name: str) -> Iterator[str]:
        """Containers that go by that name on a network: a ``container_name``, an alias."""
        for each in self._wired.values():
            if any(name in attachment.aliases for attachment in each.spec.attachments):
                yield each.identity
        for resource in self._known.others:
            if isinstance(resource, Resolver) and any(name in item.names for item in resource.registrations):
                yield resource.container

    def places(self, target: str) -> Mapping[str, tuple[str, ...]]:
        """The addresses of the target by the real name of each network that it, or whose sandbox it uses, stands on."""
        namespace = self._namespace(target)
        if namespace in self._wired:
            return {
                member.network.name: tuple(address.partition("/")[0] for address in member.addresses.values())
                for member in self._wired[namespace].members
            }
        return {
            endpoint.network_name: tuple(
                address.partition("/")[0] for address in self._known.addresses.get((namespace, endpoint.interface), ())
            )
            for endpoint in self._known.endpoints.get(namespace, ())
        }

    def faults_of(self, client: str, target: str, link: Link) -> Iterator[Problem]:
        """Why nobody can rely on the target, though it is there."""
        spec = self._wired[target].spec if target in self._wired else None
        return faults_of_relation(client, "links to it", target, spec, self._known, link.source)

    def in_host_mode(self, target: str) -> bool:
        """Whether it has no network of its own because it uses the host's."""
        return not self._namespace(target)

    def _namespace(self, target: str) -> str:
        if target in self._wired:
            return self._wired[target].namespace
        return self._known.namespace_in_use(target) or ""

    def ports(self, target: str) -> list[tuple[int, str]]:
        """Port and protocol of everything that it exposes or publishes, lowest first, tcp before others."""
        if target in self._wired:
            found = set(_ports_of(self._wired[target].spec))
        else:
            found = {(port.target_port, port.protocol) for port in self._known.ports.get(target, ())}
        return sorted(found, key=lambda port: (port[0], port[1] != "tcp", port[1]))

    def environment(self, target: str) -> Sequence[tuple[str, str]]:
        """Its variables; of one without a command, those that its manifest names."""
        if target in self._wired:
            return sorted(dict(self._wired[target].spec.environment).items())
        process = self._known.observation.state.get(process_key(target))
        return process.environment if isinstance(process, Process) else ()


def _ports_of(container: Container) -> Iterator[tuple[int, str]]:
    for mapping in container.ports:
        yield mapping.target, mapping.protocol
    for entry in container.expose:
        span, _, protocol = entry.partition("/")
        first, _, last = span.partition("-")
        for port in range(int(first), min(int(last or first), int(first) + _MOST_PORTS_OF_A_RANGE - 1) + 1):
            yield port, protocol or "tcp"


def _variables(client_name: str, alias: str, address: str, target: str, targets: _Targets) -> Iterable[tuple[str, str]]:
    """The variables of a link, as Docker names them: ``ALIAS_PORT_80_TCP_ADDR`` and so on."""
    prefix = re.sub(r"[^A-Z0-9]", "_", alias.upper())
    host = f"[{address}]" if ":" in address else address
    yield f"{prefix}_NAME", f"/{client_name}/{alias}"
    ports = targets.ports(target)
    if ports:
        yield f"{prefix}_PORT", f"{ports[0][1]}://{host}:{ports[0][0]}"
    for port, protocol in ports:
        name = f"{prefix}_PORT_{port}_{protocol.upper()}"
        yield name, f"{protocol}://{host}:{port}"
        yield f"{name}_ADDR", address
        yield f"{name}_PORT", str(port)
        yield f"{name}_PROTO", protocol
    for variable, value in targets.environment(target):
        if variable not in _NOT_PASSED_ON:
            yield f"{prefix}_ENV_{variable}", value
