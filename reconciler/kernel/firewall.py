"""The host's firewall as the rest of kernel/ sees it: read it as policy, change policy in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.errors import NetapplyError, Problem
from reconciler.firewall import foreign
from reconciler.firewall.policy import HostAccept, PublishedPort
from reconciler.kernel import conntrack, foreign_rules, nftables
from reconciler.kernel.libnftables import Nftables
from reconciler.plan.change import Change, Create, Delete, Update
from reconciler.state import Resource


@dataclass(frozen=True, slots=True)
class FirewallSight:
    """What a look at the firewall gives: policies of ours, rules that others' tables call for, and why which backend."""

    resources: tuple[Resource, ...]
    wanted_accepts: tuple[HostAccept, ...] = ()
    warnings: tuple[Problem, ...] = ()
    backend: str = "nftables"
    reason: str = ""


class Firewall:
    """The firewall of the namespace that the thread is in. ``choice``: auto, nftables or iptables."""

    def __init__(self, choice: str = "auto") -> None:
        if choice == "iptables":
            raise NetapplyError.of("the iptables backend is not built yet", hint="use --firewall nftables")
        self._choice = choice
        self._nftables: Nftables | None = None

    @property
    def _library(self) -> Nftables:
        if self._nftables is None:
            self._nftables = Nftables()
        return self._nftables

    def close(self) -> None:
        """Let go of the library."""
        if self._nftables is not None:
            self._nftables.close()
            self._nftables = None

    def observe(self) -> FirewallSight:
        """All policies of ours, and what foreign tables make necessary. Raises NetapplyError."""
        ours = nftables.observe(self._library)
        others = foreign_rules.read(self._library)
        resources = (*ours, *foreign.observed_accepts(others))
        reason = "chosen with --firewall" if self._choice == "nftables" else "default"
        return FirewallSight(resources, foreign.wanted_accepts(others), foreign.warnings(others), "nftables", reason)

    def observe_policies(self) -> tuple[Resource, ...]:
        """The policies only, and the rules in foreign tables."""
        others = foreign_rules.read(self._library)
        return (*nftables.observe(self._library), *foreign.observed_accepts(others))

    def apply(self, changes: Sequence[Change]) -> None:
        """All changes of policy in one transaction, then the connections that went through changed ports are cut."""
        nftables.apply(self._library, changes)
        foreign_rules.apply(self._library, changes)
        conntrack.remove(_flows(changes))


def _flows(changes: Sequence[Change]) -> Iterable[conntrack.Flow]:
    for change in changes:
        match change:
            case Create(after=PublishedPort() as port) if not port.routed:
                yield conntrack.untranslated(port)
            case Update(before=PublishedPort() as old, after=PublishedPort() as new) if not old.routed:
                yield conntrack.flow_of(old)
                if old.key != new.key:
                    yield conntrack.untranslated(new)
            case Delete(before=PublishedPort() as port) if not port.routed:
                yield conntrack.flow_of(port)
            case _:
                pass
