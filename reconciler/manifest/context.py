"""What every part of the conversion needs: the tree for places, and where to put faults."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from reconciler.errors import NetapplyError
from reconciler.manifest.faults import Faults, FormError, typographic_hint
from reconciler.manifest.interpolation import Room
from reconciler.manifest.nodes import Mapping, child, key_place, place

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.errors import Source
    from reconciler.manifest.models import ContainerPart

NAME_PATTERN = "[a-zA-Z0-9_][a-zA-Z0-9_.-]*"
"""Of a container or network: Compose's, without those that a tool takes for an option, or a folder for hidden."""
_NAME = re.compile(NAME_PATTERN)
_MOST_PORTS = 200_000
"""Of one stack: three containers that publish all there are."""
LONGEST_NAME = 63
"""Characters; names are DNS labels as well (RFC 1035)."""

T = TypeVar("T")


def _no_files(path: str) -> str:
    message = f"{path}: no such file"
    raise NetapplyError.of(message)


@dataclass(frozen=True, slots=True)
class Context:
    """One stack under conversion."""

    root: Mapping
    stack_name: str
    faults: Faults
    container_names: dict[str, str] = field(default_factory=dict)
    """The containers' keys by their ``container_name``."""
    parts: dict[str, ContainerPart] = field(default_factory=dict)
    """The containers of the stack that are active, by their keys."""
    replicas: dict[str, int] = field(default_factory=dict)
    """How many containers each of them stands for; also those that stand for none."""
    provided: set[str] = field(default_factory=set)
    """The containers, by their keys, that a provider makes, and that are none of netapply's."""
    unclear_networks: set[str] = field(default_factory=set)
    """Networks with a faulty subnet; what depends on their subnets cannot be judged."""
    read_file: Callable[[str], str] = _no_files
    """The text of a file that the manifest names; raises NetapplyError where it cannot be read."""
    room: Room = field(default_factory=Room)
    """What variables in such files may still come to."""

    owners: dict[str, str] = field(default_factory=dict)
    """What `owner` has found so far: a long chain is gone along once."""
    ports_so_far: list[int] = field(default_factory=lambda: [0])
    """How many ports were counted so far."""

    def has_too_many_ports(self, more: int, name: str, source: Source) -> bool:
        """Whether the stack publishes too many, with these ``more`` ones of a container, each replica's; noted once."""
        total = self.ports_so_far[0]
        more *= self.replicas.get(name, 1)
        self.ports_so_far[0] = total + more
        if total <= _MOST_PORTS < total + more:
            message = f"more than {_MOST_PORTS} ports are published"
            self.faults.add(
                message, source, "publish fewer; a container that needs them all may have network_mode: host"
            )
        return total + more > _MOST_PORTS

    def at(self, *path: str | int) -> Source:
        """The place of the value at ``path``."""
        return place(self.root, path)

    def key_at(self, *path: str | int) -> Source:
        """The place of the key that ends ``path``."""
        return key_place(self.root, path)

    def take(self, parse: Callable[[str], T], text: str | None, *path: str | int) -> T | None:
        """``parse(text)``; None for no text, and for a bad one, which is noted."""
        if not text:
            return None
        try:
            return parse(text)
        except FormError as error:
            self.faults.add_form(error, self.at(*path))
            return None

    def check_name(self, what: str, name: str, source: Source) -> None:
        """Note a name that no container, network or stack can have."""
        if not _NAME.fullmatch(name):
            message = f"'{name}' cannot be the name of a {what}"
            hint = typographic_hint(name) or "letters, digits, '_', '.' and '-', but neither '.' nor '-' first"
            self.faults.add(message, source, hint)
        elif len(name) > LONGEST_NAME:
            message = f"the name of a {what} has at most {LONGEST_NAME} characters, '{name[:20]}…' has {len(name)}"
            self.faults.add(message, source)

    def key_of(self, kind: str, name: str) -> str | None:
        """The key of the container that ``service:NAME`` or ``container:NAME`` means; None: none of the stack's."""
        if kind == "container" and name in self.container_names:
            name = self.container_names[name]
        if name in self.parts:
            return name
        base, _, number = name.rpartition("-")
        count = self.replicas.get(base, 1)
        return base if number.isdecimal() and count > 1 and 1 <= int(number[:9]) <= count else None

    def reference(self, kind: str, name: str) -> str:
        """``KIND:NAME`` as the model has it: a ``container_name`` of this stack is the service."""
        own = self.container_names.get(name) if kind == "container" else None
        return f"service:{own}" if own else f"{kind}:{name}"

    def owner(self, name: str) -> str:
        """Whose network namespace the container of that key uses in the end: a key, or a name of elsewhere."""
        seen: dict[str, None] = {}
        while name not in self.owners and name not in seen:
            seen[name] = None
            kind, colon, owner = (self.parts[name].network_mode or "").partition(":")
            key = self.key_of(kind, owner) if colon and kind in {"service", "container"} else name
            if key is None:
                self.owners[name] = owner
            else:
                name = key
        last = self.owners.get(name, name)
        self.owners.update(dict.fromkeys(seen, last))
        return last

    def why_absent(self, name: str) -> str:
        """Why a container that stands in the file is not part of the stack; nothing for one that does not."""
        if self.replicas.get(name) == 0:
            return f"it has no replicas: {self.at('containers', name)}"
        if name in self.provided:
            return "its provider makes it, outside of netapply"
        declared = child(self.root, ("containers",))
        if isinstance(declared, Mapping) and name in declared.entries and name not in self.parts:
            return "it belongs to a profile that is not active: give --profile"
        return ""

    def check_target(self, kind: str, name: str, what: str, source: Source | None) -> None:
        """Note a ``service:NAME`` that is not in the stack, and a name that several replicas share."""
        if not name:
            return
        key = self.key_of(kind, name)
        if key is None and kind == "service":
            hint = (
                self.why_absent(name) or self.faults.nearest(name, self.parts) or "for another stack's: container:NAME"
            )
            self.faults.add(f"{what} '{name}', which is not in the stack", source, hint)
        elif key == name and self.replicas.get(key, 1) > 1:
            message = f"{what} '{name}', which is {self.replicas[key]} containers"
            self.faults.add(message, source, f"name one of them: {kind}:{name}-1")
