"""One function per kind of action; netlink requests are batched by the executor."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reconciler import actions as a
from reconciler.errors import NetapplyError
from reconciler.kernel import (
    address_claim,
    agent_control,
    announce,
    attached,
    container_files,
    jobs,
    joiners,
    namespaces,
    resolver,
    router_rules,
    runtime,
    sandbox,
    strays,
    sysctl,
)
from reconciler.kernel.host import Host
from reconciler.kernel.sockets import NamespaceSockets
from reconciler.plan.change import Change
from reconciler.resources.joined import FOREIGN


@dataclass(slots=True)
class Performer:
    """Performs single actions on a host.

    ``firewall`` applies changes of firewall policy as one transaction. Everything raises
    NetapplyError or OSError.
    """

    host: Host
    firewall: Callable[[Sequence[Change]], None]
    start_patience: float = math.inf
    """Seconds, as ``runtime.start_many`` takes them."""
    sockets: NamespaceSockets = field(init=False)

    def __post_init__(self) -> None:
        self.sockets = NamespaceSockets(self.host)

    def perform(self, action: a.Action) -> None:
        """Perform one action that is neither a netlink request, nor the firewall's, nor a command's."""
        parts = (self._on_namespaces, self._on_containers, self._on_settings, self._on_addresses, self._on_agent)
        if not any(part(action) for part in parts):
            message = f"no performer for {action}"
            raise TypeError(message)

    def _on_namespaces(self, action: a.Action) -> bool:
        match action:
            case a.MakeNamespace(namespace, label, ipv6):
                sandbox.make(self.host, self.sockets, namespace, label, ipv6=ipv6)
            case a.ConfigureNamespace(namespace, label, switch):
                sandbox.configure(self.host, self.sockets, namespace, label, ipv6=switch)
            case a.RemoveNamespace(namespace):
                self._remove_namespace(namespace)
            case a.PinNamespace(namespace, where):
                sandbox.pin_again(self.host, self.sockets, namespace, Path(where))
            case a.AttachNamespace(container, path, origin):
                attached.attach(self.host, self.sockets, container, path, origin)
            case a.DetachNamespace(container):
                attached.detach(self.host, self.sockets, container)
            case _:
                return False
        return True

    def _on_containers(self, action: a.Action) -> bool:
        match action:
            case a.JoinNamespace(container, namespace, origin):
                joiners.join(self.host, container, namespace, origin)
                if namespace and not namespace.startswith(FOREIGN):
                    container_files.lead(self.host, container, namespace)
            case a.LeaveNamespace(container):
                joiners.leave(self.host, container)
                container_files.unlead(self.host, container)
            case a.RecordEndedJob(container, definition, exit_code):
                jobs.record(self.host.run, container, definition, exit_code)
            case a.ForgetEndedJob(container):
                jobs.forget(self.host.run, container)
            case a.WriteContainerFile(container, file_name, text):
                container_files.write(self.host, container, file_name, text)
            case a.RemoveContainerFile(container, file_name):
                container_files.remove(self.host, container, file_name)
            case _:
                return False
        return True

    def _on_settings(self, action: a.Action) -> bool:
        match action:
            case a.WriteLinkSysctl(interface, sysctl_class, name, value):
                sysctl.write_if_present(f"{sysctl_class}/{interface}/{name}", value)
            case a.WriteSysctl(namespace, name, value):
                self._write_sysctl(namespace, name, value)
            case a.RestoreSysctl(namespace, name):
                self._restore_sysctl(namespace, name)
            case a.WriteRouterRules(namespace):
                self._inside(namespace, router_rules.write)
            case a.RemoveRouterRules(namespace):
                self._inside(namespace, router_rules.remove)
            case _:
                return False
        return True

    def _on_addresses(self, action: a.Action) -> bool:
        match action:
            case a.ClaimAddress(interface, address):
                address_claim.claim(interface, address)
            case a.AnnounceAddress(namespace, interface, address):
                self._inside(namespace, lambda: announce.announce(interface, address))
            case a.AnnounceLink(namespace, interface):
                self._inside(namespace, lambda: announce.announce_all(interface))
            case _:
                return False
        return True

    def _on_agent(self, action: a.Action) -> bool:
        match action:
            case a.StartAgent():
                strays.end_agents(self.host.run)
                agent_control.start(self.host.run)
            case a.StopAgent():
                agent_control.stop(self.host.run)
                strays.end_agents(self.host.run)
            case a.HoldPorts(stack, pins):
                agent_control.load(self.host.run, stack, pins)
            case a.AwaitEnd(container):
                jobs.await_end(self.host.run, container, wanted=True)
            case a.ForgetEnd(container):
                jobs.await_end(self.host.run, container, wanted=False)
            case _:
                return False
        return True

    def start_processes(self, starts: Sequence[a.StartProcess]) -> dict[str, NetapplyError]:
        """Start commands together; the failures, by container."""
        strays.end_commands(self.host.run, [start.container for start in starts])
        files = {start.container: container_files.shown(self.host, start.files) for start in starts}
        return runtime.start_many(self.host.run, starts, self.host.namespace_path, files, self.start_patience)

    def serve_names(self, actions: Sequence[a.ServeNames | a.ForgetNames]) -> None:
        """Have the agent answer names in sandboxes, or no longer, a stack's in one go."""
        resolver.perform(self.host, actions)

    def stop_processes(self, stops: Sequence[a.StopProcess]) -> None:
        """Stop commands together."""
        strays.end_commands(self.host.run, [stop.container for stop in stops])
        runtime.stop_many(self.host.run, [stop.container for stop in stops])

    def _remove_namespace(self, namespace: str) -> None:
        record = sysctl.load_record(self.host.run)
        if record.pop(namespace, None):
            sysctl.save_record(self.host.run, record)
        sandbox.remove(self.host, self.sockets, namespace)

    def _inside(self, namespace: str, act: Callable[[], None]) -> None:
        with namespaces.elsewhere():
            if namespace:
                namespaces.enter_path(self.host.namespace_path(namespace))
            act()

    def _write_sysctl(self, namespace: str, name: str, value: str) -> None:
        with namespaces.elsewhere():
            if namespace:
                namespaces.enter_path(self.host.namespace_path(namespace))
            record = sysctl.load_record(self.host.run)
            settings = record.setdefault(namespace, {})
            if name not in settings:
                settings[name] = sysctl.before(name)
                sysctl.save_record(self.host.run, record)
            if sysctl.read(name) != value:
                with sysctl.kept(settings.keys() - {name}):
                    sysctl.write(name, value)

    def _restore_sysctl(self, namespace: str, name: str) -> None:
        record = sysctl.load_record(self.host.run)
        values = record.get(namespace, {}).pop(name, None)
        if values is None:
            return
        with namespaces.elsewhere():
            if namespace:
                namespaces.enter_path(self.host.namespace_path(namespace))
            with sysctl.kept(record[namespace]):
                sysctl.restore(name, values)
            # Those of an interface that left meanwhile have nothing to be put back to.
            record[namespace] = {kept: old for kept, old in record[namespace].items() if sysctl.read(kept) is not None}
        sysctl.save_record(self.host.run, record)
