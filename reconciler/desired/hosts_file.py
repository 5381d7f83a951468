"""The text of a container's /etc/hosts, and what can be read back from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.desired.links import ResolvedLink
from reconciler.desired.members import Member
from reconciler.desired.process import hostname_of
from reconciler.desired.subnet import text
from reconciler.desired.wired import Wired, by_priority
from reconciler.errors import Problem
from reconciler.manifest.model import HOST_GATEWAY
from reconciler.observation import Facts

_LOCAL = """\
127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
fe00:: ip6-localnet
ff00:: ip6-mcastprefix
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
"""
_LINK_MARK = "# link to "


def hosts(wired: Wired, links: Sequence[ResolvedLink], facts: Facts, problems: list[Problem]) -> str:
    """The text: localhost, the container itself, its ``extra_hosts``, its links; of one in host mode, the host's first."""
    if not wired.own:
        head = facts.hosts if not facts.hosts or facts.hosts.endswith("\n") else f"{facts.hosts}\n"
        return head + "".join(f"{line}\n" for line in _extra_lines(wired, problems))
    lines = [*_own_lines(wired), *_extra_lines(wired, problems), *_link_lines(wired, links)]
    return _LOCAL + "".join(f"{line}\n" for line in dict.fromkeys(lines))


def linked_containers(hosts_text: str) -> Iterator[str]:
    """``stack/name`` of the containers of other stacks that a hosts file was given links to."""
    for line in hosts_text.splitlines():
        if line.startswith(_LINK_MARK):
            yield line.removeprefix(_LINK_MARK)


def _own_lines(wired: Wired) -> Iterator[str]:
    hostname = hostname_of(wired.spec)
    names = " ".join(dict.fromkeys([hostname, hostname.partition(".")[0]]))
    # Programs look their own name up; one without a network finds itself at home.
    addresses = [address for member in by_priority(wired.members) for address in _bare(member)] or ["127.0.0.1"]
    for address in addresses:
        yield f"{address} {names}"


def _bare(member: Member) -> Iterator[str]:
    for _, address in sorted(member.addresses.items()):
        yield address.partition("/")[0]


def _extra_lines(wired: Wired, problems: list[Problem]) -> Iterator[str]:
    for extra in wired.spec.extra_hosts:
        if extra.address != HOST_GATEWAY:
            yield f"{extra.address} {extra.host}"
            continue
        addresses = list(host_addresses(wired))
        if not addresses:
            message = f"container {wired.spec.name} asks for {HOST_GATEWAY}, but on none of its networks is the host"
            hint = "let it join a bridge network whose gateway is the host, or write an address"
            problems.append(Problem(message, extra.source, hint))
        for address in addresses:
            yield f"{address} {extra.host}"


def host_addresses(wired: Wired) -> Iterable[str]:
    """The host as the container sees it: its gateway on the first network where that is the host's, in each family."""
    if not wired.own:
        return ("127.0.0.1",)
    return next((found for member in by_priority(wired.members) if (found := tuple(_host_on(member)))), ())


def _host_on(member: Member) -> Iterator[str]:
    network, options = member.network, member.network.options
    if network.on_parent:
        # There the gateway is the LAN's router; the host is where its own addresses on the network are, if any.
        for address in network.host_addresses:
            bare = address.partition("/")[0]
            if (6 if ":" in bare else 4) in member.addresses:
                yield bare
        return
    without4 = options.inhibit_ipv4 or options.gateway_mode_ipv4 == "isolated"
    without = {4: without4, 6: options.gateway_mode_ipv6 == "isolated"}
    for family in sorted(member.addresses):
        pools = network.family(family)
        if pools and not without[family]:
            yield text(family, pools[0].gateway)


def _link_lines(wired: Wired, links: Iterable[ResolvedLink]) -> Iterator[str]:
    for link in links:
        stack, _, name = link.target.partition("/")
        if stack != wired.stack:
            # So that the target cannot go unnoticed while this stands.
            yield f"{_LINK_MARK}{link.target}"
        for address in link.addresses:
            yield f"{address} {' '.join(dict.fromkeys([link.alias, name]))}"
