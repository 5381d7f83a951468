"""The process that talks to iptables' legacy tables, through python-iptables: ``iptables_helper.py 4|6``.

A process of its own for each address family, because libxtables knows one family per
process, keeps its state in globals that threads would tear apart, and may end its process.
It stands in the network namespace that it was started in. One JSON document a line: a
request on standard input, its answer on standard output; it ends with its input.

Nothing of netapply is imported here: the file is run by its path, so that neither the
folder nor the environment of the caller decide what is loaded.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import fcntl
import importlib
import json
import os
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

_PREFIX: Final = "NETAPPLY-"
_LOCK: Final = "/run/xtables.lock"
_LOCK_SECONDS: Final = 10.0
_ATTEMPTS: Final = 20
_LIBRARIES: Final = {
    "c": "libc.so.6",
    "ip4tc": "libip4tc.so.2",
    "ip6tc": "libip6tc.so.2",
    "libxtables.so.12": "libxtables.so.12",
}
_PACKAGES: Final = {"ip4tc": "libip4tc2", "ip6tc": "libip6tc2", "libxtables.so.12": "libxtables12"}
_NAMES: Final = {4: "/proc/thread-self/net/ip_tables_names", 6: "/proc/thread-self/net/ip6_tables_names"}
_ANY: Final = frozenset({"0.0.0.0/0", "::/0"})

Json = dict[str, Any]


class UnavailableError(Exception):
    """Something that python-iptables needs is not there: ``kind`` and what."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(what)
        self.kind = kind


class ChangedError(Exception):
    """A chain of ours is not as it was when its edit was decided."""


def load() -> Any:
    """The module iptc, without the compiler and ldconfig that it would start to find its libraries.

    Nor setuptools, which stands in for distutils, and which iptc.util would load for one path that
    it also finds without: half a second of processor time for the two helpers of a run.
    """
    for name, soname in _LIBRARIES.items():
        try:
            ctypes.CDLL(soname)
        except OSError:
            raise UnavailableError("library", f"{soname} {_PACKAGES.get(name, '')}") from None
    extensions = _extension_folder()
    if extensions is None:
        raise UnavailableError("library", "xtables/libxt_conntrack.so iptables")
    os.environ.update(XTABLES_LIBDIR=extensions, PYTHON_IPTABLES_XTABLES_VERSION="12")
    ctypes.util.find_library = lambda name: _LIBRARIES.get(name)  # noqa: PLW0108  # a bound method has another type
    sys.modules["distutils"] = None  # type: ignore[assignment]  # documented: an import of it fails (import system, 5.3.1)
    try:
        # By name: a folder that an uninstalled package left behind is a module too, but an empty one.
        importlib.import_module("iptc.ip4tc")
        return importlib.import_module("iptc")
    except ModuleNotFoundError as error:
        raise UnavailableError("module", str(error)) from None


def _extension_folder() -> str | None:
    architecture = sysconfig.get_config_var("MULTIARCH") or ""
    folders = (
        f"/usr/lib/{architecture}/xtables",
        f"/lib/{architecture}/xtables",
        "/usr/lib64/xtables",
        "/usr/lib/xtables",
    )
    return next((folder for folder in folders if (Path(folder) / "libxt_conntrack.so").exists()), None)


