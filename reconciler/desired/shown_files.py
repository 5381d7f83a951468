"""Whose hosts, resolv.conf and hostname a container sees."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.desired.known import Known
from reconciler.desired.wired import Wired
from reconciler.resources.container_file import HOSTS, file_key


def has_files(wired: Wired) -> bool:
    """Whether it has files of its own: with a sandbox always, in host mode where its manifest says what is in them."""
    spec = wired.spec
    said = spec.extra_hosts or spec.hostname or spec.dns.servers or spec.dns.search or spec.dns.options
    return wired.own or (spec.network_mode == "host" and bool(said))


def files_seen(wired: Wired, by_identity: Mapping[str, Wired], known: Known) -> str:
    """``stack/name`` of the container whose files it sees, ``netns:NAME`` in a namespace of somebody else's.

    Empty: it sees the host's.
    """
    if has_files(wired):
        return wired.identity
    if wired.namespace or wired.spec.network_mode == "host":
        return wired.namespace
    return _of_host_mode_owner(wired, by_identity, known)


def _of_host_mode_owner(wired: Wired, by_identity: Mapping[str, Wired], known: Known) -> str:
    """The owner's, of one that joins a container in host mode."""
    name = (wired.spec.network_mode or "").partition(":")[2]
    wanted = name if "/" in name else f"{wired.stack}/{name}"
    everywhere = (*by_identity, *known.containers_of_others())
    owner = wanted if wanted in everywhere else next((each for each in everywhere if each.endswith(f"/{name}")), "")
    if owner in by_identity and owner != wired.identity:
        return files_seen(by_identity[owner], by_identity, known)
    return owner if file_key(owner, HOSTS) in known.others else ""
