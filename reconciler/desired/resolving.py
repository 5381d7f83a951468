"""What a container's resolv.conf says, and whom its resolver asks."""

from __future__ import annotations

from ipaddress import ip_address

from reconciler.desired import default_bridge
from reconciler.desired.wired import Wired
from reconciler.observation import Facts
from reconciler.resources.resolver import Upstream

RESOLVER_ADDRESS = "127.0.0.11"
"""Where the agent answers inside each sandbox, as with Docker."""

NO_SEARCH = "."


def is_told_directly(wired: Wired) -> bool:
    """Whether its nameservers stand in its resolv.conf: on the network ``bridge`` alone there are no names to serve."""
    alone = all(member.network.network == default_bridge.IDENTITY for member in wired.members)
    return alone and bool(wired.members) and bool(wired.spec.dns.servers)


def has_resolver(wired: Wired) -> bool:
    """Whether the agent answers it: with a sandbox of its own, on a network, unless it is told other servers directly."""
    return wired.own and bool(wired.members) and not is_told_directly(wired)


def resolv_conf(wired: Wired, facts: Facts) -> str:
    """The text of resolv.conf(5)."""
    dns = wired.spec.dns
    search = tuple(domain for domain in dns.search if domain != NO_SEARCH) if dns.search else facts.search
    options = dns.options
    if has_resolver(wired):
        servers: tuple[str, ...] = (RESOLVER_ADDRESS,)
        if not any(option.startswith("ndots:") for option in options):
            # A container's name has no dot in it, and must not first be asked for below every search domain.
            options = (*options, "ndots:0")
    elif wired.own:
        servers = dns.servers if wired.members else ()
        search = search if wired.members or dns.search else ()
    else:
        servers, options = dns.servers or facts.nameservers, options or facts.resolver_options
    lines = [f"nameserver {server}" for server in servers]
    lines += [f"search {' '.join(search)}"] if search else []
    lines += [f"options {' '.join(options)}"] if options else []
    return "".join(f"{line}\n" for line in lines)


def upstream(wired: Wired, facts: Facts) -> tuple[Upstream, ...]:
    """Whom the resolver asks for what it does not know itself, in order.

    Its own ``dns``, asked from inside; else the host's servers, of which the host is asked for those that only it
    reaches, but never for one that goes out through another container; none where no network leads outside.
    """
    if wired.spec.dns.servers:
        return tuple(Upstream(address) for address in wired.spec.dns.servers)
    outward = [member for member in wired.members if not member.network.internal]
    families = {family for member in outward for family in member.addresses}
    guarded = any(member.attachment.gateway for member in wired.members)
    found = []
    for address in facts.nameservers if outward else ():
        from_host = _only_from_host(address, families)
        if not (from_host and guarded):
            found.append(Upstream(address, from_host))
    return tuple(found)


def _only_from_host(address: str, families: set[int]) -> bool:
    parsed = ip_address(address)
    return parsed.is_loopback or parsed.is_link_local or parsed.version not in families