class Rules:
    """Reads and builds the rules of one family."""

    def __init__(self, iptc: Any, family: int) -> None:
        self.family = family
        self.table_class: Any = iptc.Table if family == 4 else iptc.Table6  # noqa: PLR2004  # the family
        self._rule_class = iptc.Rule if family == 4 else iptc.Rule6  # noqa: PLR2004  # the family
        self._chain_class = iptc.Chain
        self._read: dict[tuple[bytes, str], list[Any]] = {}

    def open(self, name: str) -> Any:
        """The table as it is now."""
        known = self.table_class.existing_table_names
        # python-iptables asks all tables whether they have a chain of a target's name, and asking
        # makes them: these are all that it may know of.
        known.update(dict.fromkeys(self.table_class.ALL, False))
        fresh = name not in self.table_class._cache  # noqa: SLF001  # python-iptables has no question for it
        table = self.table_class(name, autocommit=False)
        if not fresh:
            table.refresh()
        known[name] = True
        return table

    def entries(self, table: Any, chain: str) -> Iterator[Any]:
        """The kernel's entries of a chain."""
        entry = table.first_rule(chain)
        while entry:
            yield entry
            entry = table.next_rule(entry)

    def target(self, table: Any, entry: Any) -> str:
        """The chain or verdict that an entry leads to; empty for an extension."""
        found = table.get_target(entry)
        return found.decode() if found else ""

    def words(self, table: Any, chain: str, entry: Any) -> list[Any]:
        """An entry as a rule for JSON. Equal entries are taken apart once."""
        counters = type(entry).counters
        data = ctypes.string_at(ctypes.addressof(entry), entry.next_offset)
        key = (data[: counters.offset] + data[counters.offset + counters.size :], self.target(table, entry))
        if key not in self._read:
            try:
                self._read[key] = self._taken_apart(table.create_rule(entry, self._chain_class(table, chain)))
            except Exception as error:  # noqa: BLE001  # whatever it cannot read is no rule of ours
                self._read[key] = [f"UNREADABLE {error}", False, "", "", "", "", "", [], [], ""]
        return self._read[key]

    def _taken_apart(self, rule: Any) -> list[Any]:
        matches, comment = [], ""
        for match in rule.matches:
            parameters = _parameters(match)
            if match.name == "comment" and not comment:
                comment = dict(parameters).get("comment", "")
            else:
                matches.append([match.name, parameters])
        if self.family == 4 and rule.fragment:  # noqa: PLR2004  # the family
            matches.append(["fragment", []])
        source, destination = _network(rule.src), _network(rule.dst)
        protocol = "" if rule.protocol in {"ip", "all", "hopopts"} else rule.protocol
        return [
            rule.target.name or "",
            rule.target.goto,
            _interface(rule, "iniface", rule.in_interface),
            _interface(rule, "outiface", rule.out_interface),
            source,
            destination,
            protocol,
            matches,
            _parameters(rule.target),
            comment,
        ]

    def built(self, table: Any, words: list[Any]) -> Any:
        """The entry for a rule."""
        target, goto, into, out, source, destination, protocol, matches, parameters, comment = words
        rule = self._rule_class(chain=self._chain_class(table, "FORWARD"))
        given = {"protocol": protocol, "src": source, "dst": destination, "in_interface": into, "out_interface": out}
        for name, value in given.items():
            if value:
                setattr(rule, name, value)
        _compare_whole_names(rule.get_ip())
        for name, found in [*matches, *([["comment", [["comment", comment]]]] if comment else [])]:
            match = rule.create_match(name)
            for option, value in found:
                match.set_parameter(option, value)
        made = rule.create_target(target, goto=goto)
        for option, value in parameters:
            made.set_parameter(option, value)
        # Chain.append_rule checks every extension, by taking it apart and building it again: eight
        # times as slow. Of ours only MASQUERADE and SNAT need it, for the number of their ranges;
        # ports are many. What was written is read back and compared.
        if target != "DNAT":
            made.final_check()
        return rule.rule


def _interface(rule: Any, name: str, text: str | None) -> str:
    """An interface as iptables writes it. A mask that is neither a name's nor a prefix's is shown with it."""
    address = rule.get_ip()
    interface, mask = getattr(address, name), getattr(address, f"{name}_mask")
    shown: str = ("!" if (text or "").startswith("!") else "") + interface.decode(errors="replace")
    if not mask or mask == b"\xff" * (len(interface) + 1):
        return shown
    return f"{shown}+" if mask == b"\xff" * len(interface) else f"{shown}/{mask.hex()}"


def _compare_whole_names(address: Any) -> None:
    """Compare every bit of an interface's name and its end.

    python-iptables 1.2.0 writes masks of 0x01 in IPv6 rules (ip6tc.py, set_in_interface), so
    that 'bropen' would match 'brapart' too.
    """
    for name in ("iniface", "outiface"):
        interface = getattr(address, name)
        if interface:
            setattr(address, f"{name}_mask", b"\xff" * (len(interface) + 1))


def _parameters(extension: Any) -> list[list[str]]:
    return [[name, " ".join(values)] for name, values in extension.get_all_parameters().items()]


def _network(text: str) -> str:
    """A network with its length, after the '!' that it may have; empty for any."""
    bare = text.lstrip("!")
    network = ip_network(bare, strict=False).with_prefixlen
    return "" if network in _ANY and bare == text else text[: len(text) - len(bare)] + network


def read(rules: Rules, names: list[str]) -> Json:
    """What is ours in those of the tables that exist: looking at another would make it."""
    present = _present(rules.family)
    return {name: _read_table(rules, name) for name in names if name in present}


def _present(family: int) -> set[str]:
    try:
        return set(Path(_NAMES[family]).read_text(encoding="ascii").split())
    except OSError:
        return set()


