"""What ``iptables-legacy-save`` prints, as far as choosing a backend needs it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from reconciler.firewall.foreign import COMMENT
from reconciler.firewall.iptables_rules import PREFIX

_OURS = re.compile(rf"(-A {PREFIX}\S+ .*|.* -[jg] {PREFIX}\S+)|.* --comment ({COMMENT}|\"{COMMENT}\")( .*)?")


class LegacyRules(NamedTuple):
    """Whether the legacy tables hold chains of ours, and which of them hold rules of others, sorted."""

    ours: bool
    foreign_tables: tuple[str, ...]


def legacy_rules(listings: Iterable[str]) -> LegacyRules:
    """What stands in the listings of both families."""
    ours, foreign = False, set()
    for listing in listings:
        table = ""
        for line in listing.splitlines():
            if line.startswith("*"):
                table = line[1:]
            elif line.startswith(f":{PREFIX}"):
                ours = True
            elif line.startswith("-A ") and not _OURS.fullmatch(line):
                foreign.add(table)
    return LegacyRules(ours, tuple(sorted(foreign)))
