"""Looks at the host where hints say, and keeps what was seen elsewhere before."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from reconciler.desired.scope import Scope
from reconciler.kernel.machine import Machine
from reconciler.manifest.model import Manifest
from reconciler.observation import Observation
from reconciler.resources.endpoint import Endpoint
from reconciler.state import State
from reconciler.watch.attached import KnownProcesses
from reconciler.watch.hints import Hints


class Lookout:
    """Looks at the host of ``machine``."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._processes = KnownProcesses()
        self.seconds = 0.0
        """Of a processor that the last look took, not counting what it waited for others."""
        machine.hear_firewall()

    def forget_processes(self) -> None:
        """Whoever has the number of an attached process now is the one that is meant."""
        self._processes = KnownProcesses()

    def look(
        self, hints: Hints, last: Observation | None, manifests: Iterable[Manifest], *, was_well: bool
    ) -> Observation:
        """The host as it is; ``last`` is how it was, None: nobody knows. ``manifests`` are all that may be applied.

        ``was_well``: all was as it should be. What still is so is then given as the objects of ``last``: comparing
        takes no time, and what was read goes at once, instead of riddling the memory with holes.
        """
        began = time.process_time()
        try:
            return self._look(hints, last, manifests, was_well=was_well)
        finally:
            self.seconds = time.process_time() - began

    def _look(
        self, hints: Hints, last: Observation | None, manifests: Iterable[Manifest], *, was_well: bool
    ) -> Observation:
        if hints.full or hints.firewall:
            self._machine.forget_firewall()
        scope = Scope(frozenset(), tuple(manifests))
        if hints.full or last is None:
            whole = self._machine.observe(scope.host_ports, attachable=scope.attachable)
            state = whole.state.sharing(last.state) if last and was_well else whole.state
            return replace(whole, state=state, facts=self._processes.checked(whole.facts))
        only = frozenset(hints.sandboxes | _containers_of(hints.interfaces, last.state))
        part = self._machine.observe(scope.host_ports, only, scope.attachable)
        rest = last.state.where(lambda resource: bool(resource.sandbox) and resource.sandbox not in only)
        facts = self._processes.checked(replace(part.facts, namespaces=last.facts.namespaces))
        # Not where something was amiss: what is known of that, beyond what is compared, may be outdated.
        seen = part.state.sharing(last.state) if was_well else part.state
        return Observation(rest.merged(seen), facts, part.runtimes)


def relevant(observation: Observation) -> tuple[object, ...]:
    """The facts that change what is wanted of a host that is as it should be."""
    facts = observation.facts
    return (
        facts.links,
        facts.addresses,
        facts.router_advertised,
        facts.backend,
        facts.wanted_accepts,
        facts.nameservers,
        facts.search,
        facts.host_name,
        facts.resolver_options,
        facts.hosts,
        facts.namespaces,
        facts.attachable,
    )


def _containers_of(interfaces: set[str], state: State) -> set[str]:
    """The sandboxes that these links of the host lead into."""
    if not interfaces:
        return set()
    return {r.container for r in state if isinstance(r, Endpoint) and r.host_interface in interfaces and r.interface}
