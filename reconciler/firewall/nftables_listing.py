"""The table ``inet netapply`` as ``nft -j`` lists it, sorted by kind of object."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from reconciler.firewall.nftables_elements import Element, quoted
from reconciler.firewall.nftables_layout import MAPS, PATH, RULES, SETS
from reconciler.firewall.nftables_masquerade import EVERY_PORT, Ports, is_like, masquerade_chain, ports_of
from reconciler.firewall.policy import MARK

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_INTERFACE = re.compile(r"[^\"\\*\s]{1,15}")
_PLAIN = re.compile(r"[0-9a-f:.]+")


class Digests(NamedTuple):
    """What the fixed part looks like in a listing: its sets and maps, and its chains."""

    sets: str
    chains: str


@dataclass(slots=True)
class Listing:
    """What stands in the table: its fixed part, its elements, its chains of ranges, and what else is there."""

    listed: Mapping[str, Any]
    sets: dict[str, dict[str, Any]] = field(init=False, default_factory=dict)
    chains: dict[str, dict[str, Any]] = field(init=False, default_factory=dict)
    rules: dict[str, list[Any]] = field(init=False, default_factory=lambda: defaultdict(list))
    elements: list[Element] = field(init=False, default_factory=list)
    ranges: set[Ports] = field(init=False, default_factory=set)
    """Those that have a chain to masquerade to, whatever is in it."""
    others: list[str] = field(init=False, default_factory=list)
    mark: int = field(init=False, default=MARK)
    alien: bool = field(init=False, default=False)
    """Holds an object of a kind that we never make, or an element that we cannot name."""

    def __post_init__(self) -> None:
        for entry in self.listed["nftables"]:
            ((kind, body),) = entry.items()
            if kind in {"set", "map"}:
                self._add_set(kind, body)
            elif kind == "chain":
                self._add_chain(body)
            elif kind == "rule":
                self.rules[body["chain"]].append(body["expr"])
            elif kind not in {"metainfo", "table"}:
                self.alien = True
        self.mark = _mark(self.rules.get("pass", []))

    def digests(self) -> Digests:
        """The digests of the fixed part."""
        rules = {name: _without_mark(self.rules.get(name, []), self.mark) for name in self.chains}
        return Digests(_digest(self.sets), _digest([self.chains, rules]))

    def masquerades(self, ports: Ports) -> bool:
        """Whether the chain of these ports holds what it should, if that of every port does."""
        pattern = self.rules.get(masquerade_chain(EVERY_PORT), [])
        return is_like(self.rules.get(masquerade_chain(ports), []), ports, pattern)

    def _add_set(self, kind: str, body: dict[str, Any]) -> None:
        name = body["name"]
        if name not in (SETS if kind == "set" else MAPS):
            self._add_other(kind, name)
            return
        self.sets[name] = {key: value for key, value in body.items() if key not in {"handle", "elem"}}
        for entry in body.get("elem", ()):
            element = _element(name, entry)
            self.alien = self.alien or element is None
            if element is not None:
                self.elements.append(element)

    def _add_chain(self, body: dict[str, Any]) -> None:
        if body["name"] in RULES:
            self.chains[body["name"]] = {key: value for key, value in body.items() if key != "handle"}
            return
        ports = ports_of(body["name"])
        if ports and "hook" not in body:
            self.ranges.add(ports)
        else:
            self._add_other("chain", body["name"])

    def _add_other(self, kind: str, name: str) -> None:
        self.others.append(f"{kind} {PATH} {name}")
        self.alien = self.alien or _WORD.fullmatch(name) is None


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _mark(rules: Iterable[Any]) -> int:
    """The bit that the rules of ``pass`` set, or the default where they set none."""
    for rule in rules:
        for statement in rule:
            match statement:
                case {"mangle": {"value": {"|": [_, int(mark)]}}}:
                    return mark
    return MARK


def _without_mark(rules: list[Any], mark: int) -> Any:
    """The rules with the mark as a word, so that one digest serves every mark."""
    wanted = {"|": [{"meta": {"key": "mark"}}, mark]}
    return [
        [{"mangle": "mark"} if statement.get("mangle", {}).get("value") == wanted else statement for statement in rule]
        for rule in rules
    ]


def _element(set_name: str, entry: Any) -> Element | None:
    """A listed element in the words in which we write it; None when it has no such words."""
    key, value = entry if set_name in MAPS else (entry, None)
    comment = ""
    if isinstance(key, dict) and "elem" in key:
        comment = key["elem"].get("comment", "")
        key = key["elem"]["val"]
    key_text = _text(key)
    value_text = "" if value is None else _text(value)
    if key_text is None or value_text is None:
        return None
    return Element(set_name, key_text, value_text, comment)


def _text(value: Any) -> str | None:
    match value:
        case int():
            return str(value)
        case str():
            if _PLAIN.fullmatch(value) and (":" in value or "." in value):
                return value
            return quoted(value) if _INTERFACE.fullmatch(value) else None
        case {"concat": [*parts]}:
            texts = [_text(part) for part in parts]
            return " . ".join(text for text in texts if text) if all(texts) else None
        case {"prefix": {"addr": str(address), "len": int(length)}}:
            return f"{address}/{length}"
        case {"range": [str(first), str(last)]} | {"range": [int(first), int(last)]}:
            return f"{first}-{last}"
    return _verdict_text(value)


def _verdict_text(value: Any) -> str | None:
    match value:
        case {"goto": {"target": str(target)}}:
            return f"goto {target}"
        case {"accept": None} | {"drop": None}:
            return str(next(iter(value)))
        case {"jump": _} | {"return": None} | {"continue": None}:
            # None that we write; only the key counts for removing it.
            return "foreign verdict"
    return None
