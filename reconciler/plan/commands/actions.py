"""Single actions of a plan as command lines, or as remarks where nothing but netapply itself does the like."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

from reconciler import actions as a
from reconciler.firewall import router_layout
from reconciler.netlink import constants as c
from reconciler.plan.commands.links import LinkLines
from reconciler.plan.commands.own_doing import own_doing
from reconciler.plan.commands.place import Place
from reconciler.plan.commands.routes import address_lines, route_lines, rule_lines
from reconciler.plan.commands.words import fed, line, remark, written
from reconciler.resources.joined import FOREIGN

_ALL_DISABLED = "net/ipv6/conf/all/disable_ipv6"
_ACCEPT_RA = "net/ipv6/conf/default/accept_ra"


class ActionLines:
    """The lines for the actions of one change, in order."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._links = LinkLines(place)

    def lines(self, action: a.Action) -> Iterator[str]:
        """Those of one action. The firewall's are not told one by one: see ``firewall.FirewallLines``."""
        match action:
            case a.Netlink():
                yield from self._netlink(action)
            case a.Firewall():
                pass
            case a.MakeNamespace() | a.ConfigureNamespace() | a.PinNamespace() | a.RemoveNamespace():
                yield from self._namespace(action)
            case a.JoinNamespace() | a.LeaveNamespace():
                yield from self._joined(action)
            case a.AttachNamespace() | a.DetachNamespace():
                yield from self._attached(action)
            case a.WriteLinkSysctl() | a.WriteSysctl() | a.RestoreSysctl():
                yield from self._sysctl(action)
            case a.WriteContainerFile() | a.RemoveContainerFile():
                yield from self._file(action)
            case a.WriteRouterRules() | a.RemoveRouterRules():
                script = router_layout.WRITE if isinstance(action, a.WriteRouterRules) else router_layout.REMOVE
                yield fed(self._place.inside(action.namespace, "nft", "-f", "-"), script)
            case _:
                yield from own_doing(action, self._place)

    def _netlink(self, request: a.Netlink) -> Iterator[str]:
        if request.type in {c.RTM_NEWLINK, c.RTM_DELLINK}:
            yield from self._links.lines(request)
        elif request.type in {c.RTM_NEWADDR, c.RTM_DELADDR}:
            yield from address_lines(request, self._place)
        elif request.type in {c.RTM_NEWROUTE, c.RTM_DELROUTE}:
            yield from route_lines(request, self._place)
        elif request.type in {c.RTM_NEWRULE, c.RTM_DELRULE}:
            yield from rule_lines(request, self._place)
        else:
            yield remark(f"only netapply does this: rtnetlink request {request.type}")

    def _namespace(
        self, action: a.MakeNamespace | a.ConfigureNamespace | a.PinNamespace | a.RemoveNamespace
    ) -> Iterator[str]:
        place, namespace = self._place, action.namespace
        if isinstance(action, a.RemoveNamespace):
            yield line("ip", "netns", "delete", place.name(namespace))
            return
        if isinstance(action, a.PinNamespace):
            yield from _pinned(place.namespace_path(namespace), action.where)
            return
        if isinstance(action, a.MakeNamespace):
            yield line("ip", "netns", "add", place.name(namespace))
        if action.ipv6 or (action.ipv6 is False and isinstance(action, a.ConfigureNamespace)):
            yield line(*place.setting(namespace, _ACCEPT_RA, "0"))
        if action.ipv6 is not None and (isinstance(action, a.ConfigureNamespace) or not action.ipv6):
            yield line(*place.setting(namespace, _ALL_DISABLED, "0" if action.ipv6 else "1"))
        label = str(action.label._replace(host_id=place.host_id))
        yield line(*place.ip(namespace, "link", "set", "dev", "lo", "alias", label, "up"))

    def _joined(self, action: a.JoinNamespace | a.LeaveNamespace) -> Iterator[str]:
        own, folder = self._place.namespace_path(action.container), f"{self._place.run}/joined"
        record = f"{folder}/{action.container.replace('/', '.', 1)}"
        if isinstance(action, a.LeaveNamespace):
            yield f"test ! -e {shlex.quote(own)} || {line('ip', 'netns', 'delete', self._place.name(action.container))}"
            yield line("rm", "-f", record, self._shown(action.container))
            return
        if action.namespace:
            target = self._place.namespace_path(action.namespace)
            yield from _pinned(own, target)
            if not action.namespace.startswith(FOREIGN):
                yield self._show(action.container, action.namespace)
        yield line("mkdir", "-p", "-m", "700", folder)
        yield written(record, json.dumps({"namespace": action.namespace, "origin": action.origin}))

    def _attached(self, action: a.AttachNamespace | a.DetachNamespace) -> Iterator[str]:
        name = self._place.name(action.container)
        if isinstance(action, a.DetachNamespace):
            yield line("ip", "netns", "delete", name)
            yield line("rm", "-f", f"{self._place.run}/attached/{action.container.replace('/', '.', 1)}")
            return
        yield remark("only netapply records that the name is its own; without that it takes it for somebody else's")
        yield from _pinned(self._place.namespace_path(action.container), action.path)
        yield line(*self._place.ip(action.container, "link", "set", "dev", "lo", "up"))

    def _sysctl(self, action: a.WriteLinkSysctl | a.WriteSysctl | a.RestoreSysctl) -> Iterator[str]:
        place = self._place
        match action:
            case a.WriteLinkSysctl(interface, sysctl_class, name, value):
                yield line(*place.setting(a.HOST, f"{sysctl_class}/{interface}/{name}", value))
            case a.WriteSysctl(namespace, name, value):
                yield line(*place.setting(namespace, name, value))
            case a.RestoreSysctl(namespace, name):
                before = place.settings.get(namespace, {}).get(name, {})
                if not before:
                    yield remark(f"{name} stays: it is not known what it was before netapply")
                for setting, value in sorted(before.items(), key=lambda item: item[0] != name):
                    yield line(*place.setting(namespace, setting, value))

    def _file(self, action: a.WriteContainerFile | a.RemoveContainerFile) -> Iterator[str]:
        folder = self._files(action.container)
        path = f"{folder}/{action.file_name}"
        if isinstance(action, a.RemoveContainerFile):
            yield line("rm", "-f", path)
            last = line("rm", "-f", self._shown(action.container))
            yield f"! {line('rmdir', folder)} 2>/dev/null || {last}"
            return
        yield line("mkdir", "-p", "-m", "700", folder)
        yield written(path, action.text)
        yield line("chmod", "644", path)
        yield self._show(action.container, action.container)

    def _files(self, container: str) -> str:
        return f"{self._place.run}/files/{container}"

    def _shown(self, container: str) -> str:
        """Where ``ip netns exec`` looks for files to show in place of those in /etc."""
        return f"/etc/netns/{self._place.name(container)}"

    def _show(self, container: str, owner: str) -> str:
        shown = self._shown(container)
        made = f"{line('mkdir', '-p', '/etc/netns')} && {line('ln', '-s', self._files(owner), shown)}"
        return f"test -e {shlex.quote(shown)} || {{ {made}; }}"


def _pinned(path: str, where: str) -> Iterator[str]:
    """Give the namespace found there that name, as ``ip netns attach`` does for a process."""
    yield f"test -e {shlex.quote(path)} || {line('touch', path)}"
    yield line("mount", "--bind", where, path)
