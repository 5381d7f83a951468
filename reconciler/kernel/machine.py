"""The host as the pipeline sees it: look, run, undo."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterator, Sequence

from reconciler.errors import NetapplyError, Problem
from reconciler.kernel import (
    agent_control,
    agent_data,
    container_files,
    foreign_namespaces,
    homes,
    host_addresses,
    host_files,
    jobs,
    joiners,
    listeners,
    namespaces,
    observe,
    observe_links,
    observe_sub_interfaces,
    resolver,
    runtime,
    strays,
)
from reconciler.kernel.agent_control import AgentStatus
from reconciler.kernel.execute import Executor, inverse
from reconciler.kernel.firewall import Firewall
from reconciler.kernel.host import Host
from reconciler.kernel.netlink import RouteSocket
from reconciler.kernel.perform import Performer
from reconciler.kernel.runtime import Workload
from reconciler.netlink import constants as c
from reconciler.netlink.encode import link_header, text
from reconciler.observation import Facts, Listener, Observation, Runtime, inner_links
from reconciler.plan.change import Create, Delete
from reconciler.plan.plan import Step
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.joined import Joined
from reconciler.resources.namespace import Namespace
from reconciler.state import Resource, State

Progress = Callable[[Step], None]
_PATIENCE = 5.0


class Machine:
    """One host. Everything that touches it goes through here, under the host's lock."""

    def __init__(self, host: Host, firewall_choice: str = "auto") -> None:
        self.host = host
        self._firewall = Firewall(firewall_choice)
        self.start_patience = math.inf
        """Seconds that commands may take to begin before their runtime counts as hanging; 20 at most."""

    def hear_firewall(self) -> None:
        """Somebody hears of every change of rules and calls ``forget_firewall``: they are read when that was so."""
        self._firewall.hears_changes = True

    def forget_firewall(self) -> None:
        """Rules may have changed."""
        self._firewall.forget()

    def observe(
        self,
        ports: frozenset[tuple[str, int]] = frozenset(),
        only: frozenset[str] | None = None,
        attachable: frozenset[str] = frozenset(),
    ) -> Observation:
        """Everything of ours on this host, and the facts around it.

        ``ports`` (protocol, number) are those whose foreign holders shall be named. With ``only``, of what stands
        in sandboxes, what stands in these; the fact ``namespaces`` is then not to be trusted. ``attachable`` are the
        paths of namespaces that the manifests attach.
        """
        workloads = runtime.workloads(self.host.run, self.host.namespace_path)
        sight = observe.look_at_links(self.host, only, homes=homes.homes(workloads))
        workloads = homes.at_home(workloads, sight.resources)
        agent = agent_control.status(self.host.run)
        found = sight.links
        firewall = self._firewall.observe()
        own_files = host_files.read(self.host)
        with namespaces.elsewhere():
            theirs = foreign_namespaces.look(self.host, attachable)
        links = observe_sub_interfaces.links_of_others(found.links, found.names)
        inner = inner_links(links)
        facts = Facts(
            host_id=self.host.host_id,
            interfaces=frozenset(found.names.values()),
            links=links,
            taken_subnets=observe.subnets_of_others(found),
            addresses=observe.host_addresses(found),
            listeners=foreign_listeners(agent.pid if agent else None, ports),
            router_advertised=observe.router_advertised(found),
            ephemeral_ports=observe.ephemeral_ports(),
            filtered_bridging=observe.filtered_bridging(),
            backend=firewall.backend,
            backend_reason=firewall.reason,
            wanted_accepts=firewall.wanted_accepts,
            warnings=(
                *firewall.warnings,
                *filter(None, (sieve.warning(inner) for sieve in firewall.sieves)),
                *container_files.obstructions(self.host),
            ),
            barriers=firewall.barriers,
            nameservers=own_files.nameservers,
            search=own_files.search,
            host_name=own_files.name,
            resolver_options=own_files.options,
            hosts=own_files.hosts,
            host_networks=host_addresses.of_others(found, firewall.resources),
            opening_warnings=firewall.opening_warnings,
            namespaces=joiners.names_of_others(self.host, _with_a_name(sight.resources)),
            attachable=theirs,
        )
        ours = host_addresses.of_ours(found, firewall.resources)
        more = (*firewall.resources, *ours, *self._programs(agent, workloads, only))
        runtimes = {w.process.container: Runtime(w.pid, w.exit_code) for w in workloads}
        return Observation(State((*sight.resources, *more)), facts, runtimes)

    def observe_part(self, sandboxes: frozenset[str]) -> State:
        """The host's own objects and those in some sandboxes."""
        workloads = homes.without_restart(runtime.workloads(self.host.run, self.host.namespace_path))
        sight = observe.look_at_links(self.host, sandboxes, homes.homes(workloads))
        workloads = homes.at_home(workloads, sight.resources)
        agent = agent_control.status(self.host.run)
        programs = tuple(self._programs(agent, workloads, sandboxes))
        policies = self._firewall.observe_policies()
        ours = host_addresses.of_ours(sight.links, policies)
        return State((*sight.resources, *policies, *ours, *programs))

    def _programs(
        self, agent: AgentStatus | None, workloads: Sequence[Workload], only: frozenset[str] | None = None
    ) -> Iterator[Resource]:
        """The agent and the commands, with those whose records were taken away."""
        run = self.host.run
        data = agent_data.read_all(run)
        yield from agent_control.resources(run, agent, data)
        yield from resolver.observe(self.host, agent, data, only)
        yield from jobs.observe(run, agent)
        yield from (workload.process for workload in workloads)
        sandboxes = sum(1 for _ in observe_links.pinned(self.host))
        if sandboxes and agent is None:
            yield from strays.agents(run)
        if sandboxes > len(workloads):
            yield from strays.commands(run)

    def run(self, steps: Sequence[Step], progress: Progress) -> tuple[tuple[Problem, ...], int]:
        """Perform steps up to the first failure: its problems, and how many steps may have had an effect."""
        executor = Executor(self._performer(), progress)
        try:
            executor.run(steps)
        except NetapplyError as error:
            return error.problems, executor.attempted
        except Exception as error:  # noqa: BLE001  # a fault of ours: what was begun must not stay half done
            return (_own_fault(error),), executor.attempted
        finally:
            executor.performer.sockets.close()
        # A sandbox that is made anew, or joins another, goes here; the look that follows would not see its links.
        self._wait_for_links(steps)
        return (), len(steps)

    def run_on(self, steps: Sequence[Step], progress: Progress) -> tuple[Problem, ...]:
        """Perform all steps, whatever fails; links that go with a namespace are waited for."""
        executor = Executor(self._performer(), progress, keep_going=True)
        try:
            executor.run(steps)
        finally:
            executor.performer.sockets.close()
        self._wait_for_links(steps)
        return tuple(executor.problems)

    def undo(self, steps: Sequence[Step]) -> tuple[tuple[Step, ...], tuple[Problem, ...]]:
        """Undo steps, last first; everything is tried and every failure reported."""
        undone = inverse(steps)
        return undone, self.run_on(undone, lambda _step: None)

    def _performer(self) -> Performer:
        return Performer(self.host, self._firewall.apply, self.start_patience)

    def _wait_for_links(self, steps: Sequence[Step]) -> None:
        """A namespace's links go some time after it; who makes them anew must not meet the old ones."""
        gone = {
            step.change.before.host_interface
            for step in steps
            if isinstance(step.change, Delete) and isinstance(step.change.before, Endpoint)
        }
        # A rollback puts back what it replaces, under the same name.
        gone -= {
            step.change.after.host_interface
            for step in steps
            if isinstance(step.change, Create) and isinstance(step.change.after, Endpoint)
        }
        if not gone:
            return
        route_socket = RouteSocket()
        try:
            _wait_until_gone(route_socket, gone)
        finally:
            route_socket.close()


