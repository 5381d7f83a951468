"""Which object somebody means by a name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.errors import NetapplyError

KINDS = ("container", "network", "stack")
"""What a name may stand for."""

_LISTED_BY = {"container": "netapply ps", "network": "netapply network ls", "stack": "netapply ls"}
_SOME = 3


@dataclass(frozen=True, slots=True, order=True)
class Named:
    """An object that can be asked for.

    ``kind`` is one of ``KINDS``. ``identity`` is ``stack/name``, which no
    other object of its kind has; ``others`` are shorter names, which several may share.
    """

    kind: str
    identity: str
    others: tuple[str, ...] = ()

    def is_called(self, name: str) -> bool:
        """Whether that name may mean it."""
        return name == self.identity or name in self.others


def named_containers(identities: Iterable[str]) -> tuple[Named, ...]:
    """Containers, from ``stack/name``."""
    return tuple(Named("container", each, (each.partition("/")[2],)) for each in identities)


def named_networks(networks: Iterable[tuple[str, str, str]]) -> tuple[Named, ...]:
    """Networks, from ``stack/key``, the real name and the key."""
    return tuple(Named("network", identity, tuple({name, key})) for identity, name, key in networks)


def choose(wanted: str, candidates: Sequence[Named], what: str) -> Named:
    """The one that is called so; ``what`` is the noun for a name that nothing has.

    Raises NetapplyError: nothing is called so, with the nearest names; or several are, with all of them.
    """
    found = [candidate for candidate in candidates if candidate.is_called(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(f"{each.kind} {each.identity}" for each in sorted(found))
        raise NetapplyError.of(f"{wanted} may be: {listed}", hint=_how_to_tell_apart(found))
    raise NetapplyError.of(f"there is no {what} {wanted}", hint=_nearest(wanted, candidates, what))


def _how_to_tell_apart(found: Sequence[Named]) -> str:
    if len({each.identity for each in found}) < len(found):
        return "say which kind is meant, as --type container"
    return "say it with its stack, as STACK/NAME"


def _nearest(wanted: str, candidates: Sequence[Named], what: str) -> str:
    owners: dict[str, list[str]] = {}
    for each in candidates:
        for name in {each.identity, *each.others}:
            owners.setdefault(name, []).append(each.identity)
    near = difflib.get_close_matches(wanted, owners, n=_SOME)
    if not near:
        return f"{_LISTED_BY.get(what, 'netapply ls')} lists what is there"
    shown: dict[str, str] = {}
    for name in near:
        for identity in sorted(owners[name]):
            # A name that several have would be refused too; of one thing's names the nearest is enough.
            shown.setdefault(identity, name if len(owners[name]) == 1 else identity)
    return f"did you mean {' or '.join(shown.values())}?"
