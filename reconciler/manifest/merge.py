"""Several documents -> one: a later file's values over an earlier one's (Compose, chapter 13).

Mappings merge key by key, scalars are replaced, lists append; the paths below are special.
``!reset`` removes the value, ``!override`` replaces it whole; in a list of words or pairs
``!reset`` removes the item. What bears it stays in the tree, so that it also removes what the
result is laid over, until something is laid over it, or until `settle`. Nodes are never changed in place, because aliases
share them; what is merged is new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.manifest.nodes import RESET, Mapping, Node, Scalar, Sequence, is_null, source_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.manifest.faults import Faults

Path = tuple[str, ...]


def merge(base: Node, over: Node, faults: Faults, path: Path = ()) -> Node:
    """``over`` laid over ``base``; ``path`` (keys from the top) finds the special rules."""
    if over.tag is not None or base.tag == RESET:
        return over  # !override, or removed, be it before or now
    rule = _rule(path)
    base, over = rule.form(base), rule.form(over)
    if is_null(over):
        return base if rule.null_keeps else over
    if is_null(base) or rule.replace:
        return over
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return _mappings(base, over, faults, path)
    if isinstance(base, Sequence) and isinstance(over, Sequence):
        return _sequences(base, over, faults, path, rule)
    if type(base) is not type(over):
        message = f"cannot override {_kind(base)} with {_kind(over)}; the value before is at {source_of(base)}"
        faults.add(message, source_of(over), "give both the same form, or write !override")
        return base
    return over


def settle(node: Node) -> Node | None:
    """The node without what ``!reset`` removes; None when that is all of it. Tags go."""
    if node.tag == RESET:
        return None
    node.tag = None
    if isinstance(node, Sequence):
        node.items = [item for item in node.items if _plain(item) or settle(item) is not None]
    elif isinstance(node, Mapping):
        for key in [key for key, value in node.entries.items() if not _plain(value) and settle(value) is None]:
            node.drop(key)
    return node


def _plain(node: Node) -> bool:
    """Whether there is nothing to settle, as with nearly all nodes."""
    return node.__class__ is Scalar and node.tag is None


def _mappings(base: Mapping, over: Mapping, faults: Faults, path: Path) -> Mapping:
    merged = base.empty_copy()
    merged.size = base.size + over.size
    merged.replaced = {**(base.replaced or {}), **(over.replaced or {})} or None
    for key, value in base.entries.items():
        if value.tag != RESET:
            merged.put(base.keys[key], value)
    for key, value in over.entries.items():
        if key in merged.entries:
            before = merged.entries[key]
            merged.entries[key] = after = merge(before, value, faults, (*path, key))
            if after is value and value.tag != RESET and not is_null(before):
                # The key goes with its value, for a collection's place is that of its key.
                merged.keys[key] = over.keys[key]
                merged.replaced = {**(merged.replaced or {}), key: source_of(before)}
        else:
            merged.put(over.keys[key], value)
    return merged


class _Rule:
    """How values at one kind of path are merged."""

    def __init__(
        self,
        form: Callable[[Node], Node] = lambda node: node,
        identity: Callable[[Node], str | None] = lambda _: None,
        *,
        replace: bool = False,
        null_keeps: bool = True,
    ) -> None:
        self.form = form
        self.identity = identity
        self.replace = replace
        self.null_keeps = null_keeps


def _sequences(base: Sequence, over: Sequence, faults: Faults, path: Path, rule: _Rule) -> Sequence:
    merged = Sequence(base.file, base.line, base.column, [item for item in base.items if item.tag != RESET])
    merged.size = base.size + over.size
    index_of: dict[str, int] = {}
    for index, item in enumerate(merged.items):
        if (name := rule.identity(item)) is not None:
            index_of[name] = index
    for item in over.items:
        name = rule.identity(item)
        if name is None or name not in index_of:
            merged.items.append(item)
        elif isinstance(item, Mapping) and isinstance(merged.items[index_of[name]], Mapping):
            merged.items[index_of[name]] = merge(merged.items[index_of[name]], item, faults, (*path, "*"))
        else:
            merged.items[index_of[name]] = item
    return merged


def _as_list(node: Node) -> Node:
    """A single word as a list of one."""
    if isinstance(node, Scalar) and node.text:
        return Sequence(node.file, node.line, node.column, [node])
    return node


def _as_items(node: Node) -> Node:
    """A single word or mapping as a list of one."""
    if isinstance(node, Sequence) or is_null(node):
        return node
    return Sequence(node.file, node.line, node.column, [node])


def _as_names(node: Node) -> Node:
    """A list of names as a mapping of names to nothing."""
    if not isinstance(node, Sequence):
        return node
    mapping = Mapping(node.file, node.line, node.column)
    for item in node.items:
        if isinstance(item, Scalar):
            mapping.put(item, Scalar(item.file, item.line, item.column, "", None, item.tag))
    return mapping


def _as_pairs(node: Node) -> Node:
    """A list of NAME=VALUE as a mapping."""
    if not isinstance(node, Sequence):
        return node
    mapping = Mapping(node.file, node.line, node.column)
    for item in node.items:
        if isinstance(item, Scalar):
            name, equals, value = item.text.partition("=")
            key = Scalar(item.file, item.line, item.column, name, name)
            mapping.put(key, Scalar(item.file, item.line, item.column, value, value if equals else None, item.tag))
    return mapping


def _as_hosts(node: Node) -> Node:
    """A mapping of hosts as a list of HOST=ADDRESS."""
    if not isinstance(node, Mapping):
        return node
    items: list[Node] = []
    for name, value in node.entries.items():
        for each in value.items if isinstance(value, Sequence) else [value]:
            text = f"{name}={each.text}" if isinstance(each, Scalar) else name
            items.append(Scalar(each.file, each.line, each.column, text, text, value.tag or each.tag))
    return Sequence(node.file, node.line, node.column, items)


def _as_allowances(node: Node) -> Node:
    """Names of networks as mappings, so that both forms of one network meet."""
    if not isinstance(node, Sequence):
        return node
    items: list[Node] = []
    for item in node.items:
        if isinstance(item, Scalar):
            mapping = Mapping(item.file, item.line, item.column)
            mapping.put(Scalar(item.file, item.line, item.column, "network", "network"), item)
            mapping.tag = item.tag
            item = mapping  # noqa: PLW2901  # the item in its other form
        items.append(item)
    return Sequence(node.file, node.line, node.column, items)


def _entry(name: str) -> Callable[[Node], str | None]:
    """What tells mappings in a list apart."""
    return lambda node: _text(each) if isinstance(node, Mapping) and (each := node.entries.get(name)) else None


def _text(node: Node) -> str | None:
    return node.text if isinstance(node, Scalar) else None


_PLAIN = _Rule()
_REPLACED = _Rule(replace=True)
_UNIQUE = _Rule(identity=_text)
_WORDS = _Rule(_as_list, _text)
_PAIRS = _Rule(_as_pairs)
_CONTAINER_RULES = {
    "networks": _Rule(_as_names),
    "depends_on": _Rule(_as_names),
    "command": _REPLACED,
    "entrypoint": _REPLACED,
    "env_file": _Rule(_as_items),
    "environment": _PAIRS,
    "sysctls": _PAIRS,
    "dns": _WORDS,
    "dns_search": _WORDS,
    "dns_opt": _WORDS,
    "extra_hosts": _Rule(_as_hosts, _text),
    "ports": _UNIQUE,
    "expose": _UNIQUE,
    "links": _UNIQUE,
    "external_links": _UNIQUE,
    "profiles": _UNIQUE,
    "open": _UNIQUE,
    "listen": _UNIQUE,
    "cap_add": _UNIQUE,
    "floating_ip": _REPLACED,
    "egress_ip": _REPLACED,
}
_NETWORK_RULES = {"allow": _Rule(_as_allowances, _entry("network")), "host_address": _REPLACED}
_POOLS = _Rule(identity=_entry("subnet"))
_ROUTES = _Rule(identity=_entry("to"))
_ENDPOINT_LISTS = ("aliases", "link_local_ips")


def _rule(path: Path) -> _Rule:
    match path:
        case ("containers", _, key):
            return _CONTAINER_RULES.get(key, _PLAIN)
        case ("containers", _, "networks", _, key) if key in _ENDPOINT_LISTS:
            return _UNIQUE
        case ("containers", _, "networks", _, "routes"):
            return _ROUTES
        case ("networks", _, "ipam", "config"):
            return _POOLS
        case ("networks", _, key):
            return _NETWORK_RULES.get(key, _PLAIN)
        case _:
            return _PLAIN


def _kind(node: Node) -> str:
    return {Scalar: "a value", Sequence: "a list", Mapping: "a mapping"}[type(node)]
