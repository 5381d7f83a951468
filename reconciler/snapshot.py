"""States and observations as plain data, to be kept or read elsewhere; and without the secrets in them.

The form is one mapping for each resource: its ``type``, and the fields that differ from
their default. What is read is not trusted: everything unexpected is an error that names its place.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from reconciler.errors import NetapplyError
from reconciler.firewall.allow import AllowPolicy
from reconciler.firewall.opening import Opening
from reconciler.firewall.policy import FirewallBase, HostAccept, NetworkPolicy, PublishedPort
from reconciler.firewall.translation import EgressPolicy, FloatingPolicy
from reconciler.observation import Facts, Observation
from reconciler.resources.address import Address
from reconciler.resources.agent import Agent, HeldPorts
from reconciler.resources.bridge import Bridge
from reconciler.resources.container_file import ContainerFile
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.host_address import HostAddress
from reconciler.resources.job import EndedJob, Job
from reconciler.resources.joined import Joined
from reconciler.resources.namespace import Namespace
from reconciler.resources.process import Process
from reconciler.resources.resolver import Resolver
from reconciler.resources.route import Route
from reconciler.resources.router_rules import RouterRules
from reconciler.resources.shim import Shim, ShimRoute
from reconciler.resources.source_route import SourceRoute
from reconciler.resources.sub_interface import SubInterface
from reconciler.resources.sysctl import Sysctl
from reconciler.resources.vlan import Vlan
from reconciler.state import Key, Kind, Resource, State

FORMAT_VERSION = 1
CONCEALED = "concealed"
"""What stands for every secret where there is no key to digest it with."""

_TYPES: dict[str, type] = {
    "namespace": Namespace,
    "bridge": Bridge,
    "endpoint": Endpoint,
    "sub_interface": SubInterface,
    "vlan": Vlan,
    "shim": Shim,
    "shim_route": ShimRoute,
    "source_route": SourceRoute,
    "address": Address,
    "route": Route,
    "router_rules": RouterRules,
    "sysctl": Sysctl,
    "joined": Joined,
    "container_file": ContainerFile,
    "resolver": Resolver,
    "process": Process,
    "agent": Agent,
    "held_ports": HeldPorts,
    "firewall_base": FirewallBase,
    "host_accept": HostAccept,
    "network_policy": NetworkPolicy,
    "published_port": PublishedPort,
    "opening": Opening,
    "floating": FloatingPolicy,
    "egress": EgressPolicy,
    "allow": AllowPolicy,
    "host_address": HostAddress,
    "job": Job,
    "ended_job": EndedJob,
}
_NAMES = {kind: name for name, kind in _TYPES.items()}
# A place in a manifest means nothing elsewhere; strays are other programs' texts; warnings are made anew;
# variables that describe links hold others' secrets, and are never compared.
_LEFT_OUT = frozenset({"source", "strays", "warnings", "opening_warnings", "link_environment"})


def concealed(state: State, key: bytes = b"") -> State:
    """The state with a keyed digest in place of every value of an environment; without ``key`` all look the same.

    A plan compares two states that were concealed with the same key.
    """
    return State(_concealed(resource, key) for resource in state)


def _concealed(resource: Resource, key: bytes) -> Resource:
    if isinstance(resource, EndedJob):
        # A digest of a command with its environment, which guesses could be tried against.
        return replace(resource, definition=_token(key, resource.container, "", resource.definition))
    if not isinstance(resource, Process):
        return resource
    hidden = tuple((name, _token(key, resource.container, name, value)) for name, value in resource.environment)
    return replace(resource, environment=hidden)


def comparable(wanted: State, observed: State) -> State:
    """``wanted`` with the values concealed that ``observed`` has concealed without a key, so that they do not differ."""
    return State(_comparable(resource, observed.get(resource.key)) for resource in wanted)


def _comparable(resource: Resource, observed: Resource | None) -> Resource:
    if isinstance(resource, EndedJob) and isinstance(observed, EndedJob) and observed.definition == CONCEALED:
        return replace(resource, definition=CONCEALED)
    if not isinstance(resource, Process) or not isinstance(observed, Process):
        return resource
    unknown = {name for name, value in observed.environment if value == CONCEALED}
    values = tuple((name, CONCEALED if name in unknown else value) for name, value in resource.environment)
    return replace(resource, environment=values)


def has_concealed(state: State, owners: Collection[str]) -> bool:
    """Whether a command of these owners has variables whose values nobody knows here."""
    commands = (each for each in state if isinstance(each, Process) and each.owner in owners)
    return any(value == CONCEALED for command in commands for _, value in command.environment)


def holds_secrets(state: State) -> bool:
    """Whether anything of the state is concealed when it is written down."""
    return any(isinstance(each, EndedJob) or (isinstance(each, Process) and each.environment) for each in state)


def _token(key: bytes, *parts: str) -> str:
    # Without a key, a digest of a weak secret could be guessed. Container and name go in too,
    # so that nobody sees where a secret is used twice.
    return (
        hmac.new(key, "\0".join(parts).encode(), "sha256").hexdigest() if key and parts[-1] != CONCEALED else CONCEALED
    )


def state_to_document(state: State, key: bytes = b"") -> dict[str, Any]:
    """The state as JSON has it, in order of the resources' keys, its secrets concealed with ``key``."""
    ordered = sorted(concealed(state, key).items())
    return {"format_version": FORMAT_VERSION, "resources": [_resource_out(resource) for _, resource in ordered]}