def _read_table(rules: Rules, name: str) -> Json:
    table = rules.open(name)
    chains: dict[str, list[Any]] = {}
    jumps: dict[str, list[Any]] = {}
    for chain in [chain.name for chain in table.chains]:
        if chain.startswith(_PREFIX):
            chains[chain] = [rules.words(table, chain, entry) for entry in rules.entries(table, chain)]
        elif table.builtin_chain(chain):
            jumps[chain] = [
                [position, rules.words(table, chain, entry)]
                for position, entry in enumerate(rules.entries(table, chain))
                if rules.target(table, entry).startswith(_PREFIX)
            ]
    return {"chains": chains, "jumps": jumps}


def write(rules: Rules, edit: Json) -> None:
    """Carry out the edit of one table in one commit, beside others who change it too.

    Raises ChangedError where our own chains changed meanwhile, OSError where others do not
    let us in, and whatever python-iptables raises.
    """
    with _locked():
        for attempt in range(_ATTEMPTS):
            table = rules.open(edit["table"])
            _carry_out(rules, table, edit)
            try:
                table.commit()
            except Exception as error:
                if os.strerror(errno.EINVAL) in str(error):
                    # The kernel took the table and refused its counters, since somebody without the
                    # lock wrote in between (do_add_counters); or it refused a rule. A look will tell.
                    raise ChangedError(str(error)) from None
                if os.strerror(errno.EAGAIN) not in str(error) or attempt + 1 == _ATTEMPTS:
                    raise
                # Somebody without the lock was quicker. What was to be done is redone.
                time.sleep(0.005 * attempt)
            else:
                return


@contextmanager
def _locked() -> Iterator[None]:
    """The lock of all iptables programs, which python-iptables does not take (iptables(8), -w)."""
    descriptor = os.open(_LOCK, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(errno.ETIMEDOUT, f"another program keeps {_LOCK} locked") from None
                time.sleep(0.002)
        yield
    finally:
        os.close(descriptor)


def _carry_out(rules: Rules, table: Any, edit: Json) -> None:
    for chain, length, *_ in edit["edits"]:
        present = sum(1 for _ in rules.entries(table, chain)) if table.is_chain(chain) else -1
        if present != length:
            raise ChangedError(f"chain {chain} changed")
        if length < 0:
            table.create_chain(chain)
    for chain, _, start, removed, added in edit["edits"]:
        for _ in range(removed):
            _delete(table, chain, start)
        for offset, words in enumerate(added):
            table.insert_entry(chain, rules.built(table, words), start + offset)
    for base, words in edit["jumps"].items():
        _put_jump(rules, table, base, words)
    gone = [chain for chain in edit["gone"] if table.is_chain(chain)]
    # Emptied first, all of them: a chain that another one leads to cannot be removed.
    for chain in gone:
        table.flush_entries(chain)
    for chain in gone:
        table.delete_chain(chain)


def _put_jump(rules: Rules, table: Any, base: str, words: list[Any] | None) -> None:
    """Leave one way into our chains, at the head, or none."""
    targets = [rules.target(table, entry) for entry in rules.entries(table, base)]
    for position in reversed([at for at, name in enumerate(targets) if name.startswith(_PREFIX)]):
        _delete(table, base, position)
    if words:
        table.insert_entry(base, rules.built(table, words), 0)


def _delete(table: Any, chain: str, position: int) -> None:
    """Remove a rule by its number, for which python-iptables has the function but no method."""
    if table._iptc.iptc_delete_num_entry(chain.encode(), position, table._handle) != 1:  # noqa: SLF001  # see above
        message = f"rule {position + 1} of {chain} could not be removed: {table.strerror()}"
        raise RuntimeError(message)


def answer(rules: Rules, request: Json) -> Json:
    """What one request gives."""
    try:
        if request["do"] == "read":
            return {"tables": read(rules, request["tables"])}
        write(rules, request)
    except ChangedError as error:
        return {"error": "changed", "message": str(error)}
    except Exception as error:  # noqa: BLE001  # python-iptables raises Exception itself, and the caller must hear of it
        text = str(error)
        if isinstance(error, OSError) and error.strerror:
            text = error.strerror
        return {"error": "refused", "message": text}
    return {}


def main() -> None:
    """Answer until the input ends."""
    # python-iptables lets extensions print into a pipe that it puts in the place of descriptor 1.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as output:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            rules = Rules(load(), int(sys.argv[1]))
        except UnavailableError as error:
            output.write(json.dumps({"error": error.kind, "message": str(error)}) + "\n")
            return
        except Exception as error:  # noqa: BLE001  # loading C libraries fails in many ways; the caller words it
            output.write(json.dumps({"error": "broken", "message": str(error)}) + "\n")
            return
        output.write("{}\n")
        output.flush()
        for line in sys.stdin:
            output.write(json.dumps(answer(rules, json.loads(line))) + "\n")
            output.flush()


if __name__ == "__main__":
    main()
