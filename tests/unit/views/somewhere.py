"""Where things are on a machine that is not there."""

from __future__ import annotations


class Somewhere:
    """Paths as on the machine itself."""

    def namespace(self, home: str) -> str:
        return f"/run/netns/{home.removeprefix('netns:').replace('/', '.')}" if home else "/proc/1/ns/net"

    def file(self, home: str, file_name: str) -> str:
        return f"/run/netapply/7/files/{home}/{file_name}" if home else f"/etc/{file_name}"


PATHS = Somewhere()
