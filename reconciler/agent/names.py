"""The agent's concern ``names``, which loads the resolver when the first container needs one.

An agent that only holds ports is spared 3 MB and 20 ms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.agent.loop import Loop

if TYPE_CHECKING:
    from reconciler.agent.dns.names import Resolvers


class Names:
    """Answers names in the sandboxes of all stacks."""

    name = "names"

    def __init__(self, loop: Loop, run_directory: str) -> None:
        self._loop = loop
        self._run_directory = run_directory
        self._resolvers: Resolvers | None = None
        self.doubted: frozenset[str] = frozenset()
        """Containers whose sockets and rules the next ``apply`` looks at, although their data may be the same."""

    def apply(self, stack_name: str, section: Any) -> list[dict[str, Any]]:
        """Serve exactly these containers of the stack; those that could not be. Raises ValueError."""
        doubted, self.doubted = self.doubted, frozenset()
        if self._resolvers is None:
            if not section:
                return []
            from reconciler.agent.dns.names import Resolvers  # noqa: PLC0415 - as said above

            self._resolvers = Resolvers(self._loop, self._run_directory)
        return self._resolvers.apply(stack_name, section, doubted)

    def status(self) -> dict[str, list[int]]:
        """By container: the inode of the namespace served, the port there, the generation of its rules."""
        return self._resolvers.status() if self._resolvers else {}

    def close(self) -> None:
        """Close everything in the sandboxes."""
        if self._resolvers:
            self._resolvers.close()
