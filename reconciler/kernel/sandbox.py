"""Making, setting up and removing the pinned namespaces of sandboxes."""

from __future__ import annotations

from pathlib import Path

from reconciler.kernel import namespaces, sysctl
from reconciler.kernel.host import PINNED, Host
from reconciler.kernel.netlink import RouteSocket
from reconciler.kernel.sockets import NamespaceSockets
from reconciler.naming import Label
from reconciler.netlink import constants as c
from reconciler.netlink.encode import link_header, text

_FORWARD = "net/ipv4/ip_forward"
_ALL_DISABLED = "net/ipv6/conf/all/disable_ipv6"
_ACCEPT_RA = "net/ipv6/conf/default/accept_ra"


def make(host: Host, sockets: NamespaceSockets, namespace: str, label: Label, *, ipv6: bool) -> None:
    """A new namespace, loopback up and labelled before it gets its name, so that no name is ever without a label."""
    if not PINNED.is_dir():
        namespaces.make_pinned_folder(PINNED)
    with namespaces.elsewhere():
        namespaces.leave_for_new()
        # A new namespace has the IPv4 settings of the machine's first one (kernel: sysctl/net, devconf_inherit_init_net),
        # where forwarding is on because of us or of Docker: a container on two networks would be a way between them.
        if sysctl.read(_FORWARD) == "1":
            sysctl.write_if_present(_FORWARD, "0")
        if not ipv6:
            # ``all`` sets the default too, so no link that comes later starts IPv6.
            sysctl.write_if_present(_ALL_DISABLED, "1")
        else:
            # No link may be up for a moment in which a router's advertisement gives it addresses and routes.
            sysctl.write_if_present(_ACCEPT_RA, "0")
        _label(sockets.adopt(namespace), host, label)
        try:
            namespaces.pin_own(host.namespace_path(namespace))
        except BaseException:
            sockets.forget(namespace)
            raise


def configure(host: Host, sockets: NamespaceSockets, namespace: str, label: Label, *, ipv6: bool | None) -> None:
    """Loopback up and labelled again; ``ipv6`` switched where given."""
    if ipv6 is not None:
        with namespaces.elsewhere():
            namespaces.enter_path(host.namespace_path(namespace))
            sysctl.write_if_present(_ALL_DISABLED, "0" if ipv6 else "1")
            sysctl.write_if_present(_ACCEPT_RA, "0")
    _label(sockets.socket(namespace), host, label)


def pin_again(host: Host, sockets: NamespaceSockets, namespace: str, where: Path) -> None:
    """Give the namespace at ``where``, which lives because something else holds it, its own name again."""
    sockets.forget(namespace)
    with namespaces.elsewhere():
        namespaces.enter_path(where)
        namespaces.pin_own(host.namespace_path(namespace))


def remove(host: Host, sockets: NamespaceSockets, namespace: str) -> None:
    """Unpin it."""
    sockets.forget(namespace)
    namespaces.unpin(host.namespace_path(namespace))


def _label(inside: RouteSocket, host: Host, label: Label) -> None:
    alias = str(label._replace(host_id=host.host_id))
    body = link_header(c.IFF_UP, c.IFF_UP, index=1) + text(c.IFLA_IFALIAS, alias)
    refused = inside.request([(c.RTM_NEWLINK, 0, body)])
    if refused:
        raise OSError(refused[0].errno, refused[0].text or "lo was refused")
