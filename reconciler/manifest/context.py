"""What every part of the conversion needs: the tree for places, and where to put faults."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from reconciler.errors import NetapplyError
from reconciler.manifest.faults import Faults, FormError
from reconciler.manifest.nodes import Mapping, key_place, place

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.errors import Source

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
LONGEST_NAME = 63
"""Characters; names are DNS labels as well (RFC 1035)."""

T = TypeVar("T")


def _no_files(path: str) -> bytes | str:
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
    unclear_networks: set[str] = field(default_factory=set)
    """Networks with a faulty subnet; what depends on their subnets cannot be judged."""
    read_file: Callable[[str], bytes | str] = _no_files
    """The contents of a file that the manifest names; raises NetapplyError where it cannot be read."""

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
            self.faults.add(message, source, "letters, digits, '_', '.' and '-', a letter or digit first")
        elif len(name) > LONGEST_NAME:
            message = f"the name of a {what} has at most {LONGEST_NAME} characters, '{name[:20]}…' has {len(name)}"
            self.faults.add(message, source)