def _own_fault(error: Exception) -> Problem:
    hint = "this is a fault of netapply, please report it with these lines; what was begun is undone"
    details = tuple("".join(traceback.format_tb(error.__traceback__)[-3:]).splitlines())
    return Problem(f"{type(error).__name__}: {error}", hint=hint, details=details)


def _with_a_name(resources: Sequence[Resource]) -> frozenset[str]:
    """``stack/name`` of what has a name below /run/netns."""
    return frozenset(r.container for r in resources if isinstance(r, Namespace | Joined))


def foreign_listeners(agent_pid: int | None, ports: frozenset[tuple[str, int]]) -> tuple[Listener, ...]:
    """Who else holds ports of the host; named where the port is among ``ports``, for finding a name takes long."""
    found = set()
    for socket in listeners.all_listeners(agent_pid):
        named = (socket.protocol, socket.port) in ports
        process = listeners.owner_of(socket.inode) if named else "another program"
        found.add(Listener(socket.protocol, socket.address, socket.port, process))
        if socket.address == "::" and not socket.only:
            # Bound to every IPv6 address, it takes IPv4 too.
            found.add(Listener(socket.protocol, "0.0.0.0", socket.port, process))  # noqa: S104  # not bound here
    return tuple(sorted(found))


def _wait_until_gone(route_socket: RouteSocket, names: set[str]) -> None:
    deadline = time.monotonic() + _PATIENCE
    left = sorted(names)
    # Asked name by name: a dump would wait for the very lock that the removal holds.
    while left := [name for name in left if route_socket.has(name)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.002)
    # Something keeps the namespace alive, a shell in it for instance: cut its links all the same.
    for name in left:
        route_socket.request([(c.RTM_DELLINK, 0, link_header() + text(c.IFLA_IFNAME, name))])
