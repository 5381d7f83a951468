"""Which changes of a plan account for a difference between two dumps, by kind and name.

What the kernel does of itself beside an object counts to that object's change: its own routes to an address, the
settings of an interface, a link-local address.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from ipaddress import ip_interface, ip_network

from tests.kernel import culprits_in_firewall
from tests.kernel.account import Account, Culprits, Interface
from tests.kernel.culprits_in_firewall import IPTABLES, NFTABLES
from tests.kernel.dump import HOST, Difference, Dump, Item

_PROTOCOL = "110"
"""The routing protocol of netapply's routes."""
_EVERYTHING = {"4": "0.0.0.0/0", "6": "::/0"}


def culprits(account: Account, difference: Difference) -> Culprits:
    """The changes that say so: one if all is well."""
    found = _RULES[difference.item.sort](account, difference)
    # Of what is made anew, one change is about what goes and one about what comes.
    return found if len(found) < 2 else [each for each in found if each.record(difference.sign)]


def _link(account: Account, difference: Difference) -> Culprits:
    return account.interface(difference.item.place, difference.item.name, difference.sign)


def _address(account: Account, difference: Difference) -> Culprits:
    place, _, name = difference.item
    interface, address = name.split()
    if interface == "lo":
        return account.namespace(place)
    return account.addresses(place, interface, difference.sign, lambda each: each == ip_interface(address))


def _route(account: Account, difference: Difference) -> Culprits:
    place, _, name = difference.item
    version, interface, destination, sort, table, metric = name.split()
    look = json.loads(difference.value)
    if look["protocol"] == _PROTOCOL:
        if table != "main":
            return account.named(difference.sign, "route", container=place, table=int(table))
        where = _EVERYTHING[version] if destination == "default" else str(ip_network(destination))
        if place == HOST:
            return account.named(difference.sign, "route", interface=interface, destination=where)
        fields = {"container": place, "destination": where, "metric": int(metric) if metric != "-" else 0}
        return account.named(difference.sign, "route", **fields)
    assert look["protocol"] == "kernel", difference
    if interface == "lo":
        return account.namespace(place)
    if "prefsrc" in look:
        source = look["prefsrc"]
        made: Culprits = account.addresses(place, interface, difference.sign, lambda each: str(each.ip) == source)
    else:
        made = _kernel_route6(account, difference, interface, destination, sort)
    # They also come and go while their link is set up or down.
    return made or [each for each in account.interface(place, interface) if each.action == "update"]


def _kernel_route6(account: Account, difference: Difference, interface: str, destination: str, sort: str) -> Culprits:
    place, network = difference.item.place, ip_network(destination)

    def suits(each: Interface) -> bool:
        first = each.network.network_address if sort == "anycast" else each.ip
        return each.network == network if sort == "unicast" else first == network.network_address

    made = account.addresses(place, interface, difference.sign, suits)
    # A host that forwards answers to the anycast address of routers on each of its networks (RFC 4291, 2.6.1).
    return made or (_forwarding(account, place, 6) if sort == "anycast" else ())


def _forwarding(account: Account, place: str, version: int) -> Culprits:
    switch = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}[version]
    return account.called("sysctl", f"{place}:{switch}")


def _rule(account: Account, difference: Difference) -> Culprits:
    """A rule of the routing policy, or one of nftables."""
    place, _, name = difference.item
    if name[0] in "46":
        rule = json.loads(name[2:])
        if rule["src"] == "all":
            return account.namespace(place)
        sources = account.named(difference.sign, "route", container=place, table=int(rule["table"]))
        return [each for each in sources if each.name.partition(":from ")[2].partition("/")[0] == rule["src"]]
    family, table, chain, _ = name.split()
    if place == HOST and table != "netapply":
        return account.named(difference.sign, "rule", family=family, table=table, chain=chain)
    return culprits_in_firewall.table(account, difference)


def _sysctl(account: Account, difference: Difference) -> Culprits:
    place, _, name = difference.item
    own = account.called("sysctl", f"{place}:{name}")
    if own:
        return own
    match name.split("/"):
        case ["net", _, "conf" | "neigh", interface, _] if made := account.interface(place, interface):
            return made
        case ["net", "ipv4" | "ipv6" as protocol, "conf", _, "forwarding" | "accept_redirects"] if (
            switched := _forwarding(account, place, int(protocol[-1]))
        ):
            return switched
    return account.namespace(place)


