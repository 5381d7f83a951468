"""The resolvers of a host's sandboxes: what their data say, whether they stand, and giving data to the agent.

In a stack's file a container has its namespace's path, its registrations as [network, names, addresses], its links as
[alias, addresses] and its servers as [address, from the host].
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reconciler.actions import ForgetNames, ServeNames
from reconciler.kernel import agent_control, agent_data, name_redirect, namespaces
from reconciler.kernel.agent_control import AgentStatus, Served
from reconciler.kernel.agent_data import NAMES
from reconciler.kernel.host import Host
from reconciler.resources.resolver import Registration, Resolver, Upstream


def observe(
    host: Host,
    agent: AgentStatus | None,
    data: Mapping[str, Mapping[str, Any]],
    only: frozenset[str] | None = None,
) -> Iterator[Resolver]:
    """The resolvers that the stacks' data name, of the sandboxes in ``only``, where given.

    ``listening`` are those that stand as they should.
    """
    found: list[tuple[str, str, dict[str, Any]]] = []
    current: set[str] = set()
    for stack_name, sections in data.items():
        if agent and agent.generations.get(stack_name) == sections.get("generation"):
            current.add(stack_name)
        names = sections.get(NAMES)
        for container, entry in (names if isinstance(names, dict) else {}).items():
            if only is None or container in only:
                found.append((stack_name, container, entry))
    standing = _standing(host, agent, [container for stack_name, container, _ in found if stack_name in current])
    for stack_name, container, entry in found:
        yield _resolver(stack_name, container, entry, listening=container in standing)


def _standing(host: Host, agent: AgentStatus | None, containers: Sequence[str]) -> set[str]:
    with namespaces.elsewhere():
        served = agent.names if agent else {}
        return {each for each in containers if each in served and _stands(host, each, served[each])}


def perform(host: Host, actions: Sequence[ServeNames | ForgetNames]) -> None:
    """Give the agent all that these say, each stack's in one go. Raises NetapplyError.

    When it returns, nothing of the agent is open in a sandbox whose names are forgotten.
    """
    by_stack: dict[str, list[ServeNames | ForgetNames]] = defaultdict(list)
    for action in actions:
        by_stack[action.container.partition("/")[0]].append(action)
    for stack_name, its in by_stack.items():
        _give(host, stack_name, its)


def _give(host: Host, stack_name: str, actions: Sequence[ServeNames | ForgetNames]) -> None:
    data = agent_data.read(host.run, stack_name)
    before = data.get(NAMES)
    names = dict(before) if isinstance(before, dict) else {}
    served = []
    for action in actions:
        if isinstance(action, ServeNames):
            served.append(action.container)
            names[action.container] = _entry(host, action)
        else:
            names.pop(action.container, None)
    agent_control.give(host.run, stack_name, {**data, NAMES: names}, less=not served, doubted=served)


def _entry(host: Host, action: ServeNames) -> dict[str, Any]:
    return {
        "namespace": os.fspath(host.namespace_path(action.container)),
        "registrations": action.registrations,
        "links": action.links,
        "upstream": action.upstream,
    }


def _resolver(stack_name: str, container: str, entry: dict[str, Any], *, listening: bool) -> Resolver:
    try:
        return Resolver(
            stack_name,
            container,
            tuple(
                Registration(network, tuple(names), tuple(found)) for network, names, found in entry["registrations"]
            ),
            tuple((alias, tuple(found)) for alias, found in entry["links"]),
            tuple(Upstream(address, from_host) for address, from_host in entry["upstream"]),
            listening=listening,
        )
    except (KeyError, TypeError, ValueError):
        # Somebody else wrote into the file.
        return Resolver(stack_name, container, listening=False)


def _stands(host: Host, container: str, served: Served) -> bool:
    """Whether the agent's sockets are in the sandbox of today, and the rules lead to them. Moves this thread."""
    try:
        descriptor = namespaces.open_path(os.fspath(host.namespace_path(container)))
    except OSError:
        return False
    try:
        if os.fstat(descriptor).st_ino != served.inode:
            return False
        namespaces.enter(descriptor)
        return name_redirect.stands(served.port, served.rules)
    except OSError:
        return False
    finally:
        os.close(descriptor)
