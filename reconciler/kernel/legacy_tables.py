"""Looks at iptables' legacy tables without making any, and without python-iptables."""

from __future__ import annotations

from reconciler.firewall.legacy_listing import LegacyRules, legacy_rules
from reconciler.kernel import iptables_program

_NAMES = {"iptables-legacy-save": "ip_tables_names", "ip6tables-legacy-save": "ip6_tables_names"}


def look() -> LegacyRules:
    """What the legacy tables of this thread's namespace hold; a host without any costs two reads.

    Raises NetapplyError where there are tables and no program to list them.
    """
    # Without ``-t`` the program lists the tables that exist, and makes no other (measured).
    return legacy_rules(
        iptables_program.run([program], "the host has iptables' legacy tables")
        for program, names in _NAMES.items()
        if iptables_program.legacy_tables(names)
    )
