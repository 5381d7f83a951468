"""Names on one network that lead to several containers: whoever asks gets any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reconciler.manifest.context import Context
    from reconciler.manifest.members import Member

_HINTS = {
    "alias": "both answer to it; choose another alias",
    "host name": "both answer to it; choose another hostname",
    "container_name": "both answer to it; choose another container_name",
    "container": "names are compared without regard to case (RFC 4343): give it another one",
}


class _Claim(NamedTuple):
    """One name of one container; ``kind`` is one of `_HINTS`, ``path`` leads to where the name stands."""

    name: str
    kind: str
    path: tuple[str | int, ...]

    @property
    def key(self) -> str:
        """The container's in the file."""
        return str(self.path[1])


def check_names(members: Mapping[str, Sequence[Member]], context: Context) -> None:
    """Warn of names that two containers of one network have, once for each pair of places.

    An alias that several give themselves is no clash: that is how a name is shared among them.
    """
    noted: set[tuple[_Claim, _Claim]] = set()
    for network, joined in members.items():
        first: dict[str, _Claim] = {}
        for claim in _claims(network, joined, context):
            other = first.setdefault(claim.name.lower().removesuffix("."), claim)
            if other is claim or other.key == claim.key or other.kind == claim.kind == "alias":
                continue
            if (claim, other) not in noted:
                noted.add((claim, other))
                _note(claim, other, network, context)


def _claims(network: str, joined: Sequence[Member], context: Context) -> Iterator[_Claim]:
    """The names of the members on the network, those that are less easily given up first."""
    for container, _ in joined:
        key = container.key
        for name in (key,) if key == container.name else (container.name, key):
            yield _Claim(name, "container", ("containers", key))
    for container, _ in joined:
        key = container.key
        if given := context.parts[key].container_name:
            yield _Claim(given, "container_name", ("containers", key, "container_name"))
        if container.hostname:
            for name in dict.fromkeys((container.hostname, container.hostname.partition(".")[0])):
                yield _Claim(name, "host name", ("containers", key, "hostname"))
    for container, attachment in joined:
        key = container.key
        for index, alias in enumerate(attachment.aliases):
            if alias not in {key, context.parts[key].container_name}:
                yield _Claim(alias, "alias", ("containers", key, "networks", network, "aliases", index))


def _note(claim: _Claim, other: _Claim, network: str, context: Context) -> None:
    """Say it at the place that is easier to change; the other one is named."""
    if claim.kind == "container":
        message = f"container '{claim.name}' on network '{network}' has the name of the container"
        place = context.key_at(*claim.path)
    else:
        message = f"{claim.kind} '{claim.name}' of container '{claim.key}' on network '{network}' is also the "
        message += "name of the container" if other.kind == "container" else f"{other.kind} of container '{other.key}'"
        place = context.at(*claim.path)
    where = context.key_at(*other.path) if other.kind == "container" else context.at(*other.path)
    context.faults.warn(f"{message} at {where}", place, _HINTS[claim.kind])
