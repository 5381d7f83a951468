"""Changes of firewall policy as lines of ``nft``, and of ``iptables``, by the backend of the host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from reconciler.firewall import nftables
from reconciler.firewall.flows import PortFlow, ended_by
from reconciler.firewall.foreign import COMMENT, INPUT
from reconciler.firewall.pair import Pair
from reconciler.firewall.policy import MARK, FirewallBase, HostAccept, StackPolicy
from reconciler.firewall.switching import Held, of_backend, with_takeover
from reconciler.plan.change import Change, Create, Delete
from reconciler.plan.commands import iptables
from reconciler.plan.commands.words import fed, line, remark
from reconciler.state import Key, Resource, State


@dataclass(slots=True)
class FirewallLines:
    """The lines for one transaction after another; remembers what stands after each.

    ``backend`` is the one that is to hold the rules.
    """

    backend: str
    _standing: dict[Key, Resource] = field(default_factory=dict)

    @classmethod
    def on(cls, backend: str, observed: State) -> FirewallLines:
        """For a host on which that stands."""
        return cls(backend, {key: each for key, each in observed.items() if isinstance(each, Held | HostAccept)})

    def lines(self, changes: Sequence[Change]) -> Iterator[str]:
        """Those of changes that are made together."""
        pairs = [(_before(change), _after(change)) for change in changes]
        held = [pair for pair in pairs if not any(isinstance(each, HostAccept) for each in pair)]
        if held:
            yield from self._written(held)
        for before, after in pairs:
            if isinstance(before, HostAccept) and (before.mark or after is None):
                yield from _host_rule_gone(before)
            if isinstance(after, HostAccept):
                yield from _host_rule(after)
        if any(flow for flow in ended_by(pairs) if not (isinstance(flow, PortFlow) and flow.target is None)):
            yield remark("then the connections that went that way are ended, as conntrack -D does")
        for before, after in pairs:
            if before is not None:
                self._standing.pop(before.key, None)
            if after is not None:
                self._standing[after.key] = after

    def _written(self, pairs: list[Pair]) -> Iterator[str]:
        """By the backend of the host; where another held the rules so far, that one's go with its base."""
        own = self._holds(self.backend)
        others = [] if own else [each for each in self._standing.values() if isinstance(each, Held)]
        mine = with_takeover(of_backend(pairs, self.backend), [], others) if others else of_backend(pairs, self.backend)
        if mine:
            yield from self._by(self.backend, mine)
        for backend in {"nftables", "iptables"} - {self.backend}:
            gone = [pair for pair in of_backend(pairs, backend) if isinstance(pair[0], FirewallBase)]
            if gone:
                yield from self._by(backend, gone)

    def _by(self, backend: str, pairs: list[Pair]) -> Iterator[str]:
        if backend == "iptables":
            yield from iptables.lines(pairs, [each for each in self._standing.values() if isinstance(each, Held)])
        else:
            standing = [each for each in self._standing.values() if isinstance(each, StackPolicy)]
            script = nftables.transaction(pairs, base_present=self._holds("nftables"), standing=standing)
            if script:
                yield nft(script)

    def _holds(self, backend: str) -> bool:
        return any(isinstance(each, FirewallBase) and each.backend == backend for each in self._standing.values())


def nft(script: str) -> str:
    """A script for nft: one command as a word, several as one transaction."""
    commands = script.splitlines()
    return line("nft", commands[0]) if len(commands) == 1 else fed(["nft", "-f", "-"], script)


def _host_rule(accept: HostAccept) -> Iterator[str]:
    bit = f"{accept.mark:#x}"
    if accept.hook == INPUT:
        yield remark("netapply puts it before the first rule that could drop any new connection, not before bans")
    if accept.engine == "nft":
        place = f"{accept.family} {accept.table} {accept.chain}"
        yield nft(f'insert rule {place} meta mark & {bit} == {bit} accept comment "{COMMENT}"\n')
    else:
        yield line(iptables.program(accept), "-w", "-t", accept.table, "-I", *_iptables_rule(accept))


def _host_rule_gone(accept: HostAccept) -> Iterator[str]:
    if accept.engine != "nft":
        yield line(iptables.program(accept), "-w", "-t", accept.table, "-D", *_iptables_rule(accept))
        return
    place = ("nft", "-a", "list", "chain", accept.family, accept.table, accept.chain)
    yield remark("nft removes a rule by its number:")
    yield f"{line(*place)} | sed -n 's/.*comment \"{COMMENT}\" # handle //p' | while read -r number; do"
    yield f'  {line("nft", "delete", "rule", accept.family, accept.table, accept.chain, "handle")} "$number"'
    yield "done"


def _iptables_rule(accept: HostAccept) -> list[str]:
    bit = accept.mark or MARK
    mark = ["-m", "mark", "--mark", f"{bit:#x}/{bit:#x}"]
    return [accept.chain, *mark, "-m", "comment", "--comment", COMMENT, "-j", "ACCEPT"]


def _before(change: Change) -> Resource | None:
    return None if isinstance(change, Create) else change.before


def _after(change: Change) -> Resource | None:
    return None if isinstance(change, Delete) else change.after