def _socket(account: Account, difference: Difference) -> Culprits:
    place = difference.item.place
    file_name, local, _ = difference.item.name.split()
    if place != HOST:
        return account.called("agent", f"{place}:names") if local.startswith("0B00007F:") else ()
    protocol, port = file_name.removesuffix("6"), int(local.rpartition(":")[2], 16)
    held = [each for each in account.named("", "agent") if each.name.endswith(":held ports")]
    return [
        each
        for each in held
        if any(pin.endswith(f":{port}/{protocol}") for pin in each.record(difference.sign).get("pins", ()))
    ]


def _file(account: Account, difference: Difference) -> Culprits:
    match difference.item.name.rstrip("/").split("/"):
        case ["run", "files", stack, container, name]:
            return account.called("file", f"{stack}/{container}:{name}")
        case ["", "etc", "netns", pin]:
            container = _of_pin(pin)
            # What leads to the files comes and goes with hosts, of a container in another one's network with itself.
            hosts = [each for each in account.called("file", f"{container}:hosts") if each.record(difference.sign)]
            return hosts or account.namespace(container)
        case ["run", "joined", name]:
            return account.namespace(name.replace(".", "/", 1))
        case ["run", "processes", stack, container, *_]:
            return account.called("process", f"{stack}/{container}:command")
        case ["run", "oci", name, *_]:
            return account.called("process", f"{name.replace('.', '/', 1)}:command")
        case ["run", "agent.sock" | "agent.lock" | "agent.log"]:
            return account.called("agent", "host:agent")
        case ["run", "name"]:
            # Which namespace the run folder is about: both stand as long as any stack does.
            return account.called("rule", NFTABLES) or account.called("rule", IPTABLES)
    return ()


def _entry(account: Account, difference: Difference) -> Culprits:
    """An entry of a file of several things: settings as they were before us, and what the agent is to serve."""
    file_name, section, *rest = difference.item.name.split(" ")
    if file_name == "run/sysctls.json":
        return account.called("sysctl", f"{section or HOST}:{rest[0]}")
    stack = file_name.rpartition("/")[2].removesuffix(".json")
    return _agents(account, section, stack, rest)


def _memory(account: Account, difference: Difference) -> Culprits:
    whose, *rest = difference.item.name.split(" ")
    if not rest:
        return account.called("agent", "host:agent")
    return _agents(account, {"holds": "pins", "names": "names", "removal": "jobs"}[rest[0]], whose, [whose])


def _agents(account: Account, section: str, stack: str, rest: Sequence[str]) -> Culprits:
    name = {"pins": f"{stack}:held ports", "names": f"{rest[0]}:names", "jobs": f"{rest[0]}:removal"}[section]
    return account.called("agent", name)


def _pin(account: Account, difference: Difference) -> Culprits:
    return account.namespace(_of_pin(difference.item.name))


def _of_pin(name: str) -> str:
    """``stack/container`` of ``na.NUMBER.stack.container``."""
    return name.split(".", 2)[2].replace(".", "/", 1) if name.startswith("na.") else ""


def _process(account: Account, difference: Difference) -> Culprits:
    """The agent, what watches a command, or the command itself, whose number stands in the run folder."""
    dump, pid = (account.before if difference.sign == "-" else account.after), difference.item.name
    if "-m reconciler.agent " in difference.value:
        return account.called("agent", "host:agent")
    return [
        each
        for each in account.named(difference.sign, "process")
        if f"/processes/{each.record(difference.sign)['container']}/" in difference.value
        or _content(dump, f"run/processes/{each.record(difference.sign)['container']}/pid") == pid
    ]


def _content(dump: Dump, path: str) -> str:
    return str(json.loads(dump.get(Item(HOST, "file", path), '["", ""]'))[1])


def _nobody(account: Account, difference: Difference) -> Culprits:
    del account, difference
    return ()


_RULES: dict[str, Callable[[Account, Difference], Culprits]] = {
    "link": _link,
    "address": _address,
    "route": _route,
    "rule": _rule,
    "neighbour": _nobody,
    "table": culprits_in_firewall.table,
    "chain": culprits_in_firewall.table,
    "set": culprits_in_firewall.table,
    "map": culprits_in_firewall.table,
    "element": culprits_in_firewall.element,
    "legacy": culprits_in_firewall.legacy,
    "sysctl": _sysctl,
    "socket": _socket,
    "file": _file,
    "entry": _entry,
    "memory": _memory,
    "pin": _pin,
    "process": _process,
    "mount": _nobody,
}
