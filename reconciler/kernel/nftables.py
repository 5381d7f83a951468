"""Reads and writes our nftables table in the namespace that the calling thread is in."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.firewall.nftables import REBUILD, is_shared, transaction
from reconciler.firewall.nftables_layout import FAMILY, PATH, TABLE, fixed
from reconciler.firewall.nftables_listing import Digests
from reconciler.firewall.nftables_parse import BACKEND, KNOWN, digests, parse
from reconciler.firewall.policy import MARK, FirewallBase, StackPolicy
from reconciler.kernel import namespaces, nft_tables
from reconciler.kernel.libnftables import Nftables, NoSuchObjectError
from reconciler.plan.change import Change, Create, Delete
from reconciler.state import Resource


def observe(nftables: Nftables) -> list[FirewallBase | StackPolicy]:
    """The policies that our table carries out; none where it does not stand.

    Of a table with flags, dormant for one, nothing counts: its repair makes it anew.
    Raises RefusedError, and NetapplyError where libnftables is missing.
    """
    flags = nft_tables.standing().get((FAMILY, TABLE))
    if flags:
        return [FirewallBase(BACKEND, intact=False, strays=(REBUILD,))]
    if flags is None:
        return []
    try:
        listing = nftables.query_json(f"list table {PATH}")
    except NoSuchObjectError:
        return []
    known = KNOWN
    if digests(listing) not in known:
        # Changed by somebody, or a version of nft that lists in its own way: see how it lists
        # what is right. A namespace of its own costs 2 ms, so it is not done each time.
        known = known | {reference()}
    return list(parse(listing, known))


def apply(nftables: Nftables, changes: Sequence[Change]) -> None:
    """Make all changes of policy in one transaction, or none. Raises RefusedError, NetapplyError."""
    pairs = [(before_of(change), after_of(change)) for change in changes]
    present = _is_present()
    asks = present and any(isinstance(each, FirewallBase) or is_shared(each) for pair in pairs for each in pair)
    standing = [policy for policy in observe(nftables) if isinstance(policy, StackPolicy)] if asks else []
    script = transaction(pairs, present, standing)
    if script:
        nftables.run(script)


def before_of(change: Change) -> Resource | None:
    """What was before the change."""
    return None if isinstance(change, Create) else change.before


def after_of(change: Change) -> Resource | None:
    """What is after the change."""
    return None if isinstance(change, Delete) else change.after


def _is_present() -> bool:
    return (FAMILY, TABLE) in nft_tables.standing()


def reference() -> Digests:
    """How this version of nft lists the fixed part: from a namespace that is thrown away."""
    with namespaces.elsewhere():
        namespaces.leave_for_new()
        with Nftables() as scratch:
            scratch.run(fixed(MARK))
            return digests(scratch.query_json(f"list table {PATH}"))
