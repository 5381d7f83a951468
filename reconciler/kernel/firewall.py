"""The host's firewall as the rest of kernel/ sees it: read it as policy, change policy, by the backend of the host."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field

from reconciler.errors import Problem
from reconciler.firewall import foreign
from reconciler.firewall.flows import ended_by
from reconciler.firewall.foreign import Barrier, Sieve
from reconciler.firewall.pair import Pair
from reconciler.firewall.policy import FirewallBase, HostAccept
from reconciler.firewall.switching import (
    BACKENDS,
    Held,
    combined,
    of_backend,
    still_valid,
    with_takeover,
)
from reconciler.kernel import conntrack, foreign_rules, legacy_tables, nftables
from reconciler.kernel.iptables import Iptables
from reconciler.kernel.libnftables import Nftables
from reconciler.plan.change import Change, Create, Delete, Update
from reconciler.state import Resource


@dataclass(frozen=True, slots=True)
class FirewallSight:
    """What a look at the firewall gives: policies of ours, rules that others' tables call for, and why which backend.

    ``opening_warnings`` matter only where ports are opened to containers in host mode. ``barriers`` are chains of
    others where no rule of ours helps, ``sieves`` those that drop some of what is forwarded.
    """

    resources: tuple[Resource, ...]
    wanted_accepts: tuple[HostAccept, ...] = ()
    warnings: tuple[Problem, ...] = ()
    opening_warnings: tuple[Problem, ...] = ()
    barriers: tuple[Barrier, ...] = ()
    sieves: tuple[Sieve, ...] = ()
    backend: str = "nftables"
    reason: str = ""


@dataclass(slots=True)
class _Look:
    """What both backends hold, and which of them is to hold it."""

    backend: str
    reason: str
    held: dict[str, list[Held]] = field(default_factory=dict)

    @property
    def chosen(self) -> list[Held]:
        return self.held[self.backend]

    @property
    def other(self) -> list[Held]:
        return self.held[_other(self.backend)]


class Firewall:
    """The firewall of the namespace that the thread is in. ``choice``: auto, nftables or iptables.

    One backend holds the rules of a host. Where the other does so far, ``observe`` reads
    through that one, and ``apply`` writes through the chosen one and takes everything over.
    """

    def __init__(self, choice: str = "auto") -> None:
        self._choice = choice
        self._nftables: Nftables | None = None
        self._iptables: Iptables | None = None
        self._decided: tuple[str, str] | None = None
        self._is_switching = False
        self._remembered: FirewallSight | None = None
        self.hears_changes = False
        """Whether somebody calls ``forget`` at every change of others': then what was read is not read again."""

    @property
    def _library(self) -> Nftables:
        if self._nftables is None:
            self._nftables = Nftables()
        return self._nftables

    @property
    def _helpers(self) -> Iptables:
        if self._iptables is None:
            self._iptables = Iptables()
        return self._iptables

    def close(self) -> None:
        """Let go of the library, and end the helper processes."""
        if self._nftables is not None:
            self._nftables.close()
            self._nftables = None
        if self._iptables is not None:
            self._iptables.close()
            self._iptables = None

    def forget(self) -> None:
        """Others changed rules, perhaps: the next look is a fresh one."""
        self._remembered = None

    def observe(self) -> FirewallSight:
        """All policies of ours, and what foreign tables make necessary. Raises NetapplyError."""
        if not self.hears_changes:
            self._remembered = None
        self._remembered = self._remembered or self._fresh()
        return self._remembered

    def _fresh(self) -> FirewallSight:
        self._decided = None
        look = self._look()
        others = foreign_rules.read(self._library)
        resources = (*combined(look.chosen, look.other), *foreign.observed_accepts(others))
        wanted, warnings = foreign.wanted_accepts(others), foreign.warnings(others)
        opening_warnings = foreign.warnings(others, foreign.INPUT)
        barriers, sieves = foreign.barriers(others), foreign.sieves(others)
        return FirewallSight(resources, wanted, warnings, opening_warnings, barriers, sieves, look.backend, look.reason)

    def observe_policies(self) -> tuple[Resource, ...]:
        """The policies only, and the rules in foreign tables."""
        if self.hears_changes and self._remembered:
            return self._remembered.resources
        look = self._look()
        others = foreign_rules.read(self._library)
        return (*combined(look.chosen, look.other), *foreign.observed_accepts(others))

    def apply(self, changes: Sequence[Change]) -> None:
        """All changes of policy together, then the connections that went through changed ports are cut.

        nftables makes them in one transaction, iptables each table in one commit.
        """
        self._remembered = None
        pairs: list[Pair] = [(nftables.before_of(change), nftables.after_of(change)) for change in changes]
        if self._decided and not self._is_switching:
            # A base of the other backend does not stand, so it can be neither made nor removed here.
            self._write(self._decided[0], of_backend(pairs, self._decided[0]))
        else:
            look = self._look()
            self._write(look.backend, with_takeover(of_backend(pairs, look.backend), look.chosen, look.other))
            self._write_other(look, pairs)
        foreign_rules.apply(self._library, changes)
        conntrack.remove(ended_by(pairs))

    def _write_other(self, look: _Look, pairs: Sequence[Pair]) -> None:
        """Until the other backend's base goes, it follows: a port that it alone still sent elsewhere would be reached."""
        if not look.other:
            return
        other = _other(look.backend)
        bases = [pair for pair in of_backend(pairs, other) if isinstance(pair[0], FirewallBase)]
        if any(after is None for _, after in bases):
            self._write(other, bases)
        else:
            self._write(other, still_valid(pairs, look.other))

    def _write(self, backend: str, pairs: Sequence[Pair]) -> None:
        policies = [pair for pair in pairs if not any(isinstance(each, HostAccept) for each in pair)]
        if not policies:
            return
        if backend == "iptables":
            self._helpers.apply(policies)
        else:
            nftables.apply(self._library, [_change(*pair) for pair in policies])

    def _look(self) -> _Look:
        legacy = legacy_tables.look()
        if legacy.ours or self._choice == "iptables":
            # Its processes take a quarter of a second to start; meanwhile the other is read.
            self._helpers  # noqa: B018  # made when it is first asked for
        held: dict[str, list[Held]] = {
            "nftables": list(nftables.observe(self._library)),
            "iptables": list(self._helpers.observe()) if legacy.ours else [],
        }
        if self._decided is None:
            self._decided = choose(self._choice, held, legacy.foreign_tables)
            if self._decided[0] == "iptables":
                # Whether it can be used at all must be known when planning, not when half is done.
                self._helpers.observe()
        look = _Look(*self._decided, held)
        self._is_switching = bool(look.other)
        return look


def choose(choice: str, held: dict[str, list[Held]], foreign_tables: Sequence[str]) -> tuple[str, str]:
    """The backend and why: the one asked for, the one that holds our rules, or the one that the host uses."""
    if choice in BACKENDS:
        return choice, "chosen with --firewall"
    for backend in BACKENDS:
        if held[backend]:
            return backend, "it holds netapply's rules already"
    if foreign_tables:
        why = f"this host has rules in iptables' legacy tables ({', '.join(foreign_tables)})"
        if importlib.util.find_spec("iptc") is None:
            return "nftables", f"{why}, but netapply[iptables] is not installed"
        return "iptables", why
    return "nftables", "default"


def _other(backend: str) -> str:
    return next(each for each in BACKENDS if each != backend)


def _change(before: Resource | None, after: Resource | None) -> Change:
    if before is None:
        assert after is not None  # noqa: S101  # a pair has one of them
        return Create(after)
    return Delete(before) if after is None else Update(before, after)