def state_from_document(document: Any) -> State:
    """The state that a document describes.

    Raises NetapplyError when it is not what ``state_to_document`` makes.
    """
    version = document.get("format_version") if isinstance(document, Mapping) else None
    if version != FORMAT_VERSION:
        raise _fault("snapshot", f"format_version is {version}", f"this netapply reads version {FORMAT_VERSION}")
    entries = document.get("resources")
    if not isinstance(entries, list):
        raise _fault("snapshot", "resources is not a list")
    resources: dict[Key, Resource] = {}
    for index, entry in enumerate(entries):
        resource = _resource_in(entry, f"resources[{index}]")
        if resources.setdefault(resource.key, resource) is not resource:
            raise _fault(f"resources[{index}]", f"a second {resource.key.kind} {resource.key.name}")
    return State(resources.values())


def observation_to_document(observation: Observation, key: bytes = b"") -> dict[str, Any]:
    """State and facts; the first part is what ``state_to_document`` gives."""
    return {**state_to_document(observation.state, key), "facts": _fields_out(observation.facts)}


def observation_from_document(document: Any) -> Observation:
    """What ``observation_to_document`` was given, with secrets concealed. Raises NetapplyError as the other does."""
    state = state_from_document(document)
    facts: Facts = _fields_in(Facts, document.get("facts", {}), "facts")
    return Observation(state, facts)


def _resource_out(resource: Resource) -> dict[str, Any]:
    return {"type": _NAMES[type(resource)], **_fields_out(resource)}


def _resource_in(entry: Any, place: str) -> Resource:
    name = entry.get("type") if isinstance(entry, Mapping) else None
    kind = _TYPES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise _fault(place, f"unknown type {name}", f"known are {', '.join(sorted(_TYPES))}")
    resource: Resource = _fields_in(kind, {key: value for key, value in entry.items() if key != "type"}, place)
    return resource


@cache
def _kept(kind: Any) -> Mapping[str, tuple[Field[Any], Any]]:
    """The fields that a document has, each with its type."""
    hints = get_type_hints(kind)
    return {field.name: (field, hints[field.name]) for field in fields(kind) if field.name not in _LEFT_OUT}


def _fields_out(value: Any) -> dict[str, Any]:
    kind: Any = type(value)
    kept = _kept(kind)
    items = {name: (field, getattr(value, name)) for name, (field, _) in kept.items()}
    return {name: _out(item) for name, (field, item) in items.items() if item != field.default}


def _out(value: Any) -> Any:
    if is_dataclass(value):
        return _fields_out(value)
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_out(item) for item in value]
    return str(value) if isinstance(value, Kind) else value


def _fields_in(kind: Any, given: Any, place: str) -> Any:
    if not isinstance(given, Mapping):
        raise _fault(place, "not a mapping")
    kept = _kept(kind)
    unknown = sorted(set(given) - set(kept))
    if unknown:
        raise _fault(place, f"unknown field {unknown[0]}")
    missing = [name for name, (field, _) in kept.items() if field.default is MISSING and name not in given]
    if missing:
        raise _fault(place, f"{missing[0]} is missing")
    return kind(**{name: _in(kept[name][1], value, f"{place}.{name}") for name, value in given.items()})


def _in(hint: Any, value: Any, place: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return None if value is None else _in(arguments[0], value, place)
    if hint in {str, int, bool}:
        if type(value) is not hint:
            raise _fault(place, f"not {_WORDS[hint]}")
        return value
    if is_dataclass(hint):
        return _fields_in(hint, value, place)
    if not isinstance(value, list):
        raise _fault(place, "not a list")
    if hint is Key:
        return _key_in(value, place)
    if isinstance(hint, type) and issubclass(hint, tuple):
        return hint(*_in(tuple[tuple(get_type_hints(hint).values())], value, place))  # type: ignore[misc]  # types of fields
    if origin is tuple and arguments[-1] is not Ellipsis:
        if len(value) != len(arguments):
            raise _fault(place, f"not {len(arguments)} values")
        return tuple(_in(hint, item, place) for hint, item in zip(arguments, value, strict=True))
    return origin(_in(arguments[0], item, f"{place}[{index}]") for index, item in enumerate(value))


_WORDS = {str: "text", int: "a whole number", bool: "true or false"}


def _key_in(value: list[Any], place: str) -> Key:
    match value:
        case [str(kind), str(name)] if kind in list(Kind):
            return Key(Kind(kind), name)
    raise _fault(place, "not the key of an object")


def _fault(place: str, what: str, hint: str = "") -> NetapplyError:
    return NetapplyError.of(f"{place}: {what}", hint=hint)
