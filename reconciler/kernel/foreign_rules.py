"""Reads the rules of others on the forward and input hooks, and keeps our one rule in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reconciler.errors import NetapplyError
from reconciler.firewall.foreign import COMMENT, Table, our_handles, place_of
from reconciler.firewall.foreign_reading import legacy_table, tables
from reconciler.firewall.policy import MARK, HostAccept
from reconciler.kernel import iptables_program, nft_tables
from reconciler.kernel.libnftables import Nftables
from reconciler.netlink.nft import TABLE_DORMANT
from reconciler.plan.change import Change, Create, Delete

_LOCK_SECONDS = 10
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*")
_PROGRAMS = {"ip": "iptables", "ip6": "ip6tables"}
_LEGACY_NAMES = {"ip": "ip_tables_names", "ip6": "ip6_tables_names"}


def read(nftables: Nftables) -> tuple[Table, ...]:
    """The foreign tables of this namespace, those of iptables-legacy too.

    Raises RefusedError, and NetapplyError where a legacy table cannot be listed.
    """
    standing = nft_tables.standing()
    if any(standing.values()):
        ruleset = {"nftables": list(_listed_apart(nftables, standing))}
    else:
        ruleset = nftables.query_json("list ruleset", terse=True)
    return (*tables(ruleset), *_legacy_tables())


def apply(nftables: Nftables, changes: Sequence[Change]) -> None:
    """Put our rules where they belong, or remove them; other changes are not looked at.

    Raises RefusedError and NetapplyError; each rule is a step of its own.
    """
    accepts = [change for change in changes if isinstance(_subject(change), HostAccept)]
    if not accepts:
        return
    found = {(table.engine, table.family, table.name): table for table in read(nftables)}
    for change in accepts:
        for accept, is_wanted in _steps(change):
            table = found.get((accept.engine, accept.family, accept.table))
            if table is not None or is_wanted:
                _write(nftables, accept, table, is_wanted=is_wanted)


def _subject(change: Change) -> object:
    return change.before if isinstance(change, Delete) else change.after


def _steps(change: Change) -> Iterable[tuple[HostAccept, bool]]:
    """Each rule with whether it is to stand; one whose mark changes goes first."""
    before = None if isinstance(change, Create) else change.before
    after = None if isinstance(change, Delete) else change.after
    if isinstance(before, HostAccept) and (before.mark or after is None):
        # Mark 0 was read because the rule has no effect where it is.
        yield replace(before, mark=before.mark or MARK), False
    if isinstance(after, HostAccept) and after.mark:
        yield after, True


def _write(nftables: Nftables, accept: HostAccept, table: Table | None, *, is_wanted: bool) -> None:
    old = our_handles(table, accept.chain, accept.mark) if table else ()
    place = place_of(table, accept) if table and accept.chain in table.chains else None
    if not all(_NAME.fullmatch(name) for name in (accept.table, accept.chain)):
        message = f"the host's chain {accept.chain!r} of table {accept.table!r} has a name that cannot be written"
        raise NetapplyError.of(message, accept.source, "run with --no-host-rule and accept the mark there yourself")
    if accept.engine == "nft":
        _write_native(nftables, accept, old, place.handle if place else 0, is_wanted=is_wanted)
        return
    rule = ["-m", "mark", "--mark", f"{accept.mark:#x}/{accept.mark:#x}"]
    rule += ["-m", "comment", "--comment", COMMENT, "-j", "ACCEPT"]
    for _ in old:
        _iptables(accept.engine, accept.family, ["-D", accept.chain, *rule])
    if is_wanted:
        where = ["-I", accept.chain, str(place.number)] if place else ["-A", accept.chain]
        _iptables(accept.engine, accept.family, [*where, *rule])


def _write_native(nftables: Nftables, accept: HostAccept, old: Sequence[int], before: int, *, is_wanted: bool) -> None:
    """``before``: handle of the rule that ours goes before; 0: at the end."""
    chain = f"{accept.family} {accept.table} {accept.chain}"
    lines = [f"delete rule {chain} handle {handle}" for handle in old]
    if is_wanted:
        bit = f"{accept.mark:#x}"
        where = f"insert rule {chain} handle {before}" if before else f"add rule {chain}"
        lines.append(f'{where} meta mark & {bit} == {bit} accept comment "{COMMENT}"')
    if lines:
        nftables.run("\n".join([*lines, ""]))


def _iptables(engine: str, family: str, arguments: Sequence[str]) -> str:
    """What the program prints. Raises NetapplyError where it is missing, fails or hangs."""
    program = f"{_PROGRAMS[family]}-{engine.removeprefix('iptables-')}"
    command = [program, "-w", str(_LOCK_SECONDS), *arguments]
    return iptables_program.run(command, "the host's firewall is kept by iptables")


def _legacy_tables() -> tuple[Table, ...]:
    """The legacy filter tables. Only those that exist are listed: listing makes the table otherwise."""
    return tuple(
        legacy_table(family, _iptables("iptables-legacy", family, ["-S"]))
        for family, names in _LEGACY_NAMES.items()
        if "filter" in iptables_program.legacy_tables(names)
    )


def _listed_apart(nftables: Nftables, standing: Mapping[tuple[str, str], int]) -> Iterator[dict[str, Any]]:
    """The ruleset without asking for a table with flags: of such a one only what another process owns, by its chains.

    A dormant table does nothing, and no nft can name a table or a chain of another form.
    """
    chains = [entry["chain"] for entry in nftables.query_json("list chains")["nftables"] if "chain" in entry]
    for (family, name), flags in standing.items():
        if not _NAME.fullmatch(name):
            continue
        if not flags:
            yield from nftables.query_json(f"list table {family} {name}", terse=True)["nftables"]
            continue
        yield {"table": {"family": family, "name": name, "flags": nft_tables.words(flags)}}
        if flags & TABLE_DORMANT:
            continue
        for chain in chains:
            if (chain["family"], chain["table"]) == (family, name) and _NAME.fullmatch(chain["name"]):
                path = f"{family} {name} {chain['name']}"
                yield from nftables.query_json(f"list chain {path}", terse=True)["nftables"]
